//! A unit of work while it is being built: outputs, state, tallies, progress. All of it commits, or none.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::batch::{BatchBuilder, Mark, Meta, NewRecord};
use crate::contract::{BadRow, Emit};
use crate::dead::{self, Origin};
use crate::failure::Reject;
use crate::flow::{Flow, ServiceSpec, State, partition_of};

/// A unit is handed in once its outputs reach this many bytes, the first perhaps sooner
/// ([`Member::first_unit_bytes`](crate::bus::Member::first_unit_bytes)).
pub const BYTES_MAX: usize = 2 << 20;

/// A finished unit, as a bus takes it.
#[derive(Debug, Default)]
pub struct Unit {
    /// Number within its member, rising from 1.
    pub id: u64,
    /// `(input topic, partition, assignment epoch, next offset)` to commit.
    pub progress: Vec<Progress>,
    /// One block for each output topic partition, in a fixed order.
    pub outputs: Vec<Output>,
    /// Writes to the service's own table (not to backed state, which is an output). Every service has one.
    pub state: Vec<StateWrite>,
    /// Counters to add to.
    pub tallies: Vec<(String, i64)>,
}

/// How far one input partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Input topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u16,
    /// Epoch of the assignment that the work was done under.
    pub epoch: u64,
    /// Next offset to read.
    pub next: u64,
}

/// One block of records for one topic partition.
#[derive(Debug)]
pub struct Output {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u16,
    /// Number of records.
    pub count: u64,
    /// The block, see [`crate::batch`].
    pub block: Vec<u8>,
}

/// One write to a service's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// Partition of the input the key belongs to; sources use 0.
    pub partition: u16,
    /// Key.
    pub key: Vec<u8>,
    /// New value; `None` removes.
    pub value: Option<Arc<[u8]>>,
}

struct Writable {
    topic: Arc<str>,
    partitions: u16,
    builders: Vec<BatchBuilder>,
}

type Value = Option<Arc<[u8]>>;

/// Builds a [`Unit`]; what one message wrote can be rolled back.
pub(crate) struct UnitBuilder {
    service: String,
    writables: Vec<Writable>,
    dead_letters: usize,
    backing: Option<usize>,
    writes: BTreeMap<(u16, Vec<u8>), Value>,
    tallies: HashMap<String, i64>,
    staged: Staged,
    bytes: usize,
}

#[derive(Default)]
struct Staged {
    marks: Vec<(usize, usize, Mark)>,
    state: Option<Option<Arc<[u8]>>>,
    tallies: Vec<(String, i64)>,
    bytes: usize,
    /// Bytes of the largest record.
    largest: usize,
}

impl UnitBuilder {
    pub(crate) fn new(flow: &Flow, service: &ServiceSpec) -> Self {
        let mut names = service.writes.clone();
        names.push(service.dead_letters());
        let writables: Vec<_> = names
            .iter()
            .map(|name| {
                let partitions = flow.topic(name).map_or(1, |t| t.partitions);
                let builders = std::iter::repeat_with(BatchBuilder::default)
                    .take(usize::from(partitions))
                    .collect();
                Writable { topic: name.as_str().into(), partitions, builders }
            })
            .collect();
        let backing = match &service.state {
            State::BackedBy(topic) => names.iter().position(|n| n == topic),
            State::None | State::Own => None,
        };
        Self {
            service: service.name.clone(),
            dead_letters: writables.len() - 1,
            writables,
            backing,
            writes: BTreeMap::new(),
            tallies: HashMap::new(),
            staged: Staged::default(),
            bytes: 0,
        }
    }

