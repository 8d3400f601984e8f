//! How old records are when the view shows them: from the moment they were read at their source.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataflow::contract::{Delivery, ViewPosition};
use dataflow::{Clock, Durations, Failure, View};

/// The last minute is kept in so many parts.
const PARTS: usize = 12;
/// Length of a part.
const PART_MS: i64 = 5_000;
/// Records measured in one batch: in a flood a few stand for all, in a trickle each is measured.
const SAMPLES_PER_BATCH: usize = 8;

/// What was measured; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Freshness(Arc<Mutex<Measured>>);

#[derive(Default)]
struct Measured {
    parts: Vec<Part>,
    total: Durations,
}

struct Part {
    began_ms: i64,
    ages: Durations,
}

impl Freshness {
    fn add(&self, now_ms: i64, ages_ms: impl Iterator<Item = u64>) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Measured { parts, total } = &mut *measured;
        let began_ms = now_ms - now_ms.rem_euclid(PART_MS);
        if parts.last().is_none_or(|p| p.began_ms != began_ms) {
            parts.push(Part { began_ms, ages: Durations::default() });
            let surplus = parts.len().saturating_sub(PARTS);
            parts.drain(..surplus);
        }
        let Some(part) = parts.last_mut() else { return };
        for age in ages_ms.map(Duration::from_millis) {
            part.ages.add(age);
            total.add(age);
        }
    }

    /// The last minute, as the page shows it, and everything, as `/metrics` does.
    #[must_use]
    pub(crate) fn summary(&self, now_ms: i64) -> gateway::Freshness {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = now_ms - PART_MS * PARTS as i64;
        let mut ages = Durations::default();
        for part in measured.parts.iter().filter(|p| p.began_ms > since_ms) {
            ages.add_all(&part.ages);
        }
        let quantile = |percent| {
            ages.quantile(percent).map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
        };
        gateway::Freshness {
            p50_ms: quantile(50),
            p99_ms: quantile(99),
            samples: ages.count(),
            total: measured.total.clone(),
        }
    }
}

/// A view that is measured as it applies. Records that were read before the process began are not: a rebuild, a
/// replay and what piled up meanwhile say nothing about how fast the flow is now.
pub(crate) struct Timed {
    view: Box<dyn View>,
    clock: Arc<dyn Clock>,
    since_ms: i64,
    freshness: Freshness,
}

impl Timed {
    /// Measures `view` into `freshness` from now on.
    #[must_use]
    pub(crate) fn new(view: Box<dyn View>, clock: Arc<dyn Clock>, freshness: Freshness) -> Self {
        Self { view, since_ms: clock.now_ms(), clock, freshness }
    }
}

impl View for Timed {
    fn position(&mut self) -> Result<ViewPosition, Failure> {
        self.view.position()
    }

    fn reset(&mut self, epoch: u64) -> Result<(), Failure> {
        self.view.reset(epoch)
    }

    fn apply(&mut self, deliveries: &[Delivery], now_ms: i64) -> Result<(), Failure> {
        self.view.apply(deliveries, now_ms)?;
        let seen_ms = self.clock.now_ms();
        let read_ms = deliveries.iter().flat_map(sample).filter(|ms| *ms >= self.since_ms);
        let ages = read_ms.filter_map(|ms| u64::try_from(seen_ms.saturating_sub(ms)).ok());
        self.freshness.add(seen_ms, ages);
        Ok(())
    }
}

/// When a few records of a delivery, spread over it evenly, were read at their source.
fn sample(delivery: &Delivery) -> impl Iterator<Item = i64> {
    let first = delivery.batch.first_at(delivery.from);
    let count = delivery.batch.len().saturating_sub(first);
    let step = count.div_ceil(SAMPLES_PER_BATCH).max(1);
    let indexes = (first..first + count).step_by(step);
    indexes.filter_map(|index| delivery.batch.get(index)).map(|record| record.meta.time_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow::batch::{BatchBuilder, Meta, NewRecord};
    use dataflow::{Batch, ManualClock};

    #[test]
    fn quantiles_are_of_the_last_minute() {
        let freshness = Freshness::default();
        assert_eq!(freshness.summary(0).p50_ms, None);
        freshness.add(1_000, [5_000].into_iter());
        freshness.add(70_000, (1..=100).map(|n| if n == 100 { 1_000 } else { 20 }));
        let one = freshness.summary(71_000);
        assert_eq!((one.p50_ms, one.p99_ms, one.samples), (Some(20), Some(20), 100));
        freshness.add(71_000, [1_000].into_iter());
        assert_eq!(freshness.summary(71_000).p99_ms, Some(1_000));
        assert_eq!(freshness.summary(200_000).samples, 0);
        let total = freshness.summary(200_000).total;
        assert_eq!((total.count(), total.sum().as_millis()), (102, 5_000 + 99 * 20 + 2_000));
    }

    struct Nothing;
    impl View for Nothing {
        fn position(&mut self) -> Result<ViewPosition, Failure> {
            Ok(ViewPosition::default())
        }
        fn reset(&mut self, _: u64) -> Result<(), Failure> {
            Ok(())
        }
        fn apply(&mut self, _: &[Delivery], _: i64) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn delivery(times_ms: &[i64], from: u64) -> Delivery {
        let mut builder = BatchBuilder::default();
        for time_ms in times_ms {
            let meta = Meta {
                id: 1,
                trace: 1,
                kind: "k",
                source: "s",
                time_ms: *time_ms,
                schema: 1,
                origin: 0,
            };
            builder.push(NewRecord { key: b"k", value: None, meta, headers: &[] });
        }
        let batch = Batch::decode(Arc::new(builder.finish()), 0, 0).unwrap();
        Delivery { topic: "t".into(), partition: 0, batch: Arc::new(batch), from }
    }

    #[test]
    fn records_from_before_the_start_are_not_measured() {
        let clock = Arc::new(ManualClock::at(1_000));
        let freshness = Freshness::default();
        let mut view = Timed::new(Box::new(Nothing), clock.clone(), freshness.clone());
        clock.advance(100);
        view.apply(&[delivery(&[999, 1_000, 1_090, 1_095], 3)], 0).unwrap();
        assert_eq!(freshness.summary(1_100).samples, 1);
        view.apply(&[delivery(&[999, 1_000, 1_090], 0)], 0).unwrap();
        assert_eq!(freshness.summary(1_100).samples, 3);
        assert_eq!(freshness.summary(1_100).p99_ms, Some(100));
        view.apply(&[delivery(&vec![1_050; 1_000], 0)], 0).unwrap();
        assert_eq!(freshness.summary(1_100).samples, 3 + 8, "a flood is sampled");
    }
}
