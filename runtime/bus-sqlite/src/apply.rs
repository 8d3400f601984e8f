//! Writes units into the tables, inside the writer's transaction.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::catalog::row_id;
use crate::known::Known;
use crate::prepare::{Prepare, Prepared, Row, Rows};

/// What is written once at the end of a transaction, however many units touched it.
#[derive(Default)]
pub(crate) struct Sums {
    progress: HashMap<(Arc<str>, u32), u64>,
    tallies: HashMap<(Arc<str>, String), i64>,
}

impl Sums {
    pub(crate) fn step(&mut self, service: &Arc<str>, place: u32, next: u64) {
        self.progress.insert((Arc::clone(service), place), next);
    }

    pub(crate) fn stands_at(&self, service: &Arc<str>, place: u32) -> Option<u64> {
        self.progress.get(&(Arc::clone(service), place)).copied()
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = (&Arc<str>, u32, u64)> {
        self.progress.iter().map(|((service, place), next)| (service, *place, *next))
    }

    fn tally(&mut self, service: &Arc<str>, tallies: Vec<(String, i64)>) {
        for (name, n) in tallies {
            *self.tallies.entry((Arc::clone(service), name)).or_default() += n;
        }
    }

    /// Writes them.
    pub(crate) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut step = db.prepare_cached(
            "INSERT INTO progress VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET next = excluded.next",
        )?;
        for ((service, place), next) in &self.progress {
            step.execute(params![&**service, place, next.cast_signed()])?;
        }
        let mut tally = db.prepare_cached(
            "INSERT INTO tally VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = n + excluded.n",
        )?;
        for ((service, name), n) in &self.tallies {
            tally.execute(params![&**service, name, n])?;
        }
        Ok(())
    }
}

/// Writes one output at `base`.
pub(crate) fn output(
    db: &Connection,
    known: &Known,
    output: &Prepare,
    (base, now_ms): (u64, i64),
) -> rusqlite::Result<()> {
    match &output.rows {
        Rows::Block { codec } => {
            db.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
                params![
                    row_id(output.place, base),
                    output.count.cast_signed(),
                    now_ms,
                    codec,
                    output.arena,
                ],
            )?;
            Ok(())
        }
        Rows::Latest { rows, by_key } => {
            supersede(db, known, output, (rows, by_key, base))?;
            insert_latest(db, output, rows, base, now_ms)
        }
    }
}

/// Moves the index to the new rows, in key order, and deletes the rows that they replace.
fn supersede(
    db: &Connection,
    known: &Known,
    output: &Prepare,
    (rows, by_key, base): (&[Row], &[u32], u64),
) -> rusqlite::Result<()> {
    let mut find =
        db.prepare_cached("SELECT offset FROM latest_key WHERE place = ?1 AND key = ?2")?;
    let mut insert = db.prepare_cached("INSERT INTO latest_key VALUES (?1, ?2, ?3)")?;
    let mut update =
        db.prepare_cached("UPDATE latest_key SET offset = ?3 WHERE place = ?1 AND key = ?2")?;
    let records = || {
        let rows = by_key.iter().filter_map(|at| rows.get(*at as usize));
        rows.filter_map(|row| output.batch.get(row.index))
    };
    let mut old = Vec::new();
    for record in records() {
        let offset = (base + record.offset).cast_signed();
        let before: Option<i64> = if known.never(output.place, record.key) {
            None
        } else {
            find.query_row(params![output.place, record.key], |r| r.get(0)).optional()?
        };
        match before {
            Some(before) => {
                old.push(row_id(output.place, before.cast_unsigned()));
                update.execute(params![output.place, record.key, offset])?;
            }
            None => {
                insert.execute(params![output.place, record.key, offset])?;
            }
        }
    }
    known.add(output.place, records().map(|record| record.key));
    old.sort_unstable();
    let mut delete = db.prepare_cached("DELETE FROM latest WHERE id = ?1")?;
    for id in old {
        delete.execute([id])?;
    }
    Ok(())
}

fn insert_latest(
    db: &Connection,
    output: &Prepare,
    rows: &[Row],
    base: u64,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached("INSERT INTO latest VALUES (?1, ?2, ?3, ?4)")?;
    for row in rows {
        let Some(record) = output.batch.get(row.index) else { continue };
        let id = row_id(output.place, base + record.offset);
        let bytes = output.arena.get(row.start..row.end).unwrap_or_default();
        insert.execute(params![id, now_ms, row.codec, bytes])?;
        if record.value.is_none() {
            db.prepare_cached("INSERT INTO tombstone VALUES (?1)")?.execute([id])?;
        }
    }
    Ok(())
}

/// Writes a unit's own state; its tallies go to the sums.
pub(crate) fn state(db: &Connection, unit: &mut Prepared, sums: &mut Sums) -> rusqlite::Result<()> {
    let service = Arc::clone(&unit.service);
    let mut put = db.prepare_cached(
        "INSERT INTO state VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = excluded.value",
    )?;
    let mut remove =
        db.prepare_cached("DELETE FROM state WHERE service = ?1 AND partition = ?2 AND key = ?3")?;
    for write in &unit.state {
        match &write.value {
            Some(value) => put.execute(params![&*service, write.partition, write.key, &**value])?,
            None => remove.execute(params![&*service, write.partition, write.key])?,
        };
    }
    sums.tally(&service, std::mem::take(&mut unit.tallies));
    Ok(())
}
