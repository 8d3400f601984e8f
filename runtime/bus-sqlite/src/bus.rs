//! The bus: opens the log, starts its threads, and answers what is asked of it from outside services.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use dataflow::bus::{Backlog, Bus, BusError, Member, Range, Want};
use dataflow::flow::{Form, Kind, ServiceSpec, State};
use dataflow::unit::Unit;
use dataflow::{Batch, Flow};
use rusqlite::{Connection, OptionalExtension};

use crate::catalog::{Catalog, Consumer, offset_of, row_id};
use crate::files::{self, Files};
use crate::log::Log;
use crate::member::{Input, Parts, SqliteMember, Store};
use crate::options::{OpenError, Options};
use crate::prepare::Preparer;
use crate::reader::{Reader, Span};
use crate::shared::{Shared, lock};
use crate::writer::{Command, QUEUE_MAX, Writer};
use crate::{schema, sync, wal};

/// Readers kept for later; more than this at a time are opened and closed.
const READERS_MAX: usize = 4;

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u16,
    /// Offset of the first record of the block.
    pub offset: u64,
}

/// The embedded bus. Dropping it closes the log, see [`SqliteBus::close`].
pub struct SqliteBus {
    shared: Arc<Shared>,
    /// `None` when the log was opened to be read only.
    commands: Option<Sender<Command>>,
    threads: Mutex<Threads>,
    readers: Mutex<Vec<Reader>>,
    preparer: Mutex<Preparer>,
    _lock: File,
}

#[derive(Default)]
struct Threads {
    writer: Option<JoinHandle<Connection>>,
    others: Vec<JoinHandle<()>>,
}

impl SqliteBus {
    /// Opens the log in `dir` to work on it, making it when there is none. One process can hold a log.
    ///
    /// # Errors
    /// [`OpenError`] says what to do.
    pub fn open(dir: &Path, flow: &Flow, options: Options) -> Result<Arc<Self>, OpenError> {
        std::fs::create_dir_all(dir)
            .map_err(|error| OpenError::Io { path: dir.to_owned(), error })?;
        let held = files::lock(dir, false)?;
        let files = Files::of(dir);
        let db = schema::open_writer(&files, &options)?;
        let (shared, wal) = open_shared(&db, files, flow, options, true)?;
        let (sender, receiver) = bounded(QUEUE_MAX);
        let copier = schema::open_reader(&shared.files.log, 0)
            .and_then(|db| db.pragma_update(None, "query_only", false).map(|()| db))
            .map_err(|error| OpenError::Sqlite { path: shared.files.log.clone(), error })?;
        let writer = Writer::new(&shared, db, receiver);
        let threads = start(&shared, writer, wal, copier)
            .map_err(|error| OpenError::Io { path: shared.files.dir.clone(), error })?;
        Ok(Self::new(shared, Some(sender), threads, held))
    }

    /// Opens a log that no process holds, only to read it: members cannot join and nothing can be appended.
    ///
    /// # Errors
    /// [`OpenError`] says what to do.
    pub fn open_read_only(
        dir: &Path,
        flow: &Flow,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let files = Files::of(dir);
        if !files.log.exists() {
            return Err(OpenError::Absent(dir.to_owned()));
        }
        let held = files::lock(dir, true)?;
        let db = schema::open_reader(&files.log, options.reader_cache_bytes)
            .map_err(|error| OpenError::Sqlite { path: files.log.clone(), error })?;
        schema::refuse_newer(&db, dir)?;
        let (shared, _) = open_shared(&db, files, flow, options, false)?;
        Ok(Self::new(shared, None, Threads::default(), held))
    }

    fn new(
        shared: Arc<Shared>,
        commands: Option<Sender<Command>>,
        threads: Threads,
        held: File,
    ) -> Arc<Self> {
        Arc::new(Self {
            preparer: Mutex::new(Preparer::new(&shared)),
            shared,
            commands,
            threads: Mutex::new(threads),
            readers: Mutex::default(),
            _lock: held,
        })
    }

