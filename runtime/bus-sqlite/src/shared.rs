//! What the bus, its members and its threads share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use dataflow::CommitTimes;
use dataflow::bus::BusError;
use rusqlite::ErrorCode;

use crate::catalog::Catalog;
use crate::dictionary::Dictionaries;
use crate::files::Files;
use crate::group::Groups;
use crate::known::Known;
use crate::log::Log;
use crate::options::Options;
use crate::sync::Syncs;
use crate::wal::Wal;

/// Between a commit and its publication a reader sees more than is counted; it looks again after this.
const UNCOUNTED: Duration = Duration::from_millis(5);

/// Under which name commits are counted: they are of all services together.
pub(crate) const COMMITS: &str = "";

/// Time for pacing only; nothing that is stored or decided for a message depends on it.
#[allow(clippy::disallowed_methods, reason = "waits and sync pacing need a monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Locks; a panic elsewhere does not make these plain values wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) files: Files,
    pub(crate) epoch: u64,
    pub(crate) catalog: Catalog,
    pub(crate) dictionaries: Dictionaries,
    pub(crate) known: Known,
    pub(crate) log: Mutex<Log>,
    pub(crate) groups: Mutex<Groups>,
    pub(crate) syncs: Syncs,
    pub(crate) commit_times: CommitTimes,
    pub(crate) wal: Wal,
    mark: Mutex<u64>,
    woken: Condvar,
    failed: OnceLock<String>,
    closing: AtomicBool,
    /// What an operator should know, by subject.
    conditions: Mutex<BTreeMap<&'static str, String>>,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        files: Files,
        epoch: u64,
        catalog: Catalog,
        (log, dictionaries, known): (Log, Dictionaries, Known),
    ) -> Arc<Self> {
        let commit_times = CommitTimes::default();
        commit_times.begin(COMMITS);
        Arc::new(Self {
            options,
            files,
            epoch,
            catalog,
            dictionaries,
            known,
            log: Mutex::new(log),
            groups: Mutex::default(),
            syncs: Syncs::default(),
            commit_times,
            wal: Wal::default(),
            mark: Mutex::new(1),
            woken: Condvar::new(),
            failed: OnceLock::new(),
            closing: AtomicBool::new(false),
            conditions: Mutex::default(),
        })
    }

    /// Tells everyone who waits that there is something to see.
    pub(crate) fn wake(&self) {
        *lock(&self.mark) += 1;
        self.woken.notify_all();
    }

    pub(crate) fn mark(&self) -> u64 {
        *lock(&self.mark)
    }

    /// Returns when the mark is no longer `seen`, or after `timeout`.
    pub(crate) fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let mark = lock(&self.mark);
        let (mark, _) = self
            .woken
            .wait_timeout_while(mark, timeout, |mark| *mark == seen && !self.is_closing())
            .unwrap_or_else(PoisonError::into_inner);
        *mark
    }

    /// Returns when a place is durable up to, not including, `end`.
    pub(crate) fn until_durable(&self, place: u32, end: u64) -> Result<(), BusError> {
        loop {
            let seen = self.mark();
            if lock(&self.log).range(place).durable >= end {
                return Ok(());
            }
            self.syncs.wait(self)?;
            self.check()?;
            self.wait(seen, UNCOUNTED);
        }
    }

    /// The bus cannot go on: the first reason counts.
    pub(crate) fn fail(&self, words: String) {
        drop(self.failed.set(words));
        self.syncs.notify();
        self.wake();
    }

    pub(crate) fn fail_write(&self, error: &rusqlite::Error) {
        let dir = self.files.dir.display();
        self.fail(match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => format!(
                "the log in {dir} cannot grow, its disk (or its size limit) is full: free space and start again; nothing that was answered for is lost"
            ),
            _ => format!(
                "the log in {dir} cannot be written: {error}; see to the disk and start again; nothing that was answered for is lost"
            ),
        });
    }

    /// What a failed read means to the caller.
    pub(crate) fn unreadable(&self, error: impl std::fmt::Display) -> BusError {
        BusError::Fatal(format!(
            "the log in {} cannot be read: {error}; see to the disk, or restore the folder from a backup",
            self.files.dir.display()
        ))
    }

    /// Whether the bus can go on.
    pub(crate) fn check(&self) -> Result<(), BusError> {
        if let Some(words) = self.failed.get() {
            return Err(BusError::Fatal(words.clone()));
        }
        if self.is_closing() {
            return Err(BusError::Fatal("the log was closed: open it again".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.syncs.notify();
        self.wake();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(crate) fn set_condition(&self, subject: &'static str, words: Option<String>) {
        let mut conditions = lock(&self.conditions);
        match words {
            Some(words) => drop(conditions.insert(subject, words)),
            None => drop(conditions.remove(subject)),
        }
    }

    pub(crate) fn conditions(&self) -> Vec<String> {
        lock(&self.conditions).values().cloned().collect()
    }
}
