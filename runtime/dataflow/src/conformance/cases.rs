//! The cases: one promise each.

use std::time::Duration;

use super::{
    ALL, BYTES, PARTITIONS, POLLS_MAX, Seat, Seen, eventually, feed, output, read_all, read_until,
    seen, unit,
};
use crate::bus::{Bus, Outcome, Want};
use crate::source::LAG_MAX_WATCHED;
use crate::unit::{StateWrite, Unit};

fn values(records: &[Seen]) -> Vec<&str> {
    records.iter().filter_map(|(_, _, value)| value.as_deref()).collect()
}

fn write(partition: u16, key: &str, value: Option<&str>) -> StateWrite {
    StateWrite { partition, key: key.into(), value: value.map(|v| v.as_bytes().into()) }
}

pub(super) fn a_unit_commits_whole(bus: &dyn Bus) {
    let mut feed = Seat::join(bus, "feed");
    for n in 1..=2i64 {
        feed.commit(Unit {
            outputs: vec![
                output("in", 0, &[("a", Some("1")), ("b", None)]),
                output("in", 2, &[("c", Some("3"))]),
            ],
            state: vec![write(0, "place", Some("x"))],
            tallies: vec![("rows".to_owned(), n), ("bad".to_owned(), 1)],
            ..Unit::default()
        });
    }
    let a = ("a".to_owned(), Some("1".to_owned()));
    let b = ("b".to_owned(), None);
    let got: Vec<_> =
        read_until(bus, "in", 0, ALL, 4).into_iter().map(|(_, k, v)| (k, v)).collect();
    assert_eq!(got, [a.clone(), b.clone(), a, b]);
    assert_eq!(values(&read_until(bus, "in", 2, ALL, 2)), ["3", "3"]);
    assert_eq!(read_all(bus, "in", 1, ALL, 0), []);
    assert_eq!(feed.state(0, "place").as_deref(), Some("x"));
    let wanted = [("bad".to_owned(), 2), ("rows".to_owned(), 3)];
    eventually(bus, "the sums", || {
        let mut tallies = bus.tallies("feed").unwrap();
        tallies.sort();
        tallies == wanted
    });
    assert_eq!(bus.tallies("work").unwrap(), []);
    let batches = bus.read("in", 0, 0, ALL).unwrap();
    let record = batches[0].get(0).unwrap();
    assert_eq!((record.meta.id, record.meta.kind, record.header("h")), (1, "k", Some(&b"x"[..])));
}

pub(super) fn records_keep_their_order(bus: &dyn Bus) {
    let mut feed = Seat::join(bus, "feed");
    let all: Vec<String> = (0..60).map(|n| format!("{n:03}")).collect();
    for (n, chunk) in all.chunks(7).enumerate() {
        let pairs: Vec<_> = chunk.iter().map(|v| (v.as_str(), Some(v.as_str()))).collect();
        let other = format!("other {n}");
        feed.commit(unit(vec![
            output("in", 1, &pairs),
            output("in", 3, &[("k", Some(other.as_str()))]),
        ]));
    }
    let records = read_until(bus, "in", 1, ALL, all.len());
    assert_eq!(values(&records), all);
    let others = all.len().div_ceil(7);
    assert_eq!(read_until(bus, "in", 3, ALL, others).len(), others);
    assert!(records.is_sorted_by(|a, b| a.0 < b.0), "offsets rise");
    let batches = bus.read("in", 1, 0, ALL).unwrap();
    let stands = batches.last().unwrap().next_offset();
    assert_eq!(stands, bus.range("in", 1).unwrap().end, "who has read all stands at the end");
    for at in [0, 1, 6, 7, 33, 59] {
        let from = records[at].0;
        for bytes_max in [1, 100, BYTES] {
            let want = Want { bytes_max, durable: false };
            assert_eq!(read_all(bus, "in", 1, want, from), records[at..], "from {from}");
        }
    }
    assert_eq!(read_all(bus, "in", 1, ALL, bus.range("in", 1).unwrap().end), []);
}

