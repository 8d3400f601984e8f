//! Members that come, work, and vanish without waiting for an answer: every record is done exactly once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus_sqlite::{Options, SqliteBus};
use dataflow::ManualClock;
use dataflow::bus::{Assignment, Bus, Event, Outcome, Want};
use dataflow::conformance::{PARTITIONS, Pair, Seat, flow, output, read_all, seen, unit};
use dataflow::memory::Rng;
use dataflow::unit::{Progress, Unit};

const RECORDS: u64 = 3_000;
const ALL: Want = Want { bytes_max: 1 << 20, durable: false };

fn done(bus: &SqliteBus) -> bool {
    let backlog = bus.backlog().unwrap();
    backlog.iter().filter(|b| b.service == "work").all(|b| b.records == 0)
}

/// Copies `in` to `out`, one unit for each batch, until it vanishes or everything is done.
fn work(bus: &SqliteBus, rng: &mut Rng) {
    let mut member = bus.join(flow().service("work").unwrap()).unwrap();
    let mut revoked: Vec<Assignment> = Vec::new();
    let (mut next_unit, mut answered) = (0, 0);
    for _ in 0..rng.below(40) {
        let events = member.poll(Duration::from_millis(1), 600).unwrap();
        let mut rewound = false;
        for event in events {
            match event {
                Event::Assigned(a) => member.restore(a).unwrap(),
                Event::Revoked(a) => revoked.push(a),
                Event::Records { assignment, batch, from, .. } if !rewound => {
                    let records = seen(&[Arc::clone(&batch)], from);
                    let pairs: Vec<Pair<'_>> =
                        records.iter().map(|(_, k, v)| (k.as_str(), v.as_deref())).collect();
                    next_unit += 1;
                    let Assignment { partition, epoch } = assignment;
                    let next = batch.next_offset();
                    let progress = Progress { topic: "in".into(), partition, epoch, next };
                    let unit = Unit {
                        id: next_unit,
                        progress: vec![progress],
                        outputs: vec![output("out", partition, &pairs)],
                        ..Unit::default()
                    };
                    member.submit(unit).unwrap();
                }
                Event::Outcome { unit, outcome } => {
                    answered = unit;
                    if outcome != Outcome::Committed {
                        member.rewind().unwrap();
                        (answered, rewound) = (next_unit, true);
                    }
                }
                _ => {}
            }
        }
        if rng.chance(10) {
            member.rewind().unwrap();
            answered = next_unit;
        }
        // Sometimes a partition is given up while its work is on the way.
        if answered == next_unit || rng.chance(20) {
            revoked.drain(..).for_each(|a| member.release(a).unwrap());
        }
    }
}

fn check(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        tail_bytes: usize::try_from(seed % 2 * 20_000).unwrap(),
        ..Options::new(Arc::new(ManualClock::at(1)), 7)
    };
    let bus = SqliteBus::open(dir.path(), &flow(), options).unwrap();
    let mut feed = Seat::join(&*bus, "feed");
    let texts: Vec<String> = (0..RECORDS).map(|n| n.to_string()).collect();
    for (n, chunk) in texts.chunks(13).enumerate() {
        let pairs: Vec<Pair<'_>> = chunk.iter().map(|t| (t.as_str(), Some(t.as_str()))).collect();
        let partition = u16::try_from(n).unwrap() % PARTITIONS;
        feed.submit(unit(vec![output("in", partition, &pairs)]));
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let bus = &bus;
            scope.spawn(move || {
                let mut rng = Rng::new(seed * 10 + thread);
                let mut rounds = 0;
                while !done(bus) || bus.range("in", 0).unwrap().end < RECORDS / 5 {
                    work(bus, &mut rng);
                    rounds += 1;
                    assert!(rounds < 10_000, "it never ends");
                }
            });
        }
    });
    let contents = |topic: &str| -> BTreeMap<u16, Vec<String>> {
        let values = |p| read_all(&*bus, topic, p, ALL, 0).into_iter().map(|(_, key, _)| key);
        (0..PARTITIONS).map(|p| (p, values(p).collect())).collect()
    };
    assert_eq!(contents("out"), contents("in"), "seed {seed}");
}

#[test]
fn every_record_is_done_once_and_in_order() {
    (0..6).for_each(check);
}
