//! The local copy of a member's state: SQLite, with the changelog position in the same transaction.
//!
//! It holds no truth. Only what is known to be committed in Kafka comes in, so it is never ahead of the
//! changelog; what is not yet written to disk is kept in memory, and after a crash it is read again from the
//! changelog, from the position in the file on. Reading something twice does no harm: the last value counts.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dataflow::bus::BusError;
use dataflow::contract::StoreEntry;
use rusqlite::{Connection, OptionalExtension, params};

use crate::lock;

/// Version of the file; a newer one is refused.
const FORMAT: i64 = 1;
/// Bytes of values that are kept in memory although they are on disk.
const CACHE_BYTES: usize = 64 << 20;

pub(crate) type Value = Option<Arc<[u8]>>;

/// Which changelog a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    /// The compacted output that is the service's state.
    Backing = 0,
    /// Counters.
    Tallies = 1,
    /// Rows of its own.
    Own = 2,
}

/// One partition of one changelog.
pub(crate) type Shelf = (Table, u16);

/// One value that is committed.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) shelf: Shelf,
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Value,
}

/// How far the file is in one changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) next: u64,
    /// When that was written, in milliseconds since 1970.
    pub(crate) time_ms: i64,
}

type Shelves = HashMap<Shelf, HashMap<Box<[u8]>, Value>>;

#[derive(Default)]
struct Memory {
    /// Not on disk yet.
    dirty: Shelves,
    dirty_bytes: usize,
    /// On its way to disk.
    flushing: Arc<Shelves>,
    /// On disk too; the older half is dropped when the younger is full.
    young: Shelves,
    old: Shelves,
    young_bytes: usize,
    /// A read from their places on began and is not done, or was given up: they may be older than they were.
    again: HashSet<Shelf>,
    /// Rises with everything that comes in, so that a slow reader does not put an old value into the cache.
    version: u64,
}

/// The copy of one member.
pub(crate) struct Store {
    memory: Mutex<Memory>,
    writer: Mutex<Connection>,
    path: PathBuf,
}

/// Reads for one thread.
pub(crate) struct StoreReader {
    store: Arc<Store>,
    db: Connection,
}

fn failed(path: &Path, error: &rusqlite::Error) -> BusError {
    BusError::Fatal(format!(
        "local state in {} cannot be used: {error}; free some space or check the disk. Deleting the folder is safe: it is restored from Kafka",
        path.display()
    ))
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "cache_size", -16_000)?;
    db.pragma_update(None, "busy_timeout", 10_000)?;
    db.set_prepared_statement_cache_capacity(16);
    Ok(db)
}

impl Store {
    /// Opens the copy in that folder, which belongs to the log of that epoch; another log's is dropped.
    pub(crate) fn open(dir: &Path, epoch: u64) -> Result<Arc<Self>, BusError> {
        let path = dir.join("state.db");
        let db = Self::prepare(&path, epoch)?;
        Ok(Arc::new(Self { memory: Mutex::default(), writer: Mutex::new(db), path }))
    }

