//! A bus in memory, for tests: the same promises as a real one, with faults drawn from a seed.
//!
//! Everything that a real bus may do to a member happens here on purpose: commits that fail or whose outcome
//! is not known, partitions taken away in the middle of work, members fenced without being told, power cuts
//! that take back what was not synced. It is deterministic: one seed, one history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch::{Batch, BatchBuilder, NewRecord, RecordRef};
use crate::bus::{
    Assignment, Backlog, Bus, BusError, Event, Lag, Member, Outcome, Position, Range, Want,
};
use crate::contract::StoreEntry;
use crate::flow::{Flow, Form, Kind, ServiceSpec, State};
use crate::unit::Unit;

/// A small, fast, seeded generator (SplitMix64); good enough to choose faults.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that always says the same for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }

    /// True in about `percent` of calls.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How often what goes wrong, in percent of the occasions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A commit fails and nothing of it happened.
    pub abort: u64,
    /// A commit's outcome is unknown: half of these happened.
    pub unknown: u64,
    /// A handed-in unit waits for a later poll.
    pub delay: u64,
    /// On a poll, a partition is taken from its owner and given to another member.
    pub revoke: u64,
    /// On a poll, a partition is taken without a word until later (a zombie goes on working).
    pub steal: u64,
    /// A fetched batch comes a second time.
    pub repeat: u64,
}

type Partition = (String, u16);

/// All that a power cut leaves or takes.
#[derive(Debug, Clone, Default)]
struct Stored {
    batches: BTreeMap<Partition, Vec<Arc<Batch>>>,
    latest: BTreeMap<Partition, BTreeMap<Vec<u8>, Arc<Batch>>>,
    committed: BTreeMap<(String, String, u16), u64>,
    state: BTreeMap<(String, u16, Vec<u8>), Arc<[u8]>>,
    tallies: BTreeMap<(String, String), i64>,
}

impl Stored {
    fn end(&self, partition: &Partition) -> u64 {
        self.batches.get(partition).and_then(|b| b.last()).map_or(0, |b| b.next_offset())
    }
}

struct Seat {
    service: String,
    topics: Vec<String>,
    source: bool,
    generation: u64,
    queue: VecDeque<Unit>,
    poisoned: bool,
    events: Vec<Event>,
    owned: BTreeMap<u16, Owned>,
    unanswered_loss: Vec<Assignment>,
}

struct Owned {
    epoch: u64,
    restored: bool,
    revoked: bool,
    position: BTreeMap<String, u64>,
}

struct Shared {
    flow: Flow,
    now: Stored,
    durable: Stored,
    seats: BTreeMap<u64, Seat>,
    owners: BTreeMap<(String, u16), (u64, u64)>,
    next_seat: u64,
    next_epoch: u64,
    rng: Rng,
    faults: Faults,
    mark: u64,
    synced_mark: u64,
    fencing: bool,
    epoch: u64,
}

/// The bus; clones share it.
#[derive(Clone)]
pub struct MemoryBus(Arc<Mutex<Shared>>);

