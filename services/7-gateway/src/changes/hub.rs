//! The hub: takes rounds from the view's thread, keeps them, and leaves notes with those who watch.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::Waker;

use dataflow::bus::Bus;
use tokio::sync::{Semaphore, watch};

use crate::answer::Model;
use crate::changes::frames::Maker;
use crate::changes::inbox::{Note, Place, Subscriber};
use crate::changes::index::{Id, Index};
use crate::changes::ring::Ring;
use crate::changes::round::Round;
use crate::changes::watch::{Folded, Watch};
use crate::columns::Columns;
use crate::position;

/// Most subscribers at a time.
pub(crate) const SUBSCRIBERS_MAX: usize = 11_000;
/// While the view is further behind than this, subscribers are told where it is about once a second.
const BEHIND_MS: i64 = 1_000;
const TELL_EVERY_MS: i64 = 1_000;
/// Streams at a time that come back from so long ago that the log is read for them.
const OLD_MAX: usize = 32;

/// A topic whose partitions count in positions.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) partitions: u16,
    /// Slot of its first partition.
    pub(crate) first: usize,
}

/// The hub; shared by the view's thread and every stream.
pub(crate) struct Hub {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) maker: Maker,
    pub(crate) folded: RwLock<Folded>,
    pub(crate) old: Arc<Semaphore>,
    state: Mutex<State>,
    /// Rises whenever the view goes on.
    progress: watch::Sender<()>,
    behind_ms: AtomicI64,
    told_ms: AtomicI64,
    live: AtomicUsize,
    closing: AtomicBool,
}

struct State {
    ring: Ring,
    index: Index,
    subscribers: Vec<Option<Arc<Subscriber>>>,
    free: Vec<Id>,
    next: Arc<[u64]>,
    text: Arc<str>,
    /// Number of the last round.
    last: u64,
    /// For each subscriber the last entry it was asked about, so that it is asked once.
    asked: Vec<u64>,
    entry: u64,
}

/// Where the view is.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) next: Arc<[u64]>,
    pub(crate) text: Arc<str>,
    /// Number of the last round that is in it.
    pub(crate) last: u64,
}

/// A subscriber that is registered; dropping it takes it out.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    id: Id,
    pub(crate) subscriber: Arc<Subscriber>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}

