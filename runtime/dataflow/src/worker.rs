//! The loop of a Transform: poll, handle, hand in, learn the outcome. One value, one thread, no locks.
//!
//! Non-obvious, each a bug that other systems had: polling never waits for a commit; whatever is not known
//! to be committed is dropped and done again; work for a partition that was taken away is never handed in.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, RecordRef};
use crate::board::Board;
use crate::bus::{Assignment, Bus, BusError, Event, Member, Outcome};
use crate::clock::Clock;
use crate::contract::{Input, Out, StateView, Transform};
use crate::dead::Origin;
use crate::failure::{Failure, Reject};
use crate::flow::{Flow, ServiceSpec, State};
use crate::letters::{Came, Into, Letters};
use crate::overlay::Overlay;
use crate::ownership::{Action, Ownership};
use crate::unit::{self, Progress, UnitBuilder};

/// Bytes of records fetched at a time.
const FETCH_BYTES: usize = 1 << 20;
/// So many panics in a row mean that the program is wrong, not the messages.
pub const PANICS_MAX: u32 = 100;

/// Makes a fresh service: at the start, and after a panic.
pub type MakeTransform = Box<dyn Fn() -> Box<dyn Transform> + Send>;

/// Runs one Transform as one member of its group.
pub struct Worker {
    service: ServiceSpec,
    redrive: String,
    make: MakeTransform,
    transform: Box<dyn Transform>,
    member: Box<dyn Member>,
    clock: Arc<dyn Clock>,
    board: Board,
    ownership: Ownership,
    unit: UnitBuilder,
    next_unit: u64,
    progress: BTreeMap<(Arc<str>, u16), Progress>,
    /// Next offset to handle, so that a batch that comes twice is not handled twice.
    expected: BTreeMap<(Arc<str>, u16), u64>,
    pending: VecDeque<Pending>,
    in_flight: VecDeque<u64>,
    overlay: Overlay,
    letters: Letters,
    panics: u32,
    rewinds: u64,
}

struct Pending {
    assignment: Assignment,
    topic: Arc<str>,
    batch: Arc<Batch>,
    from: u64,
}

/// What a worker runs with.
pub struct WorkerParts<'a> {
    /// The wiring.
    pub flow: &'a Flow,
    /// Name of the service in it.
    pub service: &'a str,
    /// Makes the service.
    pub make: MakeTransform,
    /// Time, for the headers of dead letters.
    pub clock: Arc<dyn Clock>,
    /// Where held partitions are reported.
    pub board: Board,
}

struct Stored<'a> {
    member: &'a mut dyn Member,
    overlay: &'a Overlay,
    partition: u16,
    stateless: bool,
}

impl StateView for Stored<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        if self.stateless {
            return Ok(None);
        }
        match self.overlay.get(key) {
            Some(value) => Ok(value),
            None => {
                self.member.state(self.partition, key).map_err(|e| Failure::stop(e.to_string()))
            }
        }
    }
}

impl Worker {
    /// Joins the group.
    ///
    /// # Errors
    /// [`BusError`] when the bus refuses, or the flow has no such service.
    pub fn join(bus: &dyn Bus, parts: WorkerParts<'_>) -> Result<Self, BusError> {
        let service = parts.flow.service(parts.service).ok_or_else(|| {
            BusError::Fatal(format!("no service `{}` in the flow table", parts.service))
        })?;
        let member = bus.join(service)?;
        #[cfg(feature = "planted")]
        let member = Box::new(crate::planted::CommitFirst::new(member));
        Ok(Self::with_member(member, service, parts))
    }

