//! The thread that writes for one member: units become transactions, several of them one where they come fast.
//!
//! A transaction ends in one of three ways. *Committed*: then, and only then, its state goes into the local
//! copy. *Aborted*: nothing of it happened. *Unknown*: the producer is made anew with the same id, which ends
//! the old attempt for good, before the member hears of it; the member then reads what is committed.
//! After anything but a commit everything that follows is refused until the member has rewound.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use dataflow::Batch;
use dataflow::bus::{BusError, Outcome};
use dataflow::unit::{Output, Unit};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::ends::ends;
use crate::envelope;
use crate::faults::Reports;
use crate::monotonic;
use crate::open::{Last, Open};
use crate::producer::{Sent, Transactions, TxnError};
use crate::seat::{Seat, Told};
use crate::store::{Row, Shelf, StoreReader, Table};

/// No transaction begins so shortly after the end of the last: the coordinator writes its markers in the background,
/// refuses the partitions of the next one until it has, and the client asks again only after 20 ms.
const AFTER_END: Duration = Duration::from_millis(3);
/// The local copy is written to disk this often.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// And when it holds this much that is not on disk.
const FLUSH_BYTES: usize = 16 << 20;
/// A member that is going aborts within this time, or leaves it to whoever has its slot next.
const LAST_ABORT: Duration = Duration::from_secs(1);
/// Being fenced twice within this time means that someone else has this slot.
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// A unit on its way.
pub(crate) struct Work {
    pub(crate) id: u64,
    /// Partitions it is about, with the epochs it was done under; `None` when the member knows it is stale.
    pub(crate) owned: Option<Vec<(u16, u64)>>,
    /// Offsets to commit: place of the input in the layout, partition, next.
    pub(crate) offsets: Vec<(usize, u16, u64)>,
    pub(crate) unit: Unit,
}

/// What a member asks of its committer.
pub(crate) enum Command {
    /// Commit this.
    Unit(Box<Work>),
    /// The member has nothing more at hand: what is open waits for nothing.
    Lull,
    /// Forget everything that is not committed; answer when that is so.
    Rewind(Sender<()>),
}

/// The thread's own.
pub(crate) struct Committer {
    seat: Arc<Seat>,
    commands: Receiver<Command>,
    told: Sender<Told>,
    reader: StoreReader,
    /// Sees the true end of the changelogs.
    ends: BaseConsumer<Reports>,
    producer: Option<Transactions>,
    open: Option<Open>,
    refusing: bool,
    last: Last,
    last_flush: Instant,
    fenced: VecDeque<Instant>,
    /// Ends of changelogs, with the epoch they were seen under. A member that was stopped for a while may have
    /// seen what its successor wrote; a commit that the group lets pass afterwards says that it was not so.
    seen: Vec<(Shelf, u64, u64)>,
    /// Ends that are known to hold nothing but what is in the copy.
    places: BTreeMap<Shelf, u64>,
}

impl Committer {
    pub(crate) fn new(
        seat: &Arc<Seat>,
        commands: Receiver<Command>,
        told: Sender<Told>,
    ) -> Result<Self, BusError> {
        let now = monotonic();
        Ok(Self {
            reader: seat.store.reader()?,
            ends: crate::restore::stranger(seat, "read_uncommitted")?,
            seat: Arc::clone(seat),
            commands,
            told,
            producer: None,
            open: None,
            refusing: false,
            last: Last { commit: now, end: now },
            last_flush: now,
            fenced: VecDeque::new(),
            seen: Vec::new(),
            places: BTreeMap::new(),
        })
    }

