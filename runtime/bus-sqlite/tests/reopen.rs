//! What a log holds is there again after a clean end and after none, and nothing else opens it meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::path::Path;
use std::sync::Arc;

use bus_sqlite::{OpenError, Options, SqliteBus};
use dataflow::bus::{Bus, BusError, Event, Want};
use dataflow::conformance::{Pair, Seat, feed, flow, output, read_all, unit};
use dataflow::flow::Retention;
use dataflow::unit::Unit;
use dataflow::{Flow, ManualClock};

const ALL: Want = Want { bytes_max: 1 << 20, durable: true };

fn options() -> Options {
    Options::new(Arc::new(ManualClock::at(1_000)), 7)
}

fn open(dir: &Path) -> Arc<SqliteBus> {
    SqliteBus::open(dir, &flow(), options()).unwrap()
}

/// Writes something of everything.
fn fill(bus: &SqliteBus) {
    feed(bus, 0, &["1", "2", "3"]);
    let mut keep = Seat::join_alone(bus, "keep");
    keep.until_records(3);
    let texts: Vec<String> =
        (0..40).map(|n| format!("a listing like the others, number {n}")).collect();
    let pairs: Vec<Pair<'_>> = texts.iter().map(|t| (t.as_str(), Some(t.as_str()))).collect();
    for _ in 0..3 {
        keep.commit(unit(vec![output("last", 0, &pairs)]));
    }
    keep.commit(Unit {
        progress: vec![keep.progress(0, 2)],
        outputs: vec![output("last", 0, &[("k", Some("old")), ("gone", Some("x"))])],
        tallies: vec![("n".to_owned(), 2)],
        ..Unit::default()
    });
    keep.commit(unit(vec![output("last", 0, &[("k", Some("new")), ("gone", None)])]));
}

/// Checks it, durable and all.
fn check(bus: &SqliteBus) {
    assert_eq!(bus.epoch(), 7);
    let range = bus.range("in", 0).unwrap();
    assert_eq!((range.start, range.end, range.durable), (0, 3, 3));
    assert_eq!(read_all(bus, "in", 0, ALL, 0).len(), 3);
    assert_eq!(bus.range("last", 0).unwrap().end, 124);
    let last = read_all(bus, "last", 0, ALL, 0);
    assert_eq!(last.len(), 42, "one for each key");
    assert_eq!((last[0].0, last[40].0, last[41].0), (80, 122, 123), "offsets stay");
    assert_eq!(read_all(bus, "last", 0, ALL, 100), last[20..]);
    assert_eq!(bus.tallies("keep").unwrap(), [("n".to_owned(), 2)]);
    let mut keep = Seat::join_alone(bus, "keep");
    keep.until_records(1);
    assert_eq!(keep.values(0), ["3"]);
    assert_eq!(keep.state(0, "k").as_deref(), Some("new"));
    assert_eq!(keep.state(0, "gone"), None);
    let text = "a listing like the others, number 7";
    assert_eq!(keep.state(0, text).as_deref(), Some(text));
    assert_eq!(bus.lag(&["keep".to_owned()]).oldest_ms, Some(1_000));
}

#[test]
fn after_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    fill(&bus);
    bus.close().unwrap();
    assert!(matches!(bus.range("in", 0), Err(BusError::Fatal(_))), "closed is closed");
    drop(bus);
    assert!(!dir.path().join("log.db-wal").exists(), "all is in the one file");
    for _ in 0..2 {
        check(&open(dir.path()));
    }
}

#[test]
fn after_the_process_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    fill(&bus);
    for name in ["log.db", "log.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    check(&open(copy.path()));
}

#[test]
fn a_durable_read_passes_nothing_that_a_power_cut_would_bring_back() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing is synced but for those who wait, and no batch is in memory.
    let options =
        Options { sync_idle_ms: 1 << 40, sync_busy_ms: 1 << 40, tail_bytes: 0, ..options() };
    let bus = SqliteBus::open(dir.path(), &flow(), options).unwrap();
    let mut keep = Seat::join_alone(&*bus, "keep");
    keep.commit(unit(vec![output("last", 0, &[("a", Some("1")), ("b", Some("1"))])]));
    bus.sync().unwrap();
    keep.commit(unit(vec![output("last", 0, &[("a", Some("2"))])]));
    assert_eq!(bus.range("last", 0).unwrap().durable, 2, "the second unit is not synced");
    let read = bus.read("last", 0, 0, ALL).unwrap();
    let firsts = read.iter().flat_map(|b| b.records_from(0)).filter(|r| r.offset == 0).count();
    let durable = bus.range("last", 0).unwrap().durable;
    assert!(
        firsts == 1 || durable == 3,
        "the first `a` was passed, and its successor is not durable"
    );
}

#[test]
fn a_dictionary_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { dictionary_samples: 50, ..options() };
    let texts: Vec<String> = (0..300)
        .map(|n| {
            format!(
                "{{\"ListingKey\":\"feed:{n}\",\"StandardStatus\":\"Active\",\"ListPrice\":{}}}",
                n * 977
            )
        })
        .collect();
    for _ in 0..2 {
        let bus = SqliteBus::open(dir.path(), &flow(), options()).unwrap();
        let mut keep = Seat::join_alone(&*bus, "keep");
        for text in &texts {
            keep.commit(unit(vec![output("last", 2, &[(text.as_str(), Some(text.as_str()))])]));
        }
        for text in &texts {
            assert_eq!(keep.state(2, text).as_ref(), Some(text));
        }
    }
    let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM dictionary"), 1);
    assert!(count("SELECT count(*) FROM latest WHERE codec > 1") > 250);
}

