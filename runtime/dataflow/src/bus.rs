//! The one seam between the runtime and a bus.
//!
//! Thought through for both: SQLite, where a unit is one transaction of one writer, and Kafka, where it is
//! a transaction of the member's producer. What both share:
//! - an assignment has an epoch; everything a member hands in names the epoch it worked under, and the bus
//!   refuses what is stale;
//! - a unit is handed in with [`Member::submit`], which returns before it is committed; its outcome comes
//!   back as an [`Event`], so that a commit never blocks the poll loop and the next unit can be built
//!   meanwhile;
//! - an outcome may be *unknown*. The runtime then drops everything that is not known to be committed and
//!   rewinds to what the bus says is committed, after the bus has fenced the old attempt;
//! - state is read through the member, as of the last committed unit; what is younger is the runtime's overlay;
//! - revocation is an event: the member goes on owning the partition until it calls [`Member::release`].

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::contract::StoreEntry;
use crate::flow::ServiceSpec;
use crate::unit::{BYTES_MAX, Unit};

/// One partition of a service's inputs, as assigned to a member: all its keyed topics have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    /// Partition number.
    pub partition: u16,
    /// Rises with every assignment; work under an older epoch is stale.
    pub epoch: u64,
}

/// What a bus tells a member.
#[derive(Debug)]
pub enum Event {
    /// The member may restore this partition; call [`Member::restore`].
    Assigned(Assignment),
    /// State is there; records may follow.
    Restored(Assignment),
    /// Finish, then [`Member::release`].
    Revoked(Assignment),
    /// Already someone else's: forget everything about it.
    Lost(Assignment),
    /// Records, in offset order for each topic.
    Records {
        /// Under which assignment.
        assignment: Assignment,
        /// Topic.
        topic: Arc<str>,
        /// The batch.
        batch: Arc<Batch>,
        /// First offset in it that is new to the member.
        from: u64,
    },
    /// How a unit ended.
    Outcome {
        /// The unit's id.
        unit: u64,
        /// How.
        outcome: Outcome,
    },
}

/// How a unit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in it is durable or on the way to it, visible to [`Member::state`] now and to readers now or
    /// in a moment (Kafka marks a transaction after it has decided it). Nothing can undo it but a power cut.
    Committed,
    /// Nothing of it happened, nor of units handed in after it; the member must rewind.
    Aborted,
    /// It may or may not have happened; the bus has made sure that it cannot happen later. The member must rewind.
    Unknown,
}

/// What can go wrong with a bus.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// The member was fenced: someone else has its identity.
    #[error("this instance was fenced by a newer one with the same identity")]
    Fenced,
    /// The bus cannot go on. The text says what to do.
    #[error("{0}")]
    Fatal(String),
    /// Not now; the text says why.
    #[error("{0}")]
    Busy(String),
}

/// The offsets of one topic partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// First offset that is still there.
    pub start: u64,
    /// Where a reader stands that has read everything visible (a log may keep markers behind the last record).
    pub end: u64,
    /// One past the last record that a power cut cannot take.
    pub durable: u64,
}

/// What one service has not done yet in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Service.
    pub service: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u16,
    /// Next offset the service will read.
    pub next: u64,
    /// Records not done.
    pub records: u64,
    /// When the oldest of them was appended, in milliseconds since 1970; `None` when there is none.
    pub oldest_ms: Option<i64>,
}

/// What some services together have not done: what paces sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records; one counts for each service that has it before it.
    pub records: u64,
    /// When the oldest of them was appended, in milliseconds since 1970, or before; `None` when there is none.
    pub oldest_ms: Option<i64>,
}

impl Lag {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            oldest_ms: self.oldest_ms.into_iter().chain(other.oldest_ms).min(),
        }
    }
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u16,
    /// Offset of the first record of the block.
    pub offset: u64,
}

/// A bus as the runtime and the tools see it.
pub trait Bus: Send + Sync {
    /// Joins a service's group as one more instance.
    ///
    /// # Errors
    /// [`BusError`] with what to do.
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError>;

    /// Appends a unit from outside any service (a user's command, a redriven dead letter): all of it or
    /// nothing. Its state and tallies go to the service of that name; its progress must be empty. Returns
    /// once it is durable, with the place of each of its outputs that holds records.
    ///
    /// # Errors
    /// [`BusError::Busy`] when the bus takes nothing at present or cannot say what became of it;
    /// [`BusError::Fatal`] when it cannot go on.
    fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError>;

