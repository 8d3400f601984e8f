//! Opening a log: what is checked, what is learnt from it, what is started; and the end.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Sender, bounded};
use dataflow::Flow;
use rusqlite::{Connection, OptionalExtension};

use crate::catalog::{Catalog, Topic, offset_of, row_id};
use crate::dictionary::Dictionaries;
use crate::files::{self, Files};
use crate::known::Known;
use crate::log::Log;
use crate::options::{OpenError, Options};
use crate::schema;
use crate::shared::Shared;
use crate::writer::{Command, QUEUE_MAX, Writer};
use crate::{sync, wal};

/// The threads of an open log.
#[derive(Default)]
pub(crate) struct Threads {
    pub(crate) writer: Option<JoinHandle<Connection>>,
    pub(crate) others: Vec<JoinHandle<()>>,
}

/// A log that is open for work.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: Sender<Command>,
    pub(crate) threads: Threads,
    pub(crate) held: File,
}

/// Opens a log to work on it, making it when there is none.
pub(crate) fn to_work(dir: &Path, flow: &Flow, options: Options) -> Result<Opened, OpenError> {
    std::fs::create_dir_all(dir).map_err(|error| OpenError::Io { path: dir.to_owned(), error })?;
    let held = files::lock(dir, false)?;
    let files = Files::of(dir);
    let db = schema::open_writer(&files, &options)?;
    let (shared, wal) = share(&db, files, flow, options, true)?;
    let copier = schema::open_copier(&shared.files.log)
        .map_err(|error| OpenError::Sqlite { path: shared.files.log.clone(), error })?;
    let (commands, receiver) = bounded(QUEUE_MAX);
    let writer = Writer::new(&shared, db, receiver);
    let threads = start(&shared, writer, wal, copier)
        .map_err(|error| OpenError::Io { path: shared.files.dir.clone(), error })?;
    Ok(Opened { shared, commands, threads, held })
}

/// Opens a log that nobody works on, to read it.
pub(crate) fn to_read(
    dir: &Path,
    flow: &Flow,
    options: Options,
) -> Result<(Arc<Shared>, File), OpenError> {
    let files = Files::of(dir);
    if !files.log.exists() {
        return Err(OpenError::Absent(dir.to_owned()));
    }
    let held = files::lock(dir, true)?;
    let db = schema::open_reader(&files.log, options.reader_cache_bytes)
        .map_err(|error| OpenError::Sqlite { path: files.log.clone(), error })?;
    schema::refuse_newer(&db, dir, options.schema)?;
    let (shared, _) = share(&db, files, flow, options, false)?;
    Ok((shared, held))
}

fn start(
    shared: &Arc<Shared>,
    writer: Writer,
    wal: File,
    copier: Connection,
) -> std::io::Result<Threads> {
    let syncing = Arc::clone(shared);
    let copying = Arc::clone(shared);
    let thread = |name: &str| Builder::new().name(format!("log-{name}"));
    Ok(Threads {
        others: vec![
            thread("sync").spawn(move || sync::run(&syncing, &wal))?,
            thread("copy").spawn(move || wal::run(&copying, &copier))?,
        ],
        writer: Some(thread("write").spawn(move || writer.run())?),
    })
}

/// The end of a log that has not failed: everything durable and in the one file. Where another program reads
/// the file, what cannot be copied now is copied when the log is opened again.
pub(crate) fn finish(shared: &Shared, db: &Connection) {
    let copied = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
    if copied != Ok(0) {
        drop(File::open(&shared.files.wal).and_then(|wal| wal.sync_data()));
    }
}

