//! The tables, and what must agree before a log is used.

use std::collections::HashMap;
use std::path::Path;

use dataflow::{Flow, TopicSpec};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::catalog::PLACES_MAX;
use crate::files::Files;
use crate::options::{OpenError, Options};

/// Version of the tables.
pub(crate) const FORMAT: i64 = 1;
/// Size of a page in bytes.
pub(crate) const PAGE_BYTES: u64 = 8192;

const TABLES: &str = "
-- format: version of these tables; epoch: identity of this log; schema: newest version of what is in records
-- and state.
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- id: place of partition 0; partition p has place id + p.
CREATE TABLE IF NOT EXISTS topic (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL, compacted INTEGER NOT NULL);
-- Ordinary topics: one row is one block of one partition. id: place << 44 | first offset.
-- records: number of offsets it takes. codec: 0 as is, 1 zstd.
CREATE TABLE IF NOT EXISTS batch (
  id INTEGER PRIMARY KEY, records INTEGER NOT NULL, appended_ms INTEGER NOT NULL,
  codec INTEGER NOT NULL, bytes BLOB NOT NULL);
-- Compacted topics: one row is the last record of a key, as a block of one. id: place << 44 | offset.
-- codec: 0 as is, 1 zstd, greater: zstd with that dictionary.
CREATE TABLE IF NOT EXISTS latest (
  id INTEGER PRIMARY KEY, appended_ms INTEGER NOT NULL, codec INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS latest_key (
  place INTEGER NOT NULL, key BLOB NOT NULL, offset INTEGER NOT NULL,
  PRIMARY KEY (place, key)) WITHOUT ROWID;
-- Rows of `latest` that are, or were, tombstones.
CREATE TABLE IF NOT EXISTS tombstone (id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS dictionary (
  id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS progress (
  service TEXT NOT NULL, place INTEGER NOT NULL, next INTEGER NOT NULL,
  PRIMARY KEY (service, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
  service TEXT NOT NULL, partition INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (service, partition, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (
  service TEXT NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (service, name)) WITHOUT ROWID;
-- Where the cleaner of superseded records stands.
CREATE TABLE IF NOT EXISTS cleaned (place INTEGER PRIMARY KEY, next INTEGER NOT NULL);
";

/// Opens the connection that writes, making the log when there is none.
pub(crate) fn open_writer(files: &Files, options: &Options) -> Result<Connection, OpenError> {
    let sqlite = |error| OpenError::Sqlite { path: files.log.clone(), error };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&files.log, flags).map_err(sqlite)?;
    set_up_writer(&connection, options).map_err(sqlite)?;
    refuse_newer(&connection, &files.dir, options.schema)?;
    connection.execute_batch(TABLES).map_err(sqlite)?;
    let first = "INSERT OR IGNORE INTO meta VALUES ('format', ?1), ('epoch', ?2)";
    connection.execute(first, params![FORMAT, options.epoch.cast_signed()]).map_err(sqlite)?;
    let schema = "INSERT INTO meta VALUES ('schema', ?1)
        ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
    connection.execute(schema, [options.schema]).map_err(sqlite)?;
    if let Some(bytes) = options.log_bytes_max {
        let pages = i64::try_from(bytes / PAGE_BYTES).unwrap_or(i64::MAX);
        connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(sqlite)?;
    }
    Ok(connection)
}

fn set_up_writer(connection: &Connection, options: &Options) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    // What a stranger made grow is given back once it lets go.
    let keep = i64::try_from(options.wal_soft_bytes.saturating_mul(2)).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "journal_size_limit", keep, |_| Ok(()))?;
    set_up(connection, options.cache_bytes)
}

fn set_up(connection: &Connection, cache_bytes: usize) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    let kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kib)
}

/// A connection that only reads.
pub(crate) fn open_reader(log: &Path, cache_bytes: usize) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(log, flags)?;
    set_up(&connection, cache_bytes)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// A connection that only copies the write-ahead log into the file.
pub(crate) fn open_copier(log: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(log, flags)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    Ok(connection)
}

/// Refuses a log that a newer program wrote, before anything is changed in it.
pub(crate) fn refuse_newer(
    connection: &Connection,
    dir: &Path,
    schema: u16,
) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::Sqlite { path: dir.join("log.db"), error };
    let exists = "SELECT count(*) FROM sqlite_master WHERE name = 'meta'";
    if connection.query_row(exists, [], |r| r.get::<_, i64>(0)).map_err(sqlite)? == 0 {
        return Ok(());
    }
    let found = meta(connection, "format").map_err(sqlite)?.unwrap_or(FORMAT);
    if found > FORMAT {
        return Err(OpenError::Newer { dir: dir.to_owned(), found, known: FORMAT });
    }
    let found = meta(connection, "schema").map_err(sqlite)?.unwrap_or(0);
    if found > i64::from(schema) {
        return Err(OpenError::NewerSchema { dir: dir.to_owned(), found, known: schema });
    }
    Ok(())
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |r| r.get(0)).optional()
}

/// The log's identity.
pub(crate) fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(meta(connection, "epoch")?.unwrap_or(0).cast_unsigned())
}

/// Numbers the topics of the flow; with `make`, makes those that are new.
pub(crate) fn number_topics(
    connection: &Connection,
    flow: &Flow,
    files: &Files,
    make: bool,
) -> Result<HashMap<String, u32>, OpenError> {
    let sqlite = |error| OpenError::Sqlite { path: files.log.clone(), error };
    let mut first = HashMap::new();
    for spec in &flow.topics {
        let known = connection
            .query_row(
                "SELECT id, partitions, compacted FROM topic WHERE name = ?1",
                [&spec.name],
                |r| Ok((r.get::<_, u32>(0)?, r.get::<_, u16>(1)?, r.get::<_, bool>(2)?)),
            )
            .optional()
            .map_err(sqlite)?;
        let id = match known {
            Some((id, partitions, compacted)) => {
                check_topic(spec, partitions, compacted)?;
                id
            }
            None if make => make_topic(connection, spec).map_err(sqlite)?,
            None => continue,
        };
        if id.saturating_add(u32::from(spec.partitions)) >= PLACES_MAX {
            return Err(OpenError::TooMany(PLACES_MAX));
        }
        first.insert(spec.name.clone(), id);
    }
    Ok(first)
}

fn check_topic(spec: &TopicSpec, partitions: u16, compacted: bool) -> Result<(), OpenError> {
    if partitions == spec.partitions && compacted == spec.compacted() {
        return Ok(());
    }
    let words = |partitions: u16, compacted: bool| {
        format!("{partitions} partitions, {}compacted", if compacted { "" } else { "not " })
    };
    Err(OpenError::Topic {
        topic: spec.name.clone(),
        found: words(partitions, compacted),
        wanted: words(spec.partitions, spec.compacted()),
    })
}

fn make_topic(connection: &Connection, spec: &TopicSpec) -> rusqlite::Result<u32> {
    let next = "SELECT coalesce(max(id + partitions), 0) FROM topic";
    let id: u32 = connection.query_row(next, [], |r| r.get(0))?;
    connection.execute(
        "INSERT INTO topic VALUES (?1, ?2, ?3, ?4)",
        params![id, spec.name, spec.partitions, spec.compacted()],
    )?;
    Ok(id)
}
