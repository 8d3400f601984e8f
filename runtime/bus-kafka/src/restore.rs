//! Brings the local copy of a partition's state up to the changelog, and finds where its inputs go on.
//!
//! In this order: end the transactions of the instances that are gone, fetch the stable offsets, take the end
//! of the changelog *uncommitted*, wait until nothing before it is open, and read committed up to it. A stable
//! offset fetch does not prove that the changelog's own commit marker has arrived: stopping at the last stable
//! offset loses updates silently.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use dataflow::bus::{Assignment, BusError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::ends::ends;
use crate::faults::{self, Reports, What};
use crate::monotonic;
use crate::seat::{Seat, Told};
use crate::slot;
use crate::store::{Row, Shelf, Table};

/// One partition to restore.
pub(crate) struct Job {
    pub(crate) assignment: Assignment,
    /// Set when the partition is taken away meanwhile.
    pub(crate) cancelled: Arc<AtomicBool>,
    /// It was this member's all along, and is only read again.
    pub(crate) again: bool,
}

/// Where the inputs of a restored partition go on: offset of each, in the order of the layout.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) assignment: Assignment,
    pub(crate) offsets: Vec<u64>,
}

const STEP: Duration = Duration::from_millis(100);
/// Between two tries while the brokers are away.
const PATIENCE: Duration = Duration::from_millis(200);
/// An open transaction in a changelog that lasts longer than this is reported.
const WAITING_MS: u128 = 3_000;
/// While a changelog is read, its ends are looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Ending what absent slots left open only saves time: after this it is left to the brokers, whose stable
/// offsets and ends are waited for in any case.
const FENCE_WITHIN: Duration = Duration::from_secs(3);
/// One question to the brokers; it is repeated as long as it must be.
const ASK: Duration = Duration::from_secs(2);
/// Between two looks at a transaction that is open.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Rows that are taken from the client before they go into the copy.
const ROWS_AT_ONCE: usize = 10_000;
/// Rows are written to disk in pieces of this size.
const FLUSH_BYTES: usize = 16 << 20;
/// A local copy older than this is rebuilt: tombstones after it may be gone.
const AGE_MAX_MS: i64 = 6 * 24 * 60 * 60 * 1000;

/// The thread that restores for one member.
pub(crate) struct Restorer {
    seat: Arc<Seat>,
    jobs: Receiver<Job>,
    told: Sender<Told>,
    /// Reads committed, as a stranger to the group that may ask for its offsets.
    committed: BaseConsumer<Reports>,
    /// Sees the true end of a partition.
    uncommitted: BaseConsumer<Reports>,
    /// The group's generation in which absent slots were ended last: once for each is enough.
    fenced: Cell<Option<u64>>,
}

/// A shelf that is being read.
struct Reading {
    from: u64,
    until: u64,
}

/// A consumer outside any group's membership that may ask about `group`.
pub(crate) fn stranger(seat: &Seat, isolation: &str) -> Result<BaseConsumer<Reports>, BusError> {
    let config = &seat.config;
    config
        .client()
        .set("client.id", format!("{}-restore", seat.name()))
        .set("group.id", &seat.layout.group)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.max.messages.kbytes", (config.fetch_bytes / 1024).max(64).to_string())
        .create_with_context(Reports::default())
        .map_err(|e| faults::bus_error(config, What::Group(&seat.layout.group), &e))
}

impl Restorer {
    pub(crate) fn new(
        seat: &Arc<Seat>,
        jobs: Receiver<Job>,
        told: Sender<Told>,
    ) -> Result<Self, BusError> {
        Ok(Self {
            committed: stranger(seat, "read_committed")?,
            uncommitted: stranger(seat, "read_uncommitted")?,
            fenced: Cell::new(None),
            seat: Arc::clone(seat),
            jobs,
            told,
        })
    }

    /// Works until the member is gone.
    pub(crate) fn run(self) {
        while let Ok(first) = self.jobs.recv() {
            let mut jobs = vec![first];
            jobs.extend(self.jobs.try_iter());
            if let Err(error) = self.insist(|| self.restore(&jobs))
                && !self.seat.stopping()
            {
                drop(self.told.send(Told::Failed(error)));
            }
            if self.seat.stopping() {
                return;
            }
        }
    }

    /// Repeats what the brokers cannot answer just now.
    fn insist<T>(&self, ask: impl Fn() -> Result<T, BusError>) -> Result<T, BusError> {
        self.insist_until(&|| self.seat.stopping(), ask)
    }