    /// Works until the member is gone.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.work()
            && !self.seat.stopping()
        {
            drop(self.told.send(Told::Failed(error)));
        }
        if self.open.take().is_some()
            && let Some(producer) = &mut self.producer
        {
            // Readers of the outputs would wait for this transaction until it times out.
            drop(producer.abort(LAST_ABORT));
        }
        drop(self.flush());
    }

    fn work(&mut self) -> Result<(), BusError> {
        loop {
            let (config, now) = (&self.seat.config, monotonic());
            let wait = match &self.open {
                None => FLUSH_EVERY,
                Some(open) if open.is_full(config, &self.last, now) => {
                    self.end()?;
                    continue;
                }
                Some(open) => open.wait(config, &self.last, now),
            };
            let command = self.commands.recv_timeout(wait);
            if self.seat.stopping() {
                return Ok(());
            }
            match command {
                Ok(Command::Unit(work)) => self.take(*work)?,
                Ok(Command::Lull) => {
                    if let Some(open) = &mut self.open {
                        open.lull = true;
                    }
                }
                Ok(Command::Rewind(done)) => {
                    self.forget()?;
                    self.refusing = false;
                    if done.send(()).is_err() {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.open.is_some() => self.end()?,
                Err(RecvTimeoutError::Timeout) => self.flush_when_due()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn tell(&self, unit: u64, outcome: Outcome) {
        self.seat.in_flight.fetch_sub(1, Ordering::SeqCst);
        drop(self.told.send(Told::Outcome(unit, outcome)));
    }

    /// Puts a unit into the open transaction.
    fn take(&mut self, work: Work) -> Result<(), BusError> {
        if work.owned.is_none() && !self.refusing {
            self.end()?;
            self.refusing = true;
        }
        if self.refusing {
            self.tell(work.id, Outcome::Aborted);
            return Ok(());
        }
        self.ready()?;
        if self.seat.stopping() {
            return Ok(());
        }
        let id = work.id;
        if let Some(open) = &mut self.open {
            open.units.push(id);
            open.lull = false;
        }
        match self.send(work) {
            Ok(()) => Ok(()),
            Err(error) => self.undo(error, Outcome::Aborted),
        }
    }

    /// Sees to it that there is a producer and an open transaction.
    fn ready(&mut self) -> Result<(), BusError> {
        while self.open.is_none() && !self.seat.stopping() {
            if self.producer.as_ref().is_none_or(Transactions::suspicious) {
                self.renew()?;
            }
            self.seat.rest((self.last.end + AFTER_END).saturating_duration_since(monotonic()));
            let Some(producer) = &self.producer else { continue };
            match producer.begin() {
                Ok(()) => self.open = Some(Open::new(monotonic())),
                Err(error) => {
                    self.note_fenced(&error)?;
                    self.producer = None;
                }
            }
        }
        Ok(())
    }

    /// Makes the producer anew, which ends whatever the old one left open.
    fn renew(&mut self) -> Result<(), BusError> {
        self.producer = None;
        let seat = &self.seat;
        let place = format!("{} commit", seat.layout.service);
        let id = seat.config.transactional_id(&seat.layout.service, seat.slot);
        let made = Transactions::open(
            &seat.config,
            &id,
            || seat.stopping(),
            |text| {
                seat.board.set(&place, text);
                seat.rest(Duration::from_millis(100));
                seat.stopping()
            },
        );
        match made {
            Err(BusError::Busy(_)) if seat.stopping() => Ok(()),
            made => {
                self.producer = Some(made?);
                seat.board.clear(&place);
                Ok(())
            }
        }
    }

    fn send(&mut self, work: Work) -> Result<(), TxnError> {
        let Work { owned, offsets, mut unit, .. } = work;
        let owned = owned.unwrap_or_default();
        for output in std::mem::take(&mut unit.outputs) {
            self.send_output(output)?;
        }
        let home = owned.first().map_or(0, |(partition, _)| *partition);
        let changelog = self.seat.layout.changelog.clone();
        for write in std::mem::take(&mut unit.state) {
            let partition = self.seat.layout.home(write.partition, &write.key);
            let shelf = (Table::Own, partition);
            self.send_row(&changelog, Row { shelf, key: write.key.into(), value: write.value })?;
        }
        self.send_tallies(home, unit.tallies)?;
        let Some(open) = &mut self.open else { return Ok(()) };
        for (input, partition, next) in offsets {
            open.offsets.insert((input, partition), next);
        }
        open.owned.extend(owned);
        Ok(())
    }

    fn send_output(&mut self, output: Output) -> Result<(), TxnError> {
        let (Some(producer), Some(open)) = (&self.producer, &mut self.open) else { return Ok(()) };
        let layout = &self.seat.layout;
        let topic = self.seat.config.topic(&output.topic);
        let is_state = layout.backing.as_ref().is_some_and(|(name, _)| *name == *output.topic);
        let batch = Batch::decode(Arc::new(output.block), 0, 0)
            .map_err(|e| TxnError::Fatal(e.to_string()))?;
        for record in batch.records() {
            let headers = Some(envelope::write(&record));
            let (key, value) = (record.key, record.value);
            producer.send(Sent {
                topic: &topic,
                partition: output.partition,
                key,
                value,
                headers,
            })?;
            if is_state {
                let shelf = (Table::Backing, output.partition);
                open.rows.push(Row { shelf, key: key.into(), value: value.map(Arc::from) });
            }
        }
        open.bytes += batch.bytes();
        Ok(())
    }

    /// A value of the bus's own: it goes to its changelog now and into the copy when it is committed.
    fn send_row(&mut self, topic: &str, row: Row) -> Result<(), TxnError> {
        let (Some(producer), Some(open)) = (&self.producer, &mut self.open) else { return Ok(()) };
        let value = row.value.as_deref();
        let sent = Sent { topic, partition: row.shelf.1, key: &row.key, value, headers: None };
        producer.send(sent)?;
        open.bytes += row.key.len() + value.map_or(0, <[u8]>::len);
        open.rows.push(row);
        Ok(())
    }

    /// Adds to counters: what is kept is the sum, for each partition.
    fn send_tallies(
        &mut self,
        partition: u16,
        tallies: Vec<(String, i64)>,
    ) -> Result<(), TxnError> {
        let topic = self.seat.layout.tallies.clone();
        for (name, n) in tallies {
            let shelf = (Table::Tallies, partition);
            let slot = (partition, name);
            let known = self.open.as_ref().and_then(|o| o.tallies.get(&slot)).copied();
            let before = match known {
                Some(sum) => sum,
                None => {
                    let stored = self.reader.get(shelf, slot.1.as_bytes());
                    let stored = stored.map_err(|e| TxnError::Fatal(e.to_string()))?;
                    stored.as_deref().and_then(parse_sum).unwrap_or(0)
                }
            };
            let sum = before + n;
            let value = Some(Arc::from(sum.to_string().into_bytes()));
            self.send_row(&topic, Row { shelf, key: slot.1.as_bytes().into(), value })?;
            if let Some(open) = &mut self.open {
                open.tallies.insert(slot, sum);
            }
        }
        Ok(())
    }

    /// Ends the open transaction, if there is one, by committing it.
    fn end(&mut self) -> Result<(), BusError> {
        let Some(open) = &self.open else { return Ok(()) };
        self.last.commit = monotonic();
        let vouched = match self.hand_over_offsets(open) {
            Ok(vouched) => vouched,
            Err(error) => return self.undo(error, Outcome::Aborted),
        };
        let seat = Arc::clone(&self.seat);
        let result = match &mut self.producer {
            Some(producer) => producer.commit(&|| seat.stopping()),
            None => Err(TxnError::Renew("there is no producer".to_owned())),
        };
        self.last.end = monotonic();
        match result {
            Ok(()) => {}
            Err(error @ TxnError::Abort(_)) => return self.undo(error, Outcome::Aborted),
            Err(error) => return self.undo(error, Outcome::Unknown),
        }
        self.seat.commit_times.add(&self.seat.layout.service, self.last.end - self.last.commit);
        let Some(open) = self.open.take() else { return Ok(()) };
        self.keep(open.rows, &open.owned);
        if vouched {
            self.trust_ends();
        }
        for unit in open.units {
            self.tell(unit, Outcome::Committed);
        }
        self.seat.news.tell();
        self.seat.board.clear(&format!("{} commit", self.seat.layout.service));
        self.flush_when_due()
    }

    /// Takes what is committed into the copy. The end of a transaction may be heard late, when a partition has been
    /// someone else's and was read again meanwhile: what is older than that stays out.
    fn keep(&self, rows: Vec<Row>, owned: &[(u16, u64)]) {
        let consumer = self.seat.consumer();
        consumer.context().with_stale(owned, |stale| {
            self.seat.store.apply(rows.into_iter().filter(|row| !stale.contains(&row.shelf.1)));
        });
    }

    /// Sends the offsets with the group's word, if all that the transaction is about is still owned. Whether
    /// there was anything to send.
    fn hand_over_offsets(&self, open: &Open) -> Result<bool, TxnError> {
        let consumer = self.seat.consumer();
        let group: Option<ConsumerGroupMetadata> =
            consumer.context().while_owned(&open.owned, || consumer.group_metadata());
        let Some(group) = group else {
            return Err(TxnError::Abort("its partitions were taken away meanwhile".to_owned()));
        };
        let mut list = TopicPartitionList::new();
        for ((input, partition), next) in &open.offsets {
            let Some(input) = self.seat.layout.inputs.get(*input) else { continue };
            let offset = Offset::Offset(next.cast_signed());
            list.add_partition_offset(&input.topic, i32::from(*partition), offset)
                .map_err(|e| TxnError::Fatal(e.to_string()))?;
        }
        let Some(producer) = self.producer.as_ref().filter(|_| list.count() > 0) else {
            return Ok(false);
        };
        let seat = &self.seat;
        producer.offsets(list, group, &|| seat.stopping()).map(|()| true)
    }

    /// The group let a commit pass: what was seen before it, under the same epochs, is this member's own.
    fn trust_ends(&mut self) {
        let consumer = self.seat.consumer();
        for (shelf, end, epoch) in self.seen.drain(..) {
            if consumer.context().epoch_of(shelf.1) == Some(epoch) {
                self.places.insert(shelf, end);
            }
        }
    }

    /// Ends the open transaction otherwise; nothing more is taken until the member has rewound.
    fn undo(&mut self, error: TxnError, outcome: Outcome) -> Result<(), BusError> {
        let place = format!("{} commit", self.seat.layout.service);
        self.seat.board.set(&place, error.text());
        self.refusing = true;
        let open = self.open.take();
        let patience = match self.seat.stopping() {
            true => LAST_ABORT,
            false => Duration::from_millis(u64::from(self.seat.config.transaction_timeout_ms)),
        };
        let usable = outcome == Outcome::Aborted && matches!(error, TxnError::Abort(_));
        let aborted = usable && self.producer.as_mut().is_some_and(|p| p.abort(patience).is_ok());
        self.last.end = monotonic();
        if let TxnError::Fatal(text) = &error {
            return Err(BusError::Fatal(text.clone()));
        }
        self.note_fenced(&error)?;
        if !aborted {
            self.renew()?;
        }
        for unit in open.map(|o| o.units).unwrap_or_default() {
            self.tell(unit, outcome);
        }
        Ok(())
    }

    fn forget(&mut self) -> Result<(), BusError> {
        if self.open.is_some() {
            self.undo(TxnError::Abort("the member starts over".to_owned()), Outcome::Aborted)?;
            self.seat.board.clear(&format!("{} commit", self.seat.layout.service));
        }
        Ok(())
    }

    fn note_fenced(&mut self, error: &TxnError) -> Result<(), BusError> {
        if !matches!(error, TxnError::Fenced(_)) {
            return Ok(());
        }
        let now = monotonic();
        self.fenced.retain(|at| now.duration_since(*at) < FENCED_WITHIN);
        self.fenced.push_back(now);
        if self.fenced.len() < 2 {
            return Ok(());
        }
        Err(BusError::Fatal(format!(
            "slot {} of `{}` was taken over twice within a minute: another instance uses it too. Give every instance a slot of its own",
            self.seat.slot, self.seat.layout.service
        )))
    }

    fn flush_when_due(&mut self) -> Result<(), BusError> {
        let dirty = self.seat.store.dirty_bytes();
        if dirty > FLUSH_BYTES || (dirty > 0 && self.last_flush.elapsed() > FLUSH_EVERY) {
            return self.flush();
        }
        Ok(())
    }

    /// Writes the copy to disk, and looks where the changelogs end: between two transactions everything below
    /// is known, since nobody but the owner of a partition writes there.
    fn flush(&mut self) -> Result<(), BusError> {
        self.last_flush = monotonic();
        if self.open.is_none() && !self.refusing && !self.seat.stopping() {
            let consumer = self.seat.consumer();
            for shelf in self.seat.store.dirty_shelves() {
                let Some(epoch) = consumer.context().epoch_of(shelf.1) else { continue };
                // Brokers that do not answer are not asked about each partition.
                let Some(end) = self.end_of(shelf) else { break };
                self.seen.push((shelf, end, epoch));
            }
        }
        let places: Vec<_> = std::mem::take(&mut self.places).into_iter().collect();
        self.seat.store.flush(&places, self.seat.clock.now_ms())
    }

    fn end_of(&self, shelf: Shelf) -> Option<u64> {
        let topic = self.seat.layout.topic_of(shelf.0)?;
        ends(&self.ends, topic, shelf.1, Duration::from_secs(1)).ok().map(|(_, end)| end)
    }
}

/// A counter as it is kept.
pub(crate) fn parse_sum(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
