use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::SystemClock;
use crate::bus::Assignment;
use crate::contract::Emit;
use crate::flow::{Form, Retention, ServiceSpec, State, TopicSpec};
use crate::memory::{Faults, MemoryBus};
use crate::unit::Unit;

/// Commits everything; at one poll a feed is another's, and at the next this member's again.
struct Moving {
    polls_left: u32,
    handed_in: Vec<u64>,
}

impl Member for Moving {
    fn poll(&mut self, _: Duration, _: usize) -> Result<Vec<Event>, BusError> {
        let committed = |unit| Event::Outcome { unit, outcome: Outcome::Committed };
        let mut events: Vec<_> = self.handed_in.drain(..).map(committed).collect();
        self.polls_left = self.polls_left.wrapping_sub(1);
        if self.polls_left == 0 {
            events.push(Event::Lost(Assignment { partition: 0, epoch: 1 }));
        }
        Ok(events)
    }

    fn submit(&mut self, unit: Unit) -> Result<(), BusError> {
        self.handed_in.push(unit.id);
        Ok(())
    }

    fn restore(&mut self, _: Assignment) -> Result<(), BusError> {
        Ok(())
    }

    fn release(&mut self, _: Assignment) -> Result<(), BusError> {
        Ok(())
    }

    fn rewind(&mut self) -> Result<(), BusError> {
        Ok(())
    }

    fn state(&mut self, _: u16, _: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        Ok(None)
    }

    fn state_range(
        &mut self,
        _: u16,
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        Ok(Vec::new())
    }
}

struct Rows;

impl Source for Rows {
    fn step(&mut self, out: &mut SourceOut<'_>) -> Result<Status, Failure> {
        let row = Emit { key: b"k", value: Some(b"v"), kind: "row", version: 1, schema: 1 };
        out.emit("in", row);
        Ok(Status::Busy)
    }
}

fn flow() -> Flow {
    let topic = TopicSpec {
        name: "in".into(),
        key: "key".into(),
        partitions: 1,
        retention: Retention::Days(7),
    };
    let service = |name: &str, kind, reads: &[&str], writes: &[&str]| ServiceSpec {
        name: name.into(),
        kind,
        reads: reads.iter().map(|topic| ((*topic).to_owned(), Form::Keyed)).collect(),
        writes: writes.iter().map(|topic| (*topic).to_owned()).collect(),
        state: State::Own,
        does: String::new(),
    };
    let services = vec![
        service("read", Kind::Source, &[], &["in"]),
        service("work", Kind::Transform, &["in"], &[]),
    ];
    Flow::new(vec![topic], services).unwrap()
}

#[test]
fn while_someone_watches_little_is_let_in() {
    for watched in [false, true] {
        let flow = flow();
        let bus = Arc::new(MemoryBus::new(&flow, 1, Faults::default()));
        let clock = Arc::new(SystemClock);
        let mut runner = SourceRunner::join(bus, &flow, "read", clock, Board::default()).unwrap();
        runner.watched_by(move || watched);
        runner.add_lane("f", Box::new(|| Box::new(Rows)));
        let mut rounds = (0..2 * LAG_MAX_WATCHED).map(|_| runner.step(Duration::ZERO));
        assert_eq!(rounds.any(|round| round.unwrap() == Round::Paced), watched);
    }
}

/// Sends and saves half a KB until the step is full, and counts how often.
struct Greedy(Arc<AtomicU32>);

impl Source for Greedy {
    fn step(&mut self, out: &mut SourceOut<'_>) -> Result<Status, Failure> {
        let value = [7; 1 << 9];
        self.0.store(0, Ordering::Relaxed);
        while !out.is_full() {
            self.0.fetch_add(1, Ordering::Relaxed);
            let row = Emit { key: b"k", value: Some(&value), kind: "row", version: 1, schema: 1 };
            out.emit("in", row);
            out.put(b"k", Some(&value));
        }
        Ok(Status::Busy)
    }
}

#[test]
fn while_someone_watches_steps_are_small() {
    for (watched, expect) in [(false, STEP_BYTES), (true, STEP_BYTES_WATCHED)] {
        let bus = Arc::new(MemoryBus::new(&flow(), 1, Faults::default()));
        let clock = Arc::new(SystemClock);
        let mut runner = SourceRunner::join(bus, &flow(), "read", clock, Board::default()).unwrap();
        runner.watched_by(move || watched);
        let sent = Arc::new(AtomicU32::new(0));
        let its = Arc::clone(&sent);
        runner.add_lane("f", Box::new(move || Box::new(Greedy(Arc::clone(&its)))));
        runner.step(Duration::ZERO).unwrap();
        runner.step(Duration::ZERO).unwrap();
        let bytes = sent.load(Ordering::Relaxed) as usize * (1 << 10);
        assert!((expect * 9 / 10..=expect).contains(&bytes), "{watched}: {bytes}");
    }
}

#[test]
fn a_feed_that_went_and_came_back_is_read_from_its_checkpoint() {
    let flow = flow();
    let bus = Arc::new(MemoryBus::new(&flow, 1, Faults::default()));
    let board = Board::default();
    let mut runner = SourceRunner::join(bus, &flow, "read", Arc::new(SystemClock), board).unwrap();
    runner.core.member = Box::new(Moving { polls_left: 4, handed_in: Vec::new() });
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    runner.add_lane(
        "f",
        Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Box::new(Rows)
        }),
    );
    for _ in 0..8 {
        runner.step(Duration::ZERO).unwrap();
    }
    assert_eq!(made.load(Ordering::Relaxed), 2);
}
