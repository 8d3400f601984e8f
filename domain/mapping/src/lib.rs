//! Mapping packs: what each column of a feed becomes.
//!
//! A [`Pack`] is data: a TOML file, read and linted with line numbers, and compiled once. A [`Mapper`] applies it to
//! rows. [`check_columns`] compares a file's header with it, and [`feeds`] is the form of `feeds.toml`.

mod columns;
mod convert;
mod fault;
pub mod feeds;
mod forms;
mod pack;
mod read;
mod row;

pub use columns::{Columns, ColumnsError, KEY_MAX, check_columns, clean_name, is_header};
pub use fault::Fault;
pub use pack::{Column, Encoding, Format, KeyPart, Pack, Source, lint};
pub use read::{Finding, Refused, Severity};
pub use row::{Mapped, Mapper, Places};
