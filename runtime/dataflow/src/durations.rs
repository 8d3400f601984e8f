//! How long a thing takes, counted so that it stays small: read as quantiles, or as a histogram.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Up to so many microseconds each has a bucket of its own.
const FINE: u64 = 100;
/// Above, every power of ten is counted in halves: 10, 10.5, ... 99.5 as 20, 21, ... 199. So a bucket ends at every
/// round number, and is a twentieth wide at most.
const STEPS: std::ops::Range<u64> = 20..200;
const STEP_US: u64 = 5;
const PER_DECADE: u64 = STEPS.end - STEPS.start;
/// The fine ones, and those of ten powers of ten: up to eleven days.
const BUCKETS: usize = 101 + 10 * 180;

/// Durations of one kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// By bucket; empty as long as there is nothing.
    buckets: Vec<u64>,
    count: u64,
    sum: Duration,
}

impl Durations {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        self.buckets.resize(BUCKETS, 0);
        if let Some(n) = self.buckets.get_mut(bucket(duration)) {
            *n += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// Counts all of another.
    pub fn add_all(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.buckets.resize(BUCKETS, 0);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, n)| *sum += n);
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// So many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// So many took no longer than this, which is exact for numbers of two digits and zeros.
    #[must_use]
    pub fn up_to(&self, bound: Duration) -> u64 {
        self.buckets.iter().take(bucket(bound) + 1).sum()
    }

    /// What was counted: the end of each bucket, and how many are in it.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.buckets.iter().enumerate().map(|(bucket, n)| (upper(bucket), *n))
    }

    /// This share of them, in percent, took no longer than what is returned, which is too much by a twentieth at most.
    #[must_use]
    pub fn quantile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut so_far = 0;
        let mut reached = self.buckets().skip_while(|(_, n)| {
            so_far += n;
            so_far < rank
        });
        reached.next().map(|(upper, _)| upper)
    }
}

fn bucket(duration: Duration) -> usize {
    let us = duration.as_nanos().div_ceil(1_000);
    let Ok(us) = u64::try_from(us) else { return BUCKETS - 1 };
    let (mut step_us, mut before) = (STEP_US, FINE + 1);
    while us.div_ceil(step_us) >= STEPS.end {
        (step_us, before) = (step_us.saturating_mul(10), before + PER_DECADE);
    }
    let bucket = if us <= FINE { us } else { before + us.div_ceil(step_us) - STEPS.start };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest duration that falls into a bucket.
fn upper(bucket: usize) -> Duration {
    let Some(above) = (bucket as u64).checked_sub(FINE + 1) else {
        return Duration::from_micros(bucket as u64);
    };
    let decade = u32::try_from(above / PER_DECADE).unwrap_or(0);
    let steps = STEPS.start + above % PER_DECADE;
    Duration::from_micros(steps * STEP_US * 10_u64.pow(decade))
}

/// How long commits took, by service; clones share it.
#[derive(Debug, Clone, Default)]
pub struct CommitTimes(Arc<Mutex<BTreeMap<String, Durations>>>);

impl CommitTimes {
    /// A service begins: it is told of before its first commit, so that what comes is seen to rise.
    pub fn begin(&self, service: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(service.to_owned()).or_default();
    }

    /// Counts a commit.
    pub fn add(&self, service: &str, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(service) {
            Some(durations) => durations.add(took),
            None => all.entry(service.to_owned()).or_default().add(took),
        }
    }

    /// All that were counted.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Durations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_it_says() {
        let of = |us| bucket(Duration::from_micros(us));
        let buckets: Vec<_> = (0..5_000).map(of).collect();
        assert!(buckets.windows(2).all(|w| w[1] >= w[0]), "they rise");
        for us in (0..5_000).chain((0..39).map(|n| 1 << n)) {
            let upper = u64::try_from(upper(of(us)).as_micros()).unwrap();
            assert!((us..=us + us / 19).contains(&upper), "{us}: {upper}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(upper(BUCKETS - 1).as_secs() / 86_400, 11, "days");
        assert_eq!(bucket(Duration::from_secs(u64::MAX / 10_000_000)), BUCKETS - 1);
    }

    #[test]
    fn round_numbers_are_exact() {
        for (digits, power) in (10..100).flat_map(|d| (0..9).map(move |p| (d, p))) {
            let round = Duration::from_micros(digits * 10_u64.pow(power));
            assert_eq!(upper(bucket(round)), round);
            let mut durations = Durations::default();
            durations.add(round);
            durations.add(round + Duration::from_nanos(1));
            assert_eq!(durations.up_to(round), 1, "{round:?}");
        }
    }

    #[test]
    fn quantiles_and_sums() {
        let (mut one, mut other) = (Durations::default(), Durations::default());
        assert_eq!((one.quantile(50), one.up_to(Duration::MAX)), (None, 0));
        for n in 1..=100 {
            one.add(Duration::from_millis(if n == 100 { 1_000 } else { 20 }));
        }
        other.add(Duration::from_millis(1_000));
        let p99 = |d: &Durations| d.quantile(99).map(|d| d.as_millis());
        assert_eq!((p99(&one), one.quantile(50)), (Some(20), Some(Duration::from_millis(20))));
        one.add_all(&other);
        assert_eq!((p99(&one), one.count(), one.sum().as_millis()), (Some(1_000), 101, 3_980));
        let mut none = Durations::default();
        none.add_all(&one);
        assert_eq!(none, one);
    }

    #[test]
    fn commits_are_counted_by_service() {
        let times = CommitTimes::default();
        times.begin("gateway");
        times.clone().add("track", Duration::from_millis(3));
        times.add("track", Duration::from_millis(5));
        times.add("normalize", Duration::from_millis(1));
        let all = times.all();
        let counts: Vec<_> = all.iter().map(|(name, d)| (&**name, d.count())).collect();
        assert_eq!(counts, [("gateway", 0), ("normalize", 1), ("track", 2)]);
    }
}
