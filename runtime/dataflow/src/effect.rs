//! The loop of an Effect: many keys at once, each key in order, completions out of order.
//!
//! The service only says how to begin a job and which jobs have finished; when to try again, when to give up,
//! what is committed and what a restart repeats is decided here. A job that was running when the process died
//! is begun again: effects on the world are at least once, their outputs exactly once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::batch::{Batch, BatchBuilder, Meta, NewRecord, RecordRef};
use crate::board::Board;
use crate::bus::{Assignment, Bus, BusError, Event, Member, Outcome};
use crate::clock::Clock;
use crate::contract::Emit;
use crate::dead::Origin;
use crate::failure::{Failure, Reject};
use crate::flow::{Flow, ServiceSpec};
use crate::ledger::Ledger;
use crate::letters::Came;
use crate::ownership::{Action, Ownership, Phase};
use crate::unit::{Progress, UnitBuilder};

/// Jobs begun and not finished, over all keys.
pub const RUNNING_MAX: usize = 64;
/// Tries before a message becomes a dead letter.
pub const ATTEMPTS_MAX: u32 = 12;
/// A message that waits longer than this is parked, with the later ones of its key.
pub const PARK_AFTER_MS: i64 = 10_000;
/// Most parked messages of one member; beyond it nothing more is read.
pub const PARKED_MAX: usize = 10_000;
/// Longest wait between two tries.
const BACKOFF_MAX_MS: i64 = 60_000;
/// How long a revoked partition's running jobs may take to end.
const DRAIN_MS: i64 = 5_000;
const FETCH_BYTES: usize = 256 << 10;

/// A message to be sent by an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Topic.
    pub topic: String,
    /// Key.
    pub key: Vec<u8>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// `ce_type`.
    pub kind: String,
    /// Version of what is said.
    pub version: u64,
}

/// How a job ended.
pub type Finished = (u64, Result<Vec<Sent>, Failure>);

/// Work that touches the world. Implementations run jobs on whatever executor they like.
pub trait Effect: Send {
    /// Begins a job; must not block. `ticket` names it.
    fn begin(&mut self, ticket: u64, input: RecordRef<'_>);
    /// Jobs that ended since the last call; waits up to `wait` for one.
    fn finished(&mut self, wait: Duration) -> Vec<Finished>;
    /// The outcome of this job is of no interest any more.
    fn forget(&mut self, ticket: u64);
}

/// One message on its way. The record is held as a block of one.
struct Job {
    topic: Arc<str>,
    batch: Arc<Batch>,
    offset: u64,
    since_ms: i64,
    attempts: u32,
    parked: bool,
}

impl Job {
    fn record(&self) -> Option<RecordRef<'_>> {
        self.batch.records_from(self.offset).next()
    }
}

#[derive(Default)]
struct Lane {
    jobs: VecDeque<Job>,
    running: Option<u64>,
    retry_ms: i64,
}

type LaneKey = (u16, Arc<[u8]>);

/// Runs one Effect as one member of its group.
pub struct EffectWorker {
    service: String,
    redrive: String,
    effect: Box<dyn Effect>,
    member: Box<dyn Member>,
    clock: Arc<dyn Clock>,
    board: Board,
    ownership: Ownership,
    unit: UnitBuilder,
    ledgers: BTreeMap<(Arc<str>, u16), Ledger>,
    lanes: HashMap<LaneKey, Lane>,
    order: VecDeque<LaneKey>,
    tickets: HashMap<u64, LaneKey>,
    in_flight: VecDeque<u64>,
    touched: Vec<(Arc<str>, u16)>,
    draining_since_ms: i64,
    next_ticket: u64,
    next_unit: u64,
    parked: usize,
    rewinds: u64,
}

/// What an effect's worker runs with.
pub struct EffectParts<'a> {
    /// The wiring.
    pub flow: &'a Flow,
    /// Name of the service in it.
    pub service: &'a str,
    /// The service.
    pub effect: Box<dyn Effect>,
    /// Time, for tries and for the headers of dead letters.
    pub clock: Arc<dyn Clock>,
    /// Where held partitions are reported.
    pub board: Board,
}

