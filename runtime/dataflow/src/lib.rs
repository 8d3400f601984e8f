//! The dataflow runtime: services that only consume and produce.
//!
//! A service reads records from topics, does one thing, and writes records to topics; its outputs, its
//! state and its progress commit together. This crate holds the contract ([`contract`]), the one narrow
//! seam to a bus ([`bus`]), and the loops that run services on it. It knows no real estate and no storage.

pub mod batch;
pub mod board;
pub mod bus;
pub mod clock;
pub mod conformance;
pub mod contract;
pub mod dead;
pub mod durations;
pub mod effect;
pub mod failure;
pub mod flow;
pub mod history;
pub mod ledger;
pub mod letters;
pub mod memory;
mod overlay;
pub mod ownership;
#[cfg(feature = "planted")]
mod planted;
pub mod source;
pub mod testflow;
pub mod unit;
mod varint;
pub mod view;
pub mod worker;

pub use batch::{Batch, BatchBuilder, Meta, RecordRef};
pub use board::Board;
pub use clock::{Clock, ManualClock, SystemClock};
pub use contract::{Emit, Input, Out, Source, SourceOut, Status, Transform, View};
pub use durations::{CommitTimes, Durations};
pub use failure::{Failure, Reject};
pub use flow::{Flow, ServiceSpec, TopicSpec};