impl MemoryBus {
    /// An empty bus for that flow.
    #[must_use]
    pub fn new(flow: &Flow, seed: u64, faults: Faults) -> Self {
        let shared = Shared {
            flow: flow.clone(),
            now: Stored::default(),
            durable: Stored::default(),
            seats: BTreeMap::new(),
            owners: BTreeMap::new(),
            next_seat: 1,
            next_epoch: 1,
            rng: Rng::new(seed),
            faults,
            mark: 1,
            synced_mark: 0,
            fencing: true,
            epoch: 77,
        };
        Self(Arc::new(Mutex::new(shared)))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing goes wrong, so that a run can end.
    pub fn calm(&self) {
        self.lock().faults = Faults::default();
    }

    /// A broker that fences by member and not by ownership: stale work is taken. For proving that the
    /// checker sees what that does.
    pub fn forget_epochs(&self) {
        self.lock().fencing = false;
    }

    /// Everything so far survives a power cut.
    pub fn sync(&self) {
        let mut shared = self.lock();
        if shared.synced_mark != shared.mark {
            shared.durable = shared.now.clone();
            shared.mark += 1;
            shared.synced_mark = shared.mark;
        }
    }

    /// The power goes: what was not synced is gone, and so is every member.
    pub fn power_cut(&self) {
        let mut shared = self.lock();
        shared.now = shared.durable.clone();
        shared.seats.clear();
        shared.owners.clear();
        shared.mark += 1;
    }

    /// All records of a topic, partition by partition, in order.
    pub fn each_record(&self, topic: &str, mut f: impl FnMut(u16, RecordRef<'_>)) {
        let shared = self.lock();
        for ((name, partition), batches) in &shared.now.batches {
            if name == topic {
                batches.iter().flat_map(|b| b.records()).for_each(|r| f(*partition, r));
            }
        }
    }

    /// Own state of a service, by key.
    #[must_use]
    pub fn state_of(&self, service: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let shared = self.lock();
        let own = shared.now.state.iter().filter(|((name, _, _), _)| name == service);
        own.map(|((_, _, key), value)| (key.clone(), value.to_vec())).collect()
    }

    /// Appends one record from outside any service, for tests.
    pub fn append_record(&self, topic: &str, partition: u16, record: NewRecord<'_>) {
        let mut builder = BatchBuilder::default();
        builder.push(record);
        self.lock().append(topic, partition, builder.finish());
    }
}

impl Shared {
    fn append(&mut self, topic: &str, partition: u16, block: Vec<u8>) {
        let at = (topic.to_owned(), partition);
        let batch =
            Batch::decode(Arc::new(block), self.now.end(&at), 0).expect("the builder wrote it");
        if self.flow.topic(topic).is_some_and(crate::flow::TopicSpec::compacted) {
            let latest = self.now.latest.entry(at.clone()).or_default();
            for record in batch.records() {
                latest.insert(record.key.to_vec(), Arc::new(single(record)));
            }
        }
        self.now.batches.entry(at).or_default().push(Arc::new(batch));
        self.mark += 1;
    }

    /// Gives every partition that nobody owns to a member of its service.
    fn assign_free(&mut self) {
        let mut services: Vec<(String, u16)> = Vec::new();
        for seat in self.seats.values().filter(|s| !s.source) {
            let count =
                seat.topics.first().and_then(|t| self.flow.topic(t)).map_or(0, |t| t.partitions);
            if !services.iter().any(|(name, _)| *name == seat.service) {
                services.push((seat.service.clone(), count));
            }
        }
        for (service, count) in services {
            for partition in 0..count {
                if !self.owners.contains_key(&(service.clone(), partition)) {
                    self.assign(&service, partition, None);
                }
            }
        }
    }

    fn assign(&mut self, service: &str, partition: u16, not: Option<u64>) {
        let mut choices: Vec<u64> =
            self.seats.iter().filter(|(_, s)| s.service == service).map(|(id, _)| *id).collect();
        if choices.len() > 1 {
            choices.retain(|id| Some(*id) != not);
        }
        let count = choices.len() as u64;
        if count == 0 {
            return;
        }
        let Some(id) = choices.get(usize::try_from(self.rng.below(count)).unwrap_or(0)).copied()
        else {
            return;
        };
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        self.owners.insert((service.to_owned(), partition), (id, epoch));
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.owned.insert(
            partition,
            Owned { epoch, restored: false, revoked: false, position: BTreeMap::new() },
        );
        seat.events.push(Event::Assigned(Assignment { partition, epoch }));
    }

    /// Faults that befall members from outside.
    fn disturb(&mut self, id: u64) {
        let Some(seat) = self.seats.get(&id) else { return };
        let service = seat.service.clone();
        let free: Vec<(u16, u64)> =
            seat.owned.iter().filter(|(_, o)| !o.revoked).map(|(p, o)| (*p, o.epoch)).collect();
        if free.is_empty() {
            return;
        }
        let Some((partition, epoch)) =
            free.get(usize::try_from(self.rng.below(free.len() as u64)).unwrap_or(0)).copied()
        else {
            return;
        };
        let assignment = Assignment { partition, epoch };
        if self.rng.chance(self.faults.revoke) {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.events.push(Event::Revoked(assignment));
                if let Some(owned) = seat.owned.get_mut(&partition) {
                    owned.revoked = true;
                }
            }
        } else if self.rng.chance(self.faults.steal) {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.owned.remove(&partition);
                seat.unanswered_loss.push(assignment);
            }
            self.assign(&service, partition, Some(id));
        }
    }