    /// Appends a unit from outside any service (a user's command, a redriven dead letter): all of it or
    /// nothing. Its state and tallies go to the service of that name; its progress must be empty. Returns
    /// once it is durable, with the place of each of its outputs.
    ///
    /// # Errors
    /// [`BusError::Busy`] when the log takes nothing at present; [`BusError::Fatal`] when it cannot go on.
    pub fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError> {
        self.shared.check()?;
        let commands = self.commands()?;
        if !unit.progress.is_empty() {
            return Err(BusError::Fatal("an append has no progress: this is a bug".to_owned()));
        }
        let busy = |why: &str| Err(BusError::Busy(format!("the log is busy, try again: {why}")));
        if self.shared.wal.is_paused() {
            return busy(&self.conditions().join("; "));
        }
        let mut positions: Vec<Position> = unit
            .outputs
            .iter()
            .filter(|o| o.count > 0)
            .map(|o| Position { topic: Arc::clone(&o.topic), partition: o.partition, offset: 0 })
            .collect();
        let (unit, trained) = lock(&self.preparer).prepare(&self.shared, &service.into(), unit)?;
        let (reply, answer) = bounded(1);
        match commands.try_send(Command::Append { unit, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return busy("too much is waiting to be written"),
            Err(TrySendError::Disconnected(_)) => return self.shared.check().map(|()| positions),
        }
        for trained in trained {
            // A dictionary is a convenience: where the queue is full, the topic goes without.
            drop(commands.try_send(Command::Dictionary(trained)));
        }
        let Ok(bases) = answer.recv() else { return Err(self.gone()) };
        for (position, base) in positions.iter_mut().zip(bases?) {
            position.offset = base;
        }
        self.sync()?;
        Ok(positions)
    }

    /// Returns when everything that is visible now is durable.
    ///
    /// # Errors
    /// [`BusError::Fatal`] when the sync failed.
    pub fn sync(&self) -> Result<(), BusError> {
        self.shared.syncs.wait(&self.shared)
    }

    /// Does now what retention would do in its next round, and returns when it is done.
    ///
    /// # Errors
    /// [`BusError::Fatal`] when the log cannot go on.
    pub fn retain(&self) -> Result<(), BusError> {
        let (reply, answer) = bounded(1);
        if self.commands()?.send(Command::Retain { reply }).is_err() {
            return Err(self.gone());
        }
        answer.recv().map_err(|_| self.gone())?
    }

    /// What an operator should know about: one line each, with what to do.
    #[must_use]
    pub fn conditions(&self) -> Vec<String> {
        self.shared.conditions()
    }

    /// Ends the threads, makes everything durable and copies it into the one file. Units that wait are
    /// answered as aborted. Dropping the bus does the same, without saying how it went.
    ///
    /// # Errors
    /// [`BusError::Fatal`] when the last sync failed, or the log had failed before.
    pub fn close(&self) -> Result<(), BusError> {
        let synced = if self.commands.is_some() { self.sync() } else { Ok(()) };
        self.shared.close();
        if let Some(commands) = &self.commands {
            drop(commands.try_send(Command::Wake));
        }
        lock(&self.readers).clear();
        let mut threads = lock(&self.threads);
        for thread in threads.others.drain(..) {
            drop(thread.join());
        }
        if let Some(Ok(db)) = threads.writer.take().map(JoinHandle::join)
            && !self.shared.has_failed()
        {
            // Best effort: what is not copied now is copied when the log is opened again.
            drop(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        }
        synced
    }

    fn gone(&self) -> BusError {
        self.shared
            .check()
            .err()
            .unwrap_or_else(|| BusError::Fatal("the log's writer is gone: start again".to_owned()))
    }

    fn commands(&self) -> Result<&Sender<Command>, BusError> {
        self.commands.as_ref().ok_or_else(|| {
            BusError::Fatal("the log was opened to be read only: open it for work".to_owned())
        })
    }

    /// Runs `f` with a reader of the pool.
    fn with_reader<T>(
        &self,
        f: impl FnOnce(&mut Reader) -> Result<T, BusError>,
    ) -> Result<T, BusError> {
        let kept = lock(&self.readers).pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => Reader::open(&self.shared)?,
        };
        let result = f(&mut reader);
        reader.refresh()?;
        let mut readers = lock(&self.readers);
        if readers.len() < READERS_MAX && !self.shared.is_closing() {
            readers.push(reader);
        }
        result
    }

    fn backlog_of(&self, consumer: &Consumer) -> Result<Vec<Backlog>, BusError> {
        let mut backlog = Vec::new();
        for (topic, partition, place) in &consumer.inputs {
            let Some(topic) = self.shared.catalog.topics.get(*topic) else { continue };
            let (next, end) = {
                let log = lock(&self.shared.log);
                (log.next_of(consumer, *place), log.range(*place).end)
            };
            // A view that has not said where it is has nothing to report.
            let Some(next) = next else { continue };
            let oldest_ms = if next < end {
                self.with_reader(|r| r.time_of(topic.compacted(), *place, next))?
            } else {
                None
            };
            backlog.push(Backlog {
                service: consumer.name.to_string(),
                topic: topic.name.to_string(),
                partition: *partition,
                next,
                records: end.saturating_sub(next),
                oldest_ms,
            });
        }
        Ok(backlog)
    }

    fn parts(&self, service: &ServiceSpec) -> Result<Parts, BusError> {
        let mut inputs = Vec::new();
        for (name, form) in &service.reads {
            if *form == Form::Broadcast {
                return Err(BusError::Fatal(format!(
                    "service `{}` reads `{name}` as a broadcast, which this bus cannot do: make it keyed",
                    service.name
                )));
            }
            let (topic, first) = self.shared.catalog.place(name, 0)?;
            inputs.extend((0..topic.partitions).map(|partition| Input {
                topic: Arc::clone(&topic.name),
                partition,
                place: first + u32::from(partition),
                compacted: topic.compacted(),
            }));
        }
        let store = match &service.state {
            State::BackedBy(topic) => {
                let (topic, first) = self.shared.catalog.place(topic, 0)?;
                Store::Backed { first, partitions: topic.partitions }
            }
            State::None | State::Own => Store::Own,
        };
        let name: Arc<str> = service.name.as_str().into();
        let partitions = match service.kind {
            Kind::Source => 0,
            Kind::Transform | Kind::Effect | Kind::View => {
                inputs.iter().map(|i| i.partition + 1).max().unwrap_or(0)
            }
        };
        let commands = self.commands()?.clone();
        let seat = lock(&self.shared.groups).join(&name, partitions);
        Ok(Parts { shared: Arc::clone(&self.shared), commands, seat, service: name, inputs, store })
    }
}

impl Drop for SqliteBus {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl Bus for SqliteBus {
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError> {
        self.shared.check()?;
        let member = SqliteMember::new(self.parts(service)?)?;
        self.shared.wake();
        Ok(Box::new(member))
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        self.shared.check()?;
        let (_, place) = self.shared.catalog.place(topic, partition)?;
        Ok(lock(&self.shared.log).range(place))
    }

    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        self.shared.check()?;
        let (topic, place) = self.shared.catalog.place(topic, partition)?;
        let (until, recent) = {
            let log = lock(&self.shared.log);
            let range = log.range(place);
            let until = if want.durable { range.durable } else { range.end };
            (until, log.recent(place, from, until, want.bytes_max))
        };
        match recent {
            Some(batches) => Ok(batches),
            None => {
                let span = Span { place, from, until, bytes_max: want.bytes_max };
                self.with_reader(|r| r.batches(topic.compacted(), span))
            }
        }
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.shared.wait(seen, timeout)
    }

