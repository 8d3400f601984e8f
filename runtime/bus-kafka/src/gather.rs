//! Gathers fetched messages into batches, one for each topic partition.

use std::sync::Arc;

use dataflow::batch::NewRecord;
use dataflow::{Batch, BatchBuilder};
use rdkafka::message::{BorrowedMessage, Message, Timestamp};

use crate::envelope::{self, Fallback};

/// A batch holds at most so many distinct kinds and sources; ours are a handful, someone else's may not be.
const STRINGS_MAX: usize = 200;

/// One batch that is being gathered.
struct Slot {
    topic: Arc<str>,
    partition: u16,
    builder: BatchBuilder,
    base: u64,
    next: u64,
    appended_ms: i64,
    strings: Vec<String>,
}

/// A finished batch with its place.
pub(crate) struct Gathered {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: u16,
    pub(crate) batch: Batch,
}

/// Messages of one poll.
#[derive(Default)]
pub(crate) struct Gather {
    slots: Vec<Slot>,
    done: Vec<Gathered>,
    bytes: usize,
}

/// Bytes that a message counts for in budgets.
pub(crate) fn bytes_of(message: &BorrowedMessage<'_>) -> usize {
    message.payload_len() + message.key_len() + 100
}

impl Gather {
    /// Bytes gathered so far, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops what was gathered of a partition.
    pub(crate) fn forget(&mut self, partition: u16) {
        self.slots.retain(|slot| slot.partition != partition);
        self.done.retain(|gathered| gathered.partition != partition);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.done.is_empty()
    }

    /// Adds a message of the topic that is called `topic` in the flow.
    pub(crate) fn push(&mut self, topic: &Arc<str>, message: &BorrowedMessage<'_>) {
        let partition = u16::try_from(message.partition()).unwrap_or(0);
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        let time_ms = match message.timestamp() {
            Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => ms,
            Timestamp::NotAvailable => 0,
        };
        self.bytes += bytes_of(message);
        let fallback = Fallback { topic, partition, offset, time_ms };
        let mut others = Vec::new();
        let meta = envelope::read(message.headers(), &fallback, &mut others);
        let at = self.slot(topic, partition, offset, time_ms);
        let Some(slot) = self.slots.get_mut(at) else { return };
        let record = NewRecord {
            key: message.key().unwrap_or_default(),
            value: message.payload(),
            meta,
            headers: &others,
        };
        for text in [meta.kind, meta.source] {
            if !slot.strings.iter().any(|s| s == text) {
                slot.strings.push(text.to_owned());
            }
        }
        slot.builder.push_at(offset - slot.base, record);
        slot.next = offset + 1;
    }

    fn slot(&mut self, topic: &Arc<str>, partition: u16, offset: u64, time_ms: i64) -> usize {
        let known =
            self.slots.iter().rposition(|s| s.partition == partition && *s.topic == **topic);
        if let Some(at) = known {
            let fits = self
                .slots
                .get(at)
                .is_some_and(|s| s.strings.len() < STRINGS_MAX && offset >= s.next);
            if fits {
                return at;
            }
            let full = self.slots.remove(at);
            self.done.extend(full.finish());
        }
        self.slots.push(Slot {
            topic: Arc::clone(topic),
            partition,
            builder: BatchBuilder::default(),
            base: offset,
            next: offset,
            appended_ms: time_ms,
            strings: Vec::new(),
        });
        self.slots.len() - 1
    }

    /// The batches, in order for each topic partition.
    pub(crate) fn finish(self) -> Vec<Gathered> {
        let mut done = self.done;
        done.extend(self.slots.into_iter().filter_map(Slot::finish));
        done
    }
}

impl Slot {
    fn finish(self) -> Option<Gathered> {
        let block = Arc::new(self.builder.finish());
        let batch = Batch::decode(block, self.base, self.appended_ms);
        debug_assert!(batch.is_ok(), "the builder wrote it");
        Some(Gathered { topic: self.topic, partition: self.partition, batch: batch.ok()? })
    }
}

/// A batch without records that says where to read on.
pub(crate) fn nothing_until(next: u64) -> Option<Batch> {
    let block = Arc::new(BatchBuilder::default().finish());
    Batch::decode(block, next, 0).ok()
}