/// Checks the log against the flow, learns where everything stands, and syncs once: what is in the log now
/// counts as durable from here on.
fn share(
    db: &Connection,
    files: Files,
    flow: &Flow,
    options: Options,
    make: bool,
) -> Result<(Arc<Shared>, File), OpenError> {
    let first = schema::number_topics(db, flow, &files, make)?;
    let catalog = Catalog::new(flow, &first);
    let sqlite = |error| OpenError::Sqlite { path: files.log.clone(), error };
    let mut log = learn(db, &catalog, options.tail_bytes).map_err(sqlite)?;
    let dictionaries = learn_dictionaries(db).map_err(sqlite)?;
    let known = Known::new(!has_keys(db).map_err(sqlite)?);
    let epoch = schema::epoch(db).map_err(sqlite)?;
    #[cfg(feature = "wrong-syncs")]
    let syncs = options.wrong != Some(crate::WrongSync::NoSyncAtOpen);
    #[cfg(not(feature = "wrong-syncs"))]
    let syncs = true;
    let wal = File::open(&files.wal)
        .and_then(|wal| if syncs { wal.sync_data().map(|()| wal) } else { Ok(wal) })
        .map_err(|error| OpenError::Io { path: files.wal.clone(), error })?;
    files::sync_dir(&files.dir)?;
    let ends = log.ends();
    log.set_durable(&ends);
    Ok((Shared::new(options, files, epoch, catalog, (log, dictionaries, known)), wal))
}

fn has_keys(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM latest_key)", [], |row| row.get(0))
}

fn learn_dictionaries(db: &Connection) -> rusqlite::Result<Dictionaries> {
    let dictionaries = Dictionaries::default();
    let mut statement = db.prepare("SELECT id, topic, bytes FROM dictionary ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        dictionaries.add(row.get(0)?, row.get(1)?, row.get(2)?);
    }
    Ok(dictionaries)
}

fn learn(db: &Connection, catalog: &Catalog, tail_bytes: usize) -> rusqlite::Result<Log> {
    let mut log = Log::new(catalog.places, tail_bytes);
    let mut statement = db.prepare("SELECT service, place, next FROM progress")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let service: String = row.get(0)?;
        log.commit(&service.into(), row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned());
    }
    for topic in &catalog.topics {
        for place in topic.places() {
            learn_place(db, &mut log, topic, place)?;
            learn_time(db, &mut log, (catalog, topic, place))?;
        }
    }
    Ok(log)
}

/// First and last offset of a place.
fn learn_place(db: &Connection, log: &mut Log, topic: &Topic, place: u32) -> rusqlite::Result<()> {
    let ids = [row_id(place, 0), row_id(place + 1, 0)];
    let last = if topic.compacted() {
        "SELECT id, 1 FROM latest WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1"
    } else {
        "SELECT id, records FROM batch WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1"
    };
    let end = db
        .prepare_cached(last)?
        .query_row(ids, |r| Ok(offset_of(r.get(0)?) + r.get::<_, i64>(1)?.cast_unsigned()))
        .optional()?;
    let first: Option<i64> = db
        .prepare_cached("SELECT min(id) FROM batch WHERE id >= ?1 AND id < ?2")?
        .query_row(ids, |r| r.get(0))?;
    if let Some(slot) = log.place_mut(place) {
        slot.end = end.unwrap_or(0);
        slot.start = first.map_or(0, offset_of);
    }
    Ok(())
}

/// How old the oldest record is that a service has left undone.
fn learn_time(
    db: &Connection,
    log: &mut Log,
    (catalog, topic, place): (&Catalog, &Topic, u32),
) -> rusqlite::Result<()> {
    let readers =
        catalog.consumers.iter().filter(|c| c.inputs.iter().any(|(_, _, at)| *at == place));
    let next = readers.filter_map(|c| log.next_of(c, place)).min();
    let Some(next) = next.filter(|next| *next < log.range(place).end) else { return Ok(()) };
    let oldest = time_of(db, topic.compacted(), place, next)?;
    if let (Some(ms), Some(slot)) = (oldest, log.place_mut(place)) {
        slot.note_time(next, ms);
    }
    Ok(())
}

/// When the first record at or after `next` was appended.
pub(crate) fn time_of(
    db: &Connection,
    compacted: bool,
    place: u32,
    next: u64,
) -> rusqlite::Result<Option<i64>> {
    let sql = if compacted {
        "SELECT appended_ms FROM latest WHERE id >= max(?1, ?2) AND id < ?3 ORDER BY id LIMIT 1"
    } else {
        "SELECT appended_ms FROM batch
         WHERE id >= coalesce((SELECT max(id) FROM batch WHERE id BETWEEN ?1 AND ?2), ?2) AND id < ?3
         ORDER BY id LIMIT 1"
    };
    let ids = [row_id(place, 0), row_id(place, next), row_id(place + 1, 0)];
    db.prepare_cached(sql)?.query_row(ids, |r| r.get(0)).optional()
}
