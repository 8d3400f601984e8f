//! The service inside the runtime: topics, kinds, counters, bad messages, and faults.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails must panic"
)]

#[path = "support/history.rs"]
mod history;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::batch::{Meta, NewRecord};
use dataflow::bus::Bus;
use dataflow::flow::{Form, Kind, Retention, State, partition_of};
use dataflow::memory::MemoryBus;
use dataflow::testflow::{FaultPlan, Given, Seen, TestFlow, seen, transformed};
use dataflow::{Flow, ServiceSpec, TopicSpec};
use history::{command, delete, observe};
use messages::topics::{
    COMMAND_RESULTS, LISTING_CHANGES, LISTING_CURRENT, LISTING_EVENTS, MEDIA_WANTED,
};
use track::Track;

const OUTPUTS: [&str; 4] = [LISTING_EVENTS, MEDIA_WANTED, COMMAND_RESULTS, LISTING_CURRENT];

fn flow() -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: 4,
        retention,
    };
    let service = ServiceSpec {
        name: "track".to_owned(),
        kind: Kind::Transform,
        reads: vec![(LISTING_CHANGES.to_owned(), Form::Keyed)],
        writes: OUTPUTS.map(str::to_owned).to_vec(),
        state: State::BackedBy(LISTING_CURRENT.to_owned()),
        does: String::new(),
    };
    let topics = vec![
        topic(LISTING_CHANGES, Retention::Days(7)),
        topic(LISTING_EVENTS, Retention::Days(7)),
        topic(MEDIA_WANTED, Retention::Days(7)),
        topic(COMMAND_RESULTS, Retention::Days(7)),
        topic(LISTING_CURRENT, Retention::Compacted { tombstone_days: 7 }),
    ];
    Flow::new(topics, vec![service]).unwrap()
}

fn given(key: &str, source: &str, value: Vec<u8>) -> Given {
    Given {
        topic: LISTING_CHANGES.to_owned(),
        key: key.to_owned(),
        source: source.to_owned(),
        kind: "listing.observed".to_owned(),
        value,
    }
}

/// Three snapshots of some listings, the middle one late and the last one twice, with commands between.
fn day_in_the_life() -> Vec<Given> {
    let mut all = Vec::new();
    for (day, price) in [(1, 100), (3, 120), (2, 110), (3, 120)] {
        for n in 0..25u64 {
            let key = format!("calgary:{n}");
            let value = match n % 5 {
                0 if day == 3 => delete(day, n),
                1 => observe(day, n, None, 1, "{\"City\":\"Calgary\",\"ListPrice\":100}"),
                _ => {
                    let listing = format!("{{\"ListPrice\":{price},\"PhotosCount\":{}}}", n % 3);
                    observe(day, n, None, 1, &listing)
                }
            };
            all.push(given(&key, "calgary", value));
            if n % 4 == 0 {
                let set = format!("{{\"ListPrice\":{n}}}");
                all.push(given(&key, "anna", command(&format!("c{day}-{n}"), 1, "edit", &set)));
            }
        }
    }
    all
}

#[test]
fn what_comes_out_has_kinds_keys_and_distinct_ids() {
    let bus = transformed(&flow(), "track", Arc::new(|| Box::new(Track)), &day_in_the_life());
    let mut ids = std::collections::BTreeSet::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for topic in OUTPUTS {
        for record in seen(&bus, topic).into_values().flatten() {
            *kinds.entry(record.kind.clone()).or_default() += 1;
            // A duplicate command is answered with the same words, so with the same id.
            let is_new = ids.insert(record.id);
            assert!(is_new || record.kind == "command.result", "{record:?}");
        }
    }
    let names: Vec<_> = kinds.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "command.result",
            "listing.current",
            "listing.event.added",
            "listing.event.deleted",
            "listing.event.price",
            "media.wanted",
        ]
    );
    assert_eq!(kinds["listing.event.added"], 25);
    assert_eq!(kinds["listing.event.deleted"], 5);
}

fn append(bus: &MemoryBus, given: &Given, schema: u16) {
    let key = given.key.as_bytes();
    let meta = Meta {
        id: 1,
        trace: 1,
        kind: &given.kind,
        source: &given.source,
        time_ms: 1_700_000_000_000,
        schema,
        origin: 0,
    };
    let record = NewRecord { key, value: Some(&given.value), meta, headers: &[] };
    bus.append_record(&given.topic, partition_of(key, 4), record);
}

