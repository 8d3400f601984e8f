//! The file of the read model: its tables, and how rows go in and out.
//!
//! Writes at a load are nearly sequential in every table: listings and their values go to the end, history
//! stands next to its listing. There is no index at all (see `columns.rs`), which keeps the cost of a listing the
//! same however many there are. Values are opaque; everything else is there to be read with any SQLite tool.

use std::borrow::Cow;
use std::path::Path;

use dataflow::RecordRef;
use rusqlite::{CachedStatement, Connection, OpenFlags, Row as SqlRow, params};

use crate::codec::{CodecError, Encoder};
use crate::columns::{
    ADDRESS, COUNT_NONE, Columns, DELETED, Dictionaries, LISTINGS_MAX, PLACED, PRICE_NONE, Row,
    SHOWN, basis_bits, key_hash,
};
use crate::display::Display;
use crate::event::Event;
use crate::record::{Basis, Facts};
use crate::rows;
use crate::text::{fold, signature};

/// Version of the tables; a newer one is refused, an older one rebuilt from the topics.
pub(crate) const FORMAT: i64 = 2;
/// Pages of the write-ahead log after which a commit copies into the file what the copier has not: 64 MB. It bounds
/// the log; at half of it a load is 5 % slower, and commands meanwhile wait longer.
const WAL_PAGES: i64 = 8000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dictionary (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS listing (id INTEGER PRIMARY KEY, key TEXT NOT NULL, state INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL, version INTEGER NOT NULL, status TEXT, type TEXT, price_cents INTEGER,
    price_is INTEGER NOT NULL, beds INTEGER, baths INTEGER, city TEXT, state_or_province TEXT, country TEXT,
    lat_e7 INTEGER, lon_e7 INTEGER, show_listing INTEGER, show_address INTEGER, address_words TEXT NOT NULL,
    place_words TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS value (id INTEGER PRIMARY KEY, current BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS history (listing INTEGER NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL,
    version INTEGER NOT NULL, read_ms INTEGER NOT NULL, event BLOB NOT NULL, PRIMARY KEY (listing, at)) WITHOUT ROWID;
";

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite cannot read or write it.
    #[error(
        "the view file cannot be used: {0}; is the disk full, or the file held by another program?"
    )]
    Sql(#[from] rusqlite::Error),
    /// Written by a newer program.
    #[error(
        "the view file {file} has format {found}, this program reads up to {FORMAT}; use the newer program, or delete the file: it is rebuilt from the topics"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        found: i64,
    },
    /// No thread for copying.
    #[error("cannot start a thread for the view: {0}; is the limit of processes reached?")]
    Thread(std::io::Error),
    /// A stored value is not what was written.
    #[error("{0}")]
    Value(String),
}

impl From<CodecError> for StoreError {
    fn from(error: CodecError) -> Self {
        Self::Value(error.to_string())
    }
}

/// State of a listing in the file.
pub(crate) const WAITING: i64 = 0;
pub(crate) const LIVE: i64 = 1;
pub(crate) const GONE: i64 = 2;

/// Opens the file for writing, and makes its tables.
pub(crate) fn open(file: &Path) -> Result<Connection, StoreError> {
    let sql = Connection::open(file)?;
    sql.busy_timeout(std::time::Duration::from_secs(5))?;
    // Only a new file takes the page size.
    sql.pragma_update(None, "page_size", 8192)?;
    sql.pragma_update(None, "journal_mode", "WAL")?;
    sql.pragma_update(None, "synchronous", "NORMAL")?;
    sql.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    sql.pragma_update(None, "journal_size_limit", 64 << 20)?;
    sql.pragma_update(None, "cache_size", -32_768)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    sql.set_prepared_statement_cache_capacity(32);
    let found: i64 = sql.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > FORMAT {
        return Err(StoreError::Newer { file: file.display().to_string(), found });
    }
    if found < FORMAT {
        drop_tables(&sql)?;
    }
    sql.execute_batch(TABLES)?;
    sql.execute_batch(rows::TABLES)?;
    sql.pragma_update(None, "user_version", FORMAT)?;
    Ok(sql)
}

fn drop_tables(sql: &Connection) -> rusqlite::Result<()> {
    let mut names = sql.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.iter().try_for_each(|name| sql.execute_batch(&format!("DROP TABLE \"{name}\"")))
}

