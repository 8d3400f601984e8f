//! What the threads of one member share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use dataflow::bus::{BusError, Outcome};
use dataflow::{Board, Clock, CommitTimes};
use rdkafka::consumer::BaseConsumer;

use crate::bus::News;
use crate::config::KafkaConfig;
use crate::group::GroupContext;
use crate::layout::Layout;
use crate::lock;
use crate::restore::Restored;
use crate::store::Store;

/// What the other threads tell the member.
#[derive(Debug)]
pub(crate) enum Told {
    /// A unit ended.
    Outcome(u64, Outcome),
    /// A partition may be worked on.
    Restored(Restored),
    /// The member cannot go on.
    Failed(BusError),
}

/// The consumer of a member.
pub(crate) type GroupConsumer = BaseConsumer<GroupContext>;

/// One member, as all its threads see it.
pub(crate) struct Seat {
    pub(crate) config: KafkaConfig,
    pub(crate) layout: Layout,
    pub(crate) slot: u16,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Board,
    pub(crate) news: Arc<News>,
    pub(crate) commit_times: CommitTimes,
    consumer: Mutex<Arc<GroupConsumer>>,
    /// Units handed in and not answered.
    pub(crate) in_flight: AtomicUsize,
    stop: AtomicBool,
    resting: Mutex<()>,
    wake: Condvar,
}

/// What a seat is made of.
pub(crate) struct Parts {
    pub(crate) config: KafkaConfig,
    pub(crate) layout: Layout,
    pub(crate) slot: u16,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Board,
    pub(crate) news: Arc<News>,
    pub(crate) commit_times: CommitTimes,
    pub(crate) consumer: GroupConsumer,
}

impl Seat {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, layout, slot, store, clock, board, news, commit_times, consumer } =
            parts;
        Self {
            config,
            layout,
            slot,
            store,
            clock,
            board,
            news,
            commit_times,
            consumer: Mutex::new(Arc::new(consumer)),
            in_flight: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            resting: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    /// Static member id, client id, transactional id.
    pub(crate) fn name(&self) -> String {
        self.config.member(&self.layout.service, self.slot)
    }

    pub(crate) fn consumer(&self) -> Arc<GroupConsumer> {
        Arc::clone(&lock(&self.consumer))
    }

    /// Puts a new consumer in the place of one that is stuck.
    pub(crate) fn replace_consumer(&self, consumer: GroupConsumer) -> Arc<GroupConsumer> {
        std::mem::replace(&mut lock(&self.consumer), Arc::new(consumer))
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake.notify_all();
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Waits, but not longer than the member lives.
    pub(crate) fn rest(&self, time: Duration) {
        let resting = lock(&self.resting);
        if !self.stopping() {
            drop(self.wake.wait_timeout(resting, time).unwrap_or_else(PoisonError::into_inner));
        }
    }
}
