//! A transaction that is being filled, and how long it may wait for more.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::config::KafkaConfig;
use crate::store::Row;

/// A transaction with this much in it is a busy member's, which pays less often.
const BUSY_BYTES: usize = 256 << 10;
/// A transaction is committed at once when it holds this many units: the member waits for them. It is about what a
/// member does in the longest time between two commits; fewer make more transactions, which cost the brokers.
pub(crate) const UNITS_MAX: usize = 12;
/// A small one gathers for at least so long after it, also where the last took longer than the pace of commits.
const GATHER: Duration = Duration::from_millis(5);

/// A transaction that is being filled.
pub(crate) struct Open {
    pub(crate) units: Vec<u64>,
    pub(crate) owned: Vec<(u16, u64)>,
    pub(crate) offsets: BTreeMap<(usize, u16), u64>,
    pub(crate) rows: Vec<Row>,
    pub(crate) tallies: HashMap<(u16, String), i64>,
    pub(crate) bytes: usize,
    begun: Instant,
    /// Nothing more is coming for now.
    pub(crate) lull: bool,
}

/// The transaction before it.
pub(crate) struct Last {
    /// When its commit began.
    pub(crate) commit: Instant,
    /// When it was over.
    pub(crate) end: Instant,
}

impl Open {
    pub(crate) fn new(begun: Instant) -> Self {
        Self {
            units: Vec::new(),
            owned: Vec::new(),
            offsets: BTreeMap::new(),
            rows: Vec::new(),
            tallies: HashMap::new(),
            bytes: 0,
            begun,
            lull: false,
        }
    }

    /// Whether it ends before it takes anything more. The little that waits already goes with a small one that is due: it
    /// would wait for all of the next one. A busy member is to fill the next one while this is committed.
    pub(crate) fn is_full(&self, config: &KafkaConfig, last: &Last, now: Instant) -> bool {
        let due = self.wait(config, last, now).is_zero();
        self.units.len() >= UNITS_MAX
            || self.bytes >= config.in_flight_bytes / 2
            || (self.bytes >= BUSY_BYTES && due)
    }

    /// How long it may wait for more.
    pub(crate) fn wait(&self, config: &KafkaConfig, last: &Last, now: Instant) -> Duration {
        let due = if self.bytes < BUSY_BYTES || self.lull {
            // What came while the last one was being committed has waited already.
            let pace = Duration::from_millis(config.commit_interval_min_ms);
            (last.commit + pace).max(last.end + GATHER)
        } else {
            self.begun + Duration::from_millis(config.commit_interval_max_ms)
        };
        due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1_000;

    /// Milliseconds that a transaction that began at 13 waits at `now`; the commit before it began at 0 and was over at
    /// `end`.
    fn wait_ms(bytes: usize, lull: bool, end: u64, now: u64) -> u128 {
        let start = crate::monotonic();
        let at = |ms| start + Duration::from_millis(ms);
        let open = Open { bytes, lull, ..Open::new(at(13)) };
        let last = Last { commit: start, end: at(end) };
        open.wait(&KafkaConfig::new("", ""), &last, at(now)).as_millis()
    }

    #[test]
    fn small_ones_keep_their_pace_and_busy_ones_fill_up() {
        for (bytes, lull, end, now, expect) in [
            (SMALL, false, 3, 6, 4),
            (SMALL, false, 3, 10, 0),
            (SMALL, false, 8, 10, 3),
            (SMALL, false, 40, 43, 2),
            (SMALL, false, 40, 45, 0),
            (BUSY_BYTES, true, 3, 6, 4),
            (BUSY_BYTES, false, 3, 20, 43),
            (BUSY_BYTES, false, 3, 63, 0),
        ] {
            let found = wait_ms(bytes, lull, end, now);
            assert_eq!(found, expect, "{bytes} bytes, lull: {lull}, end {end}, now {now}");
        }
    }

    #[test]
    fn a_busy_one_that_is_due_takes_nothing_more() {
        let (config, start) = (KafkaConfig::new("", ""), crate::monotonic());
        let last = Last { commit: start, end: start };
        let at = |ms| start + Duration::from_millis(ms);
        for (bytes, units, now, full) in [
            (SMALL, 1, at(1_000), false),
            (SMALL, UNITS_MAX, start, true),
            (BUSY_BYTES, 1, at(49), false),
            (BUSY_BYTES, 1, at(50), true),
            (config.in_flight_bytes / 2, 1, start, true),
        ] {
            let open = Open { bytes, units: vec![0; units], ..Open::new(start) };
            assert_eq!(open.is_full(&config, &last, now), full, "{bytes} bytes, {units} units");
        }
    }
}