impl EffectWorker {
    /// Joins the group.
    ///
    /// # Errors
    /// [`BusError`] when the bus refuses or the flow has no such service.
    pub fn join(bus: &dyn Bus, parts: EffectParts<'_>) -> Result<Self, BusError> {
        let EffectParts { flow, service, effect, clock, board } = parts;
        let spec: &ServiceSpec = flow
            .service(service)
            .ok_or_else(|| BusError::Fatal(format!("no service `{service}` in the flow table")))?;
        Ok(Self {
            service: service.to_owned(),
            redrive: spec.redrive(),
            effect,
            member: bus.join(spec)?,
            clock,
            board,
            ownership: Ownership::default(),
            unit: UnitBuilder::new(flow, spec),
            ledgers: BTreeMap::new(),
            lanes: HashMap::new(),
            order: VecDeque::new(),
            tickets: HashMap::new(),
            in_flight: VecDeque::new(),
            touched: Vec::new(),
            draining_since_ms: 0,
            next_ticket: 1,
            next_unit: 1,
            parked: 0,
            rewinds: 0,
        })
    }

    /// One round. Returns whether anything was done or is still to be done.
    ///
    /// # Errors
    /// [`BusError`] ends the worker; everything uncommitted will be done again.
    pub fn step(&mut self, wait: Duration) -> Result<bool, BusError> {
        let now_ms = self.clock.now_ms();
        let room = self.tickets.len() < RUNNING_MAX
            && self.parked < PARKED_MAX
            && !self.ledgers.values().any(Ledger::is_full);
        let idle = self.tickets.is_empty() && self.in_flight.is_empty();
        let events = self
            .member
            .poll(if idle { wait } else { Duration::ZERO }, if room { FETCH_BYTES } else { 0 })?;
        let mut busy = !events.is_empty();
        let rewinds = self.rewinds;
        for event in events {
            if self.rewinds == rewinds || !matches!(event, Event::Records { .. }) {
                self.on(event, now_ms)?;
            }
        }
        busy |= self.collect(
            if idle { Duration::ZERO } else { wait.min(Duration::from_millis(20)) },
            now_ms,
        );
        self.park_the_waiting(now_ms);
        self.begin_ready(now_ms);
        self.submit()?;
        self.finish_draining(now_ms)?;
        Ok(busy || self.lanes.keys().any(|key| !self.is_held(key.0)))
    }

