//! What a service is: four kinds, one method each.
//!
//! A service sees one message at a time and writes through an [`Out`]; it never sees offsets being
//! committed, threads, or the bus. A unit of work (many messages) commits whole or not at all.

use std::sync::Arc;

use crate::batch::{Batch, Meta, RecordRef};
use crate::failure::{Failure, Reject};
use crate::unit::UnitBuilder;

/// One message to be handled.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Topic it came from; for a redriven record the topic it came from at first.
    pub topic: &'a str,
    /// Partition.
    pub partition: u16,
    /// Key, value, envelope; `record.offset` is the original offset also when redriven.
    pub record: RecordRef<'a>,
    /// Whether it came back through the service's redrive topic.
    pub redriven: bool,
}

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Emit<'a> {
    /// Key: decides the partition.
    pub key: &'a [u8],
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// `ce_type`, for example `listing.observed`.
    pub kind: &'a str,
    /// Version of what is said about the key. With service, topic, kind, source and key it makes the id.
    pub version: u64,
    /// Schema version of the value.
    pub schema: u16,
}

/// Synchronous and pure: the same inputs in order give the same outputs, byte for byte.
pub trait Transform: Send {
    /// Handles one message. What `out` was given counts only when this returns `Ok`.
    ///
    /// # Errors
    /// [`Failure::Reject`] for a bad message, [`Failure::Stop`] for a wrong program. Never `Retry`.
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure>;
}

/// Where a unit's messages, state and tallies go while one message is handled.
pub struct Out<'a> {
    pub(crate) unit: &'a mut UnitBuilder,
    pub(crate) meta: Meta<'a>,
    pub(crate) origin: u64,
    pub(crate) key: &'a [u8],
    pub(crate) state: &'a mut dyn StateView,
}

/// How the runtime reads the state of a key; overlays of uncommitted units included.
pub(crate) trait StateView {
    /// The value now, read-your-writes.
    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure>;
}

impl Out<'_> {
    /// Sends a message. Source, trace and time are the input's.
    pub fn emit(&mut self, topic: &str, emit: Emit<'_>) {
        let meta = Meta { schema: emit.schema, origin: self.origin, kind: emit.kind, ..self.meta };
        self.unit.emit(topic, emit, meta);
    }

    /// The state of the input's key, or `None` where there is none yet.
    ///
    /// # Errors
    /// [`Failure::Stop`] when the store cannot be read.
    pub fn state(&mut self) -> Result<Option<Arc<[u8]>>, Failure> {
        if let Some(staged) = self.unit.staged_state() {
            return Ok(staged);
        }
        self.state.get(self.key)
    }

    /// Replaces the state of the input's key. Where the state is backed by a topic this is also the
    /// message on that topic; elsewhere `kind`, `version` and `schema` have no effect.
    pub fn put_state(&mut self, emit: Emit<'_>) {
        if let Some(topic) = self.unit.backing_topic() {
            self.emit(&topic, emit);
        }
        self.unit.stage_state(emit.value);
    }

    /// Adds to a named counter that commits with this unit, so that it counts each message exactly once.
    pub fn tally(&mut self, name: &str, n: i64) {
        self.unit.tally(name, n);
    }
}

/// Brings records in from the outside. One value of this for each feed; the runtime steps it.
pub trait Source: Send {
    /// Does a bounded piece of work. Everything given to `out` commits together with the checkpoint
    /// saved in it. After a crash a new value is made, and reads its checkpoint back.
    ///
    /// # Errors
    /// [`Failure::Retry`] when the outside is not ready, [`Failure::Stop`] to hold this feed and no other.
    /// Nothing that `out` was given in a failed step counts.
    fn step(&mut self, out: &mut SourceOut<'_>) -> Result<Status, Failure>;

    /// Called once after [`Status::Done`], when all that was sent is committed and the stages behind have done
    /// it: what a source must forget so that the next run begins anew, it forgets here. Until then a run that
    /// was killed goes on.
    ///
    /// # Errors
    /// As [`Source::step`].
    fn ended(&mut self, out: &mut SourceOut<'_>) -> Result<(), Failure> {
        let _nothing = out;
        Ok(())
    }
}

/// What a source has to say after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is more to do at once.
    Busy,
    /// Nothing to do for this many milliseconds.
    Idle {
        /// Time after which to step again.
        wait_ms: u64,
    },
    /// Nothing to do, ever again (a one-shot load).
    Done,
}

