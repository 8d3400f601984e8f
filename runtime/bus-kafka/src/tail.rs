//! What comes, for views: one consumer for each view of this process, which fetches ahead of it and says when
//! there is something. So a view sleeps until something was committed, whoever did it, and then finds it here: no
//! question to the brokers for each partition and each look.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dataflow::bus::BusError;
use dataflow::{Batch, Board};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::bus::News;
use crate::config::KafkaConfig;
use crate::faults::{self, Reports, What};
use crate::gather::{self, Gather};
use crate::lock;
use crate::reader::Readers;

/// Fetched ahead of a view at most, about, beside the little that its client holds.
const AHEAD_BYTES: usize = 8 << 20;
/// Taken from the client before the view is told.
const PIECE_BYTES: usize = 1 << 20;
/// Longest wait inside the client, so that an end is heard.
const SLICE: Duration = Duration::from_millis(100);

/// A partition of a topic of the flow.
pub(crate) type Place = (Arc<str>, u16);

/// The consumers of the views of this process.
#[derive(Default)]
pub(crate) struct Tails(Mutex<HashMap<String, Tail>>);

/// What a tail is made with.
pub(crate) struct Wanted<'a> {
    pub(crate) config: &'a KafkaConfig,
    pub(crate) news: &'a Arc<News>,
    pub(crate) board: &'a Board,
    pub(crate) view: &'a str,
    /// Where the view stands in each of its partitions.
    pub(crate) places: &'a Places,
}

/// Where a view stands.
pub(crate) type Places = HashMap<Place, u64>;

impl Tails {
    /// What has come at the place of a view, about `bytes_max` of it. A view that is not where it was left (it is
    /// new, or was put elsewhere) is followed anew from where it stands.
    pub(crate) fn read(
        &self,
        wanted: &Wanted<'_>,
        place: &Place,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let Some(from) = wanted.places.get(place).copied() else { return Ok(Vec::new()) };
        let mut tails = lock(&self.0);
        if let Some(tail) = tails.get(wanted.view)
            && let Some(batches) = tail.ahead.take(place, from, bytes_max)?
        {
            return Ok(batches);
        }
        tails.remove(wanted.view);
        tails.insert(wanted.view.to_owned(), Tail::start(wanted)?);
        Ok(Vec::new())
    }
}

/// One consumer with its thread; both end with this value.
struct Tail {
    ahead: Arc<Ahead>,
    thread: Option<JoinHandle<()>>,
}