    fn on(&mut self, event: Event, now_ms: i64) -> Result<(), BusError> {
        match event {
            Event::Assigned(a) => {
                let actions = self.ownership.assigned(a);
                self.act(actions)
            }
            Event::Restored(a) => {
                self.ownership.restored(a);
                self.restore_parked(a, now_ms)
            }
            Event::Revoked(a) => {
                self.draining_since_ms = now_ms;
                let actions = self.ownership.revoked(a);
                self.act(actions)
            }
            Event::Lost(a) => {
                let actions = self.ownership.lost(a);
                self.act(actions)
            }
            Event::Records { assignment, topic, batch, from }
                if self.ownership.running(assignment) =>
            {
                self.take(assignment, &topic, &batch, from)
            }
            Event::Records { .. } => Ok(()),
            Event::Outcome { unit, outcome } if self.in_flight.front() == Some(&unit) => {
                self.in_flight.pop_front();
                if outcome == Outcome::Committed { Ok(()) } else { self.start_over() }
            }
            Event::Outcome { .. } => Ok(()),
        }
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<(), BusError> {
        for action in actions {
            match action {
                Action::Restore(a) => self.member.restore(a)?,
                Action::Release(a) => {
                    self.drop_partition(a.partition);
                    self.member.release(a)?;
                }
                Action::Drain(_) => {}
                Action::Forget(_) => self.start_over()?,
            }
        }
        Ok(())
    }

    /// Drops everything that is not known to be committed. Jobs that run are forgotten; they begin again.
    fn start_over(&mut self) -> Result<(), BusError> {
        for ticket in self.tickets.drain() {
            self.effect.forget(ticket.0);
        }
        self.ledgers.clear();
        self.lanes.clear();
        self.order.clear();
        self.in_flight.clear();
        self.touched.clear();
        self.unit.clear();
        self.parked = 0;
        self.rewinds += 1;
        self.member.rewind()?;
        let now_ms = self.clock.now_ms();
        let owned: Vec<_> =
            self.ownership.owned().map(|(a, _)| a).filter(|a| self.ownership.running(*a)).collect();
        owned.into_iter().try_for_each(|a| self.restore_parked(a, now_ms))
    }

    fn drop_partition(&mut self, partition: u16) {
        let gone: Vec<u64> =
            self.tickets.iter().filter(|(_, (p, _))| *p == partition).map(|(t, _)| *t).collect();
        for ticket in gone {
            self.tickets.remove(&ticket);
            self.effect.forget(ticket);
        }
        self.ledgers.retain(|(_, p), _| *p != partition);
        let parked: usize = self
            .lanes
            .iter()
            .filter(|((p, _), _)| *p == partition)
            .map(|(_, l)| l.jobs.iter().filter(|j| j.parked).count())
            .sum();
        self.parked -= parked;
        self.lanes.retain(|(p, _), _| *p != partition);
        self.order.retain(|(p, _)| *p != partition);
    }

    fn take(
        &mut self,
        assignment: Assignment,
        topic: &Arc<str>,
        batch: &Arc<Batch>,
        from: u64,
    ) -> Result<(), BusError> {
        let slot = (Arc::clone(topic), assignment.partition);
        if !self.ledgers.contains_key(&slot) {
            let stored = self.member.state(assignment.partition, &done_key(topic))?;
            let ledger = Ledger::resume(from, stored.as_deref().unwrap_or_default())
                .ok_or_else(|| unreadable("what is done of it", topic, assignment.partition))?;
            self.ledgers.insert(slot.clone(), ledger);
        }
        let now_ms = self.clock.now_ms();
        for record in batch.records_from(from) {
            if self.ledgers.get_mut(&slot).is_some_and(|l| l.begin(record.offset)) {
                let job = Job {
                    topic: Arc::clone(topic),
                    batch: Arc::clone(batch),
                    offset: record.offset,
                    since_ms: now_ms,
                    attempts: 0,
                    parked: false,
                };
                self.queue((assignment.partition, record.key.into()), job);
            }
        }
        Ok(())
    }

    fn queue(&mut self, key: LaneKey, job: Job) {
        let lane = self.lanes.entry(key.clone()).or_default();
        if lane.jobs.is_empty() {
            self.order.push_back(key);
        }
        lane.jobs.push_back(job);
    }

    fn restore_parked(&mut self, a: Assignment, now_ms: i64) -> Result<(), BusError> {
        let mut after = PARK.to_vec();
        loop {
            let found = self.member.state_range(a.partition, PARK, &after, 500)?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            after.clone_from(last);
            for (_, value) in &found {
                let parked =
                    unpark(value, now_ms).and_then(|job| Some((Arc::from(job.record()?.key), job)));
                let Some((key, job)) = parked else {
                    return Err(unreadable("a parked message", &self.service, a.partition));
                };
                self.parked += 1;
                self.queue((a.partition, key), job);
            }
        }
    }

    fn begin_ready(&mut self, now_ms: i64) {
        for _ in 0..self.order.len() {
            if self.tickets.len() >= RUNNING_MAX {
                return;
            }
            let Some(key) = self.order.pop_front() else { return };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let settled = is(&self.ownership, key.0, Phase::Running);
            if let Some(record) = lane
                .jobs
                .front()
                .filter(|_| settled && lane.running.is_none() && lane.retry_ms <= now_ms)
                .and_then(Job::record)
            {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                lane.running = Some(ticket);
                self.tickets.insert(ticket, key.clone());
                self.effect.begin(ticket, record);
            }
            self.order.push_back(key);
        }
    }

    fn collect(&mut self, wait: Duration, now_ms: i64) -> bool {
        let finished = self.effect.finished(wait);
        let busy = !finished.is_empty();
        for (ticket, result) in finished {
            let Some(key) = self.tickets.remove(&ticket) else { continue };
            self.settle(&key, result, now_ms);
        }
        busy
    }

    fn settle(&mut self, key: &LaneKey, result: Result<Vec<Sent>, Failure>, now_ms: i64) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.running = None;
        let Some(job) = lane.jobs.front_mut() else { return };
        job.attempts += 1;
        let failure = match result {
            Ok(sent) => return self.done(key, &Ok(sent), now_ms),
            Err(failure) => failure,
        };
        match failure {
            Failure::Retry { after, reason } if job.attempts >= ATTEMPTS_MAX => {
                let reason = Reject::new(
                    "gave_up",
                    format!("tried {ATTEMPTS_MAX} times, the last wait {after:?}: {reason}"),
                );
                self.done(key, &Err(reason), now_ms);
            }
            Failure::Retry { after, .. } => {
                let least = i64::try_from(after.as_millis()).unwrap_or(BACKOFF_MAX_MS);
                lane.retry_ms = now_ms + least.max(backoff_ms(&key.1, job.attempts));
            }
            Failure::Reject(reject) => self.done(key, &Err(reject), now_ms),
            Failure::Stop { reason } => self.hold(key, &reason),
        }
    }

