//! What is in memory of the log: where every place begins and ends, its recent batches, who is how far.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use dataflow::Batch;
use dataflow::bus::{Lag, Range};

use crate::catalog::{Catalog, Consumer};

/// Append times kept for each place; when there are more, every second of the older half goes.
const TIMES_MAX: usize = 2048;

/// One place.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) durable: u64,
    tail: VecDeque<Arc<Batch>>,
    /// `(first offset, append time)`, rising; an offset is as old as the last entry at or before it.
    times: VecDeque<(u64, i64)>,
}

/// All places, and positions in them.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) places: Vec<Place>,
    /// Places of all batches in memory, oldest first.
    tail_order: VecDeque<u32>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    committed: HashMap<Arc<str>, HashMap<u32, u64>>,
    holds: HashMap<String, HashMap<u32, u64>>,
}

impl Log {
    pub(crate) fn new(places: u32, tail_bytes_max: usize) -> Self {
        let places = (0..places).map(|_| Place::default()).collect();
        Self { places, tail_bytes_max, ..Self::default() }
    }

    pub(crate) fn place(&self, place: u32) -> Option<&Place> {
        self.places.get(place as usize)
    }

    pub(crate) fn place_mut(&mut self, place: u32) -> Option<&mut Place> {
        self.places.get_mut(place as usize)
    }

    pub(crate) fn range(&self, place: u32) -> Range {
        self.place(place).map_or_else(Range::default, |p| Range {
            start: p.start,
            end: p.end,
            durable: p.durable,
        })
    }

    /// Makes a committed batch visible.
    pub(crate) fn publish(&mut self, place: u32, batch: Arc<Batch>, end: u64) {
        let Some(slot) = self.places.get_mut(place as usize) else { return };
        slot.end = end;
        slot.note_time(batch.base_offset(), batch.appended_ms);
        self.tail_bytes += batch.bytes();
        slot.tail.push_back(batch);
        self.tail_order.push_back(place);
        while self.tail_bytes > self.tail_bytes_max
            && let Some(oldest) = self.tail_order.pop_front()
        {
            let gone = self.place_mut(oldest).and_then(|p| p.tail.pop_front());
            self.tail_bytes -= gone.map_or(0, |b| b.bytes());
        }
    }

