//! What a campaign needs of the processes that it disturbs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use dataflow::Flow;
use dataflow::bus::Bus;

use crate::power::chance::Chance;

/// The service whose input is the rows themselves.
const FIRST: &str = "normalize";
/// Its topic.
const FIRST_TOPIC: &str = "listing.raw";

/// Processes under test, on one carrier.
pub(super) trait World {
    /// The faults that can be had here, by name.
    fn kinds(&self) -> Vec<&'static str>;

    /// Does it, and makes good what an operator or a supervisor would (starts again what died). Returns the
    /// moment from which recovery counts.
    ///
    /// # Errors
    /// When something fails that the fault does not excuse.
    fn inflict(&mut self, kind: &str, chance: &mut Chance) -> Result<Instant>;

    /// Time between two looks at how far they are.
    fn look(&self) -> Duration;

    /// Where all services are; `None` while nobody can say.
    fn progress(&mut self) -> Option<Progress>;

    /// # Errors
    /// When a process ended that nobody ended.
    fn still_there(&mut self) -> Result<()>;

    /// Processes that ended by themselves and were started again, with their last words.
    fn exits(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The topics.
    ///
    /// # Errors
    /// When the program does not tell them.
    fn flow(&self) -> Result<Flow>;

    /// Stops all in order. The log, and what its own check found wrong.
    ///
    /// # Errors
    /// When they do not stop as they should.
    fn stop(&mut self) -> Result<(Arc<dyn Bus>, Vec<String>)>;
}

/// How far it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Rows that `normalize` has done.
    pub(super) rows: u64,
    /// Service, topic and partition: the next offset, and records not done.
    pub(super) places: BTreeMap<(String, String, u64), (u64, u64)>,
}

impl Progress {
    fn of_rows(&self) -> impl Iterator<Item = &(u64, u64)> {
        let first = |s: &str, t: &str| s == FIRST && t == FIRST_TOPIC;
        self.places.iter().filter(move |((s, t, _), _)| first(s, t)).map(|(_, place)| place)
    }

    /// Where every offset is a row: the rows done.
    pub(super) fn next_of_rows(&self) -> u64 {
        self.of_rows().map(|(next, _)| next).sum()
    }

    /// Rows that `normalize` has not done of those that are there.
    pub(super) fn left_of_rows(&self) -> u64 {
        self.of_rows().map(|(_, left)| left).sum()
    }

    /// Whether rows came through since, and each place with something to do has moved.
    pub(super) fn all_moved(&self, before: &Self) -> bool {
        let mut places = self.places.iter();
        self.rows > before.rows
            && places.all(|(place, (next, left))| {
                *left == 0 || before.places.get(place).is_none_or(|(then, _)| next > then)
            })
    }

    /// Sum of all places.
    pub(super) fn sum(&self) -> u64 {
        self.places.values().map(|(next, _)| next).sum()
    }

    /// Whether all rows are through all services.
    pub(super) fn is_done(&self, rows: u64) -> bool {
        self.rows >= rows && self.places.values().all(|(_, left)| *left == 0)
    }

    /// In words: what is left to do.
    pub(super) fn told(&self) -> String {
        let left = self.places.iter().filter(|(_, (_, left))| *left > 0);
        let each =
            left.map(|((s, t, p), (next, left))| format!("{s} {t}/{p} at {next}, {left} left"));
        let each = each.collect::<Vec<_>>().join("; ");
        format!("{} are counted as done; {each}", self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_means_every_place_that_has_work() {
        let progress = |rows, list: &[(u64, u64, u64)]| {
            let place =
                |(p, next, left): &(u64, u64, u64)| (("s".into(), "t".into(), *p), (*next, *left));
            Progress { rows, places: list.iter().map(place).collect() }
        };
        let before = progress(9, &[(0, 5, 3), (1, 7, 1)]);
        for (rows, now, moved) in [
            (10, vec![(0, 6, 2), (1, 8, 1)], true),
            (10, vec![(0, 6, 2), (1, 7, 1)], false),
            (10, vec![(0, 6, 2), (1, 7, 0)], true),
            (9, vec![(0, 6, 2), (1, 7, 0)], false),
        ] {
            assert_eq!(progress(rows, &now).all_moved(&before), moved, "{now:?}");
        }
    }
}
