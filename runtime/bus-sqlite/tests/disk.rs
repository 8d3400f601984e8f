//! A full disk, and a stranger that keeps the write-ahead log from being started over.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::sync::Arc;
use std::time::Duration;

use bus_sqlite::{Options, SqliteBus};
use dataflow::ManualClock;
use dataflow::bus::{Bus, BusError, Outcome, Want};
use dataflow::conformance::{Seat, flow, output, read_all, unit};
use dataflow::unit::Unit;

const ALL: Want = Want { bytes_max: 1 << 20, durable: false };

fn options() -> Options {
    Options::new(Arc::new(ManualClock::at(1_000)), 7)
}

/// Text that does not compress.
fn noise(seed: u64, bytes: usize) -> String {
    let mut rng = dataflow::memory::Rng::new(seed);
    std::iter::repeat_with(|| char::from(b' ' + u8::try_from(rng.below(90)).unwrap()))
        .take(bytes)
        .collect()
}

fn block(seed: u64) -> Unit {
    unit(vec![output("in", 0, &[("k", Some(&noise(seed, 50_000)))])])
}

#[test]
fn a_full_disk_ends_it_with_the_way_out_and_loses_nothing_that_was_answered_for() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { log_bytes_max: Some(1 << 20), ..options() };
    let bus = SqliteBus::open(dir.path(), &flow(), small).unwrap();
    let mut feed = Seat::join(&*bus, "feed");
    let mut committed = 0;
    let error = 'full: {
        for seed in 0..100u64 {
            let unit = Unit { id: seed + 1, ..block(seed) };
            if let Err(error) = feed.member.submit(unit) {
                break 'full error;
            }
            match feed.member.poll(Duration::from_secs(10), 0) {
                Ok(events) => committed += events.len(),
                Err(error) => break 'full error,
            }
        }
        panic!("it never was full");
    };
    let BusError::Fatal(words) = &error else { panic!("{error:?}") };
    assert!(words.contains("free space and start again"), "{words}");
    assert!(committed > 5, "{committed}");
    let again = |result: Result<(), BusError>| assert!(matches!(result, Err(BusError::Fatal(_))));
    again(feed.member.rewind());
    again(bus.append("tool", block(1)).map(drop));
    again(bus.sync());
    again(bus.range("in", 0).map(drop));
    drop((feed, bus));
    let bus = SqliteBus::open(dir.path(), &flow(), options()).unwrap();
    assert_eq!(read_all(&*bus, "in", 0, ALL, 0).len(), committed);
    Seat::join(&*bus, "feed").commit(block(1));
}

#[test]
fn the_write_ahead_log_stays_short_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { wal_soft_bytes: 1 << 20, ..options() };
    let bus = SqliteBus::open(dir.path(), &flow(), small).unwrap();
    let mut feed = Seat::join(&*bus, "feed");
    (0..400).for_each(|seed| feed.commit(block(seed)));
    let bytes = std::fs::metadata(dir.path().join("log.db-wal")).unwrap().len();
    assert!(bytes < 4 << 20, "{bytes}");
    assert_eq!(bus.conditions(), [""; 0]);
}

#[test]
fn a_stranger_is_reported_then_nothing_is_taken_then_it_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        Options { wal_soft_bytes: 256 << 10, wal_hard_bytes: 2 << 20, stranger_ms: 0, ..options() };
    let bus = SqliteBus::open(dir.path(), &flow(), small).unwrap();
    let mut feed = Seat::join(&*bus, "feed");
    feed.commit(block(0));
    let stranger = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    stranger.execute_batch("BEGIN").unwrap();
    let rows: i64 = stranger.query_row("SELECT count(*) FROM batch", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 1);
    let mut answered = 0;
    for seed in 1..=60 {
        feed.submit(block(seed));
        feed.poll();
        answered = feed.outcomes.len();
        if bus.conditions().iter().any(|c| c.contains("nothing is taken until then")) {
            break;
        }
    }
    assert!(answered < 61, "it stopped before all was taken");
    let conditions = bus.conditions();
    assert!(conditions[0].contains("lsof"), "{conditions:?}");
    assert!(matches!(bus.append("tool", block(99)), Err(BusError::Busy(_))));
    let bytes = std::fs::metadata(dir.path().join("log.db-wal")).unwrap().len();
    assert!(bytes < 6 << 20, "{bytes}");
    stranger.execute_batch("COMMIT").unwrap();
    // The writer sees it within its own time; what waited is then taken.
    let waiting = feed.outcomes.len();
    feed.commit(block(100));
    assert!(feed.outcomes.len() > waiting);
    assert!(feed.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Committed));
    assert_eq!(bus.conditions(), [""; 0]);
    bus.append("tool", block(101)).unwrap();
}