    /// The same until `late`.
    fn insist_until<T>(
        &self,
        late: &dyn Fn() -> bool,
        ask: impl Fn() -> Result<T, BusError>,
    ) -> Result<T, BusError> {
        let place = format!("{} restore", self.seat.layout.service);
        loop {
            match ask() {
                Err(BusError::Busy(text)) if !late() => {
                    self.seat.board.set(&place, &text);
                    self.seat.rest(PATIENCE);
                }
                other => {
                    self.seat.board.clear(&place);
                    return other;
                }
            }
        }
    }

    fn restore(&self, jobs: &[Job]) -> Result<(), BusError> {
        // For what is only read again, and was fenced before, it would be done for nothing at the first try.
        let fences = Cell::new(jobs.iter().any(|job| !job.again) || self.fenced.get().is_none());
        if fences.get() {
            self.fence(FENCE_WITHIN)?;
        }
        let offsets = self.insist(|| {
            // What is open there may be what the offsets wait for.
            if fences.replace(true) {
                self.fence(Duration::ZERO)?;
            }
            self.committed_offsets(jobs)
        })?;
        let mut places = Vec::new();
        for table in [Table::Backing, Table::Own, Table::Tallies] {
            places.extend(self.catch_up(table, jobs)?);
        }
        self.seat.store.read_again(&places, self.seat.clock.now_ms())?;
        for (job, offsets) in jobs.iter().zip(offsets) {
            let restored = Restored { assignment: job.assignment, offsets };
            if !job.cancelled.load(Ordering::SeqCst) {
                drop(self.told.send(Told::Restored(restored)));
            }
        }
        Ok(())
    }

    /// Waits for the group to be of one mind, and ends what its absent slots left open.
    fn fence(&self, within: Duration) -> Result<(), BusError> {
        let seat = &*self.seat;
        let Seat { config, layout, .. } = seat;
        let generation = self.seat.consumer().context().generation();
        if self.fenced.get() == Some(generation) {
            return Ok(());
        }
        let (from, own) = (monotonic(), self.seat.name());
        let late = || from.elapsed() > within || self.seat.stopping();
        let fenced = self.insist_until(&late, || {
            let group = slot::group(&self.committed, config, &layout.group)?;
            // A broker that is not, or not yet, the coordinator knows nothing of members that are well.
            if group.stable && group.members.contains(&own) {
                return slot::fence_absent(config, layout, self.seat.slot, &group.members, &|| {
                    seat.stopping()
                });
            }
            Err(BusError::Busy(format!("group `{}` is sharing out its partitions", layout.group)))
        });
        match fenced {
            Ok(()) => self.fenced.set(Some(generation)),
            Err(BusError::Busy(_)) => {}
            Err(fatal) => return Err(fatal),
        }
        Ok(())
    }

    /// For each job the offset that each input goes on from.
    fn committed_offsets(&self, jobs: &[Job]) -> Result<Vec<Vec<u64>>, BusError> {
        let Seat { config, layout, .. } = &*self.seat;
        let failed = |e| faults::bus_error(config, What::Offsets(&layout.group), &e);
        let mut list = TopicPartitionList::new();
        for job in jobs {
            for input in &layout.inputs {
                list.add_partition(&input.topic, i32::from(job.assignment.partition));
            }
        }
        let known = self.committed.committed_offsets(list, ASK).map_err(failed)?;
        let mut offsets = Vec::new();
        for job in jobs {
            let partition = job.assignment.partition;
            let mut of_job = Vec::new();
            for input in &layout.inputs {
                let element = known
                    .find_partition(&input.topic, i32::from(partition))
                    .ok_or_else(|| BusError::Busy("an offset was not answered".to_owned()))?;
                element.error().map_err(failed)?;
                let committed = element.offset().to_raw().and_then(|n| u64::try_from(n).ok());
                of_job.push(self.start(&input.topic, partition, committed)?);
            }
            offsets.push(of_job);
        }
        Ok(offsets)
    }

    /// Where an input goes on: what is committed, if that is still there.
    fn start(&self, topic: &str, partition: u16, committed: Option<u64>) -> Result<u64, BusError> {
        let (low, high) = self.ends(&self.uncommitted, topic, partition)?;
        let place = format!("{} {topic}/{partition}", self.seat.layout.service);
        let Some(committed) = committed else { return Ok(low) };
        if committed < low {
            let text = format!(
                "records {committed} to {} were removed by the retention of `{topic}` before `{}` had read them; going on at {low}. Raise the topic's retention, and replay what is missing",
                low - 1,
                self.seat.layout.service
            );
            self.seat.board.set(&place, &text);
            return Ok(low);
        }
        if committed > high {
            return Err(BusError::Fatal(format!(
                "`{}` stands at {committed} of `{topic}`/{partition}, which ends at {high}: the topic was made anew. Delete the group `{}` with kafka-consumer-groups.sh to start over from its beginning",
                self.seat.layout.service, self.seat.layout.group
            )));
        }
        Ok(committed)
    }

