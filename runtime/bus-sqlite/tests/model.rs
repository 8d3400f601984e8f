//! Random units, rewinds, reopenings and rounds of retention against a model that fits on one page.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bus_sqlite::{Options, SqliteBus};
use dataflow::ManualClock;
use dataflow::bus::{Bus, Outcome, Want};
use dataflow::conformance::{Pair, Seat, Seen, flow, output, read_all};
use dataflow::unit::{StateWrite, Unit};
use proptest::prelude::*;

/// What happens to the log.
#[derive(Debug, Clone)]
enum Act {
    /// A unit of `keep`: records for `in` and `last`, state under `feed`, with a stale epoch or not.
    Unit {
        partition: u16,
        records: Vec<(u8, Option<u16>)>,
        state: Vec<(u8, Option<u16>)>,
        stale: bool,
    },
    Rewind,
    Reopen,
    Retain,
}

fn act() -> impl Strategy<Value = Act> {
    let pairs =
        || proptest::collection::vec((0u8..12, proptest::option::weighted(0.8, 0u16..1000)), 0..20);
    prop_oneof![
        12 => (0u16..2, pairs(), pairs(), proptest::bool::weighted(0.1))
            .prop_map(|(partition, records, state, stale)| Act::Unit { partition, records, state, stale }),
        1 => Just(Act::Rewind),
        1 => Just(Act::Reopen),
        1 => Just(Act::Retain),
    ]
}

/// What must be in the log.
#[derive(Default)]
struct Model {
    logs: BTreeMap<(&'static str, u16), Vec<Seen>>,
    state: BTreeMap<String, String>,
    tally: i64,
    /// A unit was refused and there was no rewind.
    refused: bool,
}

fn open(dir: &Path, tail_bytes: usize) -> Arc<SqliteBus> {
    let options = Options {
        tail_bytes,
        wal_soft_bytes: 100_000,
        dictionary_samples: 30,
        ..Options::new(Arc::new(ManualClock::at(1_000)), 7)
    };
    SqliteBus::open(dir, &flow(), options).unwrap()
}

fn text(value: u16) -> String {
    format!(
        "{{\"ListPrice\":{value},\"StandardStatus\":\"Active\",\"City\":\"Calgary\",\"n\":{value}}}"
    )
}

impl Model {
    fn apply(&mut self, seat: &mut Seat, act: &Act) {
        let Act::Unit { partition, records, state, stale } = act else { return };
        let texts = |pairs: &[(u8, Option<u16>)]| -> Vec<(String, Option<String>)> {
            pairs.iter().map(|(k, v)| (format!("key {k}"), v.map(text))).collect()
        };
        let (records, state) = (texts(records), texts(state));
        let pairs: Vec<Pair<'_>> =
            records.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        let mut unit = Unit {
            outputs: vec![output("in", *partition, &pairs), output("last", *partition, &pairs)],
            state: state
                .iter()
                .map(|(k, v)| StateWrite {
                    partition: 0,
                    key: k.clone().into_bytes(),
                    value: v.as_ref().map(|v| v.as_bytes().into()),
                })
                .collect(),
            tallies: vec![("n".to_owned(), 1)],
            ..Unit::default()
        };
        if *stale {
            unit.progress.push(dataflow::unit::Progress {
                topic: "in".into(),
                partition: 0,
                epoch: u64::MAX,
                next: 0,
            });
        }
        self.refused |= stale;
        let wanted = if self.refused { Outcome::Aborted } else { Outcome::Committed };
        assert_eq!(seat.outcome(unit), wanted);
        if self.refused {
            return;
        }
        for topic in ["in", "last"] {
            let log = self.logs.entry((topic, *partition)).or_default();
            for (key, value) in &records {
                log.push((log.len() as u64, key.clone(), value.clone()));
            }
        }
        for (key, value) in state {
            match value {
                Some(value) => drop(self.state.insert(key, value)),
                None => drop(self.state.remove(&key)),
            }
        }
        self.tally += 1;
    }

    fn check(&self, bus: &SqliteBus, seat: &mut Seat, memory: bool) {
        let want = Want { bytes_max: 700, durable: false };
        for ((topic, partition), log) in &self.logs {
            assert_eq!(bus.range(topic, *partition).unwrap().end, log.len() as u64);
            let mut latest: BTreeMap<&str, &Seen> = BTreeMap::new();
            latest.extend(log.iter().map(|seen| (seen.1.as_str(), seen)));
            let mut rows: Vec<Seen> = latest.values().map(|seen| (*seen).clone()).collect();
            rows.sort();
            let got = read_all(bus, topic, *partition, want, 0);
            if *topic == "in" {
                assert_eq!(&got, log);
            } else if memory {
                // What memory still has may come with what was superseded since.
                assert!(rows.iter().all(|row| got.contains(row)));
                assert!(got.iter().all(|row| log.contains(row)) && got.is_sorted());
            } else {
                assert_eq!(got, rows);
            }
            for (key, (offset, _, value)) in latest.into_iter().filter(|_| *topic == "last") {
                let batch = bus.latest(topic, *partition, key.as_bytes()).unwrap().unwrap();
                assert_eq!(
                    dataflow::conformance::seen(&[batch], 0),
                    [(*offset, key.to_owned(), value.clone())]
                );
            }
        }
        let found = seat.member.state_range(0, b"", b"", 1_000).unwrap();
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found: BTreeMap<_, _> = found.iter().map(|(k, v)| (utf8(k), utf8(v))).collect();
        assert_eq!(found, self.state);
        assert_eq!(bus.tallies("feed").unwrap().first().map_or(0, |(_, n)| *n), self.tally);
    }
}

fn run(acts: &[Act], tail_bytes: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut bus = open(dir.path(), tail_bytes);
    let mut seat = Seat::join(&*bus, "feed");
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Unit { .. } => model.apply(&mut seat, act),
            Act::Rewind => {
                seat.rewind();
                model.refused = false;
            }
            Act::Reopen => {
                drop(seat);
                drop(bus);
                bus = open(dir.path(), tail_bytes);
                seat = Seat::join(&*bus, "feed");
                model.refused = false;
            }
            Act::Retain => bus.retain().unwrap(),
        }
    }
    model.check(&bus, &mut seat, tail_bytes > 0);
    drop((seat, bus));
    let bus = open(dir.path(), tail_bytes);
    let mut seat = Seat::join(&*bus, "feed");
    model.check(&bus, &mut seat, false);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_what_the_model_says(acts in proptest::collection::vec(act(), 0..40), tail in 0usize..3) {
        run(&acts, tail * 2_000);
    }
}
