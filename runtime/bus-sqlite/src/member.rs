//! One instance of a service: fetches, hands in, learns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use dataflow::bus::{Assignment, BusError, Event, Member};
use dataflow::contract::StoreEntry;
use dataflow::unit::{Progress, Unit};

use crate::group::Seat;
use crate::prepare::{Preparer, Step};
use crate::reader::{Reader, Span};
use crate::shared::{Shared, lock, monotonic};
use crate::writer::Command;

/// A member that waits for the writer looks this often whether the bus has failed.
const PATIENCE: Duration = Duration::from_millis(100);
/// With 256 KiB instead of 2 MiB, half a second's changes of a feed at 1,000 a second are two or three units, and a
/// command behind them reaches screens a sixth sooner (`bench live`, p99). Units as small as this throughout would cost
/// a tenth more CPU.
const FIRST_UNIT_BYTES: usize = 256 << 10;

/// One input topic partition of an assignment.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: u16,
    pub(crate) place: u32,
    pub(crate) compacted: bool,
}

/// Where a member is in one input.
struct Lane {
    input: Input,
    /// Next offset to fetch.
    fetched: u64,
    /// Next offset that no unit handed in covers.
    handed_in: u64,
}

struct Owned {
    assignment: Assignment,
    restored: bool,
    lanes: Vec<Lane>,
}

/// Where a service's state is.
pub(crate) enum Store {
    /// In its own table.
    Own,
    /// In the last records of a compacted topic, by the place of its partition 0 and their number.
    Backed { first: u32, partitions: u16 },
}

/// What a member is made of.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: Sender<Command>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) service: Arc<str>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) store: Store,
    /// An Effect is given only what a power cut cannot take: what it does cannot be taken back.
    pub(crate) durable: bool,
}

pub(crate) struct SqliteMember {
    parts: Parts,
    reader: Reader,
    preparer: Preparer,
    owned: BTreeMap<u16, Owned>,
    /// Rotates, so that no partition waits for the others.
    turn: usize,
}

impl SqliteMember {
    pub(crate) fn new(parts: Parts, reader: Reader) -> Self {
        let preparer = Preparer::new(&parts.shared);
        Self { parts, reader, preparer, owned: BTreeMap::new(), turn: 0 }
    }

    /// What has been told, and what has been written.
    fn news(&mut self, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        let mut events = self.parts.seat.take_events();
        for event in &events {
            if let Event::Assigned(assignment) = event {
                let mine = self.parts.inputs.iter().filter(|i| i.partition == assignment.partition);
                let lanes =
                    mine.map(|i| Lane { input: i.clone(), fetched: 0, handed_in: 0 }).collect();
                let owned = Owned { assignment: *assignment, restored: false, lanes };
                self.owned.insert(assignment.partition, owned);
            }
        }
        if bytes_max > 0 {
            self.fetch(bytes_max, &mut events)?;
        }
        Ok(events)
    }

    fn fetch(&mut self, bytes_max: usize, events: &mut Vec<Event>) -> Result<(), BusError> {
        let mut left = bytes_max;
        self.turn = self.turn.wrapping_add(1);
        let mut lanes: Vec<_> = self
            .owned
            .values_mut()
            .filter(|o| o.restored)
            .flat_map(|o| {
                let assignment = o.assignment;
                o.lanes.iter_mut().map(move |lane| (assignment, lane))
            })
            .collect();
        let count = lanes.len();
        lanes.rotate_left(self.turn.checked_rem(count).unwrap_or(0));
        for (assignment, lane) in lanes {
            if left == 0 {
                break;
            }
            let (place, compacted) = (lane.input.place, lane.input.compacted);
            let (until, recent) = {
                let log = lock(&self.parts.shared.log);
                let range = log.range(place);
                let until = if self.parts.durable { range.durable } else { range.end };
                (until, log.recent(place, lane.fetched, until, left))
            };
            let batches = match recent {
                Some(batches) => batches,
                None => {
                    let span = Span {
                        place,
                        from: lane.fetched,
                        until,
                        bytes_max: left,
                        durable: self.parts.durable,
                    };
                    self.reader.batches(compacted, span)?
                }
            };
            for batch in batches {
                left = left.saturating_sub(batch.bytes());
                let from = std::mem::replace(&mut lane.fetched, batch.next_offset());
                let topic = Arc::clone(&lane.input.topic);
                events.push(Event::Records { assignment, topic, batch, from });
            }
        }
        Ok(())
    }

    /// Lets a partition begin where its service stands.
    fn start_at_committed(shared: &Shared, service: &str, owned: &mut Owned) {
        let log = lock(&shared.log);
        for lane in &mut owned.lanes {
            lane.fetched = log.committed(service, lane.input.place);
            lane.handed_in = lane.fetched;
        }
    }