impl Hub {
    pub(crate) fn new(bus: Arc<dyn Bus>, topics: Vec<Topic>, model: Model, instance: u32) -> Self {
        let slots = topics.iter().map(|t| usize::from(t.partitions)).sum();
        let maker = Maker { model, epoch: bus.epoch(), instance };
        let next: Arc<[u64]> = std::iter::repeat_n(0, slots).collect();
        let text = position::text(maker.epoch, instance, next.iter().copied()).into();
        Self {
            bus,
            topics,
            maker,
            folded: RwLock::default(),
            old: Arc::new(Semaphore::new(OLD_MAX)),
            state: Mutex::new(State {
                ring: Ring::default(),
                index: Index::default(),
                subscribers: Vec::new(),
                free: Vec::new(),
                next,
                text,
                last: 0,
                asked: Vec::new(),
                entry: 0,
            }),
            progress: watch::Sender::new(()),
            behind_ms: AtomicI64::new(0),
            told_ms: AtomicI64::new(0),
            live: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn folded(&self) -> RwLockReadGuard<'_, Folded> {
        self.folded.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a topic's partition.
    pub(crate) fn slot(&self, topic: &str, partition: u16) -> Option<usize> {
        let topic = self.topics.iter().find(|t| *t.name == *topic)?;
        (partition < topic.partitions).then(|| topic.first + usize::from(partition))
    }

    /// All slots, with topic and partition.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, &Topic, u16)> {
        self.topics.iter().flat_map(|topic| {
            (0..topic.partitions).map(move |p| (topic.first + usize::from(p), topic, p))
        })
    }

    /// The position as text.
    pub(crate) fn text_of(&self, next: &[u64]) -> String {
        position::text(self.maker.epoch, self.maker.instance, next.iter().copied())
    }

    /// Starts at a position; nothing is known of what was before.
    pub(crate) fn start_at(&self, next: Arc<[u64]>) {
        let text = self.text_of(&next).into();
        let mut state = self.state();
        (state.next, state.text, state.ring) = (next, text, Ring::default());
    }

    /// Learns the names that are new to the columns.
    pub(crate) fn follow(&self, columns: &Columns) {
        let names = &columns.names;
        let known = self.folded().len();
        let all =
            [&names.city, &names.state, &names.feed, &names.country, &names.status, &names.kind];
        if known < all.iter().map(|d| d.len()).sum() {
            self.folded.write().unwrap_or_else(PoisonError::into_inner).follow(columns);
        }
    }

    /// Takes a round whose number it gives; leaves notes; then the position moves.
    pub(crate) fn publish(&self, mut round: Round, (now_ms, behind_ms): (i64, i64)) {
        self.behind_ms.store(behind_ms, Ordering::Relaxed);
        let text = self.text_of(&round.after).into();
        let mut wakers = Vec::new();
        {
            let mut state = self.state();
            state.last += 1;
            round.number = state.last;
            let round = Arc::new(round);
            if !state.subscribers.is_empty() {
                self.leave_notes(&mut state, &round, &mut wakers);
                if behind_ms > BEHIND_MS && self.is_time_to_tell(now_ms) {
                    let all = state.subscribers.iter().flatten();
                    wakers.extend(all.filter_map(|s| s.ask_for_position()));
                }
            }
            state.next = Arc::clone(&round.after);
            state.text = text;
            state.ring.push(round);
        }
        wakers.into_iter().for_each(Waker::wake);
        self.progress.send_replace(());
    }

    fn is_time_to_tell(&self, now_ms: i64) -> bool {
        let told = self.told_ms.load(Ordering::Relaxed);
        let due = now_ms.saturating_sub(told) >= TELL_EVERY_MS;
        if due {
            self.told_ms.store(now_ms, Ordering::Relaxed);
        }
        due
    }

    fn leave_notes(&self, state: &mut State, round: &Round, wakers: &mut Vec<Waker>) {
        let folded = self.folded();
        let mut found = Vec::new();
        for (at, entry) in (0u32..).zip(&round.entries) {
            state.entry += 1;
            found.clear();
            state.index.concerned(entry, &folded, &mut found);
            for id in &found {
                let place = *id as usize;
                let Some(asked) = state.asked.get_mut(place) else { continue };
                if std::mem::replace(asked, state.entry) == state.entry {
                    continue;
                }
                let Some(Some(subscriber)) = state.subscribers.get(place) else { continue };
                if let Some(sight) = subscriber.watch.sight(entry, &folded, true) {
                    wakers.extend(subscriber.leave(Note { round: round.number, at, sight }));
                }
            }
        }
    }

    /// The view found nothing more to read.
    pub(crate) fn idle(&self) {
        self.behind_ms.store(0, Ordering::Relaxed);
    }

    /// A way to wait for the view's progress.
    pub(crate) fn watch_progress(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    /// How far the view is behind the log.
    pub(crate) fn behind_ms(&self) -> i64 {
        self.behind_ms.load(Ordering::Relaxed)
    }

    /// Where the view is.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        Standing { next: Arc::clone(&state.next), text: Arc::clone(&state.text), last: state.last }
    }

    /// Registers a subscriber. Everything after the standing that is returned will be noted for it.
    pub(crate) fn arm(self: &Arc<Self>, watch: Watch) -> Option<(Seat, Standing)> {
        if self.live.fetch_add(1, Ordering::AcqRel) >= SUBSCRIBERS_MAX {
            self.live.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let subscriber = Arc::new(Subscriber::new(watch));
        let mut state = self.state();
        let id = match state.free.pop() {
            Some(id) => id,
            None => {
                state.subscribers.push(None);
                state.asked.push(0);
                Id::try_from(state.subscribers.len() - 1).unwrap_or(Id::MAX)
            }
        };
        state.index.add(id, &subscriber.watch);
        if let Some(place) = state.subscribers.get_mut(id as usize) {
            *place = Some(Arc::clone(&subscriber));
        }
        let standing = Standing {
            next: Arc::clone(&state.next),
            text: Arc::clone(&state.text),
            last: state.last,
        };
        drop(state);
        Some((Seat { hub: Arc::clone(self), id, subscriber }, standing))
    }

    fn leave(&self, id: Id) {
        let mut state = self.state();
        if let Some(subscriber) = state.subscribers.get_mut(id as usize).and_then(Option::take) {
            state.index.remove(id, &subscriber.watch);
            state.free.push(id);
            self.live.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Ends every stream: its client comes back with the last id it has, when there is someone to come back to.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let wakers: Vec<_> = {
            let state = self.state();
            state.subscribers.iter().flatten().filter_map(|s| s.ask_for_position()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether streams are to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// How many are registered.
    pub(crate) fn subscribers(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// For a subscriber with too many notes: forgets them, and says up to which round it has to look itself.
    pub(crate) fn start_over(&self, subscriber: &Subscriber) -> u64 {
        let state = self.state();
        subscriber.start_over();
        state.last
    }

    /// Rounds from that number on, at most so many entries (but one round at least); `None` when it was dropped.
    pub(crate) fn rounds(&self, from: u64, until: u64, entries: usize) -> Option<Vec<Arc<Round>>> {
        let state = self.state();
        let mut left = entries;
        let mut found = Vec::new();
        for round in state.ring.from(from, entries.max(1))? {
            if round.number > until || (left == 0 && !found.is_empty()) {
                break;
            }
            left = left.saturating_sub(round.entries.len().max(1));
            found.push(Arc::clone(round));
        }
        Some(found)
    }

    /// The rounds of those notes; `None` when one was dropped.
    pub(crate) fn rounds_of(&self, notes: &[Note]) -> Option<Vec<Arc<Round>>> {
        let state = self.state();
        notes.iter().map(|note| state.ring.get(note.round).map(Arc::clone)).collect()
    }

    /// See [`Ring::first_after`].
    pub(crate) fn first_after(&self, next: &[u64]) -> Option<u64> {
        self.state().ring.first_after(next)
    }

    /// Where the ring begins, and the number of its first round.
    pub(crate) fn ring_start(&self) -> Option<(u64, Arc<[u64]>)> {
        self.state().ring.start().map(|(number, before)| (number, Arc::clone(before)))
    }

    /// A place at the beginning of a round.
    pub(crate) fn place(number: u64) -> Place {
        (number, 0)
    }
}