/// A row that a source cannot use.
#[derive(Debug, Clone, Copy)]
pub struct BadRow<'a> {
    /// Its key, or what is known of it.
    pub key: &'a [u8],
    /// The bytes as they came (bounded by the source).
    pub original: &'a [u8],
    /// Where it came from: file, line, and what else helps.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What a [`Source`] writes to.
pub struct SourceOut<'a> {
    pub(crate) unit: &'a mut UnitBuilder,
    pub(crate) store: &'a mut dyn SourceStore,
    pub(crate) lane: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) step_bytes: usize,
}

/// A key of a source's own store, with its value.
pub type StoreEntry = (Vec<u8>, Arc<[u8]>);

/// A source's own small store; keys are free within the lane.
pub(crate) trait SourceStore {
    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure>;
    /// Up to `limit` committed entries whose key starts with `prefix` and is greater than `after`, in key order.
    fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure>;
}

impl SourceOut<'_> {
    /// Time now, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Whether this step has sent enough: small pieces while someone watches, large ones otherwise.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.unit.bytes() >= self.step_bytes
    }

    /// Sends a message that starts a trace. `ce_source` is the lane (the feed's name).
    pub fn emit(&mut self, topic: &str, emit: Emit<'_>) {
        let meta = Meta {
            id: 0,
            trace: 0,
            kind: emit.kind,
            source: self.lane,
            time_ms: self.now_ms,
            schema: emit.schema,
            origin: 0,
        };
        self.unit.emit(topic, emit, meta);
    }

    /// A committed value of this lane's store, this step's own writes included.
    ///
    /// # Errors
    /// [`Failure::Stop`] when the store cannot be read.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        let full = lane_key(self.lane, key);
        match self.unit.written(&full) {
            Some(value) => Ok(value),
            None => self.store.get(&full),
        }
    }

    /// Saves (or with `None` removes) a value of this lane's store.
    pub fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.unit.write(&lane_key(self.lane, key), value);
    }

    /// Up to `limit` entries of *earlier, committed* steps whose key starts with `prefix`, greater than `after`, in key order.
    ///
    /// # Errors
    /// [`Failure::Stop`] when the store cannot be read.
    pub fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure> {
        let lane = lane_key(self.lane, b"");
        let mut found =
            self.store.range(&lane_key(self.lane, prefix), &lane_key(self.lane, after), limit)?;
        for (key, _) in &mut found {
            key.drain(..lane.len().min(key.len()));
        }
        Ok(found)
    }

    /// Records a row that cannot be used: a dead letter with the bytes as they came.
    pub fn reject(&mut self, row: &BadRow<'_>, reason: &Reject) {
        self.unit.source_dead_letter(self.lane, row, reason, self.now_ms);
    }

    /// Adds to a named counter that commits with this unit.
    pub fn tally(&mut self, name: &str, n: i64) {
        self.unit.tally(name, n);
    }
}

fn lane_key(lane: &str, key: &[u8]) -> Vec<u8> {
    [lane.as_bytes(), b"\0", key].concat()
}

/// A batch given to a [`View`].
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u16,
    /// The batch; records before `from` have been applied already.
    pub batch: Arc<Batch>,
    /// First offset to apply.
    pub from: u64,
}

impl Delivery {
    /// The records to apply, in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.batch.records_from(self.from)
    }

    /// The offset to go on from once this is applied.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.batch.next_offset()
    }
}

/// How far a read model is, kept in the same transaction as its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewPosition {
    /// Epoch of the log that the offsets belong to; 0 when the view is new.
    pub epoch: u64,
    /// When it was last written, in milliseconds since 1970.
    pub time_ms: i64,
    /// Next offset for each topic partition.
    pub next: Vec<(String, u16, u64)>,
}

/// Keeps a read model outside the log.
pub trait View: Send {
    /// How far it is.
    ///
    /// # Errors
    /// [`Failure::Stop`] when the read model cannot be read.
    fn position(&mut self) -> Result<ViewPosition, Failure>;

    /// Deletes everything and starts anew for the log of that epoch.
    ///
    /// # Errors
    /// [`Failure::Stop`] when the read model cannot be written.
    fn reset(&mut self, epoch: u64) -> Result<(), Failure>;

    /// Applies batches and the position behind them in one transaction. `now_ms` is the time to store.
    ///
    /// # Errors
    /// [`Failure::Stop`] when the read model cannot be written. A single odd record is never a reason:
    /// a view stores what it can and counts the rest.
    fn apply(&mut self, deliveries: &[Delivery], now_ms: i64) -> Result<(), Failure>;
}
