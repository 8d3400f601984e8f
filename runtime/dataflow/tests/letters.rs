//! Dead letters that are sent back: applied once, counted once, and dropped where something later was applied.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflow::batch::NewRecord;
use dataflow::bus::Bus;
use dataflow::dead;
use dataflow::flow::{Form, Kind, Retention, State, partition_of};
use dataflow::testflow::{FaultPlan, TestFlow, seen};
use dataflow::{Emit, Failure, Flow, Input, Meta, Out, Reject, ServiceSpec, TopicSpec, Transform};

const PARTITIONS: u16 = 2;
const KINDS: [fn() -> State; 3] =
    [|| State::None, || State::Own, || State::BackedBy("kept".to_owned())];

fn flow(state: State) -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.into(),
        key: "key".into(),
        partitions: PARTITIONS,
        retention,
    };
    let service = ServiceSpec {
        name: "pass".into(),
        kind: Kind::Transform,
        reads: vec![("in".into(), Form::Keyed)],
        writes: vec!["out".into(), "kept".into()],
        state,
        does: String::new(),
    };
    let days = Retention::Days(7);
    let kept = topic("kept", Retention::Compacted { tombstone_days: 7 });
    Flow::new(vec![topic("in", days), topic("out", days), kept], vec![service]).expect("a table")
}

/// Refuses values that begin with `bad` until it is mended, and those with `worse` always.
struct Pass(Arc<AtomicBool>);

impl Transform for Pass {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let value = input.record.value.unwrap_or_default();
        let emit =
            Emit { key: input.record.key, value: Some(value), kind: "p", version: 1, schema: 1 };
        out.emit("out", emit);
        out.put_state(emit);
        let mended = self.0.load(Ordering::Relaxed);
        if value.starts_with(b"worse") || (value.starts_with(b"bad") && !mended) {
            return Err(Reject::new("bad", "a planted refusal").into());
        }
        Ok(())
    }
}

struct World {
    test: TestFlow,
    mended: Arc<AtomicBool>,
    disturbed: u64,
}

impl World {
    fn new(state: State, seed: u64, plan: FaultPlan) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let service = Arc::clone(&mended);
        let make = Arc::new(move || Box::new(Pass(Arc::clone(&service))) as Box<dyn Transform>);
        let disturbed = if plan.crash > 0 { 60 } else { 0 };
        let test = TestFlow::new(&flow(state), seed, plan).transform("pass", 2, make);
        Self { test, mended, disturbed }
    }

    fn send(&mut self, values: &[&str]) -> &mut Self {
        for value in values {
            let (key, value) = value.split_once(' ').expect("key and value");
            self.append("in", key.as_bytes(), value, &[]);
        }
        self.test.run(self.disturbed).expect("it comes to rest");
        self
    }

    fn append(&self, topic: &str, key: &[u8], value: &str, headers: &[(&str, &[u8])]) {
        let meta =
            Meta { id: 1, trace: 1, kind: "k", source: "f", time_ms: 1, schema: 1, origin: 0 };
        let record = NewRecord { key, value: Some(value.as_bytes()), meta, headers };
        self.test.bus.append_record(topic, partition_of(key, PARTITIONS), record);
    }

    /// Sends back the dead letters with these values, as the tool does: each as it is, in its order.
    fn redrive(&mut self, values: &[&str]) -> &mut Self {
        let mut back = Vec::new();
        self.test.bus.each_record("pass.dead-letters", |_, r| {
            let value = String::from_utf8_lossy(r.value.unwrap_or_default()).into_owned();
            let headers: Vec<_> =
                r.headers().into_iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            if values.contains(&value.as_str()) && r.header(dead::CODE) != Some(b"superseded") {
                back.push((r.key.to_vec(), value, headers));
            }
        });
        for (key, value, headers) in back {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            self.append("pass.redrive", &key, &value, &headers);
        }
        self.test.run(self.disturbed).expect("it comes to rest");
        self
    }

    fn mend(&mut self) -> &mut Self {
        self.mended.store(true, Ordering::Relaxed);
        self
    }

    /// What came out for each key, in order.
    fn out(&self) -> String {
        let all = seen(&self.test.bus, "out");
        let line = |(key, seen): (&String, &Vec<dataflow::testflow::Seen>)| {
            let values = seen.iter().map(|s| s.value.as_deref().unwrap_or("-"));
            format!("{key}: {}", values.collect::<Vec<_>>().join(" "))
        };
        all.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// Codes of the dead letters, and how many rows count as such.
    fn dead(&self) -> (Vec<String>, i64) {
        let mut codes = Vec::new();
        self.test.bus.each_record("pass.dead-letters", |_, r| {
            codes.push(String::from_utf8_lossy(r.header(dead::CODE).unwrap_or_default()).into());
        });
        let tallies = self.test.bus.tallies("pass").expect("tallies");
        (codes, tallies.iter().find(|(n, _)| n == "dead_letters:f").map_or(0, |(_, n)| *n))
    }
}

