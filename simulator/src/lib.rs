//! A synthetic MLS: a seeded market of US and Canadian homes whose listings live and change.
//!
//! The core is pure: the same configuration gives the same bytes, and time is an argument.
//!
//! * [`Market`] makes the inventory and the changes; only places that changed take memory.
//! * [`RowWriter`] writes rows, with faults on purpose ([`FaultPlan`]) and the [`Truth`] about them.
//! * [`FeedWriter`] turns rows into files that appear whole, and [`Driver`] keeps a living feed at a pace.
//! * [`write_benchmark_file`] makes the input of the benchmarks.

mod benchmark;
mod chance;
mod city;
mod driver;
mod error;
mod fault;
mod feed;
mod home;
mod listing;
mod market;
mod people;
mod remarks;
mod row;
mod state;
mod street;
mod text;
mod windows1252;

pub use benchmark::{BENCHMARK_START_MS, write_benchmark_file, write_benchmark_rows};
pub use city::{City, Country};
pub use driver::{CHANGES_PER_STEP_MAX, Driver, Settings, Written};
pub use error::Error;
pub use fault::{Expected, Fault, FaultKind, FaultPlan, RowWriter, Truth};
pub use feed::{FeedWriter, change_number};
pub use listing::{Listing, Status};
pub use market::{FIRST_KEY, Market, MarketConfig};