    /// A worker on a member that has joined already; tests put broken members here.
    #[must_use]
    pub fn with_member(
        member: Box<dyn Member>,
        service: &ServiceSpec,
        parts: WorkerParts<'_>,
    ) -> Self {
        Self {
            unit: UnitBuilder::new(parts.flow, service),
            redrive: service.redrive(),
            service: service.clone(),
            transform: (parts.make)(),
            make: parts.make,
            member,
            clock: parts.clock,
            board: parts.board,
            ownership: Ownership::default(),
            next_unit: 1,
            progress: BTreeMap::new(),
            expected: BTreeMap::new(),
            pending: VecDeque::new(),
            in_flight: VecDeque::new(),
            overlay: Overlay::default(),
            letters: Letters::default(),
            panics: 0,
            rewinds: 0,
        }
    }

    /// One round: learn what happened, handle what is there, hand it in. Waits up to `wait` when idle.
    /// Returns whether anything was done.
    ///
    /// # Errors
    /// [`BusError`] ends the worker; everything uncommitted will be done again by whoever comes next.
    pub fn step(&mut self, wait: Duration) -> Result<bool, BusError> {
        let room = self.has_room();
        let (wait, bytes) = match (room, self.pending.is_empty()) {
            (true, true) => (wait, FETCH_BYTES),
            (true, false) => (Duration::ZERO, 0),
            (false, _) => (wait, 0),
        };
        let events = self.member.poll(wait, bytes)?;
        let mut busy = !events.is_empty();
        self.on_all(events)?;
        if self.has_room() {
            busy |= self.handle_pending()?;
        }
        self.finish_draining()?;
        Ok(busy)
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < self.member.in_flight_max() && self.ownership.draining().is_empty()
    }

    /// Gives everything up in order: the same path as a revocation. Call until it returns `true`.
    ///
    /// # Errors
    /// As [`Worker::step`].
    pub fn shut_down(&mut self, wait: Duration) -> Result<bool, BusError> {
        let owned: Vec<_> = self.ownership.owned().map(|(a, _)| a).collect();
        for assignment in owned {
            let actions = self.ownership.revoked(assignment);
            self.act(actions)?;
        }
        let mut events = self.member.poll(wait, 0)?;
        events.retain(|e| !matches!(e, Event::Assigned(_)));
        self.on_all(events)?;
        self.finish_draining()?;
        Ok(self.ownership.owned().next().is_none())
    }

    /// Records that were fetched before a rewind come again after it: taking them now would leave a gap.
    fn on_all(&mut self, events: Vec<Event>) -> Result<(), BusError> {
        let rewinds = self.rewinds;
        for event in events {
            if self.rewinds == rewinds || !matches!(event, Event::Records { .. }) {
                self.on(event)?;
            }
        }
        Ok(())
    }