    fn backlog(&self) -> Result<Vec<Backlog>, BusError> {
        self.shared.check()?;
        let all = self.shared.catalog.consumers.iter().map(|c| self.backlog_of(c));
        Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn oldest_undone_ms(&self, services: &[String], now_ms: i64) -> i64 {
        let log = lock(&self.shared.log);
        let asked = self
            .shared
            .catalog
            .consumers
            .iter()
            .filter(|c| services.iter().any(|s| **s == *c.name));
        let oldest = asked
            .flat_map(|c| c.inputs.iter().map(move |(_, _, place)| (c, *place)))
            .filter_map(|(c, place)| log.time_of(place, log.next_of(c, place)?))
            .min();
        oldest.map_or(0, |ms| now_ms.saturating_sub(ms).max(0))
    }

    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        self.shared.check()?;
        self.with_reader(|r| r.tallies(service))
    }

    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        self.shared.check()?;
        let (_, place) = self.shared.catalog.place(topic, partition)?;
        self.with_reader(|r| r.latest(place, key))
    }

    fn hold(&self, view: &str, topic: &str, partition: u16, next: u64) {
        if let Ok((_, place)) = self.shared.catalog.place(topic, partition) {
            lock(&self.shared.log).hold(view, place, next);
        }
    }
}

/// Checks the log against the flow, learns where everything stands, and syncs once: what is in the log now
/// counts as durable from here on.
fn open_shared(
    db: &Connection,
    files: Files,
    flow: &Flow,
    options: Options,
    make: bool,
) -> Result<(Arc<Shared>, File), OpenError> {
    let first = schema::number_topics(db, flow, &files, make)?;
    let catalog = Catalog::new(flow, &first);
    let sqlite = |error| OpenError::Sqlite { path: files.log.clone(), error };
    let log = load(db, &catalog, options.tail_bytes).map_err(sqlite)?;
    let epoch = schema::epoch(db).map_err(sqlite)?;
    let wal = File::open(&files.wal)
        .and_then(|wal| wal.sync_data().map(|()| wal))
        .map_err(|error| OpenError::Io { path: files.wal.clone(), error })?;
    files::sync_dir(&files.dir)?;
    let shared = Shared::new(options, files, epoch, catalog, log);
    load_dictionaries(db, &shared)
        .map_err(|error| OpenError::Sqlite { path: shared.files.log.clone(), error })?;
    let ends = lock(&shared.log).ends();
    lock(&shared.log).set_durable(&ends);
    Ok((shared, wal))
}

