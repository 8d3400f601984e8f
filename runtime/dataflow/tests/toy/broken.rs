//! Deliberately broken runtimes: each does one thing wrong that some real system did. They stand between the
//! runtime and the bus, so that no product code knows of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataflow::Batch;
use dataflow::bus::{
    Assignment, Backlog, Bus, BusError, Event, Lag, Member, Outcome, Position, Range, Want,
};
use dataflow::contract::StoreEntry;
use dataflow::flow::{Kind, ServiceSpec};
use dataflow::memory::MemoryBus;
use dataflow::unit::Unit;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Progress commits before the work.
    CommitFirst,
    /// Progress commits after the work, in a unit of its own.
    CommitLast,
    /// Stale work is taken although its partition has a new owner.
    ForgetEpoch,
    /// Records that were fetched count as done when their partition is revoked.
    DropOnRevoke,
    /// A unit that failed counts as committed.
    SwallowAbort,
    /// A unit whose outcome is not known counts as committed.
    HopeForTheBest,
    /// A unit whose outcome is not known is simply sent again.
    SendAgain,
    /// After a failure the member goes on where it was, without going back.
    NoRewind,
    /// State writes are forgotten.
    LoseState,
    /// State is written even where the unit fails.
    StateFirst,
    /// The records of a unit go out last first.
    Reverse,
    /// One output block of a unit with several is forgotten.
    Tear,
    /// The view is given what is not durable yet.
    ViewAheadOfTheSync,
    /// State is read before the restore of it is complete.
    StaleState,
    /// Dead letters are only logged.
    LoseDeadLetters,
}

pub(crate) const ALL: [Sabotage; 15] = [
    Sabotage::CommitFirst,
    Sabotage::CommitLast,
    Sabotage::ForgetEpoch,
    Sabotage::DropOnRevoke,
    Sabotage::SwallowAbort,
    Sabotage::HopeForTheBest,
    Sabotage::SendAgain,
    Sabotage::NoRewind,
    Sabotage::LoseState,
    Sabotage::StateFirst,
    Sabotage::Reverse,
    Sabotage::Tear,
    Sabotage::ViewAheadOfTheSync,
    Sabotage::StaleState,
    Sabotage::LoseDeadLetters,
];

/// A bus that does `sabotage`.
pub(crate) fn seam(bus: MemoryBus, sabotage: Sabotage) -> Arc<dyn Bus> {
    if sabotage == Sabotage::ForgetEpoch {
        bus.forget_epochs();
    }
    Arc::new(BrokenBus { bus, sabotage })
}

struct BrokenBus {
    bus: MemoryBus,
    sabotage: Sabotage,
}

impl Bus for BrokenBus {
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError> {
        let member = self.bus.join(service)?;
        if service.kind == Kind::Source {
            return Ok(member);
        }
        Ok(Box::new(BrokenMember {
            member,
            sabotage: self.sabotage,
            window: Vec::new(),
            kept: None,
            shadow: Mutex::default(),
            next: 1 << 40,
        }))
    }
    fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError> {
        self.bus.append(service, unit)
    }
    fn epoch(&self) -> u64 {
        self.bus.epoch()
    }
    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        let range = self.bus.range(topic, partition)?;
        // The second line of defence, a position past what is durable, has to be blind as well.
        let durable =
            if self.sabotage == Sabotage::ViewAheadOfTheSync { u64::MAX } else { range.durable };
        Ok(Range { durable, ..range })
    }
    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let durable = want.durable && self.sabotage != Sabotage::ViewAheadOfTheSync;
        self.bus.read(topic, partition, from, Want { durable, ..want })
    }
    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.bus.wait(seen, timeout)
    }
    fn backlog(&self) -> Result<Vec<Backlog>, BusError> {
        self.bus.backlog()
    }
    fn lag(&self, services: &[String]) -> Lag {
        self.bus.lag(services)
    }
    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        self.bus.tallies(service)
    }
    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        self.bus.latest(topic, partition, key)
    }
    fn hold(&self, view: &str, topic: &str, partition: u16, next: u64) {
        self.bus.hold(view, topic, partition, next);
    }
}

type Shadow = std::collections::BTreeMap<Vec<u8>, Option<Arc<[u8]>>>;

struct BrokenMember {
    member: Box<dyn Member>,
    sabotage: Sabotage,
    window: Vec<Event>,
    kept: Option<Unit>,
    shadow: Mutex<Shadow>,
    next: u64,
}

fn copy(unit: &Unit, id: u64) -> Unit {
    let outputs = unit.outputs.iter().map(|o| dataflow::unit::Output {
        topic: Arc::clone(&o.topic),
        partition: o.partition,
        count: o.count,
        block: o.block.clone(),
    });
    Unit {
        id,
        progress: unit.progress.clone(),
        outputs: outputs.collect(),
        state: unit.state.clone(),
        tallies: unit.tallies.clone(),
    }
}