pub(super) fn outcomes_come_in_order(bus: &dyn Bus) {
    let mut feed = Seat::join(bus, "feed");
    let ids: Vec<u64> = ["1", "2", "3", "4"]
        .map(|v| feed.submit(unit(vec![output("in", 0, &[("k", Some(v))])])))
        .to_vec();
    feed.until("outcomes", |s| s.outcomes.len() == ids.len());
    let wanted: Vec<_> = ids.into_iter().map(|id| (id, Outcome::Committed)).collect();
    assert_eq!(feed.outcomes, wanted);
    assert_eq!(values(&read_until(bus, "in", 0, ALL, 4)), ["1", "2", "3", "4"]);
}

pub(super) fn a_rewind_gives_again(bus: &dyn Bus) {
    feed(bus, 0, &["1", "2", "3", "4", "5"]);
    let mut work = Seat::join_alone(bus, "work");
    work.until_records(5);
    work.commit(Unit { progress: vec![work.progress(0, 2)], ..Unit::default() });
    work.rewind();
    work.until_records(3);
    assert_eq!(work.values(0), ["3", "4", "5"]);
    work.rewind();
    feed(bus, 0, &["6"]);
    work.until_records(4);
    assert_eq!(work.values(0), ["3", "4", "5", "6"]);
    // What is handed in after a rewind goes on from what is committed.
    work.commit(Unit { progress: vec![work.progress(0, 4)], ..Unit::default() });
    work.rewind();
    feed(bus, 0, &["7"]);
    work.until_records(1);
    assert_eq!(work.values(0), ["7"]);
}

pub(super) fn a_dropped_member_loses_nothing(bus: &dyn Bus) {
    feed(bus, 2, &["1", "2", "3"]);
    let mut first = Seat::join_alone(bus, "work");
    first.until_records(3);
    first.commit(Unit { progress: vec![first.progress(2, 1)], ..Unit::default() });
    drop(first);
    let mut second = Seat::join_alone(bus, "work");
    second.until_records(2);
    assert_eq!(second.values(2), ["2", "3"]);
}

pub(super) fn stale_work_is_refused(bus: &dyn Bus) {
    feed(bus, 0, &["1", "2"]);
    let mut work = Seat::join_alone(bus, "work");
    work.until_records(2);
    let mut stale = work.progress(0, 1);
    stale.epoch += 1_000_000;
    let refused = Unit {
        progress: vec![stale],
        outputs: vec![output("out", 0, &[("k", Some("never"))])],
        state: vec![write(0, "k", Some("never"))],
        tallies: vec![("n".to_owned(), 1)],
        ..Unit::default()
    };
    assert_eq!(work.outcome(refused), Outcome::Aborted);
    let after = Unit { progress: vec![work.progress(0, 1)], ..Unit::default() };
    assert_eq!(work.outcome(after), Outcome::Aborted, "until a rewind");
    work.rewind();
    assert_eq!(read_all(bus, "out", 0, ALL, 0), []);
    assert_eq!(work.state(0, "k"), None);
    assert_eq!(bus.tallies("work").unwrap(), []);
    work.until_records(2);
    work.commit(Unit {
        progress: vec![work.progress(0, 2)],
        outputs: vec![output("out", 0, &[("k", Some("once"))])],
        ..Unit::default()
    });
    assert_eq!(values(&read_until(bus, "out", 0, ALL, 1)), ["once"]);
}