    /// Decides units that wait, oldest first.
    fn settle(&mut self, id: u64) {
        while let Some(seat) = self.seats.get_mut(&id) {
            if seat.queue.is_empty() || (self.rng.chance(self.faults.delay)) {
                return;
            }
            let Some(unit) = seat.queue.pop_front() else { return };
            let number = unit.id;
            let refused = seat.poisoned || (self.fencing && !self.is_current(id, &unit));
            let outcome = if refused || self.rng.chance(self.faults.abort) {
                Outcome::Aborted
            } else if self.rng.chance(self.faults.unknown) {
                if self.rng.chance(50) {
                    self.apply(id, unit);
                }
                Outcome::Unknown
            } else {
                self.apply(id, unit);
                Outcome::Committed
            };
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.poisoned |= outcome != Outcome::Committed;
                seat.events.push(Event::Outcome { unit: number, outcome });
            }
        }
    }

    /// A unit counts only if every partition it worked on is still owned under that epoch.
    fn is_current(&self, id: u64, unit: &Unit) -> bool {
        let Some(seat) = self.seats.get(&id) else { return false };
        unit.progress
            .iter()
            .all(|p| self.owners.get(&(seat.service.clone(), p.partition)) == Some(&(id, p.epoch)))
    }

    fn apply(&mut self, id: u64, unit: Unit) {
        if let Some(service) = self.seats.get(&id).map(|s| s.service.clone()) {
            self.apply_as(&service, unit);
        }
    }

    fn apply_as(&mut self, service: &str, unit: Unit) {
        for output in unit.outputs {
            self.append(&output.topic, output.partition, output.block);
        }
        for p in unit.progress {
            self.now
                .committed
                .insert((service.to_owned(), p.topic.to_string(), p.partition), p.next);
        }
        for write in unit.state {
            let key = (service.to_owned(), write.partition, write.key);
            match write.value {
                Some(value) => drop(self.now.state.insert(key, value)),
                None => drop(self.now.state.remove(&key)),
            }
        }
        for (name, n) in unit.tallies {
            *self.now.tallies.entry((service.to_owned(), name)).or_default() += n;
        }
        self.mark += 1;
    }

    fn fetch(&mut self, id: u64, bytes_max: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(seat) = self.seats.get_mut(&id) else { return events };
        let mut bytes = 0;
        for (partition, owned) in seat.owned.iter_mut().filter(|(_, o)| o.restored && !o.revoked) {
            for topic in &seat.topics {
                let committed = self
                    .now
                    .committed
                    .get(&(seat.service.clone(), topic.clone(), *partition))
                    .copied()
                    .unwrap_or(0);
                let position = owned.position.entry(topic.clone()).or_insert(committed);
                let Some(batches) = self.now.batches.get(&(topic.clone(), *partition)) else {
                    continue;
                };
                for batch in batches
                    .iter()
                    .filter({
                        let from = *position;
                        move |b| b.next_offset() > from
                    })
                    .take(2)
                {
                    if bytes > bytes_max {
                        return events;
                    }
                    bytes += batch.bytes();
                    let assignment = Assignment { partition: *partition, epoch: owned.epoch };
                    let times = if self.rng.chance(self.faults.repeat) { 2 } else { 1 };
                    for _ in 0..times {
                        events.push(Event::Records {
                            assignment,
                            topic: topic.as_str().into(),
                            batch: Arc::clone(batch),
                            from: *position,
                        });
                    }
                    *position = batch.next_offset();
                }
            }
        }
        events
    }
}