    fn ends(
        &self,
        consumer: &BaseConsumer<Reports>,
        topic: &str,
        partition: u16,
    ) -> Result<(u64, u64), BusError> {
        ends(consumer, topic, partition, ASK)
            .map_err(|e| faults::bus_error(&self.seat.config, What::Read(topic), &e))
    }

    /// Reads one changelog of all jobs to its end; the places that the copy is at then.
    fn catch_up(&self, table: Table, jobs: &[Job]) -> Result<Vec<(Shelf, u64)>, BusError> {
        let Some(topic) = self.seat.layout.topic_of(table) else { return Ok(Vec::new()) };
        let mut reading: BTreeMap<u16, Reading> = BTreeMap::new();
        for job in jobs {
            let partition = job.assignment.partition;
            let span = self.span((table, partition), topic)?;
            reading.insert(partition, span);
        }
        let mut places: Vec<_> = reading.iter().map(|(p, r)| ((table, *p), r.until)).collect();
        reading.retain(|_, r| r.from < r.until);
        let mut given_up = self.wait_for_stable(topic, &mut reading, jobs)?;
        if !reading.is_empty() {
            given_up.extend(self.read(table, topic, &mut reading, jobs)?);
        }
        self.seat.board.clear(&format!("{} {topic}", self.seat.layout.service));
        places.retain(|((_, p), _)| !given_up.contains(p));
        Ok(places)
    }

    /// Waits until nothing before the ends is open any more: what is read then is all that there is. The partitions
    /// that were given up meanwhile.
    fn wait_for_stable(
        &self,
        topic: &str,
        reading: &mut BTreeMap<u16, Reading>,
        jobs: &[Job],
    ) -> Result<Vec<u16>, BusError> {
        let since = monotonic();
        let mut given_up = Vec::new();
        loop {
            let mut open = BTreeSet::new();
            for (partition, span) in &*reading {
                if !self.stable(topic, *partition, span.until)? {
                    open.insert(*partition);
                }
            }
            given_up.extend(self.give_up(reading, jobs));
            open.retain(|p| reading.contains_key(p));
            if open.is_empty() {
                return Ok(given_up);
            }
            self.report_waiting(topic, since.elapsed().as_millis(), open.iter());
            self.seat.rest(BETWEEN_LOOKS);
        }
    }

    fn stable(&self, topic: &str, partition: u16, until: u64) -> Result<bool, BusError> {
        let (_, stable) = self.insist(|| self.ends(&self.committed, topic, partition))?;
        Ok(stable >= until)
    }

    /// Takes those out that are no longer wanted: all of them when the member goes.
    fn give_up(&self, reading: &mut BTreeMap<u16, Reading>, jobs: &[Job]) -> Vec<u16> {
        let wanted = |p: &u16| {
            let mut of_it = jobs.iter().filter(|j| j.assignment.partition == *p);
            !self.seat.stopping() && of_it.any(|j| !j.cancelled.load(Ordering::SeqCst))
        };
        let given_up: Vec<_> = reading.keys().copied().filter(|p| !wanted(p)).collect();
        reading.retain(|p, _| !given_up.contains(p));
        given_up
    }

    /// What of a changelog is missing in the copy. A copy that does not fit is dropped.
    fn span(&self, shelf: Shelf, topic: &str) -> Result<Reading, BusError> {
        let (low, until) = self.insist(|| self.ends(&self.uncommitted, topic, shelf.1))?;
        let now_ms = self.seat.clock.now_ms();
        let place = self.seat.store.begin_again(shelf)?;
        let fits = place.filter(|p| {
            p.next >= low && p.next <= until && now_ms.saturating_sub(p.time_ms) < AGE_MAX_MS
        });
        if fits.is_none() {
            self.seat.store.wipe(shelf)?;
        }
        Ok(Reading { from: fits.map_or(low, |p| p.next), until })
    }

    /// Reads to the ends; the partitions that were given up meanwhile.
    fn read(
        &self,
        table: Table,
        topic: &str,
        left: &mut BTreeMap<u16, Reading>,
        jobs: &[Job],
    ) -> Result<Vec<u16>, BusError> {
        let failed = |e| faults::bus_error(&self.seat.config, What::Read(topic), &e);
        let mut list = TopicPartitionList::new();
        for (partition, reading) in &*left {
            let offset = Offset::Offset(reading.from.cast_signed());
            list.add_partition_offset(topic, i32::from(*partition), offset).map_err(failed)?;
        }
        self.committed.assign(&list).map_err(failed)?;
        let given_up = self.read_assigned((table, topic), left, jobs);
        // What is not assigned has no position: the next read begins with none.
        self.committed.unassign().map_err(failed)?;
        given_up
    }