pub(super) fn work_done_twice_counts_once(bus: &dyn Bus) {
    feed(bus, 0, &["1", "2"]);
    let mut work = Seat::join_alone(bus, "work");
    work.until_records(2);
    let all = |seat: &Seat| Unit {
        progress: vec![seat.progress(0, 2)],
        outputs: vec![output("out", 0, &[("k", Some("once"))])],
        ..Unit::default()
    };
    // The outcome is not waited for: whatever became of it, the rewind knows.
    let unit = all(&work);
    work.submit(unit);
    work.rewind();
    work.outcomes.clear();
    feed(bus, 0, &["3"]);
    work.until("the last record", |s| s.values(0).last().is_some_and(|v| v == "3"));
    if work.values(0) == ["1", "2", "3"] {
        let unit = all(&work);
        work.commit(unit);
    } else {
        assert_eq!(work.values(0), ["3"]);
    }
    assert_eq!(values(&read_until(bus, "out", 0, ALL, 1)), ["once"]);
}

pub(super) fn own_state_is_committed(bus: &dyn Bus) {
    let mut feed = Seat::join(bus, "feed");
    assert_eq!(feed.state(0, "a"), None);
    let keys = ["a", "b1", "b2", "b3", "c"];
    let state = keys.map(|key| write(0, key, Some(key))).to_vec();
    feed.commit(Unit { state, ..Unit::default() });
    feed.commit(Unit {
        state: vec![write(0, "a", Some("again")), write(0, "c", None)],
        ..Unit::default()
    });
    assert_eq!(feed.state(0, "a").as_deref(), Some("again"));
    assert_eq!(feed.state(0, "c"), None);
    assert_eq!(feed.state(1, "a"), None, "a partition has keys of its own");
    for (prefix, after, limit, wanted) in [
        ("b", "", 9, &["b1", "b2", "b3"][..]),
        ("b", "b1", 1, &["b2"]),
        ("", "b1", 9, &["b2", "b3"]),
        ("x", "", 9, &[]),
    ] {
        let found = feed.member.state_range(0, prefix.as_bytes(), after.as_bytes(), limit).unwrap();
        let keys: Vec<_> = found.iter().map(|(k, _)| String::from_utf8_lossy(k)).collect();
        assert_eq!(keys, wanted, "{prefix} after {after}");
    }
    let mut work = Seat::join_alone(bus, "work");
    assert_eq!(work.state(0, "a"), None, "a service has keys of its own");
}

pub(super) fn backed_state_is_the_last_record(bus: &dyn Bus) {
    feed(bus, 1, &["1", "2", "3"]);
    let mut keep = Seat::join_alone(bus, "keep");
    keep.until_records(3);
    assert_eq!(keep.state(1, "k"), None);
    for (count, value) in [(1, "one"), (2, "two")] {
        keep.commit(Unit {
            progress: vec![keep.progress(1, count)],
            outputs: vec![output("last", 1, &[("k", Some("not yet")), ("k", Some(value))])],
            ..Unit::default()
        });
        assert_eq!(keep.state(1, "k").as_deref(), Some(value));
    }
    assert_eq!(keep.state(0, "k"), None, "a partition has keys of its own");
    drop(keep);
    assert_eq!(Seat::join_alone(bus, "keep").state(1, "k").as_deref(), Some("two"));
}

pub(super) fn rows_of_every_service(bus: &dyn Bus) {
    feed(bus, 1, &["1", "2"]);
    let mut keep = Seat::join_alone(bus, "keep");
    keep.until_records(2);
    keep.commit(Unit {
        progress: vec![keep.progress(1, 1)],
        outputs: vec![output("last", 1, &[("k", Some("state"))])],
        state: vec![write(1, "\0x\0k", Some("row")), write(1, "\0x\0gone", Some("row"))],
        ..Unit::default()
    });
    keep.commit(Unit {
        progress: vec![keep.progress(1, 2)],
        state: vec![write(1, "\0x\0gone", None)],
        ..Unit::default()
    });
    drop(keep);
    let mut keep = Seat::join_alone(bus, "keep");
    let found = keep.member.state_range(1, b"\0x\0", b"", 9).unwrap();
    let found: Vec<_> = found.iter().map(|(key, value)| (key.as_slice(), &**value)).collect();
    assert_eq!(found, [(&b"\0x\0k"[..], &b"row"[..])]);
    assert_eq!(keep.state(1, "k").as_deref(), Some("state"));
}