fn single(record: RecordRef<'_>) -> Batch {
    let mut builder = BatchBuilder::default();
    builder.push(NewRecord {
        key: record.key,
        value: record.value,
        meta: record.meta,
        headers: &record.headers(),
    });
    Batch::decode(Arc::new(builder.finish()), record.offset, 0).expect("the builder wrote it")
}

impl Bus for MemoryBus {
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError> {
        let mut shared = self.lock();
        let id = shared.next_seat;
        shared.next_seat += 1;
        let topics = service
            .reads
            .iter()
            .filter(|(_, form)| *form == Form::Keyed)
            .map(|(t, _)| t.clone())
            .collect();
        let seat = Seat {
            service: service.name.clone(),
            topics,
            source: service.kind == Kind::Source,
            generation: 0,
            queue: VecDeque::new(),
            poisoned: false,
            events: Vec::new(),
            owned: BTreeMap::new(),
            unanswered_loss: Vec::new(),
        };
        shared.seats.insert(id, seat);
        shared.assign_free();
        let backing = match &service.state {
            State::BackedBy(topic) => Some(topic.clone()),
            State::None | State::Own => None,
        };
        Ok(Box::new(MemoryMember { bus: self.clone(), id, service: service.name.clone(), backing }))
    }

    fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError> {
        if !unit.progress.is_empty() {
            return Err(BusError::Fatal("an append has no progress: this is a bug".to_owned()));
        }
        let mut shared = self.lock();
        let mut positions = Vec::new();
        for output in unit.outputs.iter().filter(|o| o.count > 0) {
            let end = shared.now.end(&(output.topic.to_string(), output.partition));
            positions.push(Position {
                topic: Arc::clone(&output.topic),
                partition: output.partition,
                offset: end,
            });
        }
        shared.apply_as(service, unit);
        drop(shared);
        self.sync();
        Ok(positions)
    }

    fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        let shared = self.lock();
        let at = (topic.to_owned(), partition);
        Ok(Range { start: 0, end: shared.now.end(&at), durable: shared.durable.end(&at) })
    }

    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let shared = self.lock();
        let stored = if want.durable { &shared.durable } else { &shared.now };
        let mut bytes = 0;
        let batches = stored.batches.get(&(topic.to_owned(), partition)).into_iter().flatten();
        let wanted = batches.filter(|b| b.next_offset() > from).take_while(|b| {
            let first = bytes == 0;
            bytes += b.bytes();
            first || bytes <= want.bytes_max
        });
        Ok(wanted.cloned().collect())
    }

    fn wait(&self, _seen: u64, _timeout: Duration) -> u64 {
        self.lock().mark
    }

    fn backlog(&self) -> Result<Vec<Backlog>, BusError> {
        let shared = self.lock();
        let mut backlog = Vec::new();
        for service in shared.flow.services.iter().filter(|s| s.kind != Kind::View) {
            for topic in service.reads.iter().filter_map(|(t, _)| shared.flow.topic(t)) {
                for partition in 0..topic.partitions {
                    let next = shared
                        .now
                        .committed
                        .get(&(service.name.clone(), topic.name.clone(), partition))
                        .copied()
                        .unwrap_or(0);
                    let records =
                        shared.now.end(&(topic.name.clone(), partition)).saturating_sub(next);
                    let oldest_ms = (records > 0).then_some(0);
                    backlog.push(Backlog {
                        service: service.name.clone(),
                        topic: topic.name.clone(),
                        partition,
                        next,
                        records,
                        oldest_ms,
                    });
                }
            }
        }
        Ok(backlog)
    }

    fn lag(&self, services: &[String]) -> Lag {
        let all = self.backlog().unwrap_or_default();
        let asked = all.iter().filter(|b| services.contains(&b.service));
        // It keeps no times.
        Lag { records: asked.map(|b| b.records).sum(), oldest_ms: None }
    }

    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        let shared = self.lock();
        Ok(shared
            .now
            .tallies
            .iter()
            .filter(|((s, _), _)| s == service)
            .map(|((_, name), n)| (name.clone(), *n))
            .collect())
    }

    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        Ok(self
            .lock()
            .now
            .latest
            .get(&(topic.to_owned(), partition))
            .and_then(|l| l.get(key))
            .cloned())
    }

    fn hold(&self, _view: &str, _topic: &str, _partition: u16, _next: u64) {}
}