/// Opens the file for reading, as many times as wanted.
pub(crate) fn open_reader(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(file, flags)?;
    sql.busy_timeout(std::time::Duration::from_secs(1))?;
    sql.pragma_update(None, "cache_size", -4096)?;
    Ok(sql)
}

/// A listing as the file holds it.
#[derive(Debug, Default)]
pub(crate) struct Stored<'a> {
    pub(crate) key: &'a str,
    pub(crate) state: i64,
    pub(crate) changed_ms: i64,
    pub(crate) facts: Facts<'a>,
    /// Folded words of the address.
    pub(crate) address_words: Cow<'a, str>,
    /// Folded words of city and postal code.
    pub(crate) place_words: Cow<'a, str>,
}

impl<'a> Stored<'a> {
    /// From a `listing.current` value.
    pub(crate) fn new(key: &'a str, changed_ms: i64, facts: Facts<'a>) -> Self {
        let state = if facts.deleted { GONE } else { LIVE };
        let mut address_words = String::new();
        fold(&facts.address, &mut address_words);
        let mut place_words = String::new();
        fold(&facts.city, &mut place_words);
        fold(&facts.postal_code, &mut place_words);
        if facts.postal_code.contains(' ') {
            // Canadian codes are typed with and without their space.
            fold(&facts.postal_code.replace(' ', ""), &mut place_words);
        }
        Self {
            key,
            state,
            changed_ms,
            facts,
            address_words: address_words.into(),
            place_words: place_words.into(),
        }
    }

    /// What search compares, given what may be shown.
    pub(crate) fn row(&self, display: &Display, names: &mut Dictionaries) -> Row {
        let feed = feed_of(self.key);
        let facts = &self.facts;
        let rules = display.feed(feed);
        let shown = rules.shown(facts.show_listing, facts.show_address, &facts.status);
        let placed = shown.address && rules.permits_place() && facts.place.is_some();
        let (lat, lon) = facts.place.filter(|_| placed).unwrap_or_default();
        let mut words = signature(&self.place_words);
        let mut flags = basis_bits(facts.basis);
        if self.state == LIVE && shown.listing {
            flags |= SHOWN;
        }
        if placed {
            flags |= PLACED;
        }
        if self.state == GONE {
            flags |= DELETED;
        }
        if shown.address {
            flags |= ADDRESS;
            words |= signature(&self.address_words);
        }
        let small = |code: u32| u16::try_from(code).unwrap_or(0);
        Row {
            hash: key_hash(self.key),
            signature: words,
            price: facts.price_cents.unwrap_or(PRICE_NONE),
            changed: self.changed_ms,
            lat,
            lon,
            city: names.city.code(&facts.city),
            version: u32::try_from(facts.version).unwrap_or(u32::MAX),
            state: small(names.state.code(&facts.state)),
            country: small(names.country.code(&facts.country)),
            status: small(names.status.code(&facts.status)),
            kind: small(names.kind.code(&facts.kind)),
            feed: small(names.feed.code(feed)),
            beds: facts.beds.unwrap_or(COUNT_NONE),
            baths: facts.baths.unwrap_or(COUNT_NONE),
            flags,
        }
    }

    fn read(row: &'a SqlRow<'_>) -> rusqlite::Result<Self> {
        let text = |at: usize| {
            row.get_ref(at)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)
                .map(Option::unwrap_or_default)
        };
        let basis: u8 = row.get(8)?;
        let (lat, lon): (Option<i32>, Option<i32>) = (row.get(14)?, row.get(15)?);
        let state = row.get(2)?;
        let facts = Facts {
            version: row.get::<_, i64>(4)?.cast_unsigned(),
            deleted: state == GONE,
            status: text(5)?.into(),
            kind: text(6)?.into(),
            price_cents: row.get(7)?,
            basis: Basis::ALL.into_iter().find(|b| b.number() == basis).unwrap_or_default(),
            beds: row.get(9)?,
            baths: row.get(10)?,
            city: text(11)?.into(),
            state: text(12)?.into(),
            country: text(13)?.into(),
            place: lat.zip(lon),
            show_listing: row.get(16)?,
            show_address: row.get(17)?,
            ..Facts::default()
        };
        Ok(Self {
            key: text(1)?,
            state,
            changed_ms: row.get(3)?,
            facts,
            address_words: text(18)?.into(),
            place_words: text(19)?.into(),
        })
    }
}

