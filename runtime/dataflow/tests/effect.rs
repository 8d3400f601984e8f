//! An effect whose program is wrong for a message: the partition is held, and nothing becomes a dead letter.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use dataflow::batch::NewRecord;
use dataflow::bus::Bus;
use dataflow::effect::{Effect, EffectParts, EffectWorker, Finished};
use dataflow::flow::{Form, Kind, Retention, State};
use dataflow::memory::{Faults, MemoryBus};
use dataflow::{Board, Failure, Flow, ManualClock, Meta, RecordRef, ServiceSpec, TopicSpec};

fn flow() -> Flow {
    let topic = |name: &str| TopicSpec {
        name: name.into(),
        key: "key".into(),
        partitions: 2,
        retention: Retention::Days(7),
    };
    let service = ServiceSpec {
        name: "work".into(),
        kind: Kind::Effect,
        reads: vec![("in".into(), Form::Keyed)],
        writes: vec!["out".into()],
        state: State::Own,
        does: String::new(),
    };
    Flow::new(vec![topic("in"), topic("out")], vec![service]).expect("a table")
}

/// Does everything at once, but does not understand a value.
#[derive(Default)]
struct Old(Vec<Finished>);

impl Effect for Old {
    fn begin(&mut self, ticket: u64, input: RecordRef<'_>) {
        let result = match input.value {
            Some(b"newer") => Err(Failure::stop("a message of a newer version")),
            _ => Ok(Vec::new()),
        };
        self.0.push((ticket, result));
    }

    fn finished(&mut self, _wait: Duration) -> Vec<Finished> {
        std::mem::take(&mut self.0)
    }

    fn forget(&mut self, ticket: u64) {
        self.0.retain(|(known, _)| *known != ticket);
    }
}

fn put(bus: &MemoryBus, partition: u16, key: &[u8], value: &[u8]) {
    let meta = Meta { id: 1, trace: 1, kind: "k", source: "s", time_ms: 1, schema: 1, origin: 0 };
    bus.append_record("in", partition, NewRecord { key, value: Some(value), meta, headers: &[] });
}

#[test]
fn a_stop_holds_its_partition_and_no_other() {
    let flow = flow();
    let bus = MemoryBus::new(&flow, 1, Faults::default());
    let (board, clock) = (Board::default(), Arc::new(ManualClock::at(1_000)));
    for partition in 0..2 {
        put(&bus, partition, b"a", b"known");
        let strange: &[u8] = if partition == 0 { b"newer" } else { b"known" };
        put(&bus, partition, b"b", strange);
        put(&bus, partition, b"c", b"known");
    }
    let parts = EffectParts {
        flow: &flow,
        service: "work",
        effect: Box::new(Old::default()),
        clock: Arc::clone(&clock) as _,
        board: board.clone(),
    };
    let mut worker = EffectWorker::join(&bus, parts).expect("joins");
    for _ in 0..20 {
        worker.step(Duration::ZERO).expect("works");
        // Longer than a message waits before it is parked.
        clock.advance(20_000);
    }
    let undone: Vec<u64> = bus
        .backlog()
        .expect("a backlog")
        .iter()
        .filter(|b| b.topic == "in")
        .map(|b| b.records)
        .collect();
    assert_eq!(undone, [2, 0], "the message and what follows it wait, uncommitted");
    let mut letters = 0;
    bus.each_record("work.dead-letters", |_, _| letters += 1);
    assert_eq!(letters, 0);
    assert!(board.holds());
    let told = board.conditions();
    assert!(told.iter().any(|(_, text)| text.contains("newer version")), "{told:?}");
}
