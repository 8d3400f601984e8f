//! Copies the view's write-ahead log into its file from a thread of its own, so that the view need not stop for it:
//! a change of an old listing writes some four pages, and a second of feed made a stop of 30 to 60 ms.
//!
//! Under steady writing it never reaches the end of the log. So the view copies the rest itself when the log is at
//! its bound (`WAL_PAGES` in `store.rs`), and its next commit begins at the front.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::StoreError;

/// Time between two copies; one for which there is nothing to do reads nothing.
const COPY_EVERY: Duration = Duration::from_millis(500);

/// The thread; when this is dropped, it copies once more and ends.
pub(crate) struct Copier {
    /// Taken away to end it.
    end: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    pub(crate) fn start(file: &Path) -> Result<Self, StoreError> {
        let sql = Connection::open(file)?;
        let (end, ended) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("view-copy".to_owned())
            .spawn(move || run(&sql, &ended))
            .map_err(StoreError::Thread)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A copy that fails is not this thread's to judge: the view meets the same disk.
fn run(sql: &Connection, ended: &Receiver<()>) {
    let copy = || drop(sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
    while ended.recv_timeout(COPY_EVERY) == Err(RecvTimeoutError::Timeout) {
        copy();
    }
    copy();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    #[test]
    fn what_was_committed_is_copied_into_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("views.db");
        let sql = store::open(&file).expect("opens");
        let long = "x".repeat(100_000);
        sql.execute("INSERT INTO meta VALUES (?1, 1)", [&long]).expect("written");
        let in_file = || std::fs::read(&file).expect("read").windows(9).any(|w| w == b"xxxxxxxxx");
        assert!(!in_file());
        drop(Copier::start(&file).expect("starts"));
        assert!(in_file());
    }
}