fn load(db: &Connection, catalog: &Catalog, tail_bytes: usize) -> rusqlite::Result<Log> {
    let mut log = Log::new(catalog.places, tail_bytes);
    let mut statement = db.prepare("SELECT service, place, next FROM progress")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let service: String = row.get(0)?;
        log.commit(&service.into(), row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned());
    }
    for topic in &catalog.topics {
        for place in topic.places() {
            load_place(db, &mut log, place, topic.compacted())?;
        }
    }
    Ok(log)
}

/// Where a place begins and ends, and how old what is left undone may be: as old as its first row.
fn load_place(db: &Connection, log: &mut Log, place: u32, compacted: bool) -> rusqlite::Result<()> {
    let row_at = |sql: &str| -> rusqlite::Result<Option<(i64, i64, i64)>> {
        let range = [row_id(place, 0), row_id(place + 1, 0)];
        db.prepare_cached(sql)?
            .query_row(range, |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .optional()
    };
    let (first, last) = if compacted {
        (
            "SELECT id, 1, appended_ms FROM latest WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1",
            "SELECT id, 1, appended_ms FROM latest WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1",
        )
    } else {
        (
            "SELECT id, records, appended_ms FROM batch WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1",
            "SELECT id, records, appended_ms FROM batch WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1",
        )
    };
    let (Some((first, _, first_ms)), Some((last, records, last_ms))) =
        (row_at(first)?, row_at(last)?)
    else {
        return Ok(());
    };
    let Some(slot) = log.place_mut(place) else { return Ok(()) };
    // Of a compacted topic the rows before the first are superseded, not gone: offset 0 is still a place to begin.
    slot.start = if compacted { 0 } else { offset_of(first) };
    slot.end = offset_of(last) + records.cast_unsigned();
    slot.note_time(offset_of(first), first_ms);
    if last != first {
        slot.note_time(offset_of(last), last_ms);
    }
    Ok(())
}

fn load_dictionaries(db: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT id, topic, bytes FROM dictionary ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        shared.dictionaries.add(row.get(0)?, row.get(1)?, row.get(2)?);
    }
    Ok(())
}

/// Starts the writer, the syncing thread and the copying thread.
fn start(
    shared: &Arc<Shared>,
    writer: Writer,
    wal: File,
    copier: Connection,
) -> std::io::Result<Threads> {
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let (syncing, copying) = (Arc::clone(shared), Arc::clone(shared));
    let writer = thread("log-writer").spawn(move || writer.run())?;
    let syncer = thread("log-sync").spawn(move || sync::run(&syncing, &wal))?;
    let copier = thread("log-copy").spawn(move || wal::run(&copying, &copier))?;
    Ok(Threads { writer: Some(writer), others: vec![syncer, copier] })
}
