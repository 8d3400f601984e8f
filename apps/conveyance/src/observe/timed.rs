//! How old records are when the view shows them: from the moment they were read at their source.

use std::sync::{Arc, Mutex, PoisonError};

use dataflow::contract::{Delivery, ViewPosition};
use dataflow::{Clock, Failure, View};
use gateway::Distribution;

/// The last minute is kept in so many parts.
const PARTS: usize = 12;
/// Length of a part.
const PART_MS: i64 = 5_000;
/// Values below this have a bucket each; above, every power of two has [`STEPS`].
const FINE: u64 = 64;
const STEPS: u64 = 16;
/// Buckets: up to 2^31 ms, which is three weeks.
const BUCKETS: usize = 64 + 16 * 25;
/// Bounds that Prometheus is told, in milliseconds.
const BOUNDS_MS: [u64; 12] = [10, 20, 40, 60, 100, 150, 250, 500, 1_000, 5_000, 30_000, 300_000];
/// Records measured in one batch: in a flood a few stand for all, in a trickle each is measured.
const SAMPLES_PER_BATCH: usize = 8;

/// What was measured; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Freshness(Arc<Mutex<Measured>>);

struct Measured {
    parts: Vec<Part>,
    total: Distribution,
}

#[derive(Clone)]
struct Part {
    began_ms: i64,
    buckets: Vec<u32>,
}

impl Default for Measured {
    fn default() -> Self {
        let total = Distribution {
            up_to: BOUNDS_MS.iter().map(|bound| (*bound, 0)).collect(),
            ..Distribution::default()
        };
        Self { parts: Vec::new(), total }
    }
}

impl Freshness {
    fn add(&self, now_ms: i64, ages_ms: impl Iterator<Item = u64>) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Measured { parts, total } = &mut *measured;
        let began_ms = now_ms - now_ms.rem_euclid(PART_MS);
        if parts.last().is_none_or(|p| p.began_ms != began_ms) {
            parts.push(Part { began_ms, buckets: vec![0; BUCKETS] });
            let surplus = parts.len().saturating_sub(PARTS);
            parts.drain(..surplus);
        }
        let Some(part) = parts.last_mut() else { return };
        for age_ms in ages_ms {
            if let Some(n) = part.buckets.get_mut(bucket(age_ms)) {
                *n += 1;
            }
            total.count += 1;
            total.sum_ms += age_ms;
            total.up_to.iter_mut().filter(|(bound, _)| age_ms <= *bound).for_each(|(_, n)| *n += 1);
        }
    }

    /// The last minute, as the page shows it, and everything, as `/metrics` does.
    #[must_use]
    pub(crate) fn summary(&self, now_ms: i64) -> gateway::Freshness {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = now_ms - PART_MS * PARTS as i64;
        let mut buckets = vec![0u64; BUCKETS];
        for part in measured.parts.iter().filter(|p| p.began_ms > since_ms) {
            buckets.iter_mut().zip(&part.buckets).for_each(|(sum, n)| *sum += u64::from(*n));
        }
        gateway::Freshness {
            p50_ms: quantile(&buckets, 50),
            p99_ms: quantile(&buckets, 99),
            samples: buckets.iter().sum(),
            total: measured.total.clone(),
        }
    }
}

fn bucket(age_ms: u64) -> usize {
    let index = if age_ms < FINE {
        age_ms
    } else {
        let power = u64::from(age_ms.ilog2());
        let step = (age_ms >> (power - 4)) - STEPS;
        FINE + (power - 6) * STEPS + step
    };
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest age that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    let index = bucket as u64;
    if index < FINE {
        return index;
    }
    let (power, step) = (6 + (index - FINE) / STEPS, (index - FINE) % STEPS);
    ((STEPS + step + 1) << (power - 4)) - 1
}

fn quantile(buckets: &[u64], percent: u64) -> Option<u64> {
    let count: u64 = buckets.iter().sum();
    let rank = (count * percent).div_ceil(100).max(1);
    let mut so_far = 0;
    let at = buckets.iter().position(|n| {
        so_far += n;
        so_far >= rank
    });
    at.map(upper)
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
    fn a_bucket_holds_what_it_says() {
        let buckets: Vec<_> = (0..5_000).map(bucket).collect();
        assert!(buckets.windows(2).all(|w| w[1] == w[0] || w[1] == w[0] + 1), "none is left out");
        for age in (0..5_000).chain((0..31).map(|n| 1 << n)) {
            let upper = upper(bucket(age));
            assert!((age..=age + age / 16).contains(&upper), "{age}: {upper}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_of_the_last_minute() {
        let freshness = Freshness::default();
        assert_eq!(freshness.summary(0).p50_ms, None);
        freshness.add(1_000, [5_000].into_iter());
        freshness.add(70_000, (1..=100).map(|n| if n == 100 { 1_000 } else { 20 }));
        let one = freshness.summary(71_000);
        assert_eq!((one.p50_ms, one.p99_ms, one.samples), (Some(20), Some(20), 100));
        freshness.add(71_000, [1_000].into_iter());
        let p99 = freshness.summary(71_000).p99_ms.unwrap();
        assert!((1_000..1_064).contains(&p99), "{p99}");
        assert_eq!(freshness.summary(200_000).samples, 0);
        let total = freshness.summary(200_000).total;
        assert_eq!((total.count, total.sum_ms), (102, 5_000 + 99 * 20 + 2_000));
        let up_to = |ms| total.up_to.iter().find(|(bound, _)| *bound == ms).map(|(_, n)| *n);
        assert_eq!(
            (up_to(10), up_to(20), up_to(1_000), up_to(5_000)),
            (Some(0), Some(99), Some(101), Some(102))
        );
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
        assert_eq!(freshness.summary(1_100).p99_ms, Some(103), "100 ms, within its bucket");
        view.apply(&[delivery(&vec![1_050; 1_000], 0)], 0).unwrap();
        assert_eq!(freshness.summary(1_100).samples, 3 + 8, "a flood is sampled");
    }
}
