//! listing.current, listing.events -> the view's file and its columns.
//!
//! Rows, counters and position go into one transaction; the columns follow when it is committed, so that a reader
//! never sees what could still be undone. Of several versions of a listing in one call only the last is written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use dataflow::contract::{Delivery, ViewPosition};
use dataflow::{Failure, RecordRef, View};
use messages::topics::{LISTING_CURRENT, LISTING_EVENTS};
use rusqlite::{Connection, OptionalExtension, params};

use crate::answer::Model;
use crate::codec::{Decoder, Encoder, train};
use crate::columns::{Columns, LISTINGS_MAX, Row, key_hash};
use crate::copier::Copier;
use crate::display::Display;
use crate::event;
use crate::record::{Facts, parse};
use crate::rows::{self, Saved};
use crate::store::{self, StoreError, Stored, Tables, WAITING};

/// Listings after which a dictionary is trained on the first of them.
const TRAIN_AT: usize = 512;
/// Longest key that is kept, in bytes.
const KEY_MAX: usize = 512;

/// What readers and the writer share.
pub(crate) struct Shared {
    pub(crate) file: PathBuf,
    pub(crate) display: Display,
    pub(crate) columns: RwLock<Columns>,
}

/// The read model of listings: one file, written by one thread, read by many.
pub struct ListingView {
    /// Before the connection, so that its last copy is made while the file is open here.
    _copier: Copier,
    sql: Connection,
    encoder: Encoder,
    trained: bool,
    /// Names that are in the file.
    saved: Saved,
    shared: Arc<Shared>,
}

/// A listing touched by the call at hand.
struct Touched<'a> {
    key: &'a str,
    id: u32,
    fresh: bool,
    /// The last good value, with what it says and when it was read.
    current: Option<(Facts<'a>, &'a [u8], i64)>,
}

/// All that the call at hand touches, in order of first mention.
struct Unit<'a> {
    touched: Vec<Touched<'a>>,
    by_key: HashMap<&'a str, usize>,
    fresh: usize,
    counters: Counters,
}

/// Counters by how much they grow.
#[derive(Default)]
struct Counters(HashMap<String, i64>);

impl Counters {
    fn add(&mut self, name: &str) {
        if let Some(n) = self.0.get_mut(name) {
            *n += 1;
        } else {
            self.0.insert(name.to_owned(), 1);
        }
    }
}

impl ListingView {
    /// Opens the view's file, or makes it. Reads the columns back: a few tenths of a second for a million listings,
    /// some seconds where what may be displayed has changed.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be used or was written by a newer program.
    pub fn open(file: &Path, display: Display) -> Result<Self, StoreError> {
        let sql = store::open(file)?;
        let columns = store::load(&sql, &display)?;
        let saved = Saved::all(&columns.names);
        let columns = RwLock::new(columns);
        let shared = Arc::new(Shared { file: file.to_owned(), display, columns });
        let newest = sql
            .query_row(
                "SELECT number, bytes FROM dictionary ORDER BY number DESC LIMIT 1",
                [],
                |row| Ok((row.get::<_, u8>(0)?, row.get::<_, Vec<u8>>(1)?)),
            )
            .optional()?;
        let encoder =
            Encoder::new(newest.as_ref().map(|(number, bytes)| (*number, bytes.as_slice())))?;
        let copier = Copier::start(file)?;
        Ok(Self { _copier: copier, sql, encoder, trained: newest.is_some(), saved, shared })
    }

    /// What a server needs to answer from this view, also while it is written.
    #[must_use]
    pub fn model(&self) -> Model {
        Model::of(Arc::clone(&self.shared))
    }

