//! Mapping packs: what each column of a feed becomes.
//!
//! A [`Pack`] is data: a TOML file, read and linted with line numbers, and compiled once. A [`Mapper`] applies it to
//! rows. [`check_columns`] compares a file's header with it, and [`feeds`] is the form of `feeds.toml`.

mod checks;
mod columns;
mod convert;
mod derive;
mod draft;
mod fault;
pub mod feeds;
mod forms;
mod ids;
mod mapper;
mod pack;
mod places;
mod read;

pub use columns::{Columns, ColumnsError, KEY_MAX, check_columns, clean_name, is_header};
pub use fault::Fault;
pub use mapper::{BAD_ROW, Mapped, Mapper};
pub use pack::{Column, Encoding, Format, KeyPart, Pack, Source, lint};
pub use places::Places;
pub use read::{Finding, Refused, Severity};