    fn prepare(path: &Path, epoch: u64) -> Result<Connection, BusError> {
        let fail = |e| failed(path, &e);
        let db = connect(path).map_err(fail)?;
        let format: i64 =
            db.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(fail)?;
        if format > FORMAT {
            return Err(BusError::Fatal(format!(
                "local state in {} has format {format}, and this program reads up to {FORMAT}: use the newer conveyance, or delete the folder (it is restored from Kafka)",
                path.display()
            )));
        }
        db.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS log (epoch INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS place (topic INTEGER, part INTEGER, next INTEGER NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY (topic, part)) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS value (topic INTEGER, part INTEGER, key BLOB, value BLOB NOT NULL, PRIMARY KEY (topic, part, key)) WITHOUT ROWID;
             PRAGMA user_version = {FORMAT};"
        ))
        .map_err(fail)?;
        let known: Option<i64> =
            db.query_row("SELECT epoch FROM log", [], |r| r.get(0)).optional().map_err(fail)?;
        if known != Some(epoch.cast_signed()) {
            db.execute_batch("BEGIN; DELETE FROM log; DELETE FROM place; DELETE FROM value;")
                .map_err(fail)?;
            db.execute("INSERT INTO log VALUES (?)", [epoch.cast_signed()]).map_err(fail)?;
            db.execute_batch("COMMIT").map_err(fail)?;
        }
        Ok(db)
    }

    fn fail(&self, error: &rusqlite::Error) -> BusError {
        failed(&self.path, error)
    }

    /// How far the file is; `None` where it has nothing.
    pub(crate) fn place(&self, shelf: Shelf) -> Result<Option<Place>, BusError> {
        let db = lock(&self.writer);
        let read = db.query_row(
            "SELECT next, time_ms FROM place WHERE topic = ? AND part = ?",
            params![shelf.0 as i64, shelf.1],
            |r| Ok(Place { next: r.get::<_, i64>(0)?.cast_unsigned(), time_ms: r.get(1)? }),
        );
        read.optional().map_err(|e| self.fail(&e))
    }

    /// Begins to read a partition again, from its place on. Until [`Self::read_again`] the place stays.
    pub(crate) fn begin_again(&self, shelf: Shelf) -> Result<Option<Place>, BusError> {
        lock(&self.memory).again.insert(shelf);
        self.place(shelf)
    }

    /// Partitions are whole again: writes everything to disk, with these places.
    pub(crate) fn read_again(&self, places: &[(Shelf, u64)], now_ms: i64) -> Result<(), BusError> {
        for (shelf, _) in places {
            lock(&self.memory).again.remove(shelf);
        }
        self.flush(places, now_ms)
    }

    /// Forgets a partition, in memory and on disk.
    pub(crate) fn wipe(&self, shelf: Shelf) -> Result<(), BusError> {
        let db = lock(&self.writer);
        self.forget(shelf);
        let at = params![shelf.0 as i64, shelf.1];
        db.execute("DELETE FROM value WHERE topic = ? AND part = ?", at)
            .and_then(|_| db.execute("DELETE FROM place WHERE topic = ? AND part = ?", at))
            .map(|_| ())
            .map_err(|e| self.fail(&e))
    }

    /// Drops what memory holds of a partition.
    fn forget(&self, shelf: Shelf) {
        let mut memory = lock(&self.memory);
        memory.version += 1;
        memory.dirty.remove(&shelf);
        memory.young.remove(&shelf);
        memory.old.remove(&shelf);
    }

    /// Takes rows that are committed.
    pub(crate) fn apply(&self, rows: impl IntoIterator<Item = Row>) {
        let mut memory = lock(&self.memory);
        memory.version += 1;
        for row in rows {
            memory.dirty_bytes += row.key.len() + row.value.as_ref().map_or(0, |v| v.len()) + 64;
            memory.dirty.entry(row.shelf).or_default().insert(row.key, row.value);
        }
    }

    /// Bytes that are not on disk.
    pub(crate) fn dirty_bytes(&self) -> usize {
        lock(&self.memory).dirty_bytes
    }

    /// Partitions that have something not on disk.
    pub(crate) fn dirty_shelves(&self) -> Vec<Shelf> {
        lock(&self.memory).dirty.keys().copied().collect()
    }

    /// Writes everything to disk, with the places that are known to be behind it.
    pub(crate) fn flush(&self, places: &[(Shelf, u64)], now_ms: i64) -> Result<(), BusError> {
        let mut db = lock(&self.writer);
        let mut places = places.to_vec();
        let rows = {
            let mut memory = lock(&self.memory);
            places.retain(|(shelf, _)| !memory.again.contains(shelf));
            memory.dirty_bytes = 0;
            memory.flushing = Arc::new(std::mem::take(&mut memory.dirty));
            Arc::clone(&memory.flushing)
        };
        let written = write(&mut db, &rows, &places, now_ms);
        let mut memory = lock(&self.memory);
        memory.flushing = Arc::default();
        if written.is_ok() {
            memory.keep(rows);
        }
        written.map_err(|e| self.fail(&e))
    }

    /// A reader for one thread.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<StoreReader, BusError> {
        let db = connect(&self.path).map_err(|e| self.fail(&e))?;
        Ok(StoreReader { store: Arc::clone(self), db })
    }
}

