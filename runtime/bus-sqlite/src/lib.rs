//! The embedded bus: log, offsets and keyed state in one SQLite file.
//!
//! Life of a unit: [`Member::submit`](dataflow::bus::Member::submit) decodes and compresses its blocks in the
//! submitting thread (`prepare`), one writer thread applies what waits in one transaction (`writer`, `apply`)
//! and publishes it to readers from memory (`log`), another thread syncs the write-ahead log every few
//! milliseconds (`sync`), and a third copies it into the file in the background (`wal`).
//! Three facts to know before changing anything:
//! - commits are `synchronous=NORMAL`, so they survive the death of the process but not a power cut; what a
//!   power cut cannot take is behind [`Range::durable`](dataflow::bus::Range), moved by `sync` alone;
//! - a unit commits only if it goes on exactly where its service stands (`writer`), so work that was done
//!   twice can be handed in twice and counts once;
//! - the last row of a partition is never deleted, since it tells where the partition ends.

mod apply;
mod bus;
mod catalog;
mod codec;
mod compact;
mod dictionary;
mod files;
mod fuzz;
mod group;
mod known;
mod log;
mod member;
mod open;
mod options;
mod prepare;
mod reader;
mod retention;
mod schema;
mod shared;
mod sync;
mod wal;
mod writer;

pub use bus::SqliteBus;
pub use fuzz::fuzz_stored_row;
#[cfg(feature = "wrong-syncs")]
pub use options::WrongSync;
pub use options::{OpenError, Options};