    /// The program is wrong for what it reads here: nothing more of the partition is begun, and what is not
    /// done of it stays uncommitted for a better program.
    fn hold(&mut self, key: &LaneKey, reason: &str) {
        let Some(job) = self.lanes.get(key).and_then(|lane| lane.jobs.front()) else { return };
        let owned = self.ownership.owned().find(|(a, _)| a.partition == key.0);
        if let Some((assignment, _)) = owned {
            self.ownership.held(assignment);
        }
        let place = format!("{} {}/{}", self.service, job.topic, key.0);
        self.board.hold(&place, &format!("held at offset {}: {reason}", job.offset));
    }

    fn is_held(&self, partition: u16) -> bool {
        is(&self.ownership, partition, Phase::Held)
    }

    /// The head of a lane is over: its outputs, its offset (or its parked copy), and nothing else.
    fn done(&mut self, key: &LaneKey, end: &Result<Vec<Sent>, Reject>, now_ms: i64) {
        let Some(job) = self.lanes.get_mut(key).and_then(|l| l.jobs.pop_front()) else { return };
        let Some(record) = job.record() else { return };
        let came = Came::of(&job.topic, &self.redrive, record);
        match end {
            Ok(sent) => {
                for s in sent {
                    let emit = Emit {
                        key: &s.key,
                        value: s.value.as_deref(),
                        kind: &s.kind,
                        version: s.version,
                        schema: 1,
                    };
                    self.unit.emit(
                        &s.topic,
                        emit,
                        Meta { kind: &s.kind, origin: record.offset, ..record.meta },
                    );
                }
            }
            Err(reason) => {
                let Came { topic, record, .. } = came;
                self.unit.dead_letter(&Origin { topic, partition: key.0, record, now_ms }, reason);
            }
        }
        if came.letter {
            // It was counted when it was refused first, and counts once, by how it ended.
            self.unit.tally(&format!("dead_letters:{}", record.meta.source), -1);
        }
        if job.parked {
            self.parked -= 1;
            self.unit.write_at(key.0, &park_key(&key.1, &job.topic, job.offset), None);
        } else {
            self.finish_offset(&job.topic, key.0, job.offset);
        }
        drop(self.unit.keep(key.0, record.key));
        if self.lanes.get(key).is_some_and(|l| l.jobs.is_empty()) {
            self.lanes.remove(key);
            self.order.retain(|k| k != key);
        }
    }

    fn finish_offset(&mut self, topic: &Arc<str>, partition: u16, offset: u64) {
        let slot = (Arc::clone(topic), partition);
        if let Some(ledger) = self.ledgers.get_mut(&slot) {
            ledger.finish(offset);
        }
        if !self.touched.contains(&slot) {
            self.touched.push(slot);
        }
    }