/// Runs a story on every kind of state, undisturbed and under faults.
fn check(story: impl Fn(&mut World), out: &str, codes: &[&str], counted: i64) {
    let faults = FaultPlan { power_cut: 0, ..FaultPlan::everything() };
    for state in KINDS {
        for (seed, plan) in (0..12).map(|seed| (seed, faults)).chain([(99, FaultPlan::default())]) {
            let mut world = World::new(state(), seed, plan);
            story(&mut world);
            assert_eq!(world.out(), out, "seed {seed}, {:?}", state());
            let (found, count) = world.dead();
            assert_eq!(
                (found.as_slice(), count),
                (&*codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), counted),
                "seed {seed}, {:?}",
                state()
            );
        }
    }
}

#[test]
fn a_letter_that_comes_back_is_applied_and_no_longer_counted() {
    check(
        |w| _ = w.send(&["a bad1", "b ok1"]).mend().redrive(&["bad1"]),
        "a: bad1; b: ok1",
        &["bad"],
        0,
    );
}

#[test]
fn a_letter_that_is_refused_again_counts_once() {
    check(|w| _ = w.send(&["a worse"]).mend().redrive(&["worse"]), "", &["bad", "bad"], 1);
}

#[test]
fn a_letter_older_than_what_was_applied_since_is_superseded() {
    check(
        |w| _ = w.send(&["a bad1", "a ok2", "b ok1"]).mend().redrive(&["bad1"]),
        "a: ok2; b: ok1",
        &["bad", "superseded"],
        1,
    );
}

#[test]
fn what_was_not_applied_supersedes_nothing() {
    check(
        |w| _ = w.send(&["a bad1", "a bad2"]).mend().redrive(&["bad1", "bad2"]),
        "a: bad1 bad2",
        &["bad", "bad"],
        0,
    );
}

#[test]
fn the_younger_letter_sent_back_first_supersedes_the_older() {
    check(
        |w| _ = w.send(&["a bad1", "a bad2"]).mend().redrive(&["bad2"]).redrive(&["bad1"]),
        "a: bad2",
        &["bad", "bad", "superseded"],
        1,
    );
}

#[test]
fn what_the_service_remembers_of_letters_goes_with_the_last_of_them() {
    let mut world = World::new(State::None, 1, FaultPlan::default());
    world.send(&["a bad1", "a bad2", "b bad3"]).mend().redrive(&["bad2"]).send(&["b ok"]);
    let rows = |world: &World| {
        let state = world.test.bus.state_of("pass");
        state.keys().filter(|key| key.starts_with(b"\0dead\0")).count()
    };
    assert_eq!(rows(&world), 2);
    world.redrive(&["bad1", "bad3"]);
    assert_eq!(rows(&world), 0);
}

#[test]
fn a_replayed_record_is_no_letter() {
    let mut world = World::new(State::Own, 1, FaultPlan::default());
    world.send(&["a bad1", "a ok2"]).mend();
    let headers: [(&str, &[u8]); 2] = [(dead::TOPIC, b"in"), (dead::OFFSET, b"0")];
    world.append("pass.redrive", b"a", "ok1", &headers);
    world.send(&[]);
    assert_eq!(world.out(), "a: ok2 ok1", "a replay is judged by the service");
    assert_eq!(world.dead(), (vec!["bad".to_owned()], 1));
}
