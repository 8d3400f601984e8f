//! The observer on a bus in memory: what went in is what it tells.
#![allow(clippy::float_cmp, reason = "rates are rounded")]

use dataflow::batch::{Meta, NewRecord};
use dataflow::bus::Bus;
use dataflow::memory::{Faults, MemoryBus};
use dataflow::unit::Unit;
use dataflow::{Board, dead};
use ingest::Confirmations;
use messages::topics::{LISTING_CHANGES, LISTING_RAW};

use super::*;
use crate::flow::{NORMALIZE, table};

struct World {
    bus: Arc<MemoryBus>,
    observer: Observer,
    board: Board,
    now_ms: i64,
}

impl World {
    fn new() -> Self {
        let flow = Arc::new(table());
        let bus = Arc::new(MemoryBus::new(&flow, 1, Faults::default()));
        let board = Board::default();
        let tools = Tools {
            bus: Arc::<MemoryBus>::clone(&bus),
            flow,
            dir: std::path::PathBuf::new(),
            board: board.clone(),
            confirmations: Confirmations::default(),
        };
        let instances = BTreeMap::from([(NORMALIZE.to_owned(), 2)]);
        let observer = Observer::new(tools, Freshness::default(), instances);
        Self { bus, observer, board, now_ms: 1_000_000 }
    }

    fn put(&self, topic: &str, partition: u16, code: Option<&str>) {
        let meta =
            Meta { id: 1, trace: 1, kind: "k", source: "s", time_ms: 1, schema: 1, origin: 0 };
        let headers: Vec<(&str, &[u8])> =
            code.iter().map(|code| (dead::CODE, code.as_bytes())).collect();
        let record = NewRecord { key: b"k", value: Some(b"v"), meta, headers: &headers };
        self.bus.append_record(topic, partition, record);
    }

    fn look(&mut self) -> Arc<FlowState> {
        self.now_ms += 1000;
        self.observer.look(self.now_ms).unwrap();
        self.observer.seen().last()
    }
}

#[test]
fn topics_and_edges_tell_rates_and_what_is_undone() {
    let mut world = World::new();
    world.look();
    for partition in 0..3 {
        world.put(LISTING_RAW, partition, None);
        world.put(LISTING_RAW, partition, None);
    }
    let state = world.look();
    let topic = state.topics.iter().find(|t| t.name == LISTING_RAW).unwrap();
    assert_eq!((topic.records, topic.appended, topic.rate_per_s), (6, 6, 6.0));
    assert_eq!(state.history.topics[LISTING_RAW][57..], [0, 0, 6]);
    let edge = |service: &str, topic: &str, direction| {
        let all = state.edges.iter();
        let mut all =
            all.filter(|e| (&*e.service, &*e.topic, e.direction) == (service, topic, direction));
        all.next().unwrap_or_else(|| panic!("no edge {service} {topic}")).clone()
    };
    let read = edge(NORMALIZE, LISTING_RAW, Direction::Read);
    assert_eq!((read.lag, read.rate_per_s), (Some(6), 0.0));
    assert!(read.oldest_ms.is_some());
    let write = edge("ingest", LISTING_RAW, Direction::Write);
    assert_eq!((write.lag, write.oldest_ms, write.rate_per_s), (None, None, 6.0));
    assert_eq!(edge(NORMALIZE, LISTING_CHANGES, Direction::Write).rate_per_s, 0.0);
    let undone: u64 =
        state.undone.iter().filter(|u| u.service == NORMALIZE).map(|u| u.records).sum();
    assert_eq!(undone, 6);
    let instances: Vec<_> = state.services.iter().map(|s| (s.kind, s.instances)).collect();
    assert_eq!(
        instances,
        [("source", None), ("transform", Some(2)), ("transform", None), ("view", None)]
    );
}

#[test]
fn dead_letters_are_counted_until_they_are_sent_back() {
    let mut world = World::new();
    for code in ["no_key", "no_key", "bad_price"] {
        world.put("normalize.dead-letters", 2, Some(code));
    }
    world.put("ingest.dead-letters", 0, Some("bad_row"));
    let counts = |state: &FlowState, name: &str| {
        let service = state.services.iter().find(|s| s.name == name).unwrap();
        let reasons: Vec<_> =
            service.dead_letter_reasons.iter().map(|(code, n)| format!("{code} {n}")).collect();
        (service.dead_letters, reasons.join(", "))
    };
    let state = world.look();
    assert_eq!(counts(&state, NORMALIZE), (3, "bad_price 1, no_key 2".into()));
    assert_eq!(counts(&state, "ingest"), (1, "bad_row 1".into()));
    assert_eq!(counts(&state, "track"), (0, String::new()));

    let marks = vec![("normalize/2/1".to_owned(), 1)];
    world.bus.append(crate::tools::MARKS, Unit { tallies: marks, ..Unit::default() }).unwrap();
    world.put("normalize.dead-letters", 0, Some("no_key"));
    let state = (0..5).map(|_| world.look()).last().unwrap();
    assert_eq!(counts(&state, NORMALIZE), (3, "bad_price 1, no_key 2".into()));
}

#[test]
fn many_reasons_are_counted_together() {
    let mut world = World::new();
    for n in 0..100 {
        world.put("track.dead-letters", 0, Some(&format!("code {n}")));
    }
    let state = world.look();
    let track = state.services.iter().find(|s| s.name == "track").unwrap();
    assert_eq!((track.dead_letters, track.dead_letter_reasons.len()), (100, 65));
    assert_eq!(track.dead_letter_reasons["other"], 36);
}

#[test]
fn a_held_partition_is_told_at_its_service() {
    let mut world = World::new();
    world.board.set("normalize listing.raw/3", "held at offset 7: install the newer version");
    world.board.set("normalizer", "is another place");
    let state = world.look();
    assert_eq!(state.conditions.len(), 2);
    let normalize = state.services.iter().find(|s| s.name == NORMALIZE).unwrap();
    assert_eq!(
        normalize.held,
        ["normalize listing.raw/3: held at offset 7: install the newer version"]
    );
}
