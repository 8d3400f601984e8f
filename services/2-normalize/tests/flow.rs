//! The service inside the runtime: what is emitted, under which kind and key, and what becomes a dead letter.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "functions that only tests call, which may fail loudly"
)]

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::dead;
use dataflow::flow::{Form, Kind, Retention, State};
use dataflow::memory::MemoryBus;
use dataflow::testflow::{Given, seen, transformed};
use dataflow::{Flow, ServiceSpec, TopicSpec};
use geography::{Boundaries, PostalCodes};
use mapping::Pack;
use messages::raw::{Origin, write_delete, write_object};
use messages::topics::{LISTING_CHANGES, LISTING_RAW};
use normalize::{BAD_RAW, Normalize, Places, UNKNOWN_FEED};

const PACK: &str = r#"
name = "rolls"
[source]
format = "jsonl"
key = "{ROLL}"
[constants]
City = "Oldtown"
StateOrProvince = "AB"
[fields]
ListPrice = { column = "PRICE", required = true }
"#;

const AS_OF: &str = "2022-01-01T00:00:00.000Z";

fn flow() -> Flow {
    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: 4,
        retention: Retention::Days(7),
    };
    let service = ServiceSpec {
        name: "normalize".to_owned(),
        kind: Kind::Transform,
        reads: vec![(LISTING_RAW.to_owned(), Form::Keyed)],
        writes: vec![LISTING_CHANGES.to_owned()],
        state: State::None,
        does: String::new(),
    };
    Flow::new(vec![topic(LISTING_RAW), topic(LISTING_CHANGES)], vec![service]).unwrap()
}

fn given(key: &str, feed: &str, value: Vec<u8>) -> Given {
    Given {
        topic: LISTING_RAW.to_owned(),
        key: key.to_owned(),
        source: feed.to_owned(),
        kind: "listing.raw.row".to_owned(),
        value,
    }
}

fn upsert(row: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_object(&mut out, &Origin { as_of: AS_OF, seq: 7, file: "f.jsonl" }, 3, row.as_bytes());
    out
}

fn delete(reason: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_delete(&mut out, &Origin { as_of: AS_OF, seq: 8, file: "f.jsonl" }, reason);
    out
}

fn run(all: &[Given]) -> MemoryBus {
    let packs = Arc::new(HashMap::from([("rolls".to_owned(), Pack::parse(PACK).unwrap())]));
    let places = Places::new(PostalCodes::read([]).unwrap(), Boundaries::built_in());
    let make = move || Box::new(Normalize::new(Arc::clone(&packs), places.clone())) as _;
    transformed(&flow(), "normalize", Arc::new(make), all)
}

#[test]
fn rows_become_observations_and_absences_deletes() {
    let bus = run(&[
        given("rolls:1", "rolls", upsert(r#"{"ROLL":"1","PRICE":"$1,000"}"#)),
        given("rolls:1", "rolls", delete("absent from the full snapshot")),
        given("rolls:2", "rolls", upsert(r#"{"ROLL":"2","PRICE":2.5}"#)),
    ]);
    let changes = seen(&bus, LISTING_CHANGES);
    let keys: Vec<_> = changes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["rolls:1", "rolls:2"]);
    let [observed, absent] = changes["rolls:1"].as_slice() else {
        panic!("two changes: {changes:?}")
    };
    assert_eq!(
        (observed.kind.as_str(), absent.kind.as_str()),
        ("listing.observed", "listing.absent")
    );
    assert_eq!((observed.source.as_str(), absent.source.as_str()), ("rolls", "rolls"));
    assert_ne!(observed.id, absent.id);
    let value: serde_json::Value =
        serde_json::from_str(observed.value.as_deref().unwrap()).unwrap();
    assert_eq!(value["op"], "observe");
    assert_eq!((value["asOf"].as_str(), value["seq"].as_u64()), (Some(AS_OF), Some(7)));
    assert_eq!((value["pack"].as_str(), value["revision"].as_u64()), (Some("rolls"), Some(1)));
    assert_eq!(value["listing"]["ListPrice"], 1000);
    let value: serde_json::Value = serde_json::from_str(absent.value.as_deref().unwrap()).unwrap();
    assert_eq!(value["op"], "delete");
    assert_eq!(value["reason"], "absent from the full snapshot");
}

#[test]
fn what_cannot_be_used_becomes_a_dead_letter_and_the_rest_goes_on() {
    let good = || given("rolls:9", "rolls", upsert(r#"{"ROLL":"9","PRICE":"9"}"#));
    for (bad, code, says) in [
        (given("other:1", "other", upsert(r#"{"ROLL":"1"}"#)), UNKNOWN_FEED, "feed `other`"),
        (given("rolls:1", "rolls", b"{".to_vec()), BAD_RAW, ""),
        (given("rolls:1", "rolls", upsert(r#"{"ROLL":"1"}"#)), "missing_value", "f.jsonl:3: "),
        (
            given("rolls:1", "rolls", upsert(r#"{"ROLL":"1","PRICE":"x"}"#)),
            "unreadable_number",
            "`PRICE`",
        ),
    ] {
        let key = bad.key.clone();
        let bus = run(&[bad, good()]);
        let changes = seen(&bus, LISTING_CHANGES);
        assert_eq!(changes.keys().collect::<Vec<_>>(), ["rolls:9"], "{code}");
        let mut letters = Vec::new();
        bus.each_record("normalize.dead-letters", |_, record| {
            let header = |name| {
                let value = record.header(name).unwrap_or_default();
                String::from_utf8_lossy(value).into_owned()
            };
            letters.push((record.key.to_vec(), header(dead::CODE), header(dead::MESSAGE)));
        });
        assert_eq!(letters.len(), 1, "{code}");
        assert_eq!((letters[0].0.as_slice(), letters[0].1.as_str()), (key.as_bytes(), code));
        assert!(letters[0].2.contains(says), "{}", letters[0].2);
    }
}