    /// Identity of this log: drawn when it is made or restored. Offsets of another epoch mean nothing.
    fn epoch(&self) -> u64;

    /// Offsets of a topic partition.
    ///
    /// # Errors
    /// [`BusError`] when the topic is not there or the log cannot be read.
    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError>;

    /// Batches from `from` on, at most about `bytes_max` (but at least one batch where there is one).
    /// With `durable` only what a power cut cannot take.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read.
    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError>;

    /// Returns when something was appended or became durable since `seen`, or after `timeout`; the new mark.
    fn wait(&self, seen: u64, timeout: Duration) -> u64;

    /// What each service has not done, for each input partition.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read.
    fn backlog(&self) -> Result<Vec<Backlog>, BusError>;

    /// What these services have not done. Asked all the time, so it may be some milliseconds old.
    fn lag(&self, services: &[String]) -> Lag;

    /// A service's counters, by name.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read.
    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError>;

    /// The last value of a key in a compacted topic, with its offset.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read.
    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError>;

    /// Makes a view's place known, so that retention keeps what it has not read. A bus that is far away may fetch ahead
    /// from there: [`Bus::read`] at that place then gives what has come, which may be nothing yet, and [`Bus::wait`] ends
    /// when something comes.
    fn hold(&self, view: &str, topic: &str, partition: u16, next: u64);
}

/// How much to read, and how sure.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    /// About this many bytes.
    pub bytes_max: usize,
    /// Only what is durable.
    pub durable: bool,
}

/// One instance of a service in its group. Lives on one thread.
pub trait Member: Send {
    /// Waits up to `wait` for something to tell; fetches at most about `bytes_max` of records. An Effect is
    /// given only what is durable: what it does in the world cannot be taken back.
    /// With `bytes_max` 0 no records are fetched, but everything else still comes.
    ///
    /// # Errors
    /// [`BusError::Fenced`] and [`BusError::Fatal`] end the member.
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError>;

    /// Starts (or goes on with) restoring the state of an assigned partition; done at [`Event::Restored`].
    ///
    /// # Errors
    /// [`BusError`] as for `poll`.
    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError>;

    /// Hands in a unit. Outcomes come in the order of submission.
    ///
    /// # Errors
    /// [`BusError`] as for `poll`.
    fn submit(&mut self, unit: Unit) -> Result<(), BusError>;

    /// Committed state of a key: of the backing topic, or of the service's own table.
    ///
    /// # Errors
    /// [`BusError`] when the store cannot be read.
    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError>;

    /// Committed entries of one partition of the service's own table in key order: prefix, greater than `after`, at most `limit`.
    /// A service whose state is none, or an output, has such a table too: what the runtime itself must remember
    /// is there (see `letters`). See [`crate::conformance::ROWS_OF_EVERY_SERVICE`].
    ///
    /// # Errors
    /// [`BusError`] when the store cannot be read.
    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError>;

    /// Goes back to what is committed in every partition owned; records come again from there.
    ///
    /// # Errors
    /// [`BusError`] as for `poll`.
    fn rewind(&mut self) -> Result<(), BusError>;

    /// Gives a revoked partition up.
    ///
    /// # Errors
    /// [`BusError`] as for `poll`.
    fn release(&mut self, assignment: Assignment) -> Result<(), BusError>;

    /// Whether this instance of a source is the one that reads that feed now. A bus of one process has one.
    fn owns_lane(&self, lane: &str) -> bool {
        let _ = lane;
        true
    }

    /// Largest record (key and value) that the bus takes; a message that needs a larger one is a bad message.
    fn record_bytes_max(&self) -> usize {
        usize::MAX
    }

    /// Units that may be handed in and not yet answered; more would only grow memory. A bus that takes one at a time
    /// needs few.
    fn in_flight_max(&self) -> usize {
        4
    }

    /// At how many bytes a unit is handed in while nothing is on its way. Less than [`BYTES_MAX`] where a unit more
    /// costs little: what comes first of a burst is then worked on by the next stages meanwhile.
    fn first_unit_bytes(&self) -> usize {
        BYTES_MAX
    }
}