    /// What this view and its readers share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    fn apply_all(&mut self, deliveries: &[Delivery], now_ms: i64) -> Result<(), StoreError> {
        let transaction = self.sql.unchecked_transaction()?;
        let columns = self.shared.columns.read().unwrap_or_else(PoisonError::into_inner);
        let mut unit = Unit::new(columns.len());
        let mut tables = Tables::new(&transaction, &mut self.encoder)?;
        for delivery in deliveries.iter().filter(|d| &*d.topic == LISTING_CURRENT) {
            for record in delivery.records() {
                unit.current(&mut tables, &columns, record)?;
            }
        }
        for delivery in deliveries.iter().filter(|d| &*d.topic == LISTING_EVENTS) {
            for record in delivery.records() {
                unit.event(&mut tables, &columns, record)?;
            }
        }
        drop(columns);
        let Unit { touched, counters, .. } = unit;
        let mut written = Vec::with_capacity(touched.len());
        for listing in touched {
            written.extend(write(&mut tables, listing)?);
        }
        drop(tables);
        let rows = self.rows(&written);
        let columns = self.shared.columns.read().unwrap_or_else(PoisonError::into_inner);
        let saved = self.saved.write(&transaction, &columns.names)?;
        rows::write(&transaction, &columns, &rows)?;
        drop(columns);
        write_position(&transaction, deliveries, now_ms)?;
        write_counters(&transaction, &counters)?;
        transaction.commit()?;
        self.saved = saved;
        self.publish(&rows);
        if !self.trained {
            self.train()?;
        }
        Ok(())
    }

    /// What searches will see, in order of the ids. Names that are new get their numbers here: a name too many does
    /// no harm when the transaction fails.
    fn rows(&self, written: &[Written<'_>]) -> Vec<(u32, Row)> {
        let mut columns = self.shared.columns.write().unwrap_or_else(PoisonError::into_inner);
        let display = &self.shared.display;
        let mut row = |one: &Written<'_>| match &one.stored {
            Some(stored) => stored.row(display, &mut columns.names),
            None => Row::waiting(one.hash),
        };
        let mut rows: Vec<_> = written.iter().map(|one| (one.id, row(one))).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        rows
    }

    /// Makes what was committed visible to searches.
    fn publish(&self, rows: &[(u32, Row)]) {
        let mut columns = self.shared.columns.write().unwrap_or_else(PoisonError::into_inner);
        for (id, row) in rows {
            if columns.get(*id).is_some() {
                columns.put(*id, row);
            } else {
                columns.push(row);
            }
        }
    }

    /// Trains a dictionary once there is enough to learn from, and keeps it in the file.
    fn train(&mut self) -> Result<(), StoreError> {
        if self.shared.columns.read().unwrap_or_else(PoisonError::into_inner).len() < TRAIN_AT {
            return Ok(());
        }
        self.trained = true;
        let mut decoder = Decoder::new()?;
        let mut statement = self.sql.prepare("SELECT current FROM value WHERE id < 512")?;
        let mut rows = statement.query([])?;
        let mut samples = Vec::with_capacity(TRAIN_AT);
        while let Some(row) = rows.next()? {
            samples.push(decoder.decode(row.get_ref(0)?.as_blob().unwrap_or_default())?);
        }
        if let Some(bytes) = train(&samples) {
            self.encoder = Encoder::new(Some((1, &bytes)))?;
            self.sql.execute("INSERT INTO dictionary VALUES (1, ?1)", [&*bytes])?;
        }
        Ok(())
    }
}

impl<'a> Unit<'a> {
    fn new(known: usize) -> Self {
        Self {
            touched: Vec::new(),
            by_key: HashMap::new(),
            fresh: known,
            counters: Counters::default(),
        }
    }

    fn current(
        &mut self,
        tables: &mut Tables<'_>,
        columns: &Columns,
        record: RecordRef<'a>,
    ) -> Result<(), StoreError> {
        let Some(at) = self.listing(tables, columns, record.key)? else { return Ok(()) };
        // Read at once, so that a bad value does not take the place of the good one before it.
        let read = record.value.and_then(|value| Some((parse(value)?, value, record.meta.time_ms)));
        match (read, self.touched.get_mut(at)) {
            (Some(read), Some(listing)) => listing.current = Some(read),
            _ => self.counters.add("skipped"),
        }
        Ok(())
    }

    fn event(
        &mut self,
        tables: &mut Tables<'_>,
        columns: &Columns,
        record: RecordRef<'a>,
    ) -> Result<(), StoreError> {
        let Some(event) = record.value.and_then(event::read) else {
            self.counters.add("skipped");
            return Ok(());
        };
        let Some(at) = self.listing(tables, columns, record.key)? else { return Ok(()) };
        let Some(listing) = self.touched.get(at) else { return Ok(()) };
        tables.put_event(listing.id, record, &event)?;
        self.counters.add(event.kind);
        Ok(())
    }