#[test]
fn one_process_holds_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    let refused = |result: Result<Arc<SqliteBus>, OpenError>| match result {
        Err(error @ OpenError::Held { .. }) => error.to_string(),
        _ => panic!("not refused"),
    };
    let words = refused(SqliteBus::open(dir.path(), &flow(), options()));
    assert!(words.contains(&format!("pid {}", std::process::id())), "{words}");
    refused(SqliteBus::open_read_only(dir.path(), &flow(), options()));
    fill(&bus);
    drop(bus);
    let reading = SqliteBus::open_read_only(dir.path(), &flow(), options()).unwrap();
    let another = SqliteBus::open_read_only(dir.path(), &flow(), options()).unwrap();
    refused(SqliteBus::open(dir.path(), &flow(), options()));
    assert_eq!(read_all(&*reading, "in", 0, ALL, 0).len(), 3);
    assert!(reading.join(flow().service("work").unwrap()).is_err());
    assert!(reading.append("x", Unit::default()).is_err());
    drop((reading, another));
    check(&open(dir.path()));
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let words = |flow: &Flow| match SqliteBus::open(dir.path(), flow, options()) {
        Err(error) => error.to_string(),
        Ok(_) => "opened".to_owned(),
    };
    assert!(SqliteBus::open_read_only(dir.path(), &flow(), options()).is_err());
    drop(open(dir.path()));
    let mut other = flow();
    other.topics[0].partitions = 5;
    assert!(words(&other).contains("`in` was made with 4 partitions"), "{}", words(&other));
    let mut other = flow();
    other.topics[1].retention = Retention::Compacted { tombstone_days: 1 };
    assert!(words(&other).contains("not compacted"), "{}", words(&other));
    let mut more = flow();
    more.topics.push(dataflow::TopicSpec { name: "new".to_owned(), ..more.topics[0].clone() });
    assert_eq!(words(&more), "opened", "topics may come");
    assert_eq!(words(&flow()), "opened", "and go");
    let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    db.execute("UPDATE meta SET value = 99 WHERE name = 'format'", []).unwrap();
    drop(db);
    assert!(words(&flow()).contains("use the newer conveyance"), "{}", words(&flow()));
}

#[test]
fn a_program_of_an_older_schema_refuses_what_a_newer_one_has_worked_on() {
    let dir = tempfile::tempdir().unwrap();
    let opened = |schema| {
        let options = || Options { schema, ..options() };
        let words = |result: Result<_, OpenError>| match result {
            Ok(bus) => {
                drop::<Arc<SqliteBus>>(bus);
                "opened".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let work = words(SqliteBus::open(dir.path(), &flow(), options()));
        let read = words(SqliteBus::open_read_only(dir.path(), &flow(), options()));
        assert_eq!(work, read);
        work
    };
    for (schema, expect) in [
        (1, "opened"),
        (3, "opened"),
        (2, "messages have schema 3, this program knows 2"),
        (3, "opened"),
        (4, "opened"),
        (3, "messages have schema 4"),
    ] {
        let words = opened(schema);
        assert!(words.contains(expect), "{schema}: {words}");
    }
}

#[test]
fn an_append_from_outside_is_durable_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    let made = bus
        .append(
            "tool",
            Unit {
                outputs: vec![
                    output("in", 1, &[("a", Some("1"))]),
                    output("out", 2, &[("a", None)]),
                ],
                tallies: vec![("n".to_owned(), 1)],
                ..Unit::default()
            },
        )
        .unwrap();
    let places: Vec<_> = made.iter().map(|p| (&*p.topic, p.partition, p.offset)).collect();
    assert_eq!(places, [("in", 1, 0), ("out", 2, 0)]);
    assert_eq!(bus.range("in", 1).unwrap().durable, 1);
    assert_eq!(bus.tallies("tool").unwrap(), [("n".to_owned(), 1)]);
    let made = bus.append("tool", unit(vec![output("in", 1, &[("a", Some("2"))])])).unwrap();
    assert_eq!(made[0].offset, 1);
}

#[test]
fn an_effect_is_given_only_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let never = Options { sync_idle_ms: 3_600_000, sync_busy_ms: 3_600_000, ..options() };
    let mut flow = flow();
    for service in flow.services.iter_mut().filter(|s| s.name == "work") {
        service.kind = dataflow::flow::Kind::Effect;
    }
    let bus = SqliteBus::open(dir.path(), &flow, never).unwrap();
    feed(&*bus, 0, &["1"]);
    let mut keep = Seat::join_alone(&*bus, "keep");
    keep.until_records(1);
    let mut effect = bus.join(flow.service("work").unwrap()).unwrap();
    let mut given = 0;
    let mut poll = || {
        for event in effect.poll(std::time::Duration::ZERO, 1_000).unwrap() {
            match event {
                Event::Assigned(a) => effect.restore(a).unwrap(),
                Event::Records { batch, .. } => given += batch.len(),
                _ => {}
            }
        }
        given
    };
    assert_eq!(
        [poll(), poll(), poll()],
        [0, 0, 0],
        "others read ahead of the sync, an effect does not"
    );
    bus.sync().unwrap();
    assert_eq!(poll(), 1);
}
