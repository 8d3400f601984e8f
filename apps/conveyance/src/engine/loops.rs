//! The loops of an engine's threads: each does its service's work until everything is to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use dataflow::bus::{Bus, BusError};
use dataflow::source::{Round, SourceRunner};
use dataflow::view::ViewRunner;
use dataflow::worker::Worker;
use gateway::Live;

use crate::flow::INGEST;

/// How long a thread waits when there is nothing to do; bounds how long a stop takes.
const WAIT: Duration = Duration::from_millis(50);
/// Rounds that a stopping worker may take to give its partitions up, and how long one takes at most.
const SHUT_DOWN_ROUNDS: u32 = 500;
const SHUT_DOWN_ROUND: Duration = Duration::from_millis(10);

/// What the threads of an engine share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    /// Told when `stop` is set; for threads that sleep longer than [`WAIT`].
    stopped: Condvar,
    sleep: Mutex<()>,
    pub(super) caught_up: AtomicBool,
    pub(super) sources_done: AtomicBool,
    pub(super) fatal: Mutex<Option<String>>,
    pub(super) held: Mutex<Vec<String>>,
}

impl Shared {
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The first fatal error counts; it stops everything.
    pub(super) fn fail(&self, service: &str, error: &BusError) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert_with(|| format!("{service}: {error}"));
        self.stop();
    }

    pub(super) fn stop(&self) {
        let _held = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.store(true, Ordering::Release);
        self.stopped.notify_all();
    }

    /// Returns after `pause`, or at once when everything is to stop.
    pub(super) fn sleep(&self, pause: Duration) {
        let held = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.stopped.wait_timeout_while(held, pause, |()| !self.stopping()));
    }
}

pub(super) fn run_view(
    mut runner: ViewRunner,
    live: &Live,
    shared: &Shared,
) -> Result<(), BusError> {
    let ends = runner.ends()?;
    while !shared.stopping() {
        if !shared.caught_up.load(Ordering::Relaxed) && runner.has_reached(&ends) {
            shared.caught_up.store(true, Ordering::Release);
        }
        if !runner.step(WAIT)? {
            live.idle();
        }
    }
    Ok(())
}

pub(super) fn run_worker(mut worker: Worker, service: &str, shared: &Shared) {
    while !shared.stopping() {
        if let Err(error) = worker.step(WAIT) {
            shared.fail(service, &error);
            return;
        }
    }
    for _ in 0..SHUT_DOWN_ROUNDS {
        match worker.shut_down(SHUT_DOWN_ROUND) {
            Ok(false) => {}
            Ok(true) | Err(_) => return,
        }
    }
}

pub(super) fn run_sources(mut runner: SourceRunner, bus: &dyn Bus, shared: &Shared) {
    while !shared.stopping() {
        let seen = bus.wait(0, Duration::ZERO);
        match runner.step(WAIT) {
            Ok(Round::Busy) => shared.sources_done.store(false, Ordering::Release),
            // Whatever moves the stages behind also appends; so this wait ends when pacing may have.
            Ok(Round::Paced) => drop(bus.wait(seen, Duration::from_millis(5))),
            Ok(Round::Idle(wait_ms)) => {
                note_held(&runner, shared);
                bus.wait(seen, Duration::from_millis(wait_ms).min(WAIT));
            }
            Ok(Round::Done) => {
                note_held(&runner, shared);
                bus.wait(seen, WAIT);
            }
            Err(error) => shared.fail(INGEST, &error),
        }
    }
}

/// A held lane is tried again now and then; for a one-shot load it counts as over.
fn note_held(runner: &SourceRunner, shared: &Shared) {
    *shared.held.lock().unwrap_or_else(PoisonError::into_inner) = runner.held();
    shared.sources_done.store(runner.is_over(), Ordering::Release);
}