impl Tail {
    fn start(wanted: &Wanted<'_>) -> Result<Self, BusError> {
        let consumer = consumer(wanted)?;
        let ahead = Arc::new(Ahead::new(wanted.places));
        let fetcher = Fetcher {
            consumer,
            names: wanted.places.keys().map(|(n, _)| (wanted.config.topic(n), n.clone())).collect(),
            ahead: Arc::clone(&ahead),
            config: wanted.config.clone(),
            news: Arc::clone(wanted.news),
            board: wanted.board.clone(),
            place: format!("{} tail", wanted.view),
        };
        let thread = std::thread::Builder::new()
            .name(fetcher.place.clone())
            .spawn(move || fetcher.run())
            .map_err(|e| BusError::Fatal(format!("cannot start a thread: {e}")))?;
        Ok(Self { ahead, thread: Some(thread) })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.ahead.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn consumer(wanted: &Wanted<'_>) -> Result<BaseConsumer<Reports>, BusError> {
    let failed = |e: KafkaError| faults::bus_error(wanted.config, What::Read(wanted.view), &e);
    let consumer: BaseConsumer<Reports> =
        Readers::settings(wanted.config, &wanted.config.group(wanted.view))
            .set("client.id", format!("{}{}-tail", wanted.config.prefix, wanted.view))
            // Where retention was faster than the view, it goes on with what is left.
            .set("auto.offset.reset", "earliest")
            // The brokers answer as soon as there is something; until then they need not be asked again.
            .set("fetch.wait.max.ms", "500")
            .create_with_context(Reports::default())
            .map_err(failed)?;
    let mut list = TopicPartitionList::new();
    for ((name, partition), next) in wanted.places {
        let topic = wanted.config.topic(name);
        list.add_partition_offset(
            &topic,
            i32::from(*partition),
            Offset::Offset(next.cast_signed()),
        )
        .map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    Ok(consumer)
}

/// What was fetched and not applied yet.
struct Ahead {
    state: Mutex<State>,
    /// Told when there is room again, or when it is over.
    room: Condvar,
}

struct State {
    lanes: HashMap<Place, Lane>,
    bytes: usize,
    failed: Option<BusError>,
    over: bool,
}

/// One partition: its batches begin at `start` and reach to `next`.
struct Lane {
    start: u64,
    next: u64,
    batches: VecDeque<Arc<Batch>>,
}

impl Ahead {
    fn new(places: &Places) -> Self {
        let lane = |(place, next): (&Place, &u64)| {
            (place.clone(), Lane { start: *next, next: *next, batches: VecDeque::new() })
        };
        let lanes = places.iter().map(lane).collect();
        let state = State { lanes, bytes: 0, failed: None, over: false };
        Self { state: Mutex::new(state), room: Condvar::new() }
    }

    /// Batches from `from` on; `None` where that is not where they are. What is before is forgotten: the view has it.
    fn take(
        &self,
        place: &Place,
        from: u64,
        bytes_max: usize,
    ) -> Result<Option<Vec<Arc<Batch>>>, BusError> {
        let mut state = lock(&self.state);
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let State { lanes, bytes, over, .. } = &mut *state;
        let Some(lane) = lanes.get_mut(place).filter(|lane| !*over && lane.holds(from)) else {
            return Ok(None);
        };
        lane.start = from;
        while lane.batches.front().is_some_and(|batch| batch.next_offset() <= from) {
            let done = lane.batches.pop_front();
            *bytes = bytes.saturating_sub(done.map_or(0, |batch| weight(&batch)));
            self.room.notify_all();
        }
        let mut left = bytes_max;
        let fits = |batch: &&Arc<Batch>| {
            let fits = left > 0;
            left = left.saturating_sub(weight(batch));
            fits
        };
        Ok(Some(lane.batches.iter().take_while(fits).map(Arc::clone).collect()))
    }

    /// Adds what was fetched, and where the client stands behind it. Returns whether there is anything to read: that
    /// only markers came is told with the next record.
    fn put(&self, gather: Gather, positions: &[(Place, u64)]) -> bool {
        let mut state = lock(&self.state);
        let mut is_news = false;
        for gathered in gather.finish() {
            is_news = true;
            state.add((gathered.topic, gathered.partition), gathered.batch);
        }
        for (place, position) in positions {
            let stands = state.lanes.get(place).map_or(u64::MAX, |lane| lane.next);
            if *position > stands
                && let Some(nothing) = gather::nothing_until(*position)
            {
                state.add(place.clone(), nothing);
            }
        }
        is_news
    }

    /// Waits until there is room; `false` when it is over.
    fn wait_for_room(&self) -> bool {
        let state = lock(&self.state);
        let full = |state: &mut State| state.bytes >= AHEAD_BYTES && !state.over;
        let state = self.room.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        !state.over
    }

    fn fail(&self, error: BusError) {
        let mut state = lock(&self.state);
        (state.failed, state.over) = (Some(error), true);
    }

    fn end(&self) {
        lock(&self.state).over = true;
        self.room.notify_all();
    }
}

impl State {
    fn add(&mut self, place: Place, batch: Batch) {
        let Some(lane) = self.lanes.get_mut(&place) else { return };
        lane.next = lane.next.max(batch.next_offset());
        // Of many markers in a row the last says where to read on.
        if batch.is_empty() && lane.batches.back().is_some_and(|last| last.is_empty()) {
            let before = lane.batches.pop_back();
            self.bytes = self.bytes.saturating_sub(before.map_or(0, |batch| weight(&batch)));
        }
        self.bytes += weight(&batch);
        lane.batches.push_back(Arc::new(batch));
    }
}

impl Lane {
    fn holds(&self, from: u64) -> bool {
        (self.start..=self.next).contains(&from)
    }
}

/// Bytes that a batch counts for, itself included.
fn weight(batch: &Batch) -> usize {
    batch.bytes() + size_of::<Batch>()
}

/// The thread's own.
struct Fetcher {
    consumer: BaseConsumer<Reports>,
    /// Names in the flow, by the names on the brokers.
    names: HashMap<String, Arc<str>>,
    ahead: Arc<Ahead>,
    config: KafkaConfig,
    news: Arc<News>,
    board: Board,
    place: String,
}

impl Fetcher {
    fn run(self) {
        while self.ahead.wait_for_room() {
            match self.pull() {
                Ok(gather) => {
                    if self.ahead.put(gather, &self.positions()) {
                        self.board.clear(&self.place);
                        self.news.tell();
                    }
                }
                Err(BusError::Busy(text)) => {
                    // The client goes on by itself when the brokers are there again.
                    self.board.set(&self.place, &text);
                }
                Err(error) => {
                    self.ahead.fail(error);
                    self.news.tell();
                    return;
                }
            }
        }
    }

    /// What the client has, waiting a moment for the first.
    fn pull(&self) -> Result<Gather, BusError> {
        let mut gather = Gather::default();
        let mut wait = SLICE;
        while gather.bytes() < PIECE_BYTES {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    if let Some(name) = self.names.get(rdkafka::Message::topic(&message)) {
                        gather.push(name, &message);
                    }
                }
                // What was taken from the client before must not be lost.
                Some(Err(error)) if gather.is_empty() => return Err(self.failed(&error)),
                Some(Err(_)) | None => break,
            }
            wait = Duration::ZERO;
        }
        Ok(gather)
    }

    /// Where the client stands: past the markers behind the last record.
    fn positions(&self) -> Vec<(Place, u64)> {
        let Ok(known) = self.consumer.position() else { return Vec::new() };
        let of = |(topic, partition): (&str, i32), offset: Offset| {
            let name = self.names.get(topic)?;
            let next = u64::try_from(offset.to_raw()?).ok()?;
            Some(((Arc::clone(name), u16::try_from(partition).ok()?), next))
        };
        let elements = known.elements();
        elements.iter().filter_map(|e| of((e.topic(), e.partition()), e.offset())).collect()
    }

    fn failed(&self, error: &KafkaError) -> BusError {
        faults::bus_error(&self.config, What::Read(&self.place), error)
    }
}