pub(super) fn a_tombstone_is_the_last_word(bus: &dyn Bus) {
    feed(bus, 0, &["1"]);
    let mut keep = Seat::join_alone(bus, "keep");
    keep.commit(unit(vec![output("last", 0, &[("a", Some("1")), ("b", Some("1"))])]));
    keep.commit(unit(vec![output("last", 0, &[("a", None)])]));
    assert_eq!(keep.state(0, "a"), None);
    let latest = |key: &str| {
        let batch = bus.latest("last", 0, key.as_bytes()).unwrap();
        batch.map(|b| seen(&[b], 0).remove(0)).map(|(offset, _, value)| (offset, value))
    };
    eventually(bus, "the tombstone", || latest("a").is_some_and(|(_, value)| value.is_none()));
    let (offset, _) = latest("a").unwrap();
    assert_eq!(latest("b").unwrap().1.as_deref(), Some("1"));
    assert_eq!(latest("c"), None);
    let records = read_all(bus, "last", 0, ALL, 0);
    assert!(records.is_sorted_by(|a, b| a.0 < b.0), "offsets rise");
    assert_eq!(records.last().unwrap(), &(offset, "a".to_owned(), None));
    keep.commit(unit(vec![output("last", 0, &[("a", Some("2"))])]));
    let again = Some("2".to_owned());
    eventually(bus, "the next value", || latest("a").is_some_and(|(_, value)| value == again));
    assert!(latest("a").unwrap().0 > offset);
}

pub(super) fn two_members_share_and_hand_over(bus: &dyn Bus) {
    (0..PARTITIONS).for_each(|p| feed(bus, p, &["1", "2"]));
    let mut one = Seat::join_alone(bus, "work");
    one.until_records(8);
    let mut two = Seat::join(bus, "work");
    for _ in 0..POLLS_MAX {
        if !one.revoked.is_empty() {
            break;
        }
        one.poll();
        two.poll();
    }
    let moving = one.revoked.clone();
    assert!(!moving.is_empty() && moving.len() < usize::from(PARTITIONS), "{moving:?}");
    assert!(
        moving.iter().all(|a| !two.owned.contains_key(&a.partition)),
        "not before it is released"
    );
    // Until it is released, a partition is still its owner's.
    let p = moving[0].partition;
    one.commit(Unit { progress: vec![one.progress(p, 1)], ..Unit::default() });
    let zombie = one.progress(p, 2);
    for a in moving.clone() {
        one.owned.remove(&a.partition);
        one.member.release(a).unwrap();
    }
    for _ in 0..POLLS_MAX {
        if moving.iter().all(|a| two.owned.contains_key(&a.partition)) && !two.values(p).is_empty()
        {
            break;
        }
        one.poll();
        two.poll();
    }
    assert_eq!(two.values(p), ["2"], "goes on where the other committed");
    assert!(two.owned[&p].epoch > moving[0].epoch, "every assignment has a greater epoch");
    assert!(one.owned.keys().all(|p| !two.owned.contains_key(p)), "owned once");
    assert_eq!(one.owned.len() + two.owned.len(), usize::from(PARTITIONS));
    let outputs = vec![output("out", p, &[("k", Some("zombie"))])];
    assert_eq!(
        one.outcome(Unit { progress: vec![zombie], outputs, ..Unit::default() }),
        Outcome::Aborted
    );
    two.commit(Unit { progress: vec![two.progress(p, 1)], ..Unit::default() });
    drop(one);
    two.until("all partitions", |s| s.owned.len() == usize::from(PARTITIONS));
    assert_eq!(read_all(bus, "out", p, ALL, 0), []);
}

