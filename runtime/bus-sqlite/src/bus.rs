//! The bus: opens the log, starts its threads, and answers what is asked of it from outside services.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use dataflow::bus::{Backlog, Bus, BusError, Lag, Member, Position, Range, Want};
use dataflow::flow::{Form, Kind, ServiceSpec, State};
use dataflow::unit::Unit;
use dataflow::{Batch, CommitTimes, Flow};

use crate::catalog::Consumer;
use crate::member::{Input, Parts, SqliteMember, Store};
use crate::open::{self, Threads};
use crate::options::{OpenError, Options};
use crate::prepare::Preparer;
use crate::reader::{Reader, Span};
use crate::shared::{Shared, lock};
use crate::writer::Command;

/// Readers kept for later; more than this at a time are opened and closed.
const READERS_MAX: usize = 4;

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

impl SqliteBus {
    /// Opens the log in `dir` to work on it, making it when there is none. One process can hold a log.
    ///
    /// # Errors
    /// [`OpenError`] says what to do.
    pub fn open(dir: &Path, flow: &Flow, options: Options) -> Result<Arc<Self>, OpenError> {
        let opened = open::to_work(dir, flow, options)?;
        Ok(Self::new(opened.shared, Some(opened.commands), opened.threads, opened.held))
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
        let (shared, held) = open::to_read(dir, flow, options)?;
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

    /// How long commits took, without the sync: they are of all services together, under no name.
    #[must_use]
    pub fn commit_times(&self) -> CommitTimes {
        self.shared.commit_times.clone()
    }

    /// Ends the threads, makes everything durable and copies it into the one file. Units that wait are
    /// answered as aborted. Dropping the bus does the same, without saying how it went.
    ///
    /// # Errors
    /// [`BusError::Fatal`] when the last sync failed, or the log had failed before.
    pub fn close(&self) -> Result<(), BusError> {
        let open = self.commands.is_some() && !self.shared.is_closing();
        let synced = if open { self.sync() } else { Ok(()) };
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
            open::finish(&self.shared, &db);
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
        Ok(Parts {
            shared: Arc::clone(&self.shared),
            commands,
            seat,
            service: name,
            inputs,
            store,
            durable: service.kind == Kind::Effect,
        })
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
        let reader = Reader::open(&self.shared)?;
        let member = SqliteMember::new(self.parts(service)?, reader);
        self.shared.wake();
        Ok(Box::new(member))
    }

    fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError> {
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
            Err(TrySendError::Disconnected(_)) => return Err(self.gone()),
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
                let span =
                    Span { place, from, until, bytes_max: want.bytes_max, durable: want.durable };
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

    fn lag(&self, services: &[String]) -> Lag {
        let log = lock(&self.shared.log);
        let asked = self
            .shared
            .catalog
            .consumers
            .iter()
            .filter(|c| services.iter().any(|s| **s == *c.name));
        asked
            .flat_map(|c| c.inputs.iter().map(move |(_, _, place)| (c, *place)))
            .filter_map(|(c, place)| Some(log.lag_from(place, log.next_of(c, place)?)))
            .fold(Lag::default(), Lag::and)
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
