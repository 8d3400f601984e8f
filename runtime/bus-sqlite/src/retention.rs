//! What may go, goes: in small steps at the writer's quiet moments.
//!
//! Nothing goes that a service of the flow, or a view that holds its place, has not passed; and the last row
//! of a place never goes, because it tells where the place ends.

use std::collections::VecDeque;
use std::sync::Arc;

use dataflow::bus::BusError;
use dataflow::flow::Retention;
use rusqlite::{Connection, OptionalExtension, params};

use crate::catalog::{offset_of, place_of, row_id};
use crate::codec::Unpacker;
use crate::compact::Cleaner;
use crate::reader::decode;
use crate::shared::{Shared, lock};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Rows looked at in one step.
const STEP_ROWS: usize = 64;
const SUBJECT: &str = "retention";

/// Why a step ended early.
pub(crate) enum Broken {
    /// The log cannot be written: the bus is done for.
    Sqlite(rusqlite::Error),
    /// A row cannot be read: its place is left as it is.
    Row(BusError),
}

impl From<rusqlite::Error> for Broken {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<BusError> for Broken {
    fn from(error: BusError) -> Self {
        Self::Row(error)
    }
}

enum Job {
    Age { place: u32, before_ms: i64 },
    Clean(Cleaner),
    Tombstones { place: u32, before_ms: i64, after: i64 },
}

/// Plans and does the work of retention.
pub(crate) struct Retainer {
    shared: Arc<Shared>,
    next_round_ms: i64,
    jobs: VecDeque<Job>,
    unpacker: Unpacker,
}

impl Retainer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let next_round_ms =
            shared.options.clock.now_ms().saturating_add(shared.options.retention_every_ms);
        Self { shared, next_round_ms, jobs: VecDeque::new(), unpacker: Unpacker::default() }
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// One bounded piece of work, if there is any.
    pub(crate) fn step(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.jobs.is_empty() {
            let now_ms = self.shared.options.clock.now_ms();
            if now_ms < self.next_round_ms {
                return Ok(());
            }
            self.plan(now_ms);
        }
        self.work(db)
    }

    /// A whole round, now.
    pub(crate) fn run(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.jobs.clear();
        self.plan(self.shared.options.clock.now_ms());
        while self.is_busy() {
            self.work(db)?;
        }
        Ok(())
    }

    fn plan(&mut self, now_ms: i64) {
        self.next_round_ms = now_ms.saturating_add(self.shared.options.retention_every_ms);
        let before = |days: u32| now_ms.saturating_sub(i64::from(days) * DAY_MS);
        for topic in &self.shared.catalog.topics {
            for place in topic.places() {
                self.jobs.push_back(match topic.retention {
                    Retention::Days(days) => Job::Age { place, before_ms: before(days) },
                    Retention::LastOfEachKey { days } => {
                        Job::Clean(Cleaner::new(place, before(days)))
                    }
                    Retention::Compacted { tombstone_days } => Job::Tombstones {
                        place,
                        before_ms: before(tombstone_days),
                        after: row_id(place, 0) - 1,
                    },
                });
            }
        }
    }

    fn work(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let Some(mut job) = self.jobs.pop_front() else { return Ok(()) };
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let before = db.total_changes();
        match self.piece(db, &mut job) {
            Ok(done) => {
                db.prepare_cached("COMMIT")?.execute([])?;
                if db.total_changes() > before {
                    self.shared.syncs.committed(0, false);
                }
                if !done {
                    self.jobs.push_front(job);
                }
            }
            Err(Broken::Sqlite(error)) => return Err(error),
            Err(Broken::Row(error)) => {
                db.prepare_cached("ROLLBACK")?.execute([])?;
                self.shared.set_condition(SUBJECT, Some(error.to_string()));
            }
        }
        Ok(())
    }