pub(super) fn durable_follows_end(bus: &dyn Bus) {
    let mut feed = Seat::join(bus, "feed");
    let durable = Want { bytes_max: BYTES, durable: true };
    for n in 0..20 {
        let text = n.to_string();
        feed.commit(unit(vec![output("in", 0, &[("k", Some(text.as_str()))])]));
        let safe = read_all(bus, "in", 0, durable, 0);
        let range = bus.range("in", 0).unwrap();
        assert!(range.start <= range.durable && range.durable <= range.end, "{range:?}");
        assert!(safe.iter().all(|(offset, ..)| *offset < range.durable), "{range:?}");
    }
    assert_eq!(read_until(bus, "in", 0, durable, 20).len(), 20, "all becomes durable");
}

pub(super) fn backlog_counts(bus: &dyn Bus) {
    feed(bus, 3, &["1", "2", "3", "4", "5", "6", "7"]);
    let of = |service: &str| {
        let all = bus.backlog().unwrap();
        all.into_iter()
            .find(|b| (b.service.as_str(), b.topic.as_str(), b.partition) == (service, "in", 3))
            .unwrap()
    };
    let mut work = Seat::join_alone(bus, "work");
    work.until_records(7);
    let progress = work.progress(3, 3);
    let next = progress.next;
    work.commit(Unit { progress: vec![progress], ..Unit::default() });
    assert_eq!((of("work").next, of("work").records), (next, 4));
    assert_eq!(of("keep").records, 7);
    let oldest = of("work").oldest_ms.expect("something is not done");
    let services = ["work".to_owned()];
    let lag = bus.lag(&services);
    assert!(lag.oldest_ms.is_some_and(|ms| ms <= oldest), "never too young: {lag:?}");
    assert!(lag.records >= 4, "{lag:?}");
    work.commit(Unit { progress: vec![work.progress(3, 7)], ..Unit::default() });
    assert_eq!((of("work").records, of("work").oldest_ms), (0, None));
    // Not none: a bus may count what is no record, as long as a source that waits for fewer goes on.
    let lag = bus.lag(&services);
    assert!(lag.oldest_ms.is_none() && lag.records < LAG_MAX_WATCHED, "{lag:?}");
    let both = bus.lag(&["keep".to_owned(), "work".to_owned()]);
    assert!(both.oldest_ms.is_some_and(|ms| ms <= oldest) && both.records >= 7, "{both:?}");
}

pub(super) fn waiting_ends(bus: &dyn Bus) {
    let seen = bus.wait(0, Duration::ZERO);
    feed(bus, 0, &["1"]);
    assert_ne!(bus.wait(seen, Duration::from_secs(60)), seen);
}

pub(super) fn an_unknown_topic_is_an_error(bus: &dyn Bus) {
    assert!(bus.range("nothing", 0).is_err());
    assert!(bus.range("in", PARTITIONS).is_err());
    assert!(bus.read("nothing", 0, 0, ALL).is_err());
    assert!(bus.latest("nothing", 0, b"k").is_err());
}

pub(super) fn an_append_is_durable(bus: &dyn Bus) {
    for (n, sofar) in [("1", 2), ("2", 4)] {
        let positions = bus
            .append("tool", unit(vec![output("in", 1, &[("a", Some(n)), ("b", None)])]))
            .unwrap();
        assert_eq!(positions.len(), 1);
        let at = &positions[0];
        assert_eq!((&*at.topic, at.partition), ("in", 1));
        let durable = Want { bytes_max: BYTES, durable: true };
        let read: Vec<_> = read_until(bus, "in", 1, durable, sofar)
            .into_iter()
            .filter(|(offset, ..)| *offset >= at.offset)
            .collect();
        assert_eq!(read[0], (at.offset, "a".to_owned(), Some(n.to_owned())));
        assert_eq!(read.len(), 2);
    }
    let mut work = Seat::join_alone(bus, "work");
    work.until_records(4);
}
