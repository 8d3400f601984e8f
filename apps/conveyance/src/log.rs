//! The log as the program holds it: a bus, and the few things that only a program asks of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bus_kafka::inspect::{self, Instances, OpenTransaction};
use bus_kafka::{KafkaBus, KafkaConfig};
use bus_sqlite::{Options, SqliteBus};
use dataflow::bus::{Bus, BusError};
use dataflow::{Board, Clock, CommitTimes, Flow, SystemClock};

/// Between two tries to reach brokers.
const PATIENCE: Duration = Duration::from_millis(200);

/// A bus that can say how it is, and that is closed at the end.
pub(crate) trait Log: Bus {
    /// What an operator should know about it: one line each, with what to do.
    fn conditions(&self) -> Vec<String>;

    /// Ends it in order.
    ///
    /// # Errors
    /// When it cannot say that everything is durable.
    fn close(&self) -> Result<(), BusError>;

    /// How long commits took since the start, by service; under no name where they are of all together.
    fn commit_times(&self) -> CommitTimes;

    /// Who works on what, where instances are separate processes.
    ///
    /// # Errors
    /// When nobody can say, with what to do.
    fn instances(&self) -> Result<Vec<Instances>, BusError> {
        Ok(Vec::new())
    }

    /// Partitions whose readers wait behind an open transaction, where there are such.
    ///
    /// # Errors
    /// When nobody can say, with what to do.
    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, BusError> {
        Ok(Vec::new())
    }
}

impl Log for SqliteBus {
    fn conditions(&self) -> Vec<String> {
        Self::conditions(self)
    }

    fn commit_times(&self) -> CommitTimes {
        Self::commit_times(self)
    }

    fn close(&self) -> Result<(), BusError> {
        Self::close(self)
    }
}

impl Log for KafkaBus {
    /// What it has to say stands on the board that it was given.
    fn conditions(&self) -> Vec<String> {
        Vec::new()
    }

    fn commit_times(&self) -> CommitTimes {
        Self::commit_times(self)
    }

    /// Whoever joined has left by now, and what was appended was acknowledged.
    fn close(&self) -> Result<(), BusError> {
        Ok(())
    }

    fn instances(&self) -> Result<Vec<Instances>, BusError> {
        inspect::instances(self.config(), self.flow())
    }

    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, BusError> {
        inspect::open_transactions(self.config(), self.flow())
    }
}

#[cfg(test)]
impl Log for dataflow::memory::MemoryBus {
    fn conditions(&self) -> Vec<String> {
        Vec::new()
    }

    fn commit_times(&self) -> CommitTimes {
        CommitTimes::default()
    }

    fn close(&self) -> Result<(), BusError> {
        Ok(())
    }
}

/// Opens the embedded log of a data folder for work.
///
/// # Errors
/// What is in the way, with what to do.
pub(crate) fn open(dir: &Path, flow: &Flow) -> Result<Arc<dyn Log>> {
    let epoch = u64::try_from(SystemClock.now_ms()).unwrap_or(1).max(1);
    Ok(SqliteBus::open(dir, flow, options(epoch))?)
}

/// Opens the embedded log of a data folder that no process holds, only to read it.
///
/// # Errors
/// What is in the way, with what to do.
pub(crate) fn open_read_only(dir: &Path, flow: &Flow) -> Result<Arc<dyn Log>> {
    Ok(SqliteBus::open_read_only(dir, flow, options(1))?)
}

/// How a log is opened; `epoch` is the identity of one that is made now.
fn options(epoch: u64) -> Options {
    Options {
        schema: messages::topics::SCHEMA,
        #[cfg(feature = "wrong-syncs")]
        wrong: wrong_sync(),
        ..Options::new(Arc::new(SystemClock), epoch)
    }
}

/// The fault that the campaign asks for.
#[cfg(feature = "wrong-syncs")]
#[allow(clippy::disallowed_methods, reason = "of a program that is wrong on purpose")]
fn wrong_sync() -> Option<bus_sqlite::WrongSync> {
    match std::env::var("CONVEYANCE_WRONG_SYNC").ok()?.as_str() {
        "view-ahead-of-the-sync" => Some(bus_sqlite::WrongSync::ViewAheadOfTheSync),
        "no-sync-at-open" => Some(bus_sqlite::WrongSync::NoSyncAtOpen),
        _ => None,
    }
}

/// Connects to Kafka, and checks what is there.
///
/// # Errors
/// What is in the way, with what to do.
pub(crate) fn connect(config: KafkaConfig, flow: &Flow, board: Board) -> Result<Arc<dyn Log>> {
    Ok(KafkaBus::connect(config, flow, Arc::new(SystemClock), board)?)
}

/// The same, for whoever starts together with the brokers: waits up to `within` for them, and says so once.
///
/// # Errors
/// At once what a person must see to; what only takes time, after that time.
pub(crate) fn await_kafka(
    config: &KafkaConfig,
    flow: &Flow,
    board: &Board,
    within: Duration,
) -> Result<Arc<dyn Log>> {
    let from = SystemClock.now_ms();
    let late = || SystemClock.now_ms().abs_diff(from) > millis(within);
    let mut said = false;
    loop {
        match KafkaBus::connect(config.clone(), flow, Arc::new(SystemClock), board.clone()) {
            Err(BusError::Busy(text)) if !late() => {
                if !std::mem::replace(&mut said, true) {
                    eprintln!("waiting for Kafka: {text}");
                }
                std::thread::park_timeout(PATIENCE);
            }
            connected => return Ok(connected?),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
