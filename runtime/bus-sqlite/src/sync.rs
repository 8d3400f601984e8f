//! Makes what was committed survive a power cut: one `fdatasync` of the write-ahead log for many commits.
//!
//! SQLite's own way is a commit with `synchronous=FULL`, which does the same in the writer's thread and so
//! stops every hop for as long as the disk takes. Here the writer goes on. Closing our own handle of the
//! write-ahead log drops no lock, since SQLite keeps its locks on the other two files.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataflow::bus::BusError;

use crate::shared::{Shared, lock, monotonic};

/// With more than this waiting, syncs are paced as under load.
const BUSY_BYTES: usize = 1 << 20;
const RECHECK: Duration = Duration::from_millis(500);

/// What is waiting for a sync.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    bytes: usize,
    urgent: bool,
    /// Commits made, and how many of them are synced.
    written: u64,
    synced: u64,
}

impl Syncs {
    /// A transaction was committed and published; with `urgent` someone waits for it to be durable.
    pub(crate) fn committed(&self, bytes: usize, urgent: bool) {
        let mut state = lock(&self.state);
        let news = state.since.is_none() || (urgent && !state.urgent);
        state.since.get_or_insert_with(monotonic);
        state.bytes += bytes;
        state.urgent |= urgent;
        state.written += 1;
        if news {
            self.changed.notify_all();
        }
    }

    pub(crate) fn notify(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Returns when everything committed before the call is durable.
    pub(crate) fn wait(&self, shared: &Shared) -> Result<(), BusError> {
        let mut state = lock(&self.state);
        let wanted = state.written;
        while state.synced < wanted {
            shared.check()?;
            state.urgent = true;
            self.changed.notify_all();
            let waited = self.changed.wait_timeout(state, RECHECK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Waits until a sync is due; the number of commits it will cover. `None` when the bus is closing.
    fn due(&self, shared: &Shared) -> Option<u64> {
        let mut state = lock(&self.state);
        loop {
            if shared.is_closing() || shared.has_failed() {
                return None;
            }
            let timeout = match state.since {
                None => RECHECK,
                Some(_) if state.urgent => Duration::ZERO,
                Some(since) => {
                    let busy = state.bytes > BUSY_BYTES;
                    let options = &shared.options;
                    let ms = if busy { options.sync_busy_ms } else { options.sync_idle_ms };
                    (since + Duration::from_millis(ms)).saturating_duration_since(monotonic())
                }
            };
            if timeout.is_zero() {
                (state.since, state.bytes, state.urgent) = (None, 0, false);
                return Some(state.written);
            }
            let waited = self.changed.wait_timeout(state, timeout);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn done(&self, commits: u64) {
        lock(&self.state).synced = commits;
        self.changed.notify_all();
    }
}

/// The syncing thread.
pub(crate) fn run(shared: &Arc<Shared>, wal: &File) {
    while let Some(commits) = shared.syncs.due(shared) {
        if !sync(shared, wal, commits) {
            return;
        }
    }
}

/// One sync. A failed one is never tried again: the kernel may have dropped what it could not write.
pub(crate) fn sync(shared: &Shared, wal: &File, commits: u64) -> bool {
    let ends = lock(&shared.log).ends();
    if let Err(error) = wal.sync_data() {
        shared.fail(format!(
            "the log in {} cannot be synced: {error}; see to the disk and start again; nothing that was answered for is lost",
            shared.files.dir.display()
        ));
        return false;
    }
    lock(&shared.log).set_durable(&ends);
    shared.syncs.done(commits);
    shared.wake();
    true
}