impl BrokenMember {
    fn fresh_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Collects fetched records into a window before handing them on; on a revocation the window is dropped,
    /// and counts as done.
    fn through_window(&mut self, events: Vec<Event>) -> Result<Vec<Event>, BusError> {
        let revoked: Vec<_> = events
            .iter()
            .filter_map(|e| if let Event::Revoked(a) = e { Some(*a) } else { None })
            .collect();
        let mut progress = Vec::new();
        let mut ready = Vec::new();
        for event in std::mem::take(&mut self.window) {
            match event {
                Event::Records { assignment: a, topic, batch, .. } if revoked.contains(&a) => {
                    progress.push(dataflow::unit::Progress {
                        topic,
                        partition: a.partition,
                        epoch: a.epoch,
                        next: batch.next_offset(),
                    });
                }
                event => ready.push(event),
            }
        }
        if !progress.is_empty() {
            let id = self.fresh_id();
            self.member.submit(Unit { id, progress, ..Unit::default() })?;
        }
        let (records, mut rest): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|e| matches!(e, Event::Records { .. }));
        self.window = records;
        rest.extend(ready);
        Ok(rest)
    }

    fn on(&mut self, event: Event) -> Result<Event, BusError> {
        if let Event::Outcome { unit, outcome } = event {
            return self.on_outcome(unit, outcome).map(|outcome| Event::Outcome { unit, outcome });
        }
        Ok(event)
    }

    fn on_outcome(&mut self, unit: u64, outcome: Outcome) -> Result<Outcome, BusError> {
        Ok(match (self.sabotage, outcome) {
            (Sabotage::SwallowAbort, Outcome::Aborted)
            | (Sabotage::HopeForTheBest, Outcome::Unknown) => {
                self.member.rewind()?;
                Outcome::Committed
            }
            (Sabotage::SendAgain, Outcome::Unknown) => {
                if let Some(again) = self.kept.take().filter(|k| k.id == unit) {
                    self.member.rewind()?;
                    self.member.submit(again)?;
                    return Ok(Outcome::Committed);
                }
                outcome
            }
            _ => outcome,
        })
    }
}

impl Member for BrokenMember {
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        let events = self.member.poll(wait, bytes_max)?;
        let events = if self.sabotage == Sabotage::DropOnRevoke {
            self.through_window(events)?
        } else {
            events
        };
        events.into_iter().map(|e| self.on(e)).collect()
    }

    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.member.restore(assignment)
    }

    fn submit(&mut self, mut unit: Unit) -> Result<(), BusError> {
        match self.sabotage {
            Sabotage::CommitFirst => {
                let progress = std::mem::take(&mut unit.progress);
                let id = self.fresh_id();
                self.member.submit(Unit { id, progress, ..Unit::default() })?;
            }
            Sabotage::CommitLast => {
                let progress = std::mem::take(&mut unit.progress);
                self.member.submit(unit)?;
                let id = self.fresh_id();
                return self.member.submit(Unit { id, progress, ..Unit::default() });
            }
            Sabotage::LoseState => unit.state.clear(),
            Sabotage::StateFirst => {
                let state = unit.state.clone();
                let id = self.fresh_id();
                self.member.submit(Unit { id, state, ..Unit::default() })?;
            }
            Sabotage::Reverse => unit.outputs.iter_mut().for_each(reverse),
            Sabotage::Tear if unit.outputs.len() > 2 => drop(unit.outputs.pop()),
            Sabotage::LoseDeadLetters => {
                unit.outputs.retain(|o| !o.topic.ends_with("dead-letters"))
            }
            _ => {}
        }
        self.kept = Some(copy(&unit, unit.id));
        self.member.submit(unit)
    }

    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        let now = self.member.state(partition, key)?;
        if self.sabotage != Sabotage::StaleState {
            return Ok(now);
        }
        // What it was when this member looked last.
        let mut shadow = self.shadow.lock().expect("one thread");
        Ok(shadow.insert(key.to_vec(), now.clone()).unwrap_or(now))
    }

    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        self.member.state_range(partition, prefix, after, limit)
    }

    fn rewind(&mut self) -> Result<(), BusError> {
        self.window.clear();
        if self.sabotage == Sabotage::NoRewind { Ok(()) } else { self.member.rewind() }
    }

    fn release(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.member.release(assignment)
    }
}

fn reverse(output: &mut dataflow::unit::Output) {
    let batch = Batch::decode(Arc::new(std::mem::take(&mut output.block)), 0, 0)
        .expect("the builder wrote it");
    let mut builder = dataflow::BatchBuilder::default();
    let records: Vec<_> = batch.records().collect();
    for r in records.iter().rev() {
        builder.push(dataflow::batch::NewRecord {
            key: r.key,
            value: r.value,
            meta: r.meta,
            headers: &r.headers(),
        });
    }
    output.block = builder.finish();
}