    fn read_assigned(
        &self,
        (table, topic): (Table, &str),
        left: &mut BTreeMap<u16, Reading>,
        jobs: &[Job],
    ) -> Result<Vec<u16>, BusError> {
        let failed = |e| faults::bus_error(&self.seat.config, What::Read(topic), &e);
        let mut looked = monotonic();
        let mut given_up = Vec::new();
        while !left.is_empty() {
            self.seat.store.apply(self.fetch((table, topic), left)?);
            if self.seat.store.dirty_bytes() > FLUSH_BYTES {
                self.seat.store.flush(&[], 0)?;
            }
            skip_markers(&self.committed, topic, left).map_err(failed)?;
            left.retain(|_, r| r.from < r.until);
            given_up.extend(self.give_up(left, jobs));
            if looked.elapsed() > LOOK_EVERY {
                looked = monotonic();
                self.look_at_ends(topic, left)?;
            }
        }
        Ok(given_up)
    }

    /// Says how much is left, and begins anew where brokers lost the end that is being read to.
    fn look_at_ends(&self, topic: &str, left: &BTreeMap<u16, Reading>) -> Result<(), BusError> {
        let records: u64 = left.values().map(|r| r.until.saturating_sub(r.from)).sum();
        if records > 0 {
            let text = format!("restoring from `{topic}`: at most {records} records to go");
            self.seat.board.set(&format!("{} {topic}", self.seat.layout.service), &text);
        }
        for (partition, reading) in left {
            // Brokers that do not answer just now are asked the next time.
            let Ok((_, end)) = self.ends(&self.uncommitted, topic, *partition) else { break };
            if end < reading.until {
                let text = format!(
                    "`{topic}`/{partition} ended at {}, and now ends at {end}: brokers lost what was there",
                    reading.until
                );
                return Err(BusError::Busy(text));
            }
        }
        Ok(())
    }

    /// What has come.
    fn fetch(
        &self,
        (table, topic): (Table, &str),
        left: &mut BTreeMap<u16, Reading>,
    ) -> Result<Vec<Row>, BusError> {
        let mut rows = Vec::new();
        let mut wait = STEP;
        while rows.len() < ROWS_AT_ONCE
            && let Some(message) = self.committed.poll(wait)
        {
            wait = Duration::ZERO;
            match message {
                Ok(message) if message.topic() == topic => {
                    let partition = u16::try_from(message.partition()).unwrap_or(0);
                    let Some(reading) = left.get_mut(&partition) else { continue };
                    reading.from = u64::try_from(message.offset()).unwrap_or(0) + 1;
                    rows.push(Row {
                        shelf: (table, partition),
                        key: message.key().unwrap_or_default().into(),
                        value: message.payload().map(Arc::from),
                    });
                }
                Ok(_) => {}
                Err(error) => self.pardon(topic, &error)?,
            }
        }
        Ok(rows)
    }

    /// Errors of a broker that is away mean waiting; the client goes on by itself.
    fn pardon(&self, topic: &str, error: &KafkaError) -> Result<(), BusError> {
        match faults::bus_error(&self.seat.config, What::Read(topic), error) {
            BusError::Busy(_) => Ok(()),
            fatal => Err(fatal),
        }
    }

    fn report_waiting<'a>(
        &self,
        topic: &str,
        waited_ms: u128,
        left: impl Iterator<Item = &'a u16>,
    ) {
        let which: Vec<_> = left.map(u16::to_string).collect();
        if waited_ms > WAITING_MS && !which.is_empty() {
            let text = format!(
                "restoring partitions {} from `{topic}`; if this lasts, a transaction of an instance that is gone is open there (`conveyance doctor` names it)",
                which.join(", ")
            );
            self.seat.board.set(&format!("{} {topic}", self.seat.layout.service), &text);
        }
    }
}

/// After the last record may come markers, or what was compacted away: then the client's position says how far it is.
/// Its word that this is the end is not asked for. A broker that knows less than the leader gives it too, and a copy
/// that ends there would lack what was committed.
fn skip_markers(
    committed: &BaseConsumer<Reports>,
    topic: &str,
    left: &mut BTreeMap<u16, Reading>,
) -> Result<(), KafkaError> {
    let position = committed.position()?;
    for (partition, reading) in left {
        let at = position.find_partition(topic, i32::from(*partition));
        let at = at.and_then(|p| p.offset().to_raw()).and_then(|n| u64::try_from(n).ok());
        reading.from = reading.from.max(at.unwrap_or(0));
    }
    Ok(())
}

/// Whether an error means that what is there does not begin at or before the wanted offset.
pub(crate) fn out_of_range(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset)
    )
}
