//! One instance of a service: fetches, hands in, learns. Lives on the thread of its service; the committer
//! and the restorer have threads of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use dataflow::bus::{Assignment, BusError, Event, Member};
use dataflow::contract::StoreEntry;
use dataflow::flow::Kind;
use dataflow::unit::{Progress, Unit};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::committer::{Command, Committer, Work};
use crate::ends::ends;
use crate::faults::{self, What};
use crate::gather::{self, Gather};
use crate::group::{self, Change};
use crate::monotonic;
use crate::open::UNITS_MAX;
use crate::restore::{Job, Restored, Restorer};
use crate::seat::{Seat, Told};
use crate::slot::Slot;
use crate::store::{StoreReader, Table};

/// Room for units that were handed in; the runtime keeps to [`UNITS_MAX`].
const ROOM: usize = 1_024;
/// Longest wait inside the client, so that what the other threads say is heard.
const SLICE: Duration = Duration::from_millis(10);
/// The same while units are on their way.
const SLICE_BUSY: Duration = Duration::from_millis(2);
/// A broker may be busy for longer with the fetch that goes out meanwhile; to give up sooner would cost the connection.
const WAKE_WITHIN: Duration = Duration::from_secs(1);
/// The group is heard this often although no records are wanted.
const HEAR_EVERY: Duration = Duration::from_millis(100);
/// How long as much is gathered as may be before the client is told to fetch no more. It then forgets what it has fetched
/// ahead, several MiB, and fetches and unpacks that again: so this is longer than most commits take, also on slow brokers.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// A source waits so long for the group to say which feeds are its own.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Where a member is in one partition of one input.
struct Lane {
    name: Arc<str>,
    topic: String,
    input: usize,
    partition: u16,
    /// Next offset to fetch.
    fetched: u64,
    /// Next offset that no unit handed in covers.
    handed_in: u64,
    moved: Instant,
    /// Whether a record came since fetching began: before that, the client's position is another life's.
    live: bool,
}

/// One partition that is this member's.
struct Owned {
    assignment: Assignment,
    restored: bool,
    revoked: bool,
    cancelled: Arc<AtomicBool>,
}

pub(crate) struct KafkaMember {
    seat: Arc<Seat>,
    commands: Sender<Command>,
    jobs: Sender<Job>,
    told: Receiver<Told>,
    reader: StoreReader,
    owned: BTreeMap<u16, Owned>,
    /// Those of partitions that are fetched.
    lanes: Vec<Lane>,
    last_lane: usize,
    /// What the group wants back, one list for each answer that the client waits for.
    wanted_back: Vec<Vec<u16>>,
    gather: Gather,
    /// Said while the member rewound, for the next poll.
    kept: Vec<Event>,
    paused: bool,
    /// Since when what was gathered is as much as may be while no records are wanted.
    full_since: Option<Instant>,
    /// Whether the committer knows that nothing came after the last unit.
    lull: bool,
    heard: Instant,
    watched: Instant,
    threads: Vec<JoinHandle<()>>,
    _slot: Slot,
}

impl KafkaMember {
    pub(crate) fn start(seat: Seat, slot: Slot) -> Result<Self, BusError> {
        let seat = Arc::new(seat);
        let (commands, for_committer) = bounded(ROOM);
        let (jobs, for_restorer) = bounded(usize::from(u16::MAX));
        // Never full: outcomes are as many as units, and a partition is restored once for each job.
        let (tell, told) = bounded(ROOM + usize::from(u16::MAX));
        let committer = Committer::new(&seat, for_committer, tell.clone())?;
        let restorer = Restorer::new(&seat, for_restorer, tell)?;
        let mut threads = Vec::new();
        for (what, run) in [
            ("commit", Box::new(move || committer.run()) as Box<dyn FnOnce() + Send>),
            ("restore", Box::new(move || restorer.run())),
        ] {
            let thread = std::thread::Builder::new()
                .name(format!("{} {what}", seat.layout.service))
                .spawn(run)
                .map_err(|e| BusError::Fatal(format!("cannot start a thread: {e}")))?;
            threads.push(thread);
        }
        let now = monotonic();
        let mut member = Self {
            reader: seat.store.reader()?,
            seat,
            commands,
            jobs,
            told,
            owned: BTreeMap::new(),
            lanes: Vec::new(),
            last_lane: 0,
            wanted_back: Vec::new(),
            gather: Gather::default(),
            kept: Vec::new(),
            paused: false,
            full_since: None,
            lull: false,
            heard: now,
            watched: now,
            threads,
            _slot: slot,
        };
        member.first_feeds()?;
        Ok(member)
    }