    fn piece(&mut self, db: &Connection, job: &mut Job) -> Result<bool, Broken> {
        let passed = |place| lock(&self.shared.log).passed(&self.shared.catalog, place);
        match job {
            Job::Age { place, before_ms } => self.age(db, *place, *before_ms, passed(*place)),
            Job::Clean(cleaner) => {
                let passed = passed(cleaner.place);
                let done = cleaner.step(db, &self.shared, &mut self.unpacker, passed)?;
                self.note_start(db, cleaner.place)?;
                Ok(done)
            }
            Job::Tombstones { place, before_ms, after } => {
                let passed = passed(*place);
                self.tombstones(db, (*place, *before_ms, passed), after)
            }
        }
    }

    /// Deletes rows that are old and passed.
    fn age(
        &self,
        db: &Connection,
        place: u32,
        before_ms: i64,
        passed: u64,
    ) -> Result<bool, Broken> {
        let rows: Vec<(i64, i64, i64)> = db
            .prepare_cached(
                "SELECT id, records, appended_ms FROM batch WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(params![row_id(place, 0), row_id(place + 1, 0), STEP_ROWS as i64 + 1], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let may_go = |(id, records, ms): &(i64, i64, i64)| {
            offset_of(*id) + records.cast_unsigned() <= passed && *ms < before_ms
        };
        let not_last = rows.len().saturating_sub(1);
        let going = rows.iter().take(not_last).take_while(|row| may_go(row)).count();
        if let Some((first_kept, ..)) = rows.get(going).filter(|_| going > 0) {
            db.prepare_cached("DELETE FROM batch WHERE id >= ?1 AND id < ?2")?
                .execute([row_id(place, 0), *first_kept])?;
            self.note_start(db, place)?;
        }
        Ok(going < STEP_ROWS)
    }

    fn note_start(&self, db: &Connection, place: u32) -> rusqlite::Result<()> {
        let first: Option<i64> = db
            .prepare_cached("SELECT min(id) FROM batch WHERE id >= ?1 AND id < ?2")?
            .query_row([row_id(place, 0), row_id(place + 1, 0)], |r| r.get(0))?;
        if let (Some(id), Some(slot)) = (first, lock(&self.shared.log).place_mut(place)) {
            slot.start = offset_of(id);
        }
        Ok(())
    }

    /// Deletes tombstones that are old and passed, and what is known of their keys with them.
    fn tombstones(
        &mut self,
        db: &Connection,
        (place, before_ms, passed): (u32, i64, u64),
        after: &mut i64,
    ) -> Result<bool, Broken> {
        let ids: Vec<i64> = db
            .prepare_cached(
                "SELECT id FROM tombstone WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(params![*after, row_id(place + 1, 0), STEP_ROWS as i64], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let last: Option<i64> = db
            .prepare_cached("SELECT max(id) FROM latest WHERE id >= ?1 AND id < ?2")?
            .query_row([row_id(place, 0), row_id(place + 1, 0)], |r| r.get(0))?;
        for id in &ids {
            *after = *id;
            let appended: Option<i64> = db
                .prepare_cached("SELECT appended_ms FROM latest WHERE id = ?1")?
                .query_row([id], |r| r.get(0))
                .optional()?;
            match appended {
                None => {}
                Some(ms) if ms < before_ms && offset_of(*id) < passed && last != Some(*id) => {
                    self.forget_key(db, *id)?;
                }
                Some(_) => continue,
            }
            db.prepare_cached("DELETE FROM tombstone WHERE id = ?1")?.execute([id])?;
        }
        Ok(ids.len() < STEP_ROWS)
    }

    fn forget_key(&mut self, db: &Connection, id: i64) -> Result<(), Broken> {
        let mut statement =
            db.prepare_cached("SELECT id, appended_ms, codec, bytes FROM latest WHERE id = ?1")?;
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            let single = decode(row, &mut self.unpacker, &self.shared)?;
            let key = single.get(0).map(|r| r.key.to_vec()).unwrap_or_default();
            db.prepare_cached("DELETE FROM latest_key WHERE place = ?1 AND key = ?2")?
                .execute(params![place_of(id), key])?;
        }
        drop(rows);
        db.prepare_cached("DELETE FROM latest WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}
