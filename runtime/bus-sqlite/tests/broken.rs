//! The suite itself is tested: a bus that breaks one promise must be caught, each by some case.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bus_sqlite::{Options, SqliteBus};
use dataflow::bus::{
    Assignment, Backlog, Bus, BusError, Event, Lag, Member, Outcome, Position, Range, Want,
};
use dataflow::conformance::{CASES, flow};
use dataflow::contract::StoreEntry;
use dataflow::flow::ServiceSpec;
use dataflow::unit::Unit;
use dataflow::{Batch, ManualClock};

/// The promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Says committed for what was refused.
    Lies,
    /// Commits outputs without their progress.
    ForgetsProgress,
    /// Takes work under any epoch.
    ForgetsEpoch,
    /// Goes on after a rewind as if nothing had happened.
    IgnoresRewind,
    /// Loses the first output of a unit.
    Tears,
    /// Gives state of before.
    ForgetsState,
    /// Says durable for everything.
    ReadsAheadOfTheSync,
    /// Never tells of outcomes in order.
    SwapsOutcomes,
    /// Keeps what is done in the backlog.
    CountsWrong,
    /// Loses tallies.
    ForgetsTallies,
    /// A read begins one record late.
    SkipsOne,
    /// Never wakes.
    Sleeps,
    /// Answers for an append that it loses.
    LosesAppends,
}

struct Broken(Arc<SqliteBus>, Fault);
struct BrokenMember(Box<dyn Member>, Fault, Vec<Assignment>);

impl Bus for Broken {
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError> {
        Ok(Box::new(BrokenMember(self.0.join(service)?, self.1, Vec::new())))
    }
    fn append(&self, service: &str, mut unit: Unit) -> Result<Vec<Position>, BusError> {
        if self.1 == Fault::LosesAppends {
            unit.outputs.clear();
        }
        self.0.append(service, unit)
    }
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        let range = self.0.range(topic, partition)?;
        if self.1 == Fault::ReadsAheadOfTheSync {
            return Ok(Range { durable: range.end + 1, ..range });
        }
        Ok(range)
    }
    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let mut batches = self.0.read(topic, partition, from, want)?;
        if self.1 == Fault::SkipsOne && batches.len() > 1 {
            batches.remove(0);
        }
        Ok(batches)
    }
    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let mark = self.0.wait(seen, timeout);
        if self.1 == Fault::Sleeps { seen } else { mark }
    }
    fn backlog(&self) -> Result<Vec<Backlog>, BusError> {
        let mut all = self.0.backlog()?;
        if self.1 == Fault::CountsWrong {
            all.iter_mut().for_each(|b| b.records += 1);
        }
        Ok(all)
    }
    fn lag(&self, services: &[String]) -> Lag {
        self.0.lag(services)
    }
    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        self.0.tallies(service)
    }
    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        self.0.latest(topic, partition, key)
    }
    fn hold(&self, view: &str, topic: &str, partition: u16, next: u64) {
        self.0.hold(view, topic, partition, next);
    }
}

impl Member for BrokenMember {
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        // Short, so that a case that waits for what never comes gives up soon.
        let mut events = self.0.poll(wait.min(Duration::from_millis(2)), bytes_max)?;
        for event in &mut events {
            match event {
                Event::Assigned(a) => self.2.push(*a),
                Event::Outcome { outcome, .. } if self.1 == Fault::Lies => {
                    *outcome = Outcome::Committed;
                }
                Event::Outcome { unit, .. } if self.1 == Fault::SwapsOutcomes => *unit = 5 - *unit,
                _ => {}
            }
        }
        Ok(events)
    }
    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.0.restore(assignment)
    }
    fn submit(&mut self, mut unit: Unit) -> Result<(), BusError> {
        match self.1 {
            Fault::ForgetsProgress => unit.progress.clear(),
            Fault::Tears if unit.outputs.len() > 1 => drop(unit.outputs.remove(0)),
            Fault::ForgetsTallies => unit.tallies.clear(),
            Fault::ForgetsEpoch => {
                for progress in &mut unit.progress {
                    let known = self.2.iter().rfind(|a| a.partition == progress.partition);
                    progress.epoch = known.map_or(0, |a| a.epoch);
                }
            }
            _ => {}
        }
        self.0.submit(unit)
    }
    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        if self.1 == Fault::ForgetsState { Ok(None) } else { self.0.state(partition, key) }
    }
    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        self.0.state_range(partition, prefix, after, limit)
    }
    fn rewind(&mut self) -> Result<(), BusError> {
        if self.1 == Fault::IgnoresRewind { Ok(()) } else { self.0.rewind() }
    }
    fn release(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.0.release(assignment)
    }
}

/// The first of the cases (all, when none is named) that notices the fault.
fn caught_by(fault: Fault, cases: &[&str]) -> Option<&'static str> {
    let chosen = CASES.iter().filter(|(name, _)| cases.is_empty() || cases.contains(name));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut caught = None;
    for (name, case) in chosen {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(Arc::new(ManualClock::at(1)), 7);
        let bus = Broken(SqliteBus::open(dir.path(), &flow(), options).unwrap(), fault);
        if catch_unwind(AssertUnwindSafe(|| case(&bus))).is_err() {
            caught = Some(*name);
            break;
        }
    }
    std::panic::set_hook(hook);
    caught
}

#[test]
fn every_broken_promise_is_caught() {
    assert_eq!(caught_by(Fault::None, &[]), None);
    for (fault, case) in [
        (Fault::Lies, "work under a stale epoch is refused, and what follows it"),
        (Fault::ForgetsProgress, "backlog counts what is not done"),
        (Fault::ForgetsEpoch, "work under a stale epoch is refused, and what follows it"),
        (Fault::IgnoresRewind, "work under a stale epoch is refused, and what follows it"),
        (Fault::Tears, "a unit commits whole"),
        (Fault::ForgetsState, "own state is as of the last committed unit"),
        (Fault::ReadsAheadOfTheSync, "durable follows end and never leads"),
        (Fault::SwapsOutcomes, "outcomes come in the order of submission"),
        (Fault::CountsWrong, "backlog counts what is not done"),
        (Fault::ForgetsTallies, "a unit commits whole"),
        (Fault::SkipsOne, "records keep their order and are read from anywhere"),
        (Fault::Sleeps, "waiting ends when something is appended"),
        (Fault::LosesAppends, "an append from outside is durable when it returns"),
    ] {
        assert_eq!(caught_by(fault, &[case]), Some(case), "{fault:?}");
    }
}