/// The statements of one transaction, looked up once.
pub(crate) struct Tables<'c> {
    listing: CachedStatement<'c>,
    value: CachedStatement<'c>,
    history: CachedStatement<'c>,
    key: CachedStatement<'c>,
    encoder: &'c mut Encoder,
}

impl<'c> Tables<'c> {
    pub(crate) fn new(sql: &'c Connection, encoder: &'c mut Encoder) -> rusqlite::Result<Self> {
        Ok(Self {
            listing: sql.prepare_cached(
                "INSERT OR REPLACE INTO listing VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
            )?,
            value: sql.prepare_cached("INSERT OR REPLACE INTO value VALUES (?1, ?2)")?,
            history: sql.prepare_cached("INSERT OR REPLACE INTO history VALUES (?1,?2,?3,?4,?5,?6)")?,
            key: sql.prepare_cached("SELECT key = ?2 FROM listing WHERE id = ?1")?,
            encoder,
        })
    }

    /// Whether the listing of that id has that key.
    pub(crate) fn has(&mut self, id: u32, key: &str) -> rusqlite::Result<bool> {
        self.key.query_row(params![id, key], |row| row.get(0))
    }

    /// Writes a listing under `id`, over what was there.
    pub(crate) fn put_listing(&mut self, id: u32, stored: &Stored<'_>) -> rusqlite::Result<()> {
        fn some(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        let facts = &stored.facts;
        self.listing.execute(params![
            id,
            stored.key,
            stored.state,
            stored.changed_ms,
            facts.version.cast_signed(),
            some(&facts.status),
            some(&facts.kind),
            facts.price_cents,
            facts.basis.number(),
            facts.beds,
            facts.baths,
            some(&facts.city),
            some(&facts.state),
            some(&facts.country),
            facts.place.map(|(lat, _)| lat),
            facts.place.map(|(_, lon)| lon),
            facts.show_listing,
            facts.show_address,
            stored.address_words,
            stored.place_words,
        ])?;
        Ok(())
    }

    /// Writes the value of a listing.
    pub(crate) fn put_value(&mut self, id: u32, value: &[u8]) -> Result<(), StoreError> {
        self.value.execute(params![id, self.encoder.encode(value)?])?;
        Ok(())
    }

    /// Writes an event into the history of a listing, at its offset.
    pub(crate) fn put_event(
        &mut self,
        id: u32,
        record: RecordRef<'_>,
        event: &Event,
    ) -> Result<(), StoreError> {
        self.history.execute(params![
            id,
            record.offset.cast_signed(),
            event.kind,
            event.version.cast_signed(),
            record.meta.time_ms,
            self.encoder.encode(&event.kept)?,
        ])?;
        Ok(())
    }
}

/// The feed that a key belongs to: what stands before its first colon.
pub(crate) fn feed_of(key: &str) -> &str {
    key.split_once(':').map_or("", |(feed, _)| feed)
}

/// Reads all columns back: from the packed rows, or where these do not fit from the table of listings.
pub(crate) fn load(sql: &Connection, display: &Display) -> Result<Columns, StoreError> {
    let last: Option<i64> = sql.query_row("SELECT max(id) FROM listing", [], |row| row.get(0))?;
    let count = last.and_then(|id| usize::try_from(id + 1).ok()).unwrap_or(0).min(LISTINGS_MAX);
    if let Some(columns) = rows::read(sql, display, count)? {
        return Ok(columns);
    }
    let columns = load_listings(sql, display, count)?;
    rows::rewrite(sql, display, &columns)?;
    Ok(columns)
}

fn load_listings(sql: &Connection, display: &Display, count: usize) -> Result<Columns, StoreError> {
    let mut columns = Columns::default();
    columns.reserve(count);
    let mut statement = sql.prepare("SELECT * FROM listing ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if usize::try_from(id) != Ok(columns.len()) {
            return Err(StoreError::Value(format!(
                "the view file lacks listing {}; delete the file: it is rebuilt from the topics",
                columns.len()
            )));
        }
        let stored = Stored::read(row)?;
        let row = stored.row(display, &mut columns.names);
        columns.push(&row);
    }
    Ok(columns)
}

/// Deletes all rows; the dictionary stays, it serves the next rows as well.
pub(crate) fn clear(sql: &Connection) -> rusqlite::Result<()> {
    let ours = ["meta", "position", "counter", "listing", "value", "history"];
    for table in ours.into_iter().chain(rows::TABLE_NAMES) {
        sql.execute_batch(&format!("DELETE FROM {table}"))?;
    }
    Ok(())
}