    /// The place in `touched` of the listing of that key; `None` (counted) for a key that cannot be kept.
    fn listing(
        &mut self,
        tables: &mut Tables<'_>,
        columns: &Columns,
        key: &'a [u8],
    ) -> Result<Option<usize>, StoreError> {
        let key =
            std::str::from_utf8(key).ok().filter(|key| !key.is_empty() && key.len() <= KEY_MAX);
        let Some(key) = key else {
            self.counters.add("skipped");
            return Ok(None);
        };
        if let Some(at) = self.by_key.get(key) {
            return Ok(Some(*at));
        }
        let known = known(tables, columns, key)?;
        let Some(id) = known.or_else(|| self.next_id()) else {
            self.counters.add("skipped");
            return Ok(None);
        };
        let at = self.touched.len();
        self.touched.push(Touched { key, id, fresh: known.is_none(), current: None });
        self.by_key.insert(key, at);
        Ok(Some(at))
    }

    fn next_id(&mut self) -> Option<u32> {
        let id = u32::try_from(self.fresh).ok().filter(|_| self.fresh < LISTINGS_MAX);
        self.fresh += 1;
        id
    }
}

/// The id of a key, when an earlier call made one. Equal hashes are told apart by the key in the file.
fn known(tables: &mut Tables<'_>, columns: &Columns, key: &str) -> Result<Option<u32>, StoreError> {
    for id in columns.find(key_hash(key)) {
        if tables.has(id, key)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What one listing became.
struct Written<'a> {
    id: u32,
    hash: u64,
    stored: Option<Stored<'a>>,
}

/// Writes the last version of one listing; `None` where nothing about it changed.
fn write<'a>(
    tables: &mut Tables<'_>,
    listing: Touched<'a>,
) -> Result<Option<Written<'a>>, StoreError> {
    let Touched { key, id, fresh, current } = listing;
    let written = |stored| Written { id, hash: key_hash(key), stored };
    let Some((facts, value, time_ms)) = current else {
        if !fresh {
            return Ok(None);
        }
        tables.put_listing(id, &Stored { key, state: WAITING, ..Stored::default() })?;
        return Ok(Some(written(None)));
    };
    let stored = Stored::new(key, time_ms, facts);
    tables.put_listing(id, &stored)?;
    tables.put_value(id, value)?;
    Ok(Some(written(Some(stored))))
}

fn write_position(sql: &Connection, deliveries: &[Delivery], now_ms: i64) -> rusqlite::Result<()> {
    for delivery in deliveries {
        sql.prepare_cached("INSERT OR REPLACE INTO position VALUES (?1, ?2, ?3)")?.execute(
            params![&*delivery.topic, delivery.partition, delivery.next_offset().cast_signed(),],
        )?;
    }
    sql.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('time_ms', ?1)")?.execute([now_ms])?;
    Ok(())
}

fn write_counters(sql: &Connection, counters: &Counters) -> rusqlite::Result<()> {
    let mut statement = sql.prepare_cached(
        "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
    )?;
    counters.0.iter().try_for_each(|(name, n)| statement.execute(params![name, n]).map(|_| ()))
}

fn number(sql: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = sql.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

fn stop(error: impl Into<StoreError>) -> Failure {
    Failure::stop(error.into().to_string())
}

impl View for ListingView {
    fn position(&mut self) -> Result<ViewPosition, Failure> {
        let read = || -> rusqlite::Result<ViewPosition> {
            let mut statement = self.sql.prepare("SELECT topic, partition, next FROM position")?;
            let next = statement
                .query_map([], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned()))
                })?
                .collect::<Result<_, _>>()?;
            let epoch = number(&self.sql, "epoch")?.cast_unsigned();
            Ok(ViewPosition { epoch, time_ms: number(&self.sql, "time_ms")?, next })
        };
        read().map_err(stop)
    }

    fn reset(&mut self, epoch: u64) -> Result<(), Failure> {
        let clear = || -> rusqlite::Result<()> {
            let transaction = self.sql.unchecked_transaction()?;
            store::clear(&transaction)?;
            transaction.execute("INSERT INTO meta VALUES ('epoch', ?1)", [epoch.cast_signed()])?;
            rows::begin(&transaction, &self.shared.display)?;
            transaction.commit()
        };
        clear().map_err(stop)?;
        self.saved = Saved::default();
        *self.shared.columns.write().unwrap_or_else(PoisonError::into_inner) = Columns::default();
        Ok(())
    }

    fn apply(&mut self, deliveries: &[Delivery], now_ms: i64) -> Result<(), Failure> {
        self.apply_all(deliveries, now_ms).map_err(stop)
    }
}