struct MemoryMember {
    bus: MemoryBus,
    id: u64,
    service: String,
    backing: Option<String>,
}

impl Member for MemoryMember {
    fn poll(&mut self, _wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        let mut shared = self.bus.lock();
        shared.disturb(self.id);
        shared.settle(self.id);
        let tell_losses = shared.rng.chance(30);
        let Some(seat) = shared.seats.get_mut(&self.id) else { return Err(BusError::Fenced) };
        if tell_losses {
            let losses = std::mem::take(&mut seat.unanswered_loss);
            seat.events.extend(losses.into_iter().map(Event::Lost));
        }
        let mut events = std::mem::take(&mut seat.events);
        if bytes_max > 0 {
            events.extend(shared.fetch(self.id, bytes_max));
        }
        Ok(events)
    }

    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError> {
        let mut shared = self.bus.lock();
        let Some(seat) = shared.seats.get_mut(&self.id) else { return Err(BusError::Fenced) };
        if let Some(owned) =
            seat.owned.get_mut(&assignment.partition).filter(|o| o.epoch == assignment.epoch)
        {
            owned.restored = true;
            seat.events.push(Event::Restored(assignment));
        }
        Ok(())
    }

    fn submit(&mut self, unit: Unit) -> Result<(), BusError> {
        let mut shared = self.bus.lock();
        let Some(seat) = shared.seats.get_mut(&self.id) else { return Err(BusError::Fenced) };
        seat.queue.push_back(unit);
        Ok(())
    }

    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        let shared = self.bus.lock();
        let Some(topic) = &self.backing else {
            return Ok(shared
                .now
                .state
                .get(&(self.service.clone(), partition, key.to_vec()))
                .cloned());
        };
        let latest = shared.now.latest.get(&(topic.clone(), partition)).and_then(|l| l.get(key));
        Ok(latest.and_then(|b| b.get(0)).and_then(|r| r.value).map(Arc::from))
    }

    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        let shared = self.bus.lock();
        let own = shared.now.state.iter().filter(|((s, p, key), _)| {
            *s == self.service
                && *p == partition
                && key.starts_with(prefix)
                && key.as_slice() > after
        });
        Ok(own.take(limit).map(|((_, _, key), value)| (key.clone(), Arc::clone(value))).collect())
    }

    fn rewind(&mut self) -> Result<(), BusError> {
        let mut shared = self.bus.lock();
        let Some(seat) = shared.seats.get_mut(&self.id) else { return Err(BusError::Fenced) };
        seat.generation += 1;
        seat.queue.clear();
        seat.poisoned = false;
        seat.events.retain(|e| !matches!(e, Event::Records { .. } | Event::Outcome { .. }));
        seat.owned.values_mut().for_each(|o| o.position.clear());
        Ok(())
    }

    fn release(&mut self, assignment: Assignment) -> Result<(), BusError> {
        let mut shared = self.bus.lock();
        if shared.owners.get(&(self.service.clone(), assignment.partition))
            != Some(&(self.id, assignment.epoch))
        {
            return Ok(());
        }
        if let Some(seat) = shared.seats.get_mut(&self.id) {
            seat.owned.remove(&assignment.partition);
        }
        let service = self.service.clone();
        shared.assign(&service, assignment.partition, Some(self.id));
        Ok(())
    }
}

impl Drop for MemoryMember {
    fn drop(&mut self) {
        let mut shared = self.bus.lock();
        if shared.seats.remove(&self.id).is_some() {
            let id = self.id;
            shared.owners.retain(|_, (owner, _)| *owner != id);
            shared.assign_free();
        }
    }
}
