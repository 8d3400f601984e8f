//! Reads the tables: batches that memory no longer has, last values, state.

use std::sync::Arc;

use dataflow::bus::BusError;
use dataflow::contract::StoreEntry;
use dataflow::{Batch, BatchBuilder};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::catalog::{offset_of, row_id};
use crate::codec::Unpacker;
use crate::prepare::owned_headers;
use crate::schema::open_reader;
use crate::shared::Shared;

/// Records in a batch that is made of rows: so few that their kinds and sources always fit one block.
const RUN_MAX: u64 = 100;
/// Reads in one transaction. It keeps the page cache of the connection, which SQLite drops with every new
/// transaction; and it must end soon, or the write-ahead log could not be started over.
const READS_MAX: u32 = 256;

/// A connection that only reads; belongs to one thread at a time.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    db: Connection,
    unpacker: Unpacker,
    reads: u32,
}

/// Where to read in a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) place: u32,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) bytes_max: usize,
    /// Whether what is read must outlive a power cut.
    pub(crate) durable: bool,
}

impl Reader {
    pub(crate) fn open(shared: &Arc<Shared>) -> Result<Self, BusError> {
        let db = open_reader(&shared.files.log, shared.options.reader_cache_bytes)
            .map_err(|e| shared.unreadable(e))?;
        Ok(Self { shared: Arc::clone(shared), db, unpacker: Unpacker::default(), reads: 0 })
    }

