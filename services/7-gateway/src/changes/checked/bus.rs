//! A bus in memory whose compacted topic may show, as a real one does, only the last record of each key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataflow::ServiceSpec;
use dataflow::batch::{Batch, BatchBuilder, NewRecord};
use dataflow::bus::{Backlog, Bus, BusError, Lag, Member, Position, Range, Want};
use dataflow::memory::MemoryBus;
use dataflow::unit::Unit;
use messages::topics::LISTING_CURRENT;

/// The bus.
pub(super) struct Compacting {
    pub(super) inner: MemoryBus,
    /// Whether reads show last records only.
    pub(super) compacts: AtomicBool,
}

impl Compacting {
    /// Records of `batches` that no visible record has taken the place of.
    fn lasting(
        &self,
        partition: u16,
        batches: Vec<Arc<Batch>>,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let want = Want { bytes_max: usize::MAX, durable: false };
        let mut last = HashMap::new();
        let all = self.inner.read(LISTING_CURRENT, partition, 0, want)?;
        for record in all.iter().flat_map(|b| b.records()) {
            last.insert(record.key.to_vec(), record.offset);
        }
        let keep = |batch: &Arc<Batch>| {
            let mut builder = BatchBuilder::default();
            for r in batch.records().filter(|r| last.get(r.key) == Some(&r.offset)) {
                let record = NewRecord { key: r.key, value: r.value, meta: r.meta, headers: &[] };
                builder.push_at(r.offset - batch.base_offset(), record);
            }
            let block = Arc::new(builder.finish());
            let kept = Batch::decode(block, batch.base_offset(), batch.appended_ms).unwrap();
            (!kept.is_empty()).then(|| Arc::new(kept))
        };
        Ok(batches.iter().filter_map(keep).collect())
    }
}

impl Bus for Compacting {
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError> {
        self.inner.join(service)
    }

    fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError> {
        self.inner.append(service, unit)
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }

    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        self.inner.range(topic, partition)
    }

    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let batches = self.inner.read(topic, partition, from, want)?;
        if topic == LISTING_CURRENT && self.compacts.load(Ordering::SeqCst) {
            return self.lasting(partition, batches);
        }
        Ok(batches)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.inner.wait(seen, timeout)
    }

    fn backlog(&self) -> Result<Vec<Backlog>, BusError> {
        self.inner.backlog()
    }

    fn lag(&self, services: &[String]) -> Lag {
        self.inner.lag(services)
    }

    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        self.inner.tallies(service)
    }

    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        self.inner.latest(topic, partition, key)
    }

    fn hold(&self, view: &str, topic: &str, partition: u16, next: u64) {
        self.inner.hold(view, topic, partition, next);
    }
}
