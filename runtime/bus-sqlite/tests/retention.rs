//! What may go goes, and what must stay stays: by age, by key, by tombstone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::path::Path;
use std::sync::Arc;

use bus_sqlite::{Options, SqliteBus};
use dataflow::bus::{Bus, Want};
use dataflow::conformance::{self, Pair, Seat, Seen, feed, output, read_all, unit};
use dataflow::flow::{Form, Kind, Retention, ServiceSpec, State};
use dataflow::unit::{Progress, Unit};
use dataflow::{Flow, ManualClock};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const ALL: Want = Want { bytes_max: 1 << 20, durable: false };

/// A log without memory, so that reads show what is in the tables.
fn open(dir: &Path, flow: &Flow, clock: &Arc<ManualClock>) -> Arc<SqliteBus> {
    let clock = Arc::clone(clock) as Arc<dyn dataflow::Clock>;
    let options = Options { tail_bytes: 0, ..Options::new(clock, 7) };
    SqliteBus::open(dir, flow, options).unwrap()
}

fn values(bus: &SqliteBus, topic: &str) -> Vec<String> {
    let text = |(offset, key, value): Seen| {
        format!("{offset} {key}={}", value.unwrap_or_else(|| "gone".to_owned()))
    };
    read_all(bus, topic, 0, ALL, 0).into_iter().map(text).collect()
}

/// Lets a service of the suite's flow pass everything in partition 0 of `in`.
fn pass(bus: &SqliteBus, service: &str, next: u64) {
    let mut seat = Seat::join_alone(bus, service);
    let epoch = seat.owned[&0].epoch;
    let here = bus
        .backlog()
        .unwrap()
        .into_iter()
        .find(|b| b.service == service && b.topic == "in" && b.partition == 0);
    seat.until_records(usize::from(here.is_some_and(|b| b.records > 0)));
    let progress = vec![Progress { topic: "in".into(), partition: 0, epoch, next }];
    seat.commit(Unit { progress, ..Unit::default() });
}

#[test]
fn old_records_go_when_every_reader_has_passed_them() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(100 * DAY_MS));
    let bus = open(dir.path(), &conformance::flow(), &clock);
    let start = |bus: &SqliteBus| {
        bus.retain().unwrap();
        bus.range("in", 0).unwrap().start
    };
    feed(&*bus, 0, &["1", "2"]);
    feed(&*bus, 0, &["3"]);
    clock.advance(4 * DAY_MS);
    feed(&*bus, 0, &["4"]);
    feed(&*bus, 0, &["5"]);
    clock.advance(4 * DAY_MS);
    assert_eq!(start(&bus), 0, "nobody has passed them");
    pass(&bus, "work", 4);
    assert_eq!(start(&bus), 0, "`keep` has not");
    bus.hold("a view", "in", 0, 2);
    pass(&bus, "keep", 4);
    assert_eq!(start(&bus), 2, "the view has not passed the second block");
    bus.hold("a view", "in", 0, 5);
    assert_eq!(start(&bus), 3, "the others are not old");
    assert_eq!(values(&bus, "in"), ["3 4=4", "4 5=5"]);
    clock.advance(100 * DAY_MS);
    pass(&bus, "work", 5);
    pass(&bus, "keep", 5);
    assert_eq!(start(&bus), 4, "the last block tells where the log ends");
    drop(bus);
    let bus = open(dir.path(), &conformance::flow(), &clock);
    let range = bus.range("in", 0).unwrap();
    assert_eq!((range.start, range.end), (4, 5));
    feed(&*bus, 0, &["6"]);
    assert_eq!(values(&bus, "in"), ["4 5=5", "5 6=6"]);
}

#[test]
fn a_view_of_the_flow_that_has_not_said_where_it_is_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(100 * DAY_MS));
    let mut flow = conformance::flow();
    flow.services.retain(|s| s.kind == Kind::Source);
    flow.services.push(ServiceSpec {
        name: "screen".to_owned(),
        kind: Kind::View,
        reads: vec![("in".to_owned(), Form::Keyed)],
        writes: Vec::new(),
        state: State::None,
        does: String::new(),
    });
    let bus = open(dir.path(), &flow, &clock);
    feed(&*bus, 0, &["1"]);
    feed(&*bus, 0, &["2"]);
    clock.advance(30 * DAY_MS);
    bus.retain().unwrap();
    assert_eq!(values(&bus, "in").len(), 2);
    bus.hold("screen", "in", 0, 2);
    bus.retain().unwrap();
    assert_eq!(values(&bus, "in"), ["1 2=2"]);
}