fn write(
    db: &mut Connection,
    rows: &Shelves,
    places: &[(Shelf, u64)],
    now_ms: i64,
) -> Result<(), rusqlite::Error> {
    let transaction = db.transaction()?;
    {
        let mut put =
            transaction.prepare_cached("INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?)")?;
        let mut cut = transaction
            .prepare_cached("DELETE FROM value WHERE topic = ? AND part = ? AND key = ?")?;
        for ((table, partition), values) in rows {
            for (key, value) in values {
                match value {
                    Some(value) => put.execute(params![*table as i64, partition, key, &**value])?,
                    None => cut.execute(params![*table as i64, partition, key])?,
                };
            }
        }
        let mut place =
            transaction.prepare_cached("INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?)")?;
        for ((table, partition), next) in places {
            place.execute(params![*table as i64, partition, next.cast_signed(), now_ms])?;
        }
    }
    transaction.commit()
}

impl Memory {
    /// What was just written to disk stays at hand.
    fn keep(&mut self, rows: Arc<Shelves>) {
        let rows = Arc::try_unwrap(rows).unwrap_or_else(|shared| (*shared).clone());
        for (shelf, values) in rows {
            for (key, value) in values {
                self.remember(shelf, key, value);
            }
        }
    }

    fn remember(&mut self, shelf: Shelf, key: Box<[u8]>, value: Value) {
        self.young_bytes += key.len() + value.as_ref().map_or(0, |v| v.len()) + 64;
        self.young.entry(shelf).or_default().insert(key, value);
        if self.young_bytes > CACHE_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    fn get(&mut self, shelf: Shelf, key: &[u8]) -> Option<Value> {
        let of = |shelves: &Shelves| shelves.get(&shelf).and_then(|s| s.get(key)).cloned();
        of(&self.dirty).or_else(|| of(&self.flushing)).or_else(|| of(&self.young)).or_else(|| {
            let value = of(&self.old)?;
            self.remember(shelf, key.into(), value.clone());
            Some(value)
        })
    }
}

impl StoreReader {
    /// The committed value of a key.
    pub(crate) fn get(&mut self, shelf: Shelf, key: &[u8]) -> Result<Value, BusError> {
        let version = {
            let mut memory = lock(&self.store.memory);
            if let Some(value) = memory.get(shelf, key) {
                return Ok(value);
            }
            memory.version
        };
        let value = self.on_disk(shelf, key).map_err(|e| self.store.fail(&e))?;
        let mut memory = lock(&self.store.memory);
        if memory.version == version {
            memory.remember(shelf, key.into(), value.clone());
            return Ok(value);
        }
        // Something came in meanwhile; it may have been this key.
        Ok(memory.get(shelf, key).unwrap_or(value))
    }

    fn on_disk(&self, shelf: Shelf, key: &[u8]) -> Result<Value, rusqlite::Error> {
        let mut find = self
            .db
            .prepare_cached("SELECT value FROM value WHERE topic = ? AND part = ? AND key = ?")?;
        find.query_row(params![shelf.0 as i64, shelf.1, key], |r| {
            Ok(Arc::from(r.get_ref(0)?.as_blob()?))
        })
        .optional()
    }

    /// Committed entries in key order: prefix, greater than `after`, at most `limit`.
    pub(crate) fn range(
        &mut self,
        shelf: Shelf,
        (prefix, after): (&[u8], &[u8]),
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        self.store.flush(&[], 0)?;
        self.range_on_disk(shelf, (prefix, after), limit).map_err(|e| self.store.fail(&e))
    }

