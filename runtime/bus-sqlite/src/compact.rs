//! Drops superseded records from topics that keep the last record of each key for ever.
//!
//! As Kafka's log cleaner: the part that is not clean yet is read once to learn the last offset of each key in
//! it, then everything up to its end is rewritten without what those records superseded. A record goes when
//! the record that superseded it is old enough and passed by every reader.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Batch, BatchBuilder};
use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_128;

use crate::catalog::{offset_of, row_id};
use crate::codec::{Packer, Unpacker};
use crate::prepare::owned_headers;
use crate::reader::decode;
use crate::retention::Broken;
use crate::shared::Shared;

/// Rows read or rewritten in one step.
const STEP_ROWS: usize = 8;
/// Most keys learned in one run, about 50 MB; the rest is learned in the next run.
const KEYS_MAX: usize = 1_000_000;
/// A run rewrites everything, so it waits until a fifth of it is not clean.
const CLEAN_FOR_DIRTY: u64 = 4;

/// The cleaning of one place.
pub(crate) struct Cleaner {
    pub(crate) place: u32,
    before_ms: i64,
    phase: Phase,
    /// Last offset of each key, by hash: keys are not needed themselves, and 128 bits do not collide.
    last: HashMap<u128, u64>,
}

enum Phase {
    Start,
    Learn { next: u64, until: u64 },
    Rewrite { next: u64, until: u64 },
}

impl Cleaner {
    pub(crate) fn new(place: u32, before_ms: i64) -> Self {
        Self { place, before_ms, phase: Phase::Start, last: HashMap::new() }
    }

    /// One bounded piece; whether the place is done.
    pub(crate) fn step(
        &mut self,
        db: &Connection,
        shared: &Shared,
        unpacker: &mut Unpacker,
        passed: u64,
    ) -> Result<bool, Broken> {
        match self.phase {
            Phase::Start => {
                let (clean, until) = (self.clean(db)?, self.horizon(db, passed)?);
                let dirty = until.saturating_sub(clean);
                self.phase = Phase::Learn { next: clean, until };
                Ok(dirty == 0 || dirty.saturating_mul(CLEAN_FOR_DIRTY) < clean)
            }
            Phase::Learn { next, until } => {
                let batches = self.batches(db, shared, unpacker, (next, until))?;
                for record in batches.iter().flat_map(|(b, _)| b.records()) {
                    self.last.insert(xxh3_128(record.key), record.offset);
                }
                let next = batches.last().map_or(until, |(_, after)| *after);
                self.phase = if next >= until || self.last.len() >= KEYS_MAX {
                    Phase::Rewrite { next: 0, until: next.min(until) }
                } else {
                    Phase::Learn { next, until }
                };
                Ok(false)
            }
            Phase::Rewrite { next, until } => {
                let batches = self.batches(db, shared, unpacker, (next, until))?;
                for (batch, _) in &batches {
                    self.rewrite(db, shared, batch)?;
                }
                let next = batches.last().map_or(until, |(_, after)| *after);
                self.phase = Phase::Rewrite { next, until };
                if next >= until {
                    db.prepare_cached("INSERT OR REPLACE INTO cleaned VALUES (?1, ?2)")?
                        .execute(params![self.place, until.cast_signed()])?;
                }
                Ok(next >= until)
            }
        }
    }

    fn clean(&self, db: &Connection) -> rusqlite::Result<u64> {
        let found: Option<i64> = db
            .prepare_cached("SELECT next FROM cleaned WHERE place = ?1")?
            .query_row([self.place], |r| r.get(0))
            .optional()?;
        Ok(found.unwrap_or(0).cast_unsigned())
    }

    /// The offset up to which rows are old enough and passed.
    fn horizon(&self, db: &Connection, passed: u64) -> rusqlite::Result<u64> {
        let mut statement = db.prepare_cached(
            "SELECT id, records, appended_ms FROM batch WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )?;
        let from = self.clean(db)?;
        let mut rows = statement.query([row_id(self.place, from), row_id(self.place + 1, 0)])?;
        let mut until = from;
        while let Some(row) = rows.next()? {
            let after = offset_of(row.get(0)?) + row.get::<_, i64>(1)?.cast_unsigned();
            if row.get::<_, i64>(2)? >= self.before_ms || after > passed {
                break;
            }
            until = after;
        }
        Ok(until)
    }

    /// Some rows of `next..until`, each with the offset after it.
    fn batches(
        &self,
        db: &Connection,
        shared: &Shared,
        unpacker: &mut Unpacker,
        (next, until): (u64, u64),
    ) -> Result<Vec<(Batch, u64)>, Broken> {
        let mut statement = db.prepare_cached(
            "SELECT id, appended_ms, codec, bytes, records FROM batch
             WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?;
        let mut rows = statement.query(params![
            row_id(self.place, next),
            row_id(self.place, until),
            STEP_ROWS as i64
        ])?;
        let mut batches = Vec::new();
        while let Some(row) = rows.next()? {
            let after = offset_of(row.get(0)?) + row.get::<_, i64>(4)?.cast_unsigned();
            batches.push((decode(row, unpacker, shared)?, after));
        }
        Ok(batches)
    }

    fn rewrite(&self, db: &Connection, shared: &Shared, batch: &Batch) -> rusqlite::Result<()> {
        let base = batch.base_offset();
        let id = row_id(self.place, base);
        let mut builder = BatchBuilder::default();
        for record in batch.records() {
            let superseded =
                self.last.get(&xxh3_128(record.key)).is_some_and(|last| *last > record.offset);
            if !superseded {
                builder.push_at(record.offset - base, owned_headers(record, &record.headers()));
            }
        }
        if builder.is_empty() {
            db.prepare_cached("DELETE FROM batch WHERE id = ?1")?.execute([id])?;
        } else if builder.count() < batch.len() as u64 {
            let mut bytes = Vec::new();
            let block = Arc::new(builder.finish());
            let codec = Packer::new(shared.options.compression).pack(&block, None, &mut bytes);
            db.prepare_cached("UPDATE batch SET codec = ?2, bytes = ?3 WHERE id = ?1")?
                .execute(params![id, codec, bytes])?;
        }
        Ok(())
    }
}