    /// Batches from memory; `None` when `from` is older than memory reaches.
    pub(crate) fn recent(
        &self,
        place: u32,
        from: u64,
        until: u64,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Batch>>> {
        let place = self.place(place)?;
        if from >= until.min(place.end) {
            return Some(Vec::new());
        }
        if place.tail.front().is_none_or(|b| b.base_offset() > from) {
            return None;
        }
        let first = place.tail.partition_point(|b| b.next_offset() <= from);
        let mut bytes = 0;
        let wanted = place.tail.iter().skip(first).take_while(|b| {
            let fits = bytes == 0 || bytes + b.bytes() <= bytes_max;
            bytes += b.bytes();
            fits && b.base_offset() < until
        });
        Some(wanted.cloned().collect())
    }

    pub(crate) fn ends(&self) -> Vec<u64> {
        self.places.iter().map(|p| p.end).collect()
    }

    pub(crate) fn set_durable(&mut self, ends: &[u64]) {
        for (place, end) in self.places.iter_mut().zip(ends) {
            place.durable = place.durable.max(*end);
        }
    }

    pub(crate) fn committed(&self, service: &str, place: u32) -> u64 {
        self.committed.get(service).and_then(|places| places.get(&place)).copied().unwrap_or(0)
    }

    pub(crate) fn commit(&mut self, service: &Arc<str>, place: u32, next: u64) {
        self.committed.entry(Arc::clone(service)).or_default().insert(place, next);
    }

    pub(crate) fn hold(&mut self, view: &str, place: u32, next: u64) {
        match self.holds.get_mut(view) {
            Some(places) => drop(places.insert(place, next)),
            None => drop(self.holds.insert(view.to_owned(), HashMap::from([(place, next)]))),
        }
    }

    /// Where a service or a view stands; `None` for a view that has not said so yet.
    pub(crate) fn next_of(&self, consumer: &Consumer, place: u32) -> Option<u64> {
        if consumer.view {
            self.holds.get(&*consumer.name)?.get(&place).copied()
        } else {
            Some(self.committed(&consumer.name, place))
        }
    }

    /// The offset below which nobody needs a place any more; 0 while a view of the flow has not said
    /// where it is.
    pub(crate) fn passed(&self, catalog: &Catalog, place: u32) -> u64 {
        let readers =
            catalog.consumers.iter().filter(|c| c.inputs.iter().any(|(_, _, p)| *p == place));
        let services = readers.map(|c| self.next_of(c, place).unwrap_or(0));
        let holders = self.holds.values().filter_map(|places| places.get(&place).copied());
        services.chain(holders).min().unwrap_or(u64::MAX)
    }

    /// What a place has from `next` on.
    pub(crate) fn lag_from(&self, place: u32, next: u64) -> Lag {
        let records = self.range(place).end.saturating_sub(next);
        Lag { records, oldest_ms: self.time_of(place, next) }
    }

    /// When the record at `next` was appended; `None` when the place has none. Never too young.
    fn time_of(&self, place: u32, next: u64) -> Option<i64> {
        let place = self.place(place).filter(|p| next < p.end)?;
        let after = place.times.partition_point(|(offset, _)| *offset <= next);
        let at = place.times.get(after.saturating_sub(1))?;
        Some(at.1)
    }
}

impl Place {
    pub(crate) fn note_time(&mut self, offset: u64, ms: i64) {
        self.times.push_back((offset, ms));
        if self.times.len() > TIMES_MAX {
            let mut at = 0;
            self.times.retain(|_| {
                at += 1;
                at > TIMES_MAX / 2 || at % 2 == 1
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use dataflow::BatchBuilder;
    use dataflow::batch::{Meta, NewRecord};

    use super::*;

    fn batch(base: u64, count: u64) -> Arc<Batch> {
        let mut builder = BatchBuilder::default();
        let meta =
            Meta { id: 1, trace: 1, kind: "k", source: "s", time_ms: 0, schema: 1, origin: 0 };
        for _ in 0..count {
            builder.push(NewRecord { key: b"k", value: Some(&[7; 100]), meta, headers: &[] });
        }
        let ms = i64::try_from(base).unwrap();
        Arc::new(Batch::decode(Arc::new(builder.finish()), base, ms).unwrap())
    }

    #[test]
    fn memory_is_bounded_and_says_when_it_does_not_reach_back() {
        let mut log = Log::new(2, 3 * batch(0, 10).bytes());
        for n in 0..10u64 {
            log.publish(u32::try_from(n % 2).unwrap(), batch(n / 2 * 10, 10), (n / 2 + 1) * 10);
        }
        assert!(log.recent(0, 0, 50, 1 << 20).is_none());
        assert!(log.tail_bytes <= log.tail_bytes_max);
        let bases = |place, from, until, bytes| {
            log.recent(place, from, until, bytes)
                .map(|batches| batches.iter().map(|b| b.base_offset()).collect::<Vec<_>>())
        };
        assert_eq!(bases(1, 35, 50, 1 << 20), Some(vec![30, 40]));
        assert_eq!(bases(1, 35, 50, 1), Some(vec![30]));
        assert_eq!(bases(1, 35, 40, 1 << 20), Some(vec![30]));
        assert_eq!(bases(0, 50, 60, 1 << 20), Some(vec![]));
    }

    #[test]
    fn times_are_bounded_and_never_too_young() {
        let mut log = Log::new(1, 0);
        for n in 0..10_000u64 {
            log.publish(0, batch(n, 1), n + 1);
        }
        assert!(log.places[0].times.len() <= TIMES_MAX);
        for n in 0..10_000u64 {
            let ms = log.time_of(0, n).unwrap();
            assert!(ms <= i64::try_from(n).unwrap(), "{n}: {ms}");
        }
        assert_eq!(log.time_of(0, 9_999), Some(9_999));
        assert_eq!(log.time_of(0, 10_000), None);
    }
}