    fn range_on_disk(
        &self,
        shelf: Shelf,
        (prefix, after): (&[u8], &[u8]),
        limit: usize,
    ) -> Result<Vec<StoreEntry>, rusqlite::Error> {
        let mut find = self.db.prepare_cached(
            "SELECT key, value FROM value WHERE topic = ? AND part = ? AND key >= ? AND key > ? ORDER BY key LIMIT ?",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = find.query(params![shelf.0 as i64, shelf.1, prefix, after, limit])?;
        let mut found: Vec<StoreEntry> = Vec::new();
        while let Some(row) = rows.next()? {
            let key: Vec<u8> = row.get(0)?;
            if !key.starts_with(prefix) {
                break;
            }
            found.push((key, Arc::from(row.get_ref(1)?.as_blob()?)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: Option<&str>) -> Row {
        Row {
            shelf: (Table::Own, 1),
            key: key.as_bytes().into(),
            value: value.map(|v| v.as_bytes().into()),
        }
    }

    fn text(value: Value) -> Option<String> {
        value.map(|v| String::from_utf8_lossy(&v).into_owned())
    }

    #[test]
    fn what_came_in_is_seen_before_and_after_it_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 7).unwrap();
        let mut reader = store.reader().unwrap();
        let shelf = (Table::Own, 1);
        assert_eq!(reader.get(shelf, b"a").unwrap(), None);
        store.apply([row("a", Some("1")), row("b", Some("1"))]);
        assert_eq!(text(reader.get(shelf, b"a").unwrap()).as_deref(), Some("1"));
        store.flush(&[(shelf, 10)], 5).unwrap();
        store.apply([row("a", Some("2")), row("b", None)]);
        assert_eq!(text(reader.get(shelf, b"a").unwrap()).as_deref(), Some("2"));
        assert_eq!(reader.get(shelf, b"b").unwrap(), None);
        drop((reader, store));
        // Killed here: what was not on disk is gone, and the place says from where to read it again.
        let store = Store::open(dir.path(), 7).unwrap();
        assert_eq!(store.place(shelf).unwrap(), Some(Place { next: 10, time_ms: 5 }));
        let mut reader = store.reader().unwrap();
        assert_eq!(text(reader.get(shelf, b"a").unwrap()).as_deref(), Some("1"));
        assert_eq!(reader.range(shelf, (b"", b"a"), 9).unwrap().len(), 1);
        drop((reader, store));
        let store = Store::open(dir.path(), 8).unwrap();
        assert_eq!(store.place(shelf).unwrap(), None, "another log's state is dropped");
        assert_eq!(store.reader().unwrap().get(shelf, b"a").unwrap(), None);
    }

    #[test]
    fn a_place_stays_while_its_partition_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 7).unwrap();
        let (shelf, other) = ((Table::Own, 1), (Table::Own, 2));
        let next = |shelf| store.place(shelf).unwrap().map(|p| p.next);
        store.flush(&[(shelf, 3), (other, 3)], 5).unwrap();
        assert_eq!(store.begin_again(shelf).unwrap().map(|p| p.next), Some(3));
        // What was once at 5 is at 4 for the moment, and the rest may never be read.
        store.apply([row("a", Some("4"))]);
        store.flush(&[(shelf, 5), (other, 5)], 5).unwrap();
        assert_eq!((next(shelf), next(other)), (Some(3), Some(5)));
        store.read_again(&[(shelf, 6)], 5).unwrap();
        assert_eq!(next(shelf), Some(6));
        store.flush(&[(shelf, 7)], 5).unwrap();
        assert_eq!(next(shelf), Some(7));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), 7).unwrap());
        let db = Connection::open(dir.path().join("state.db")).unwrap();
        db.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        drop(db);
        let refused = Store::open(dir.path(), 7).err().map(|e| e.to_string());
        assert!(refused.unwrap().contains("newer conveyance"));
    }
}
