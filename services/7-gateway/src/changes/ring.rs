//! The last rounds, for streams that come back or were too slow.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::changes::round::Round;
use crate::position::covers;

/// Most entries kept.
const ENTRIES_MAX: usize = 32_768;
/// Most bytes of batches kept for them; while they are young, the log keeps the same bytes in memory anyway.
const BYTES_MAX: usize = 48 << 20;

/// Rounds with numbers that follow each other.
#[derive(Debug)]
pub(crate) struct Ring {
    rounds: VecDeque<Arc<Round>>,
    entries: usize,
    bytes: usize,
    entries_max: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self { rounds: VecDeque::new(), entries: 0, bytes: 0, entries_max: ENTRIES_MAX }
    }
}

impl Ring {
    /// Adds a round, and drops old ones beyond the limits; the newest stays always.
    pub(crate) fn push(&mut self, round: Arc<Round>) {
        self.entries += round.entries.len();
        self.bytes += round.bytes;
        self.rounds.push_back(round);
        while self.rounds.len() > 1
            && (self.entries > self.entries_max || self.bytes > BYTES_MAX)
            && let Some(oldest) = self.rounds.pop_front()
        {
            self.entries -= oldest.entries.len();
            self.bytes -= oldest.bytes;
        }
    }

    /// Rounds from that number on, at most so many; `None` when that one was dropped.
    pub(crate) fn from(
        &self,
        number: u64,
        most: usize,
    ) -> Option<impl Iterator<Item = &Arc<Round>>> {
        let first = self.rounds.front().map_or(number, |round| round.number);
        let skip = usize::try_from(number.checked_sub(first)?).ok()?;
        Some(self.rounds.iter().skip(skip).take(most))
    }

    /// A round.
    pub(crate) fn get(&self, number: u64) -> Option<&Arc<Round>> {
        self.from(number, 1)?.next()
    }

    /// Where the oldest round begins, and its number.
    pub(crate) fn start(&self) -> Option<(u64, &Arc<[u64]>)> {
        self.rounds.front().map(|round| (round.number, &round.before))
    }

    /// The number of the first round that holds something after those offsets, or the number after the last one;
    /// `None` when older rounds would be needed.
    pub(crate) fn first_after(&self, next: &[u64]) -> Option<u64> {
        let (mut number, before) = self.start()?;
        if !covers(next, before) {
            return None;
        }
        number += self.rounds.len() as u64;
        for round in self.rounds.iter().rev() {
            if covers(next, &round.after) {
                break;
            }
            number = round.number;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(number: u64, before: [u64; 2], after: [u64; 2], bytes: usize) -> Arc<Round> {
        let (before, after) = (Arc::from(before), Arc::from(after));
        Arc::new(Round { number, before, after, entries: Vec::new(), bytes })
    }

    #[test]
    fn a_position_is_found_or_too_old() {
        let mut ring = Ring::default();
        assert_eq!(ring.first_after(&[0, 0]), None);
        ring.push(round(4, [10, 0], [12, 0], 1));
        ring.push(round(5, [12, 0], [12, 3], 1));
        ring.push(round(6, [12, 3], [15, 4], 1));
        for (next, expect) in [
            ([10, 0], Some(4)),
            ([11, 0], Some(4)),
            ([12, 0], Some(5)),
            ([12, 2], Some(5)),
            ([12, 3], Some(6)),
            ([15, 4], Some(7)),
            ([99, 99], Some(7)),
            ([9, 4], None),
            // Ahead in one slot and behind in the other: everything that could be missing is looked through.
            ([15, 0], Some(5)),
        ] {
            assert_eq!(ring.first_after(&next), expect, "{next:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut ring = Ring::default();
        for n in 0..10 {
            ring.push(round(n, [n, 0], [n + 1, 0], BYTES_MAX / 3));
        }
        assert_eq!(ring.start().map(|(number, _)| number), Some(7));
        assert!(ring.get(6).is_none());
        assert_eq!(ring.get(7).map(|r| r.number), Some(7));
        assert!(ring.get(10).is_none());
        ring.push(round(10, [10, 0], [11, 0], BYTES_MAX * 2));
        assert_eq!(ring.start().map(|(number, _)| number), Some(10));
    }
}
