//! A rising count over the last minute, and how fast it rose.

use std::collections::VecDeque;

/// Looks that are kept: a minute and one, so that there are sixty differences.
const KEPT: usize = 61;
/// A rate is taken over so many looks, so that it does not jump.
const RATE_LOOKS: usize = 5;

/// `(time, count)` of the last looks.
#[derive(Debug, Default)]
pub(super) struct Series(VecDeque<(i64, u64)>);

impl Series {
    pub(super) fn push(&mut self, now_ms: i64, count: u64) {
        self.0.push_back((now_ms, count));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// Growth a second over the last few looks; 0 while there are not two.
    pub(super) fn rate(&self) -> f64 {
        let first = self.0.len().saturating_sub(RATE_LOOKS + 1);
        match (self.0.get(first), self.0.back()) {
            (Some(first), Some(last)) => (growth(*first, *last) * 10.0).round() / 10.0,
            _ => 0.0,
        }
    }

    /// Growth in each of the last `seconds` looks, oldest first; 0 before the first.
    pub(super) fn per_second(&self, seconds: usize) -> Vec<u64> {
        let known: Vec<u64> = (self.0.iter().zip(self.0.iter().skip(1)))
            .map(|(before, after)| whole(growth(*before, *after)))
            .collect();
        let known = known.get(known.len().saturating_sub(seconds)..).unwrap_or_default();
        let mut all = vec![0; seconds - known.len()];
        all.extend_from_slice(known);
        all
    }
}

fn growth(before: (i64, u64), after: (i64, u64)) -> f64 {
    let ms = after.0.saturating_sub(before.0);
    if ms <= 0 { 0.0 } else { after.1.saturating_sub(before.1) as f64 * 1000.0 / ms as f64 }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rounded rate is small and not negative, and the cast saturates"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(looks: &[(i64, u64)], rate: f64, last_three: [u64; 3]) {
        let mut series = Series::default();
        looks.iter().for_each(|(ms, count)| series.push(*ms, *count));
        assert!((series.rate() - rate).abs() < 1e-9, "{looks:?}: {}", series.rate());
        assert_eq!(series.per_second(3), last_three, "{looks:?}");
    }

    #[test]
    fn rates_are_growth_over_time() {
        check(&[], 0.0, [0, 0, 0]);
        check(&[(0, 500)], 0.0, [0, 0, 0]);
        check(&[(0, 500), (1000, 510)], 10.0, [0, 0, 10]);
        check(&[(0, 0), (1000, 10), (3000, 50)], 16.7, [0, 10, 20]);
        // The log was made anew, or the clock went back: no rate rather than a wild one.
        check(&[(0, 500), (1000, 3)], 0.0, [0, 0, 0]);
        check(&[(1000, 1), (1000, 3)], 0.0, [0, 0, 0]);
        // Only the last looks count.
        check(
            &[(0, 0), (1000, 900), (2000, 900), (3000, 900), (4000, 900), (5000, 900), (6000, 900)],
            0.0,
            [0, 0, 0],
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut series = Series::default();
        (0..1000u32).for_each(|n| series.push(i64::from(n) * 1000, u64::from(n)));
        assert_eq!(series.0.len(), KEPT);
        assert_eq!(series.per_second(60), [1; 60]);
    }
}
