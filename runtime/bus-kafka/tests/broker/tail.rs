//! What a view sees of what other processes write.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dataflow::bus::{Bus, Want};
use dataflow::conformance::{PARTITIONS, flow, output};
use dataflow::unit::Unit;

use crate::support::Place;

/// Longest time for anything here; a poll alone would never end a wait of this length in time.
const PATIENCE: Duration = Duration::from_secs(60);
const WANT: Want = Want { bytes_max: 1 << 20, durable: true };
const VIEW: &str = "a view";

#[allow(clippy::disallowed_methods, reason = "a test on a real broker gives up after a time")]
fn now() -> Instant {
    Instant::now()
}

/// A view as `dataflow::view` works: says where it stands, reads there, waits when there is nothing.
struct View<'a> {
    bus: &'a dyn Bus,
    next: [u64; PARTITIONS as usize],
}

impl<'a> View<'a> {
    fn at(bus: &'a dyn Bus, next: [u64; PARTITIONS as usize]) -> Self {
        let view = Self { bus, next };
        view.hold();
        view
    }

    fn hold(&self) {
        for (partition, next) in (0..PARTITIONS).zip(self.next) {
            self.bus.hold(VIEW, "in", partition, next);
        }
    }

    /// Partition and value of what comes, until there are so many.
    fn until(&mut self, count: usize) -> BTreeSet<(u16, String)> {
        let (from, mut seen) = (now(), BTreeSet::new());
        while seen.len() < count {
            assert!(from.elapsed() < PATIENCE, "only {seen:?} came");
            let mark = self.bus.wait(0, Duration::ZERO);
            let mut any = false;
            for partition in 0..PARTITIONS {
                let next = &mut self.next[usize::from(partition)];
                for batch in self.bus.read("in", partition, *next, WANT).unwrap() {
                    for record in batch.records_from(*next) {
                        let value = String::from_utf8_lossy(record.value.unwrap()).into_owned();
                        assert!(seen.insert((partition, value)), "nothing comes twice");
                    }
                    (*next, any) = (batch.next_offset(), true);
                }
            }
            self.hold();
            if !any {
                self.bus.wait(mark, PATIENCE);
            }
        }
        seen
    }
}

#[test]
fn a_view_is_woken_by_what_another_process_wrote() {
    let place = Place::new(&flow());
    let (theirs, ours) = (place.bus(), place.bus());
    let mut view = View::at(&*ours, [0; PARTITIONS as usize]);
    for round in 0..5 {
        let value = format!("{round}");
        let one = |partition| output("in", partition, &[("k", Some(&value))]);
        let outputs = (0..PARTITIONS).map(one).collect();
        theirs.append("a tool", Unit { outputs, ..Unit::default() }).unwrap();
        let seen = view.until(usize::from(PARTITIONS));
        assert!(seen.iter().all(|(_, seen)| *seen == value), "{seen:?}");
    }
    // One that is put elsewhere is followed from there.
    let again = View::at(&*ours, [0; PARTITIONS as usize]).until(5 * usize::from(PARTITIONS));
    assert_eq!(again.len(), 5 * usize::from(PARTITIONS));
}