    fn is_source(&self) -> bool {
        self.seat.layout.kind == Kind::Source
    }

    /// A source waits for its feeds: what it reads outside is not given to it by the bus.
    fn first_feeds(&mut self) -> Result<(), BusError> {
        let from = monotonic();
        while self.is_source() && from.elapsed() < FIRST_WAIT {
            self.poll(SLICE, 0)?;
            if self.owned.values().any(|o| o.restored) && self.owned.values().all(|o| o.restored) {
                break;
            }
        }
        Ok(())
    }

    /// What the other threads say.
    fn hear_threads(&mut self, events: &mut Vec<Event>) -> Result<(), BusError> {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Outcome(unit, outcome) => events.push(Event::Outcome { unit, outcome }),
                Told::Restored(restored) => self.on_restored(restored, events)?,
                Told::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn on_restored(&mut self, restored: Restored, events: &mut Vec<Event>) -> Result<(), BusError> {
        let Restored { assignment, offsets } = restored;
        // Fetching it now would go on when it is no longer this member's.
        if self.seat.consumer().context().is_going(assignment.partition) {
            return Ok(());
        }
        let Some(owned) = self
            .owned
            .get_mut(&assignment.partition)
            .filter(|o| o.assignment == assignment && !o.restored && !o.revoked)
        else {
            return Ok(());
        };
        owned.restored = true;
        self.fetch_from(assignment.partition, &offsets)?;
        self.seat.consumer().context().own(assignment.partition, assignment.epoch);
        if !self.is_source() {
            events.push(Event::Restored(assignment));
        }
        Ok(())
    }

    /// Begins to fetch a partition of every input.
    fn fetch_from(&mut self, partition: u16, offsets: &[u64]) -> Result<(), BusError> {
        let now = monotonic();
        let mut list = TopicPartitionList::new();
        for (input, (topic, offset)) in self.seat.layout.inputs.iter().zip(offsets).enumerate() {
            list.add_partition_offset(
                &topic.topic,
                i32::from(partition),
                Offset::Offset(offset.cast_signed()),
            )
            .map_err(|e| self.failed(&e))?;
            self.lanes.push(Lane {
                name: Arc::clone(&topic.name),
                topic: topic.topic.clone(),
                input,
                partition,
                fetched: *offset,
                handed_in: *offset,
                moved: now,
                live: false,
            });
        }
        group::fetch(&self.seat.consumer(), &list).map_err(|e| self.failed(&e))?;
        if self.paused {
            self.seat.consumer().pause(&list).map_err(|e| self.failed(&e))?;
        }
        Ok(())
    }

    fn failed(&self, error: &KafkaError) -> BusError {
        faults::bus_error(&self.seat.config, What::Group(&self.seat.layout.group), error)
    }

    /// What the group says.
    fn hear_group(&mut self, events: &mut Vec<Event>) -> Result<(), BusError> {
        while let Some(change) = self.seat.consumer().context().take() {
            match change {
                Change::Assigned(partitions) => {
                    for partition in partitions {
                        self.on_assigned(partition, events)?;
                    }
                }
                Change::Revoked(partitions) => {
                    for partition in &partitions {
                        let Some(owned) = self.owned.get_mut(partition) else { continue };
                        owned.revoked = true;
                        owned.cancelled.store(true, Ordering::SeqCst);
                        events.push(Event::Revoked(owned.assignment));
                    }
                    self.wanted_back.push(partitions);
                    self.answer_group()?;
                }
                Change::Lost(partitions) => {
                    for partition in partitions {
                        self.stop_lanes(partition);
                        if let Some(owned) = self.owned.remove(&partition) {
                            owned.cancelled.store(true, Ordering::SeqCst);
                            events.push(Event::Lost(owned.assignment));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn on_assigned(&mut self, partition: u16, events: &mut Vec<Event>) -> Result<(), BusError> {
        let assignment = Assignment { partition, epoch: group::next_epoch() };
        let owned =
            Owned { assignment, restored: false, revoked: false, cancelled: Arc::default() };
        self.owned.insert(partition, owned);
        if self.is_source() {
            return self.restore(assignment);
        }
        events.push(Event::Assigned(assignment));
        Ok(())
    }

    /// Tells the client about revocations of which everything was let go.
    fn answer_group(&mut self) -> Result<(), BusError> {
        let consumer = self.seat.consumer();
        while let Some(partitions) = self.wanted_back.first() {
            if partitions.iter().any(|p| self.owned.contains_key(p)) {
                return Ok(());
            }
            group::let_go(&consumer, partitions).map_err(|e| self.failed(&e))?;
            self.wanted_back.remove(0);
        }
        Ok(())
    }

    /// A source lets a feed go by itself, once nothing of it is on its way.
    fn release_feeds(&mut self) -> Result<(), BusError> {
        if !self.is_source() || self.seat.in_flight.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
        self.still_held().into_iter().try_for_each(|assignment| self.release(assignment))
    }

    /// Takes what the client has: up to `bytes_max`, waiting for the first at most `wait`.
    fn pull(&mut self, wait: Duration, bytes_max: usize) -> Result<(), BusError> {
        self.heard = monotonic();
        let consumer = self.seat.consumer();
        let mut wait = if self.gather.is_empty() { wait } else { Duration::ZERO };
        while self.gather.bytes() < bytes_max {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    wait = Duration::ZERO;
                    let at = self.lane_of(message.topic(), message.partition());
                    if let Some(lane) = at.and_then(|at| self.lanes.get(at)) {
                        self.gather.push(&lane.name, &message);
                    }
                }
                Some(Err(error)) => self.on_error(&error)?,
            }
        }
        Ok(())
    }

    fn lane_of(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let fits = |l: &Lane| i32::from(l.partition) == partition && l.topic == topic;
        if !self.lanes.get(self.last_lane).is_some_and(fits) {
            self.last_lane = self.lanes.iter().position(fits)?;
        }
        Some(self.last_lane)
    }

    fn on_error(&self, error: &KafkaError) -> Result<(), BusError> {
        let place = format!("{} consumer", self.seat.layout.service);
        match error {
            KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => {
                return Err(BusError::Fenced);
            }
            KafkaError::MessageConsumptionFatal(_) => return Err(self.failed(error)),
            _ => {}
        }
        match self.failed(error) {
            BusError::Busy(text) => {
                self.seat.board.set(&place, &text);
                Ok(())
            }
            // What retention took while the partition was read: start over, which says so.
            _ if crate::restore::out_of_range(error) => Ok(()),
            fatal => Err(fatal),
        }
    }

    /// Hears the group although its records are not wanted; what comes with it is kept for later, and beyond
    /// a limit the client is told to fetch no more.
    fn hear_only(&mut self) -> Result<(), BusError> {
        if self.heard.elapsed() < HEAR_EVERY {
            return Ok(());
        }
        let limit = self.seat.config.fetch_bytes;
        // One more is taken also where there are enough, or the group would not be heard.
        self.pull(Duration::ZERO, limit.max(self.gather.bytes() + 1))?;
        if self.gather.bytes() < limit {
            self.full_since = None;
            return Ok(());
        }
        if self.full_since.get_or_insert_with(monotonic).elapsed() < PAUSE_AFTER {
            return Ok(());
        }
        let consumer = self.seat.consumer();
        if !self.paused {
            consumer.pause(&self.fetched()).map_err(|e| self.failed(&e))?;
            self.paused = true;
        }
        self.pull(Duration::ZERO, usize::MAX)
    }

    /// What was fetched of a partition goes with it: should it come back, it is fetched from what is committed then.
    fn stop_lanes(&mut self, partition: u16) {
        self.lanes.retain(|l| l.partition != partition);
        self.gather.forget(partition);
    }

    /// Fetches nothing more of any partition. The client takes that for an answer to a revocation too, also to one
    /// that it has not told yet: so what the group wants back is lost to the service, which has nothing on its way and
    /// owns nothing when this is called.
    fn let_all_go(&mut self) -> Result<(), BusError> {
        let consumer = self.seat.consumer();
        let mut kept = std::mem::take(&mut self.kept);
        let mut partitions: Vec<_> = self.lanes.iter().map(|l| l.partition).collect();
        self.lanes.clear();
        loop {
            self.hear_group(&mut kept)?;
            for assignment in self.still_held() {
                self.owned.remove(&assignment.partition);
                partitions.push(assignment.partition);
                kept.push(Event::Lost(assignment));
            }
            self.wanted_back.clear();
            group::let_go(&consumer, &partitions).map_err(|e| self.failed(&e))?;
            self.pull(Duration::ZERO, usize::MAX)?;
            if !consumer.context().has_news() {
                break;
            }
        }
        self.kept = kept;
        self.gather = Gather::default();
        self.full_since = None;
        Ok(())
    }

    /// What the group wants back and the service still has.
    fn still_held(&self) -> Vec<Assignment> {
        self.owned.values().filter(|o| o.revoked).map(|o| o.assignment).collect()
    }

    fn fetched(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for lane in &self.lanes {
            list.add_partition(&lane.topic, i32::from(lane.partition));
        }
        list
    }

    /// Turns what was pulled into events.
    fn give_out(&mut self, events: &mut Vec<Event>) -> Result<(), BusError> {
        self.full_since = None;
        if self.paused {
            self.resume()?;
        }
        let positions = if self.lanes.is_empty() { Vec::new() } else { self.positions()? };
        for gathered in std::mem::take(&mut self.gather).finish() {
            self.give(gathered, events);
        }
        self.skip_markers(&positions, events);
        Ok(())
    }

    /// Fetches again. The client's threads, one for each broker, look for what was resumed only once in a second, unless
    /// they have something else to do: so all leaders are asked something at once. One that does not answer would not
    /// send records either.
    fn resume(&mut self) -> Result<(), BusError> {
        let consumer = self.seat.consumer();
        let mut list = self.fetched();
        consumer.resume(&list).map_err(|e| self.failed(&e))?;
        self.paused = false;
        list.set_all_offsets(Offset::End).map_err(|e| self.failed(&e))?;
        drop(consumer.offsets_for_times(list, WAKE_WITHIN));
        Ok(())
    }

    fn give(&mut self, gathered: gather::Gathered, events: &mut Vec<Event>) {
        let gather::Gathered { topic, partition, batch } = gathered;
        let Some(owned) = self.owned.get(&partition).filter(|o| o.restored && !o.revoked) else {
            return;
        };
        let assignment = owned.assignment;
        let lane = self.lanes.iter_mut().find(|l| l.partition == partition && l.name == topic);
        let Some(lane) = lane else { return };
        let from = std::mem::replace(&mut lane.fetched, batch.next_offset());
        lane.moved = monotonic();
        lane.live = true;
        events.push(Event::Records { assignment, topic, batch: Arc::new(batch), from });
    }

    /// Position of the client in each lane.
    fn positions(&self) -> Result<Vec<Option<u64>>, BusError> {
        let known = self.seat.consumer().position().map_err(|e| self.failed(&e))?;
        let of = |lane: &Lane| {
            let element = known.find_partition(&lane.topic, i32::from(lane.partition))?;
            element.offset().to_raw().and_then(|n| u64::try_from(n).ok())
        };
        Ok(self.lanes.iter().map(of).collect())
    }

    /// Where the client stands behind the last record, only markers were left: the service is told, so that
    /// what it commits is where it truly stands.
    fn skip_markers(&mut self, positions: &[Option<u64>], events: &mut Vec<Event>) {
        for (lane, position) in self.lanes.iter_mut().zip(positions) {
            let Some(position) = position.filter(|p| lane.live && *p > lane.fetched) else {
                continue;
            };
            let Some(owned) = self.owned.get(&lane.partition).filter(|o| o.restored && !o.revoked)
            else {
                continue;
            };
            let Some(batch) = gather::nothing_until(position) else { continue };
            let from = std::mem::replace(&mut lane.fetched, position);
            lane.moved = monotonic();
            events.push(Event::Records {
                assignment: owned.assignment,
                topic: Arc::clone(&lane.name),
                batch: Arc::new(batch),
                from,
            });
        }
    }

    /// Progress as offsets to commit; `None` when the work is not this member's.
    fn step(&mut self, progress: &Progress) -> Option<(usize, u16, u64)> {
        let owned = self.owned.get(&progress.partition)?;
        let current = owned.restored && owned.assignment.epoch == progress.epoch;
        let lane = self
            .lanes
            .iter_mut()
            .find(|l| l.partition == progress.partition && l.name == progress.topic)?;
        let given = progress.next >= lane.handed_in && progress.next <= lane.fetched;
        if !current || !given {
            return None;
        }
        lane.handed_in = progress.next;
        Some((lane.input, progress.partition, progress.next))
    }

    /// What a unit is about, and the offsets it commits.
    fn claim(&mut self, unit: &mut Unit) -> Option<Claim> {
        if self.is_source() {
            return self.claim_feeds(unit);
        }
        let mut owned = Vec::new();
        let mut offsets = Vec::new();
        for progress in std::mem::take(&mut unit.progress) {
            offsets.push(self.step(&progress)?);
            owned.push((progress.partition, progress.epoch));
        }
        owned.sort_unstable();
        owned.dedup();
        Some((owned, offsets))
    }

    /// A source's unit is about the feeds whose state it writes. It commits an offset of the feeds topic,
    /// which never moves: what counts is that the group refuses it from an instance that is gone.
    fn claim_feeds(&self, unit: &Unit) -> Option<Claim> {
        let layout = &self.seat.layout;
        let mut homes: Vec<_> =
            unit.state.iter().map(|w| layout.home(w.partition, &w.key)).collect();
        if homes.is_empty() {
            homes.push(layout.partition_of_lane(b""));
        }
        homes.sort_unstable();
        homes.dedup();
        let mut owned = Vec::new();
        for home in homes {
            let feed = self.owned.get(&home).filter(|o| o.restored)?;
            owned.push((home, feed.assignment.epoch));
        }
        let offsets = owned.iter().map(|(partition, _)| (0, *partition, 0)).collect();
        Some((owned, offsets))
    }

    /// Looks whether a partition has work and does not move: the client can lose one for ever.
    fn watch(&mut self, events: &mut Vec<Event>) -> Result<(), BusError> {
        let stall = Duration::from_millis(self.seat.config.stall_ms);
        // While the group waits for something to be let go, little moves.
        if self.watched.elapsed() < stall / 4 || self.paused || !self.wanted_back.is_empty() {
            return Ok(());
        }
        self.watched = monotonic();
        let consumer = self.seat.consumer();
        let mut stuck = Vec::new();
        for lane in self.lanes.iter().filter(|l| l.moved.elapsed() > stall) {
            let ends = ends(&consumer, &lane.topic, lane.partition, Duration::from_secs(1));
            // Brokers that do not answer are not asked about each partition.
            let Ok((_, end)) = ends else { break };
            if end > lane.fetched && self.gather.is_empty() {
                stuck.push(format!("{}/{} at {}", lane.topic, lane.partition, lane.fetched));
            }
        }
        let place = format!("{} watchdog", self.seat.layout.service);
        if stuck.is_empty() {
            self.seat.board.clear(&place);
            return Ok(());
        }
        let text = format!("has work and did not move: {}; taking part anew", stuck.join(", "));
        self.seat.board.set(&place, &text);
        self.unstick(events)
    }

    /// The consumer is made anew. Fetching anew with the old one would not do: the client may take that for the answer
    /// to a revocation that it has not told yet.
    fn unstick(&mut self, events: &mut Vec<Event>) -> Result<(), BusError> {
        let old = self.seat.replace_consumer(crate::join::consumer(
            &self.seat.config,
            &self.seat.layout,
            self.seat.slot,
        )?);
        group::close(&old);
        drop(old);
        // The new consumer holds the same seat in the group and is told anew what is its own.
        self.lanes.clear();
        self.wanted_back.clear();
        self.gather = Gather::default();
        self.full_since = None;
        self.paused = false;
        for owned in std::mem::take(&mut self.owned).into_values() {
            owned.cancelled.store(true, Ordering::SeqCst);
            events.push(Event::Lost(owned.assignment));
        }
        Ok(())
    }
}

fn whole_ms(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// Partitions with their epochs, and offsets to commit.
type Claim = (Vec<(u16, u64)>, Vec<(usize, u16, u64)>);

impl Member for KafkaMember {
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        let from = monotonic();
        loop {
            let mut events = std::mem::take(&mut self.kept);
            self.hear_threads(&mut events)?;
            let left = wait.saturating_sub(from.elapsed());
            let slice =
                if self.seat.in_flight.load(Ordering::SeqCst) > 0 { SLICE_BUSY } else { SLICE };
            // Whole milliseconds: of less the client makes none, and asks again and again until it is over.
            let slice = if events.is_empty() { whole_ms(left.min(slice)) } else { Duration::ZERO };
            if bytes_max > 0 {
                self.pull(slice, bytes_max)?;
            } else {
                self.hear_only()?;
            }
            self.hear_group(&mut events)?;
            self.release_feeds()?;
            if bytes_max > 0 {
                self.give_out(&mut events)?;
                self.tell_lull(&events)?;
            }
            self.watch(&mut events)?;
            let left = wait.saturating_sub(from.elapsed());
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
            if bytes_max == 0 {
                self.wait_for_threads(left.min(HEAR_EVERY), &mut events)?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
        }
    }

    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.order_restore(assignment, false)
    }

    fn submit(&mut self, mut unit: Unit) -> Result<(), BusError> {
        let claim = self.claim(&mut unit);
        let (owned, offsets) = match claim {
            Some((owned, offsets)) => (Some(owned), offsets),
            None => (None, Vec::new()),
        };
        let work = Work { id: unit.id, owned, offsets, unit };
        self.seat.in_flight.fetch_add(1, Ordering::SeqCst);
        self.lull = false;
        self.commands.send(Command::Unit(Box::new(work))).map_err(|_| self.gone())
    }

    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        let home = self.seat.layout.home(partition, key);
        if self.is_source() && partition != 0 {
            return Ok(None);
        }
        self.reader.get((self.seat.layout.state_table(), home), key)
    }

    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        let home = self.seat.layout.home(partition, prefix);
        self.reader.range((Table::Own, home), (prefix, after), limit)
    }

    fn rewind(&mut self) -> Result<(), BusError> {
        // Until it is known again what is committed, nothing is this member's to commit.
        for partition in self.owned.keys() {
            self.seat.consumer().context().disown(*partition);
        }
        self.rewind_committer()?;
        self.let_all_go()?;
        let mut again = Vec::new();
        for owned in self.owned.values_mut().filter(|o| o.restored) {
            owned.restored = false;
            again.push(owned.assignment);
        }
        again.iter().try_for_each(|a| self.order_restore(*a, true))?;
        self.wait_for_restored(&again)
    }

    fn release(&mut self, assignment: Assignment) -> Result<(), BusError> {
        let partition = assignment.partition;
        if self.owned.get(&partition).is_none_or(|o| o.assignment != assignment) {
            return Ok(());
        }
        if let Some(owned) = self.owned.remove(&partition) {
            owned.cancelled.store(true, Ordering::SeqCst);
        }
        self.seat.consumer().context().disown(partition);
        self.answer_group()?;
        self.stop_lanes(partition);
        Ok(())
    }

    fn owns_lane(&self, lane: &str) -> bool {
        let home = self.seat.layout.partition_of_lane(lane.as_bytes());
        self.owned.get(&home).is_some_and(|o| o.restored && !o.revoked)
    }

    fn record_bytes_max(&self) -> usize {
        self.seat.config.record_bytes_max
    }

    fn in_flight_max(&self) -> usize {
        UNITS_MAX
    }
}

impl KafkaMember {
    fn gone(&self) -> BusError {
        let reason = self.told.try_iter().find_map(|told| match told {
            Told::Failed(error) => Some(error),
            Told::Outcome(..) | Told::Restored(_) => None,
        });
        reason.unwrap_or_else(|| {
            BusError::Fatal(format!(
                "`{}` has no committer any more: start again",
                self.seat.layout.service
            ))
        })
    }

    fn order_restore(&self, assignment: Assignment, again: bool) -> Result<(), BusError> {
        let Some(owned) =
            self.owned.get(&assignment.partition).filter(|o| o.assignment == assignment)
        else {
            return Ok(());
        };
        let job = Job { assignment, cancelled: Arc::clone(&owned.cancelled), again };
        self.jobs.send(job).map_err(|_| self.gone())
    }

    /// Tells the committer once that nothing came after the last unit: what it holds open for more goes now.
    fn tell_lull(&mut self, events: &[Event]) -> Result<(), BusError> {
        let waits = self.seat.in_flight.load(Ordering::SeqCst) > 0;
        if self.lull || !waits || events.iter().any(|e| matches!(e, Event::Records { .. })) {
            return Ok(());
        }
        self.lull = true;
        self.commands.send(Command::Lull).map_err(|_| self.gone())
    }

    /// Waits for what the other threads say while nothing is wanted from the client.
    fn wait_for_threads(
        &mut self,
        wait: Duration,
        events: &mut Vec<Event>,
    ) -> Result<(), BusError> {
        match self.told.recv_timeout(wait) {
            Ok(Told::Outcome(unit, outcome)) => events.push(Event::Outcome { unit, outcome }),
            Ok(Told::Restored(restored)) => self.on_restored(restored, events)?,
            Ok(Told::Failed(error)) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Lets the committer forget what is not committed. Outcomes from before mean nothing after it.
    fn rewind_committer(&mut self) -> Result<(), BusError> {
        let (done, is_done) = bounded(1);
        self.commands.send(Command::Rewind(done)).map_err(|_| self.gone())?;
        let mut kept = Vec::new();
        while is_done.recv_timeout(HEAR_EVERY).is_err() {
            // The group is heard meanwhile; all that comes with it is let go afterwards.
            self.hear_only()?;
            for told in self.told.try_iter() {
                match told {
                    Told::Failed(error) => return Err(error),
                    Told::Outcome(..) => {}
                    restored @ Told::Restored(_) => kept.push(restored),
                }
            }
        }
        for told in self.told.try_iter() {
            match told {
                Told::Failed(error) => return Err(error),
                Told::Outcome(..) => {}
                restored @ Told::Restored(_) => kept.push(restored),
            }
        }
        // A partition that was restored for the first time meanwhile is asked for again, with the others.
        for told in kept {
            if let Told::Restored(Restored { assignment, .. }) = told {
                self.restore(assignment)?;
            }
        }
        Ok(())
    }

    /// Waits until it is known what is committed in each of these, or it is no longer this member's.
    fn wait_for_restored(&mut self, again: &[Assignment]) -> Result<(), BusError> {
        let waits = |member: &Self| {
            let context = member.seat.consumer();
            again.iter().any(|a| {
                member
                    .owned
                    .get(&a.partition)
                    .is_some_and(|o| o.assignment == *a && !o.restored && !o.revoked)
            }) && !context.context().has_news()
        };
        let mut events = Vec::new();
        while waits(self) {
            // Keeps the client answered. What comes is of those that are fetched again already: it is kept.
            self.hear_only()?;
            self.wait_for_threads(SLICE, &mut events)?;
        }
        // One that was restored for the first time meanwhile is news to the service; outcomes are of before.
        events.retain(|e| matches!(e, Event::Restored(a) if !again.contains(a)));
        self.kept.append(&mut events);
        Ok(())
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        group::close(&self.seat.consumer());
        self.seat.stop();
        // The threads end when nobody can ask them anything any more.
        self.commands = bounded(0).0;
        self.jobs = bounded(0).0;
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