    fn on(&mut self, event: Event) -> Result<(), BusError> {
        match event {
            Event::Assigned(a) => {
                let actions = self.ownership.assigned(a);
                self.act(actions)
            }
            Event::Restored(a) => {
                self.ownership.restored(a);
                self.letters.restored(&mut *self.member, a.partition)
            }
            Event::Revoked(a) => {
                let actions = self.ownership.revoked(a);
                self.act(actions)
            }
            Event::Lost(a) => {
                let actions = self.ownership.lost(a);
                self.act(actions)
            }
            Event::Records { assignment, topic, batch, from } => {
                if self.ownership.running(assignment) {
                    self.pending.push_back(Pending { assignment, topic, batch, from });
                }
                Ok(())
            }
            Event::Outcome { unit, outcome } => self.on_outcome(unit, outcome),
        }
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<(), BusError> {
        for action in actions {
            match action {
                Action::Restore(a) => self.member.restore(a)?,
                Action::Release(a) => {
                    self.expected.retain(|(_, partition), _| *partition != a.partition);
                    self.letters.released(a.partition);
                    self.member.release(a)?;
                }
                Action::Drain(a) => self.pending.retain(|p| p.assignment != a),
                Action::Forget(_) => self.start_over()?,
            }
        }
        Ok(())
    }

    fn on_outcome(&mut self, unit: u64, outcome: Outcome) -> Result<(), BusError> {
        if self.in_flight.front() != Some(&unit) {
            return Ok(()); // of before a rewind
        }
        match outcome {
            Outcome::Committed => {
                self.in_flight.pop_front();
                self.overlay.committed(unit);
                self.letters.committed(unit);
                Ok(())
            }
            Outcome::Aborted | Outcome::Unknown => self.start_over(),
        }
    }

    /// Drops everything that is not known to be committed, and goes back to what is.
    fn start_over(&mut self) -> Result<(), BusError> {
        self.pending.clear();
        self.in_flight.clear();
        self.progress.clear();
        self.expected.clear();
        self.overlay.clear();
        self.letters.clear();
        self.unit.clear();
        self.rewinds += 1;
        self.member.rewind()
    }

    fn finish_draining(&mut self) -> Result<(), BusError> {
        if !self.in_flight.is_empty() {
            return Ok(());
        }
        for assignment in self.ownership.draining() {
            let actions = self.ownership.drained(assignment);
            self.act(actions)?;
        }
        Ok(())
    }

    fn handle_pending(&mut self) -> Result<bool, BusError> {
        let mut busy = false;
        while let Some(pending) = self.pending.pop_front() {
            busy = true;
            if let Some(rest) = self.handle_batch(pending) {
                self.pending.push_front(rest);
            }
            if self.is_full() {
                self.submit()?;
                if self.in_flight.len() >= self.member.in_flight_max() {
                    return Ok(true);
                }
            }
        }
        if busy {
            self.submit()?;
        }
        Ok(busy)
    }

    fn is_full(&self) -> bool {
        let first = self.in_flight.is_empty();
        self.unit.bytes() >= if first { self.member.first_unit_bytes() } else { unit::BYTES_MAX }
    }

    fn submit(&mut self) -> Result<(), BusError> {
        if self.progress.is_empty() && self.unit.is_empty() {
            return Ok(());
        }
        let id = self.next_unit;
        self.next_unit += 1;
        let progress = std::mem::take(&mut self.progress).into_values().collect();
        let unit = self.unit.take(id, progress);
        self.in_flight.push_back(id);
        self.member.submit(unit)
    }

    /// Handles records until the unit is full; what is left comes back.
    fn handle_batch(&mut self, pending: Pending) -> Option<Pending> {
        let Pending { assignment, topic, batch, from } = pending;
        if !self.ownership.running(assignment) {
            return None;
        }
        let from = self
            .expected
            .get(&(Arc::clone(&topic), assignment.partition))
            .map_or(from, |next| from.max(*next));
        for index in batch.first_at(from)..batch.len() {
            let Some(record) = batch.get(index) else { break };
            if self.is_full() {
                self.note_progress(assignment, &topic, record.offset);
                return Some(Pending {
                    assignment,
                    topic,
                    batch: Arc::clone(&batch),
                    from: record.offset,
                });
            }
            if !self.handle_record(assignment, &topic, record) {
                self.note_progress(assignment, &topic, record.offset);
                return None;
            }
        }
        self.note_progress(assignment, &topic, batch.next_offset());
        None
    }

    fn note_progress(&mut self, assignment: Assignment, topic: &Arc<str>, next: u64) {
        let expected = self.expected.entry((Arc::clone(topic), assignment.partition)).or_default();
        *expected = next.max(*expected);
        match self.progress.get_mut(&(Arc::clone(topic), assignment.partition)) {
            Some(progress) => progress.next = progress.next.max(next),
            None => {
                let progress = Progress {
                    topic: Arc::clone(topic),
                    partition: assignment.partition,
                    epoch: assignment.epoch,
                    next,
                };
                self.progress.insert((Arc::clone(topic), assignment.partition), progress);
            }
        }
    }

    /// Returns whether the message is over, one way or another; `false` holds the partition.
    fn handle_record(
        &mut self,
        assignment: Assignment,
        topic: &Arc<str>,
        record: RecordRef<'_>,
    ) -> bool {
        let came = Came::of(topic, &self.redrive, record);
        let input = Input {
            topic: came.topic,
            partition: assignment.partition,
            record: came.record,
            redriven: came.redriven,
        };
        let end = self.call_unless_superseded(&came, &input);
        match self.settle(&came, &input, end) {
            Ok(()) => true,
            Err(reason) => {
                self.unit.roll_back();
                self.hold(assignment, &input, &reason);
                false
            }
        }
    }

    fn call_unless_superseded(
        &mut self,
        came: &Came<'_>,
        input: &Input<'_>,
    ) -> Result<(), Failure> {
        let late = self.letters.superseded(&mut *self.member, input.partition, came);
        match late.map_err(|e| Failure::stop(e.to_string()))? {
            Some(late) => Err(late.into()),
            None => {
                self.call(input)?;
                Ok(self.unit.fits(self.member.record_bytes_max())?)
            }
        }
    }

    /// Puts into the unit how a message ended; `Err` with the reason where it did not.
    fn settle(
        &mut self,
        came: &Came<'_>,
        input: &Input<'_>,
        end: Result<(), Failure>,
    ) -> Result<(), String> {
        let reject = match end {
            Ok(()) => None,
            Err(Failure::Reject(reject)) => Some(reject),
            Err(Failure::Retry { reason, .. }) => Some(Reject::new(
                "retry_in_transform",
                format!("pure code has no world to wait for: {reason}"),
            )),
            Err(Failure::Stop { reason }) => return Err(reason),
        };
        if let Some(reject) = &reject {
            self.unit.roll_back();
            let (topic, partition, record) = (input.topic, input.partition, input.record);
            let origin = Origin { topic, partition, record, now_ms: self.clock.now_ms() };
            self.unit.dead_letter(&origin, reject);
        }
        let (member, number) = (&mut *self.member, self.next_unit);
        let into = Into { unit: &mut self.unit, number, partition: input.partition };
        match &reject {
            None => self.letters.applied(member, into, came),
            Some(reject) => self.letters.refused(member, into, (came, reject.code)),
        }
        .map_err(|e| e.to_string())?;
        if came.letter {
            // It was counted when it was refused first, and counts once, by how it ended.
            self.unit.tally(&format!("dead_letters:{}", input.record.meta.source), -1);
        }
        if let Some(state) = self.unit.keep(input.partition, input.record.key) {
            self.overlay.put(self.next_unit, input.record.key, state);
        }
        Ok(())
    }

    fn call(&mut self, input: &Input<'_>) -> Result<(), Failure> {
        let stateless = self.service.state == State::None;
        let mut state = Stored {
            member: &mut *self.member,
            overlay: &self.overlay,
            partition: input.partition,
            stateless,
        };
        let record = input.record;
        let mut out = Out {
            unit: &mut self.unit,
            meta: record.meta,
            origin: record.offset,
            key: record.key,
            state: &mut state,
        };
        let transform = &mut self.transform;
        match catch_unwind(AssertUnwindSafe(|| transform.handle(input, &mut out))) {
            Ok(result) => {
                self.panics = 0;
                result
            }
            Err(payload) => {
                self.panics += 1;
                self.transform = (self.make)();
                let text = payload
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or(payload.downcast_ref::<&str>().copied())
                    .unwrap_or("no message");
                if self.panics >= PANICS_MAX {
                    return Err(Failure::stop(format!(
                        "{PANICS_MAX} panics in a row, the last: {text}; install the version that ran before"
                    )));
                }
                Err(Reject::new("panic", format!("the service panicked: {text}")).into())
            }
        }
    }

    fn hold(&mut self, assignment: Assignment, input: &Input<'_>, reason: &str) {
        self.ownership.held(assignment);
        self.pending.retain(|p| p.assignment != assignment);
        let place = format!("{} {}/{}", self.service.name, input.topic, assignment.partition);
        self.board.hold(&place, &format!("held at offset {}: {reason}", input.record.offset));
    }
}
