//! Copies the view's write-ahead log into its file from a thread of its own, so that the view need not stop for it:
//! a change of an old listing writes some four pages, and a second of feed made a stop of 30 to 60 ms.
//!
//! Under steady writing it never reaches the end of the log. So the view copies the rest itself when the log is at
//! its bound (`WAL_PAGES` in `store.rs`), and its next commit begins at the front.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::{self, StoreError};

/// Time between two copies.
const COPY_EVERY: Duration = Duration::from_millis(500);

/// The thread; ended when this is dropped.
pub(crate) struct Copier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    written: AtomicBool,
    ended: AtomicBool,
}

impl Copier {
    pub(crate) fn start(file: &Path) -> Result<Self, StoreError> {
        let sql = store::open_copier(file)?;
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("view-copy".to_owned())
            .spawn(move || run(&its, &sql))
            .map_err(StoreError::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// To be told of every commit.
    pub(crate) fn wrote(&self) {
        self.shared.written.store(true, Ordering::Release);
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }
}

/// A copy that fails is not this thread's to judge: the view meets the same disk.
fn run(shared: &Shared, sql: &Connection) {
    loop {
        std::thread::park_timeout(COPY_EVERY);
        // Asked before the copy, so that what was said before the end is copied.
        let ended = shared.ended.load(Ordering::Acquire);
        if shared.written.swap(false, Ordering::AcqRel) {
            drop(sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
        }
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_is_copied_into_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("views.db");
        let sql = store::open(&file).expect("opens");
        let copier = Copier::start(&file).expect("starts");
        let long = "x".repeat(100_000);
        sql.execute("INSERT INTO meta VALUES (?1, 1)", [&long]).expect("written");
        let in_file = || std::fs::read(&file).expect("read").windows(9).any(|w| w == b"xxxxxxxxx");
        assert!(!in_file());
        copier.wrote();
        // Its end does not come before what it was told is copied.
        drop(copier);
        assert!(in_file());
    }
}