    /// Ends the transaction that state is read in.
    pub(crate) fn refresh(&mut self) -> Result<(), BusError> {
        if std::mem::take(&mut self.reads) > 0 {
            self.run("COMMIT")?;
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), BusError> {
        let ran = self.db.prepare_cached(sql).and_then(|mut s| s.execute([]));
        ran.map(|_| ()).map_err(|e| self.shared.unreadable(e))
    }

    /// Makes sure that a transaction is open, and a recent one.
    fn hold(&mut self) -> Result<(), BusError> {
        if self.reads >= READS_MAX {
            self.refresh()?;
        }
        if self.reads == 0 {
            self.run("BEGIN")?;
        }
        self.reads += 1;
        Ok(())
    }

    /// Batches of a span; at least one where there is one.
    pub(crate) fn batches(
        &mut self,
        compacted: bool,
        span: Span,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        if span.from >= span.until {
            return Ok(Vec::new());
        }
        if !compacted {
            return self.blocks(span);
        }
        let batches = self.rows(span)?;
        if span.durable {
            self.settle(span.place)?;
        }
        Ok(batches)
    }

    /// Returns when all that the last read could see of a compacted place is durable. What a later record
    /// superseded is missing from the read; were that record lost to a power cut, the one before it would come
    /// back behind the reader.
    fn settle(&self, place: u32) -> Result<(), BusError> {
        let last = self
            .db
            .prepare_cached("SELECT max(id) FROM latest WHERE id >= ?1 AND id < ?2")
            .and_then(|mut s| {
                s.query_row(params![row_id(place, 0), row_id(place + 1, 0)], |r| {
                    r.get::<_, Option<i64>>(0)
                })
            })
            .map_err(|e| self.shared.unreadable(e))?;
        match last {
            Some(id) => self.shared.until_durable(place, offset_of(id) + 1),
            None => Ok(()),
        }
    }

    fn blocks(&mut self, span: Span) -> Result<Vec<Arc<Batch>>, BusError> {
        let Self { shared, db, unpacker, .. } = self;
        let wrong = |e: rusqlite::Error| shared.unreadable(e);
        let mut statement = db
            .prepare_cached(
                "SELECT id, appended_ms, codec, bytes FROM batch
                 WHERE id >= coalesce((SELECT max(id) FROM batch WHERE id BETWEEN ?1 AND ?2), ?2) AND id < ?3
                 ORDER BY id",
            )
            .map_err(wrong)?;
        let ids = params![
            row_id(span.place, 0),
            row_id(span.place, span.from),
            row_id(span.place, span.until)
        ];
        let mut rows = statement.query(ids).map_err(wrong)?;
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(wrong)? {
            let batch = decode(row, unpacker, shared)?;
            if batch.next_offset() <= span.from {
                continue;
            }
            bytes += batch.bytes();
            if bytes > span.bytes_max && !batches.is_empty() {
                break;
            }
            batches.push(Arc::new(batch));
            if bytes >= span.bytes_max {
                break;
            }
        }
        Ok(batches)
    }

    /// Batches made of the rows of a compacted topic; offsets in them have gaps.
    fn rows(&mut self, span: Span) -> Result<Vec<Arc<Batch>>, BusError> {
        let Self { shared, db, unpacker, .. } = self;
        let wrong = |e: rusqlite::Error| shared.unreadable(e);
        let mut statement = db
            .prepare_cached(
                "SELECT id, appended_ms, codec, bytes FROM latest WHERE id >= ?1 AND id < ?2 ORDER BY id",
            )
            .map_err(wrong)?;
        let ids = params![row_id(span.place, span.from), row_id(span.place, span.until)];
        let mut rows = statement.query(ids).map_err(wrong)?;
        let (mut batches, mut bytes) = (Vec::new(), 0);
        let mut run: Option<Run> = None;
        while bytes < span.bytes_max
            && let Some(row) = rows.next().map_err(wrong)?
        {
            let single = decode(row, unpacker, shared)?;
            bytes += single.bytes();
            let open = run.get_or_insert_with(|| Run::at(&single));
            open.push(&single);
            if open.builder.count() >= RUN_MAX {
                batches.extend(run.take().map(|r| r.finish(shared)).transpose()?);
            }
        }
        batches.extend(run.map(|r| r.finish(shared)).transpose()?);
        Ok(batches)
    }

    /// The last record of a key, as a batch of one.
    pub(crate) fn latest(
        &mut self,
        place: u32,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        self.hold()?;
        let Self { shared, db, unpacker, .. } = self;
        let wrong = |e: rusqlite::Error| shared.unreadable(e);
        let mut statement = db
            .prepare_cached(
                "SELECT id, appended_ms, codec, bytes FROM latest WHERE id = ?3 +
                 (SELECT offset FROM latest_key WHERE place = ?1 AND key = ?2)",
            )
            .map_err(wrong)?;
        let mut rows = statement.query(params![place, key, row_id(place, 0)]).map_err(wrong)?;
        match rows.next().map_err(wrong)? {
            Some(row) => Ok(Some(Arc::new(decode(row, unpacker, shared)?))),
            None => Ok(None),
        }
    }

    /// A value of a service's own state.
    pub(crate) fn state(
        &mut self,
        service: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<[u8]>>, BusError> {
        self.hold()?;
        let found = self
            .db
            .prepare_cached(
                "SELECT value FROM state WHERE service = ?1 AND partition = ?2 AND key = ?3",
            )
            .and_then(|mut s| {
                s.query_row(params![service, partition, key], |r| {
                    Ok(Arc::from(r.get_ref(0)?.as_blob()?))
                })
                .optional()
            });
        found.map_err(|e| self.shared.unreadable(e))
    }

    /// Entries of one partition of a service's own state, in key order.
    pub(crate) fn state_range(
        &mut self,
        (service, partition): (&str, u16),
        (prefix, after): (&[u8], &[u8]),
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        self.hold()?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let range = || -> rusqlite::Result<Vec<StoreEntry>> {
            let mut statement = self.db.prepare_cached(
                "SELECT key, value FROM state
                 WHERE service = ?1 AND partition = ?2 AND key >= ?3 AND key > ?4 ORDER BY key LIMIT ?5",
            )?;
            let mut rows = statement.query(params![service, partition, prefix, after, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let key = row.get_ref(0)?.as_blob()?;
                if !key.starts_with(prefix) {
                    break;
                }
                found.push((key.to_vec(), Arc::from(row.get_ref(1)?.as_blob()?)));
            }
            Ok(found)
        };
        range().map_err(|e| self.shared.unreadable(e))
    }

    /// A service's counters.
    pub(crate) fn tallies(&mut self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        self.db
            .prepare_cached("SELECT name, n FROM tally WHERE service = ?1 ORDER BY name")
            .and_then(|mut s| s.query_map([service], |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
            .map_err(|e| self.shared.unreadable(e))
    }

    /// When the first record at or after `next` was appended.
    pub(crate) fn time_of(
        &mut self,
        compacted: bool,
        place: u32,
        next: u64,
    ) -> Result<Option<i64>, BusError> {
        crate::open::time_of(&self.db, compacted, place, next)
            .map_err(|e| self.shared.unreadable(e))
    }
}

/// Rows of a compacted topic on the way to a batch.
struct Run {
    base: u64,
    appended_ms: i64,
    builder: BatchBuilder,
}

impl Run {
    fn at(single: &Batch) -> Self {
        Self {
            base: single.base_offset(),
            appended_ms: single.appended_ms,
            builder: BatchBuilder::default(),
        }
    }

    fn push(&mut self, single: &Batch) {
        for record in single.records() {
            let delta = record.offset.saturating_sub(self.base);
            self.builder.push_at(delta, owned_headers(record, &record.headers()));
        }
    }

    fn finish(self, shared: &Shared) -> Result<Arc<Batch>, BusError> {
        Batch::decode(Arc::new(self.builder.finish()), self.base, self.appended_ms)
            .map(Arc::new)
            .map_err(|e| shared.unreadable(e))
    }
}

/// Decodes a row of `(id, appended_ms, codec, bytes)`.
pub(crate) fn decode(
    row: &Row<'_>,
    unpacker: &mut Unpacker,
    shared: &Shared,
) -> Result<Batch, BusError> {
    let wrong = |e: rusqlite::Error| shared.unreadable(e);
    let id: i64 = row.get(0).map_err(wrong)?;
    let codec: i64 = row.get(2).map_err(wrong)?;
    let bytes = row.get_ref(3).and_then(|b| Ok(b.as_blob()?)).map_err(wrong)?;
    let block = unpacker
        .unpack(codec, bytes, &shared.dictionaries)
        .ok_or_else(|| shared.unreadable(format!("row {id} is damaged")))?;
    Batch::decode(Arc::new(block), offset_of(id), row.get(1).map_err(wrong)?)
        .map_err(|e| shared.unreadable(e))
}