    /// Bytes so far, those of the message that is being handled included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.staged.bytes
    }

    pub(crate) fn backing_topic(&self) -> Option<Arc<str>> {
        self.backing.and_then(|at| self.writables.get(at)).map(|w| Arc::clone(&w.topic))
    }

    pub(crate) fn emit(&mut self, topic: &str, emit: Emit<'_>, mut meta: Meta<'_>) {
        let at = self
            .writables
            .iter()
            .position(|w| &*w.topic == topic)
            .expect("the flow table lists every topic a service writes");
        meta.id = self.id_of(topic, &emit, meta.source);
        if meta.trace == 0 {
            meta.trace = meta.id;
        }
        let partition = partition_of(emit.key, self.writables.get(at).map_or(1, |w| w.partitions));
        self.push(
            at,
            partition,
            NewRecord { key: emit.key, value: emit.value, meta, headers: &[] },
        );
    }

    /// `ce_id` derives from source, key, version and service, so that a repeated run says the same.
    fn id_of(&self, topic: &str, emit: &Emit<'_>, source: &str) -> u128 {
        let mut text = Vec::with_capacity(128);
        for part in [
            self.service.as_bytes(),
            topic.as_bytes(),
            emit.kind.as_bytes(),
            source.as_bytes(),
            emit.key,
        ] {
            text.extend_from_slice(part);
            text.push(0);
        }
        text.extend_from_slice(&emit.version.to_le_bytes());
        xxh3_128(&text)
    }

    fn push(&mut self, at: usize, partition: u16, record: NewRecord<'_>) {
        let slot = usize::from(partition);
        let Some(builder) = self.writables.get_mut(at).and_then(|w| w.builders.get_mut(slot))
        else {
            return;
        };
        if !self.staged.marks.iter().any(|(a, s, _)| (*a, *s) == (at, slot)) {
            self.staged.marks.push((at, slot, builder.mark()));
        }
        let before = builder.len();
        builder.push(record);
        let bytes = builder.len() - before;
        self.staged.bytes += bytes;
        self.staged.largest = self.staged.largest.max(bytes);
    }

    /// Whether everything the message wrote is small enough for the bus.
    pub(crate) fn fits(&self, max: usize) -> Result<(), Reject> {
        let largest = self.staged.largest;
        if largest <= max {
            return Ok(());
        }
        Err(Reject::new(
            "too_large",
            format!(
                "it makes a record of {largest} bytes, and the bus takes {max}: shorten it, or raise the limit of the bus and of its topics"
            ),
        ))
    }

    /// A dead letter for `record`, which service code refused: the original byte for byte, in the same partition.
    pub(crate) fn dead_letter(&mut self, origin: &Origin<'_>, reason: &Reject) {
        let record = origin.record;
        let fixed = dead::headers(origin, &self.service, reason);
        let mut headers: Vec<(&str, &[u8])> =
            record.headers().into_iter().filter(|(n, _)| !dead::is_reserved(n)).collect();
        headers.extend(fixed.iter().map(|(name, value)| (*name, value.as_slice())));
        let new = NewRecord {
            key: record.key,
            value: record.value,
            meta: record.meta,
            headers: &headers,
        };
        let partitions = self.writables.get(self.dead_letters).map_or(1, |w| w.partitions);
        self.push(self.dead_letters, origin.partition % partitions.max(1), new);
        self.tally(&format!("dead_letters:{}", record.meta.source), 1);
    }

    /// A dead letter of a source: the bytes as they came, with where they came from in `headers`.
    pub(crate) fn source_dead_letter(
        &mut self,
        lane: &str,
        row: &BadRow<'_>,
        reason: &Reject,
        now_ms: i64,
    ) {
        let fixed = dead::reason_headers(&self.service, reason, now_ms);
        let mut headers = row.headers.to_vec();
        headers.extend(fixed.iter().map(|(name, value)| (*name, value.as_slice())));
        let emit = Emit {
            key: row.key,
            value: Some(row.original),
            kind: "dead-letter",
            version: xxh3_64(row.original),
            schema: 1,
        };
        let id = self.id_of("dead-letters", &emit, lane);
        let meta = Meta {
            id,
            trace: id,
            kind: emit.kind,
            source: lane,
            time_ms: now_ms,
            schema: 1,
            origin: 0,
        };
        let partitions = self.writables.get(self.dead_letters).map_or(1, |w| w.partitions);
        let record = NewRecord { key: row.key, value: Some(row.original), meta, headers: &headers };
        self.push(self.dead_letters, partition_of(row.key, partitions), record);
        self.tally(&format!("dead_letters:{lane}"), 1);
    }

    pub(crate) fn staged_state(&self) -> Option<Option<Arc<[u8]>>> {
        self.staged.state.clone()
    }

    pub(crate) fn stage_state(&mut self, value: Option<&[u8]>) {
        self.staged.state = Some(value.map(Arc::from));
    }

    pub(crate) fn tally(&mut self, name: &str, n: i64) {
        match self.staged.tallies.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += n,
            None => self.staged.tallies.push((name.to_owned(), n)),
        }
    }

    /// A value that this unit wrote under `key`, for sources.
    pub(crate) fn written(&self, key: &[u8]) -> Option<Option<Arc<[u8]>>> {
        self.writes.get(&(0, key.to_vec())).cloned()
    }

    pub(crate) fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.write_at(0, key, value);
    }

    pub(crate) fn write_at(&mut self, partition: u16, key: &[u8], value: Option<&[u8]>) {
        self.staged.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.writes.insert((partition, key.to_vec()), value.map(Arc::from));
    }

    /// Keeps what the message wrote. Returns the state it set, if any.
    pub(crate) fn keep(&mut self, partition: u16, key: &[u8]) -> Option<Option<Arc<[u8]>>> {
        self.staged.marks.clear();
        self.staged.largest = 0;
        self.bytes += std::mem::take(&mut self.staged.bytes);
        for (name, n) in self.staged.tallies.drain(..) {
            match self.tallies.get_mut(&name) {
                Some(sum) => *sum += n,
                None => drop(self.tallies.insert(name, n)),
            }
        }
        let state = self.staged.state.take()?;
        if self.backing.is_none() {
            self.writes.insert((partition, key.to_vec()), state.clone());
        }
        Some(state)
    }

    /// Forgets what the message wrote.
    pub(crate) fn roll_back(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        for (at, slot, mark) in staged.marks {
            if let Some(builder) = self.writables.get_mut(at).and_then(|w| w.builders.get_mut(slot))
            {
                builder.rollback(mark);
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.roll_back();
        for builder in self.writables.iter_mut().flat_map(|w| &mut w.builders) {
            *builder = BatchBuilder::default();
        }
        self.writes.clear();
        self.tallies.clear();
        self.bytes = 0;
    }

    /// Whether there is anything but progress in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.tallies.is_empty()
            && self.writables.iter().all(|w| w.builders.iter().all(BatchBuilder::is_empty))
    }

    /// The unit so far; the builder is empty afterwards.
    pub(crate) fn take(&mut self, id: u64, progress: Vec<Progress>) -> Unit {
        let mut outputs = Vec::new();
        for writable in &mut self.writables {
            for (partition, slot) in (0u16..).zip(&mut writable.builders) {
                if !slot.is_empty() {
                    // The next unit is about as large as this one.
                    let next = BatchBuilder::with_capacity(slot.len() + slot.len() / 8);
                    let builder = std::mem::replace(slot, next);
                    outputs.push(Output {
                        topic: Arc::clone(&writable.topic),
                        partition,
                        count: builder.count(),
                        block: builder.finish(),
                    });
                }
            }
        }
        let state = std::mem::take(&mut self.writes)
            .into_iter()
            .map(|((partition, key), value)| StateWrite { partition, key, value })
            .collect();
        let mut tallies: Vec<_> = self.tallies.drain().collect();
        tallies.sort();
        self.bytes = 0;
        Unit { id, progress, outputs, state, tallies }
    }
}