    /// Progress as a step from where the last unit ended; `None` when the work is not this member's.
    fn step(&mut self, progress: &Progress) -> Option<Step> {
        let owned = self.owned.get_mut(&progress.partition)?;
        let current = owned.restored && owned.assignment.epoch == progress.epoch;
        let lane = owned.lanes.iter_mut().find(|l| l.input.topic == progress.topic)?;
        let given = progress.next >= lane.handed_in && progress.next <= lane.fetched;
        if !current || !given {
            return None;
        }
        let from = std::mem::replace(&mut lane.handed_in, progress.next);
        let (place, assignment) = (lane.input.place, owned.assignment);
        Some(Step { place, assignment, from, next: progress.next })
    }

    fn send(&self, command: Command) -> Result<(), BusError> {
        let mut command = command;
        loop {
            self.parts.shared.check()?;
            match self.parts.commands.send_timeout(command, PATIENCE) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => command = back,
                Err(SendTimeoutError::Disconnected(_)) => {
                    self.parts.shared.check()?;
                    return Err(BusError::Fatal(
                        "the log's writer is gone: start again".to_owned(),
                    ));
                }
            }
        }
    }
}

impl Member for SqliteMember {
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        self.reader.refresh()?;
        let from = monotonic();
        loop {
            self.parts.shared.check()?;
            // Taken before the look, so that what comes between the look and the wait ends the wait.
            let seen = self.parts.shared.mark();
            let events = self.news(bytes_max)?;
            let left = wait.saturating_sub(from.elapsed());
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
            self.parts.shared.wait(seen, left);
        }
    }

    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.parts.shared.check()?;
        let Some(owned) =
            self.owned.get_mut(&assignment.partition).filter(|o| o.assignment == assignment)
        else {
            return Ok(());
        };
        owned.restored = true;
        Self::start_at_committed(&self.parts.shared, &self.parts.service, owned);
        self.parts.seat.tell(Event::Restored(assignment));
        Ok(())
    }

    fn submit(&mut self, mut unit: Unit) -> Result<(), BusError> {
        self.reader.refresh()?;
        self.parts.shared.check()?;
        let (id, progress) = (unit.id, std::mem::take(&mut unit.progress));
        let generation = self.parts.seat.generation();
        let (mut prepared, trained) =
            self.preparer.prepare(&self.parts.shared, &self.parts.service, unit)?;
        for entry in &progress {
            match self.step(entry) {
                Some(step) => prepared.progress.push(step),
                None => prepared.stale = true,
            }
        }
        for trained in trained {
            self.send(Command::Dictionary(trained))?;
        }
        self.parts.seat.handed_in();
        let seat = Arc::clone(&self.parts.seat);
        self.send(Command::Unit { id, seat, generation, unit: prepared })
    }

    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        match self.parts.store {
            Store::Own => self.reader.state(&self.parts.service, partition, key),
            Store::Backed { first, partitions } => {
                if partition >= partitions {
                    return Ok(None);
                }
                let (place, known) = (first + u32::from(partition), &self.parts.shared.known);
                if known.never(place, key) {
                    return Ok(None);
                }
                let latest = self.reader.latest(place, key)?;
                if latest.is_none() {
                    known.missed();
                }
                Ok(latest.and_then(|b| b.get(0).and_then(|r| r.value.map(Arc::from))))
            }
        }
    }

    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        self.reader.state_range((&self.parts.service, partition), (prefix, after), limit)
    }

    fn first_unit_bytes(&self) -> usize {
        FIRST_UNIT_BYTES
    }

    fn rewind(&mut self) -> Result<(), BusError> {
        self.reader.refresh()?;
        let shared = &self.parts.shared;
        self.parts.seat.next_generation();
        // What is in the writer's hands must end first: committed then means committed.
        while self.parts.seat.in_flight() > 0 {
            shared.check()?;
            let seen = shared.mark();
            if self.parts.seat.in_flight() > 0 {
                shared.wait(seen, PATIENCE);
            }
        }
        self.parts.seat.forget_outcomes();
        for owned in self.owned.values_mut() {
            Self::start_at_committed(shared, &self.parts.service, owned);
        }
        Ok(())
    }

    fn release(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.reader.refresh()?;
        if self.owned.get(&assignment.partition).is_some_and(|o| o.assignment == assignment) {
            self.owned.remove(&assignment.partition);
        }
        let Parts { shared, service, seat, .. } = &self.parts;
        lock(&shared.groups).release(service, seat.id, assignment);
        shared.wake();
        Ok(())
    }
}

impl Drop for SqliteMember {
    fn drop(&mut self) {
        let Parts { shared, service, seat, .. } = &self.parts;
        lock(&shared.groups).leave(service, seat.id);
        shared.wake();
    }
}
