//! Keeps the write-ahead log short: copied into the file in the background, started over by the writer.
//!
//! A background copy alone never catches the end under steady writing, so the file would grow without bound;
//! a copy by the writer alone stops every hop for tens of milliseconds. Together the writer's rest is small.
//! Another program that holds a read transaction on the file keeps the log from being started over. That is
//! reported, and before it fills the disk nothing more is taken, until that program lets go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::schema::PAGE_BYTES;
use crate::shared::{Shared, lock, monotonic};

/// Time between two background copies.
const COPY_EVERY: Duration = Duration::from_millis(500);
/// The writer waits no longer than this for readers that are about to finish.
const RESTART_WAIT: Duration = Duration::from_millis(10);
/// Time between two tries to start over while a reader is in the way.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// The log's length is asked for once in so many bytes written.
const LOOK_BYTES: u64 = 1 << 20;
const SUBJECT: &str = "write-ahead log";

/// What writer and copier share.
#[derive(Debug, Default)]
pub(crate) struct Wal {
    /// Held while the log is copied: SQLite allows one at a time.
    copying: Mutex<()>,
    paused: AtomicBool,
}

impl Wal {
    /// Whether nothing is taken at present, because the log is at its hard limit.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }
}

/// The copying thread. A copy that fails is not this thread's to judge: the writer meets the same disk.
pub(crate) fn run(shared: &Arc<Shared>, db: &Connection) {
    let mut seen = 0;
    loop {
        let from = monotonic();
        while from.elapsed() < COPY_EVERY {
            if shared.is_closing() || shared.has_failed() {
                return;
            }
            shared.wait(shared.mark(), COPY_EVERY.saturating_sub(from.elapsed()));
        }
        fill(shared, db);
        let mark = shared.mark();
        if mark != seen {
            let _copying = lock(&shared.wal.copying);
            drop(checkpoint(db, "PASSIVE"));
            seen = mark;
        }
    }
}

/// Reads the index of keys into memory where that is wanted, in steps. What cannot be read is met by its reader.
fn fill(shared: &Shared, db: &Connection) {
    while !shared.is_closing() && shared.known.fill(db).unwrap_or(false) {}
}

/// Whether someone was in the way, frames in the log, and how many of them are copied.
fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<(bool, u64, u64)> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |r| {
        let frames = |at| r.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
        Ok((r.get::<_, i64>(0)? != 0, frames(1)?, frames(2)?))
    })
}

/// The writer's side.
pub(crate) struct WalKeeper {
    shared: Arc<Shared>,
    /// Bytes written since the length was asked for.
    unseen: u64,
    blocked: Option<Blocked>,
}

#[derive(Clone, Copy)]
struct Blocked {
    since: Instant,
    tried: Instant,
}

impl WalKeeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, unseen: 0, blocked: None }
    }

    /// After a commit, or with `idle` at a quiet moment: starts the log over when it is time.
    pub(crate) fn look(
        &mut self,
        db: &Connection,
        bytes: usize,
        idle: bool,
    ) -> rusqlite::Result<()> {
        let soft = self.shared.options.wal_soft_bytes;
        self.unseen += bytes as u64;
        if self.unseen < LOOK_BYTES.min(soft / 4) && !(idle && self.unseen > 0) {
            return Ok(());
        }
        self.unseen = 0;
        let length = Self::length(db)?;
        if length > soft || (idle && length > soft / 4) {
            self.start_over(db, length)?;
        }
        if length > self.shared.options.wal_hard_bytes {
            self.pause(db)?;
        }
        Ok(())
    }

    /// Bytes of the log that cannot be written over yet.
    fn length(db: &Connection) -> rusqlite::Result<u64> {
        let (_, frames, _) = checkpoint(db, "NOOP")?;
        Ok(frames * (PAGE_BYTES + 24))
    }

    /// Copies the rest and lets the next commit begin at the front. Returns whether that worked.
    fn start_over(&mut self, db: &Connection, length: u64) -> rusqlite::Result<bool> {
        if self.blocked.is_some_and(|b| b.tried.elapsed() < RETRY_EVERY) {
            return Ok(false);
        }
        let shared = Arc::clone(&self.shared);
        let copying = if length > 2 * shared.options.wal_soft_bytes {
            Some(lock(&shared.wal.copying))
        } else {
            shared.wal.copying.try_lock().ok()
        };
        let Some(_copying) = copying else { return Ok(false) };
        db.busy_timeout(RESTART_WAIT)?;
        let (busy, ..) = checkpoint(db, "RESTART")?;
        let now = monotonic();
        if busy {
            let since = self.blocked.map_or(now, |b| b.since);
            self.blocked = Some(Blocked { since, tried: now });
            self.report(since, length);
        } else if self.blocked.take().is_some() {
            shared.set_condition(SUBJECT, None);
        }
        Ok(!busy)
    }

    fn report(&self, since: Instant, length: u64) {
        let options = &self.shared.options;
        if since.elapsed() < Duration::from_millis(options.stranger_ms)
            && !self.shared.wal.is_paused()
        {
            return;
        }
        let file = self.shared.files.log.display();
        let pause = if self.shared.wal.is_paused() { "; nothing is taken until then" } else { "" };
        self.shared.set_condition(
            SUBJECT,
            Some(format!(
                "another program has held a read transaction on {file} for {} s, and the write-ahead log is at {} MB of at most {} MB; close that program (`lsof {file}` shows it){pause}",
                since.elapsed().as_secs(),
                length >> 20,
                options.wal_hard_bytes >> 20,
            )),
        );
    }

    /// At the hard limit: waits until the log can be started over.
    fn pause(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.wal.paused.store(true, Ordering::SeqCst);
        while !shared.is_closing() {
            let length = Self::length(db)?;
            if length <= shared.options.wal_hard_bytes || self.start_over(db, length)? {
                break;
            }
            shared.wait(shared.mark(), RETRY_EVERY);
        }
        shared.wal.paused.store(false, Ordering::SeqCst);
        if self.blocked.is_none() {
            shared.set_condition(SUBJECT, None);
        }
        shared.wake();
        Ok(())
    }
}