    /// A key that is blocked for long neither holds the partition nor is lost: its messages move to state.
    fn park_the_waiting(&mut self, now_ms: i64) {
        let mut parked = Vec::new();
        let ownership = &self.ownership;
        let lanes = self.lanes.iter_mut();
        for (key, lane) in lanes.filter(|(key, _)| !is(ownership, key.0, Phase::Held)) {
            let blocked =
                lane.jobs.front().is_some_and(|j| j.parked || now_ms - j.since_ms > PARK_AFTER_MS);
            for job in lane.jobs.iter_mut().filter(|j| blocked && !j.parked) {
                let Some(record) = job.record() else { continue };
                let mut builder = BatchBuilder::default();
                builder.push(NewRecord {
                    key: record.key,
                    value: record.value,
                    meta: record.meta,
                    headers: &record.headers(),
                });
                let mut bytes = vec![PARK_FORMAT];
                bytes.extend_from_slice(&job.offset.to_le_bytes());
                bytes.push(u8::try_from(job.topic.len()).unwrap_or(u8::MAX));
                bytes.extend_from_slice(job.topic.as_bytes());
                bytes.extend_from_slice(&builder.finish());
                job.parked = true;
                self.unit.write_at(key.0, &park_key(&key.1, &job.topic, job.offset), Some(&bytes));
                parked.push((Arc::clone(&job.topic), key.0, job.offset));
            }
        }
        self.parked += parked.len();
        for (topic, partition, offset) in parked {
            self.finish_offset(&topic, partition, offset);
        }
        drop(self.unit.keep(0, b""));
    }

    fn submit(&mut self) -> Result<(), BusError> {
        let mut progress = Vec::new();
        for (topic, partition) in std::mem::take(&mut self.touched) {
            let Some(ledger) = self.ledgers.get(&(Arc::clone(&topic), partition)) else { continue };
            let Some((assignment, _)) =
                self.ownership.owned().find(|(a, _)| a.partition == partition)
            else {
                continue;
            };
            self.unit.write_at(partition, &done_key(&topic), Some(&ledger.stored()));
            progress.push(Progress {
                topic,
                partition,
                epoch: assignment.epoch,
                next: ledger.watermark(),
            });
        }
        drop(self.unit.keep(0, b""));
        if progress.is_empty() && self.unit.is_empty() {
            return Ok(());
        }
        let id = self.next_unit;
        self.next_unit += 1;
        let unit = self.unit.take(id, progress);
        self.in_flight.push_back(id);
        self.member.submit(unit)
    }

    fn finish_draining(&mut self, now_ms: i64) -> Result<(), BusError> {
        for a in self.ownership.draining() {
            let runs = self.tickets.values().any(|(p, _)| *p == a.partition);
            if self.in_flight.is_empty() && (!runs || now_ms - self.draining_since_ms > DRAIN_MS) {
                let actions = self.ownership.drained(a);
                self.act(actions)?;
            }
        }
        Ok(())
    }
}

fn is(ownership: &Ownership, partition: u16, phase: Phase) -> bool {
    ownership.owned().any(|(a, now)| a.partition == partition && now == phase)
}

const PARK: &[u8] = b"park\0";
/// Version of a parked message.
const PARK_FORMAT: u8 = 1;

fn unreadable(what: &str, of: &str, partition: u16) -> BusError {
    BusError::Fatal(format!(
        "{of}/{partition}: {what} cannot be read: use the newer conveyance that wrote it, or restore the log from a backup"
    ))
}

fn park_key(key: &[u8], topic: &str, offset: u64) -> Vec<u8> {
    // Offsets in big-endian, so that a key's messages come back in order.
    [PARK, key, b"\0", topic.as_bytes(), b"\0", &offset.to_be_bytes()].concat()
}

fn done_key(topic: &str) -> Vec<u8> {
    [b"done\0", topic.as_bytes()].concat()
}

fn unpark(value: &[u8], now_ms: i64) -> Option<Job> {
    let (format, rest) = value.split_first()?;
    if *format != PARK_FORMAT {
        return None;
    }
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first()?;
    let (topic, block) = rest.split_at_checked(usize::from(*len))?;
    let offset = u64::from_le_bytes(*offset);
    let batch = Batch::decode(Arc::new(block.to_vec()), offset, 0).ok()?;
    Some(Job {
        topic: std::str::from_utf8(topic).ok()?.into(),
        batch: Arc::new(batch),
        offset,
        since_ms: now_ms,
        attempts: 0,
        parked: true,
    })
}

/// Doubling, with a jitter that derives from the key, so that a run can be repeated.
fn backoff_ms(key: &[u8], attempts: u32) -> i64 {
    let base = 100i64.saturating_mul(1 << attempts.min(10)).min(BACKOFF_MAX_MS);
    let jitter = xxh3_64(&[key, &attempts.to_le_bytes()].concat()) % 50;
    base + base * i64::try_from(jitter).unwrap_or(0) / 100
}