#[test]
fn the_last_record_of_each_key_stays_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(100 * DAY_MS));
    let mut flow = conformance::flow();
    flow.topics[0].retention = Retention::LastOfEachKey { days: 7 };
    let bus = open(dir.path(), &flow, &clock);
    let put = |pairs: &[Pair<'_>]| {
        Seat::join(&*bus, "feed").commit(unit(vec![output("in", 0, pairs)]));
    };
    put(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    put(&[("a", Some("3"))]);
    put(&[("b", Some("2")), ("c", Some("1"))]);
    clock.advance(8 * DAY_MS);
    put(&[("c", Some("2"))]);
    let whole = ["0 a=1", "1 b=1", "2 a=2", "3 a=3", "4 b=2", "5 c=1", "6 c=2"];
    bus.retain().unwrap();
    assert_eq!(values(&bus, "in"), whole, "nobody has passed them");
    pass(&bus, "work", 7);
    pass(&bus, "keep", 7);
    bus.retain().unwrap();
    let kept = ["3 a=3", "4 b=2", "5 c=1", "6 c=2"];
    assert_eq!(values(&bus, "in"), kept, "what superseded c=1 is not old");
    assert_eq!(bus.range("in", 0).unwrap().start, 3);
    bus.retain().unwrap();
    assert_eq!(values(&bus, "in"), kept, "nothing more to do");
    // A second run goes on from the first, and reads from the middle of what is gone.
    put(&[("a", Some("4"))]);
    put(&[("d", Some("1"))]);
    clock.advance(8 * DAY_MS);
    pass(&bus, "work", 9);
    pass(&bus, "keep", 9);
    bus.retain().unwrap();
    assert_eq!(values(&bus, "in"), ["4 b=2", "6 c=2", "7 a=4", "8 d=1"]);
    let from = |from| read_all(&*bus, "in", 0, ALL, from).len();
    assert_eq!([0, 4, 5, 6, 7, 8, 9].map(from), [4, 4, 3, 3, 2, 1, 0]);
    drop(bus);
    let bus = open(dir.path(), &flow, &clock);
    assert_eq!(values(&bus, "in"), ["4 b=2", "6 c=2", "7 a=4", "8 d=1"]);
    assert_eq!(bus.range("in", 0).unwrap().end, 9);
}

#[test]
fn tombstones_stay_their_days_and_then_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(100 * DAY_MS));
    let bus = open(dir.path(), &conformance::flow(), &clock);
    let put = |pairs: &[Pair<'_>]| {
        Seat::join_alone(&*bus, "keep").commit(unit(vec![output("last", 0, pairs)]));
    };
    let after_days = |days: i64| {
        clock.advance(days * DAY_MS);
        bus.retain().unwrap();
        values(&bus, "last")
    };
    put(&[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    put(&[("a", None), ("b", None)]);
    put(&[("b", Some("2")), ("d", Some("1"))]);
    assert_eq!(after_days(6), ["2 c=1", "3 a=gone", "5 b=2", "6 d=1"]);
    bus.hold("a view", "last", 0, 3);
    assert_eq!(after_days(2).len(), 4, "a view has not seen it");
    bus.hold("a view", "last", 0, 7);
    assert_eq!(after_days(0), ["2 c=1", "5 b=2", "6 d=1"]);
    assert!(bus.latest("last", 0, b"a").unwrap().is_none());
    put(&[("d", None)]);
    bus.hold("a view", "last", 0, 8);
    assert_eq!(after_days(30), ["2 c=1", "5 b=2", "7 d=gone"], "the last row tells where it ends");
    put(&[("a", Some("2"))]);
    assert_eq!(after_days(0), ["2 c=1", "5 b=2", "8 a=2"]);
    drop(bus);
    let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    let count = |table: &str| {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(["latest", "latest_key", "tombstone"].map(count), [3, 3, 0]);
}

#[test]
fn a_round_comes_by_itself_when_the_clock_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(100 * DAY_MS));
    let bus = open(dir.path(), &conformance::flow(), &clock);
    feed(&*bus, 0, &["1"]);
    feed(&*bus, 0, &["2"]);
    pass(&bus, "work", 2);
    pass(&bus, "keep", 2);
    clock.advance(30 * DAY_MS);
    let mut seen = 0;
    for _ in 0..600 {
        if bus.range("in", 0).unwrap().start == 1 {
            return;
        }
        seen = bus.wait(seen, std::time::Duration::from_millis(100));
    }
    panic!("no round came");
}
