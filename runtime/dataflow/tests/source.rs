//! Sources: what a step may ask of its unit, and when a run counts as ended.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataflow::flow::{Form, Kind, Retention, State};
use dataflow::testflow::{FaultPlan, TestFlow, seen};
use dataflow::{
    Emit, Failure, Flow, Input, Out, ServiceSpec, Source, SourceOut, Status, TopicSpec, Transform,
};

const ROWS: u64 = 30;

fn flow() -> Flow {
    let topic = |name: &str| TopicSpec {
        name: name.into(),
        key: "key".into(),
        partitions: 2,
        retention: Retention::Days(7),
    };
    let service = |name: &str, kind, reads: &[&str], writes: &str, state| ServiceSpec {
        name: name.into(),
        kind,
        reads: reads.iter().map(|t| ((*t).into(), Form::Keyed)).collect(),
        writes: vec![writes.into()],
        state,
        does: String::new(),
    };
    let services = vec![
        service("read", Kind::Source, &[], "in", State::Own),
        service("pass", Kind::Transform, &["in"], "out", State::None),
    ];
    Flow::new(vec![topic("in"), topic("out")], services).expect("a table")
}

fn emit(key: &[u8]) -> Emit<'_> {
    Emit { key, value: Some(b"a value"), kind: "row", version: 1, schema: 1 }
}

/// Sends its rows one by one, and remembers at its end that it ended.
struct Rows(Arc<AtomicU64>);

impl Source for Rows {
    fn step(&mut self, out: &mut SourceOut<'_>) -> Result<Status, Failure> {
        let done = out.get(b"done")?.map_or(0, |v| u64::from(v.first().copied().unwrap_or(0)));
        assert!(done == ROWS || out.get(b"ended")?.is_none(), "ended before its last row");
        if done == ROWS {
            return Ok(Status::Done);
        }
        out.emit("in", emit(format!("k{done}").as_bytes()));
        out.put(b"done", Some(&[u8::try_from(done + 1).expect("few rows")]));
        Ok(Status::Busy)
    }

    fn ended(&mut self, out: &mut SourceOut<'_>) -> Result<(), Failure> {
        let passed = self.0.load(Ordering::Relaxed);
        assert!(passed >= ROWS, "the stage behind has done {passed} of {ROWS}");
        out.put(b"ended", Some(b"yes"));
        Ok(())
    }
}

struct Pass(Arc<AtomicU64>);

impl Transform for Pass {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        out.emit("out", emit(input.record.key));
        Ok(())
    }
}

#[test]
fn a_run_ends_only_when_all_of_it_is_done() {
    let faults = FaultPlan { power_cut: 0, ..FaultPlan::everything() };
    for seed in 0..40 {
        let plan = if seed == 0 { FaultPlan::default() } else { faults };
        let passed = Arc::new(AtomicU64::new(0));
        let (read, pass) = (Arc::clone(&passed), Arc::clone(&passed));
        let lane = Arc::new(move || Box::new(Rows(Arc::clone(&read))) as Box<dyn Source>);
        let mut test = TestFlow::new(&flow(), seed, plan)
            .sources("read", vec![("f".to_owned(), lane)])
            .transform("pass", 1, Arc::new(move || Box::new(Pass(Arc::clone(&pass)))));
        test.run(120).expect("it comes to rest");
        let out: usize = seen(&test.bus, "out").values().map(Vec::len).sum();
        assert_eq!(out as u64, ROWS, "seed {seed}");
        let state = test.bus.state_of("read");
        assert_eq!(state.get(&b"f\0ended"[..]).map(Vec::as_slice), Some(&b"yes"[..]), "{seed}");
    }
}