fn outputs(bus: &MemoryBus) -> Vec<BTreeMap<String, Vec<Seen>>> {
    OUTPUTS.iter().map(|topic| seen(bus, topic)).collect()
}

/// Crashes, fencing, unknown commits and power cuts leave the same messages as a run without them.
#[test]
fn faults_change_nothing() {
    let said = day_in_the_life();
    let run = |seed, plan, disturbed| {
        let mut test =
            TestFlow::new(&flow(), seed, plan).transform("track", 2, Arc::new(|| Box::new(Track)));
        for given in &said {
            append(&test.bus, given, 1);
        }
        test.bus.sync();
        test.run(disturbed).unwrap();
        (outputs(&test.bus), test.bus.tallies("track").unwrap())
    };
    let calm = run(1, FaultPlan::default(), 0);
    for seed in 0..20 {
        assert_eq!(run(seed, FaultPlan::everything(), 400), calm, "seed {seed}");
    }
}

#[test]
fn bad_messages_become_dead_letters_and_the_next_is_handled() {
    let good = |n: u64| observe(1, n, None, 1, "{\"City\":\"a\"}");
    let nested = format!("{{\"City\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut all = vec![given("a:1", "a", good(1))];
    for value in [
        b"not json".to_vec(),
        b"{}".to_vec(),
        observe(2, 1, None, 1, "{\"B\":1,\"A\":2}"),
        observe(2, 1, None, 1, "[]"),
        observe(2, 1, None, 1, &nested),
    ] {
        all.push(given("a:1", "a", value));
    }
    all.push(given("a:1", "a", observe(3, 1, None, 1, "{\"City\":\"b\"}")));
    let bus = transformed(&flow(), "track", Arc::new(|| Box::new(Track)), &all);
    let dead = seen(&bus, "track.dead-letters");
    assert_eq!(dead.values().map(Vec::len).sum::<usize>(), 5);
    let kinds: Vec<_> =
        seen(&bus, LISTING_EVENTS)["a:1"].iter().map(|record| record.kind.clone()).collect();
    assert_eq!(kinds, ["listing.event.added", "listing.event.fields"]);
}

#[test]
fn a_change_of_a_newer_schema_is_held_and_not_buried() {
    let mut test = TestFlow::new(&flow(), 1, FaultPlan::default()).transform(
        "track",
        1,
        Arc::new(|| Box::new(Track)),
    );
    append(&test.bus, &given("a:1", "a", observe(1, 1, None, 1, "{\"City\":\"a\"}")), 2);
    let rest = test.run(0);
    assert!(outputs(&test.bus).iter().all(BTreeMap::is_empty));
    assert!(seen(&test.bus, "track.dead-letters").is_empty());
    let conditions = format!("{rest:?} {:?}", test.board.conditions());
    assert!(conditions.contains("schema 2"), "{conditions}");
    assert!(test.board.holds(), "a load would wait for ever");
}

#[test]
fn each_row_is_counted_once() {
    let mut all = day_in_the_life();
    all.push(given("calgary:1", "calgary", b"bad".to_vec()));
    all.push(given("calgary:1", "calgary", observe(3, 1, None, 2, "{\"City\":\"CALGARY\"}")));
    let bus = transformed(&flow(), "track", Arc::new(|| Box::new(Track)), &all);
    let tallies: BTreeMap<String, i64> = bus.tallies("track").unwrap().into_iter().collect();
    let of = |name: &str| tallies.get(name).copied().unwrap_or(0);
    let observed = all.iter().filter(|g| g.value.starts_with(b"{\"op\":\"observe\"")).count();
    // One of the observations came from a replay, and one row is bad.
    let rows = i64::try_from(observed).unwrap() - 1 + 1;
    let (sent, unchanged) = (of("sent:calgary"), of("unchanged:calgary"));
    assert_eq!(sent + unchanged + of("dead_letters:calgary"), rows, "{tallies:?}");
    assert_eq!(of("stale:calgary"), 25);
    assert_eq!(of("deleted:calgary"), 5);
    assert_eq!(of("deletes_unchanged:calgary"), 5);
    assert_eq!(of("replayed:calgary"), 1);
    assert_eq!(of("event:corrected"), 1);
    assert_eq!(of("event:added"), 25);
    let told = ["accepted", "refused", "duplicate"].map(|name| of(&format!("command:{name}")));
    let commands = all.iter().filter(|g| g.source == "anna").count();
    assert_eq!(told.iter().sum::<i64>(), i64::try_from(commands).unwrap(), "{tallies:?}");
}
