//! The bus on Apache Kafka, for more than one machine: exactly once by transactions.
//!
//! A member has three threads: its service's own polls the group's consumer (`member`), one writes units as
//! transactions (`committer`), one brings local state up to its changelog (`restore`). State lives in a local
//! SQLite file (`store`) that holds no truth. Floor: Kafka 4.0, whose brokers verify each partition's
//! transaction.

mod append;
mod backlog;
mod bus;
mod check;
mod committer;
pub mod config;
mod ends;
mod envelope;
mod faults;
mod fold;
mod gather;
mod group;
pub mod inspect;
mod join;
mod layout;
mod member;
mod open;
pub mod plan;
mod producer;
mod reader;
mod restore;
mod seat;
mod settings;
mod slot;
mod store;
mod tail;
pub mod topics;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use bus::KafkaBus;
pub use config::{ClientCertificate, KafkaConfig, Mechanism, Sasl, Security};

/// A lock whose holder panicked holds data that is whole: every change here is one assignment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client that asks the brokers, and belongs to no group.
pub(crate) fn asker(
    config: &KafkaConfig,
) -> Result<rdkafka::consumer::BaseConsumer<faults::Reports>, dataflow::bus::BusError> {
    reader::Readers::consumer(config, &format!("{}conveyance-doctor", config.prefix))
}

/// For how long something took; never for what a record says.
#[allow(clippy::disallowed_methods, reason = "measures waiting, which no output depends on")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
