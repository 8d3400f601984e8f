//! The one thread that writes: takes what waits, applies it in one transaction, publishes it.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use dataflow::Batch;
use dataflow::bus::{BusError, Outcome};
use rusqlite::{Connection, params};

use crate::apply::{self, Sums};
use crate::group::Seat;
use crate::log::Log;
use crate::prepare::{Prepare, Prepared, Trained};
use crate::retention::Retainer;
use crate::shared::{COMMITS, Shared, lock, monotonic};
use crate::wal::WalKeeper;

/// Commands that wait; each is at most a unit.
pub(crate) const QUEUE_MAX: usize = 32;
/// Without work the writer looks after the write-ahead log and retention this often.
const IDLE: Duration = Duration::from_millis(100);

/// First offset of each output, in the order of the unit's outputs.
pub(crate) type Bases = Vec<u64>;
/// Whom to tell how an append from outside ended.
pub(crate) type Reply<T> = Sender<Result<T, BusError>>;

pub(crate) enum Command {
    /// A member's unit.
    Unit { id: u64, seat: Arc<Seat>, generation: u64, unit: Prepared },
    /// A unit from outside any service.
    Append { unit: Prepared, reply: Reply<Bases> },
    /// Stores a dictionary.
    Dictionary(Trained),
    /// Does everything that retention has to do now.
    Retain { reply: Reply<()> },
    /// Something changed: look.
    Wake,
}

/// What happens once the transaction is committed.
enum Then {
    Outcome { id: u64, seat: Arc<Seat>, outcome: Outcome },
    Reply { reply: Reply<Bases>, bases: Bases },
    Dictionary { id: i64, trained: Trained },
}

struct Published {
    place: u32,
    batch: Arc<Batch>,
    end: u64,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    db: Connection,
    commands: Receiver<Command>,
    wal: WalKeeper,
    retainer: Retainer,
    /// One past the last offset written, for each place.
    ends: Vec<u64>,
    /// The clock may step back; append times do not.
    last_ms: i64,
}

/// One transaction.
#[derive(Default)]
struct Group {
    sums: Sums,
    then: Vec<Then>,
    published: Vec<Published>,
    bytes: usize,
    now_ms: i64,
    begun: bool,
    urgent: bool,
}

impl Writer {
    pub(crate) fn new(shared: &Arc<Shared>, db: Connection, commands: Receiver<Command>) -> Self {
        let ends = lock(&shared.log).ends();
        Self {
            wal: WalKeeper::new(Arc::clone(shared)),
            retainer: Retainer::new(Arc::clone(shared)),
            shared: Arc::clone(shared),
            db,
            commands,
            ends,
            last_ms: i64::MIN,
        }
    }

    /// Until the bus closes or fails. Gives the connection back.
    pub(crate) fn run(mut self) -> Connection {
        while !self.shared.is_closing() {
            if let Err(error) = self.round() {
                self.shared.fail_write(&error);
                break;
            }
        }
        self.refuse_rest();
        self.db
    }

    fn round(&mut self) -> rusqlite::Result<()> {
        let patience = if self.retainer.is_busy() { Duration::ZERO } else { IDLE };
        match self.commands.recv_timeout(patience) {
            Ok(command) => {
                let bytes = self.transaction(command)?;
                self.wal.look(&self.db, bytes, self.commands.is_empty())
            }
            Err(RecvTimeoutError::Timeout) => {
                self.retainer.step(&self.db)?;
                self.wal.look(&self.db, 0, true)
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.shared.close();
                Ok(())
            }
        }
    }

    /// Applies a command and what waits behind it. Returns the bytes written.
    fn transaction(&mut self, first: Command) -> rusqlite::Result<usize> {
        let now_ms = self.shared.options.clock.now_ms().max(self.last_ms);
        self.last_ms = now_ms;
        let mut group = Group { now_ms, ..Group::default() };
        let mut next = Some(first);
        while let Some(command) = next {
            if let Command::Retain { reply } = command {
                self.finish(std::mem::take(&mut group))?;
                group.now_ms = now_ms;
                self.retainer.run(&self.db)?;
                drop(reply.send(Ok(())));
            } else {
                self.apply(&mut group, command)?;
            }
            let full = group.bytes >= self.shared.options.transaction_bytes;
            next = if full { None } else { self.commands.try_recv().ok() };
        }
        let bytes = group.bytes;
        self.finish(group)?;
        Ok(bytes)
    }

    fn apply(&mut self, group: &mut Group, command: Command) -> rusqlite::Result<()> {
        match command {
            Command::Unit { id, seat, generation, unit } => {
                let outcome = if self.accepts(group, &seat, generation, &unit) {
                    self.unit(group, unit)?;
                    Outcome::Committed
                } else {
                    seat.refuse(generation);
                    Outcome::Aborted
                };
                group.then.push(Then::Outcome { id, seat, outcome });
            }
            Command::Append { unit, reply } => {
                let bases = self.unit(group, unit)?;
                group.urgent = true;
                group.then.push(Then::Reply { reply, bases });
            }
            Command::Dictionary(trained) => {
                begin(&self.db, group)?;
                // Numbers 0 and 1 are the codecs without a dictionary.
                let id = self.db.query_row(
                    "INSERT INTO dictionary SELECT coalesce(max(id), 1) + 1, ?1, ?2 FROM dictionary RETURNING id",
                    params![trained.topic, trained.bytes],
                    |r| r.get(0),
                )?;
                group.bytes += trained.bytes.len();
                group.then.push(Then::Dictionary { id, trained });
            }
            Command::Retain { .. } | Command::Wake => {}
        }
        Ok(())
    }

    /// Whether a unit goes on exactly where its service stands, under assignments that still hold.
    fn accepts(&self, group: &Group, seat: &Seat, generation: u64, unit: &Prepared) -> bool {
        if unit.stale || !seat.accepts(generation) {
            return false;
        }
        let groups = lock(&self.shared.groups);
        let log = lock(&self.shared.log);
        unit.progress.iter().all(|step| {
            let stands_at = group
                .sums
                .stands_at(&unit.service, step.place)
                .unwrap_or_else(|| log.committed(&unit.service, step.place));
            stands_at == step.from
                && step.next >= step.from
                && groups.owns(&unit.service, seat.id, step.assignment)
        })
    }

    fn unit(&mut self, group: &mut Group, mut unit: Prepared) -> rusqlite::Result<Bases> {
        begin(&self.db, group)?;
        let mut bases = Vec::with_capacity(unit.outputs.len());
        for output in std::mem::take(&mut unit.outputs) {
            bases.push(self.output(group, output)?);
        }
        apply::state(&self.db, &mut unit, &mut group.sums)?;
        for step in &unit.progress {
            group.sums.step(&unit.service, step.place, step.next);
        }
        group.bytes += unit.bytes;
        Ok(bases)
    }

    fn output(&mut self, group: &mut Group, output: Prepare) -> rusqlite::Result<u64> {
        let Some(end) = self.ends.get_mut(output.place as usize) else { return Ok(0) };
        let base = *end;
        *end += output.count;
        apply::output(&self.db, &self.shared.known, &output, (base, group.now_ms))?;
        group.published.push(Published {
            place: output.place,
            end: *end,
            batch: Arc::new(output.batch.placed(base, group.now_ms)),
        });
        Ok(base)
    }

    /// Commits, publishes, tells.
    fn finish(&self, group: Group) -> rusqlite::Result<()> {
        if group.begun {
            let from = monotonic();
            group.sums.write(&self.db)?;
            self.db.prepare_cached("COMMIT")?.execute([])?;
            self.shared.commit_times.add(COMMITS, from.elapsed());
            let mut log = lock(&self.shared.log);
            publish(&mut log, group.published, &group.sums);
            #[cfg(feature = "wrong-syncs")]
            if self.shared.options.wrong == Some(crate::WrongSync::ViewAheadOfTheSync) {
                let ends = log.ends();
                log.set_durable(&ends);
            }
            drop(log);
            self.shared.syncs.committed(group.bytes, group.urgent);
        } else if group.then.is_empty() {
            return Ok(());
        }
        for then in group.then {
            match then {
                Then::Outcome { id, seat, outcome } => seat.answer(id, outcome),
                Then::Reply { reply, bases } => drop(reply.send(Ok(bases))),
                Then::Dictionary { id, trained } => {
                    self.shared.dictionaries.add(id, trained.topic, trained.bytes);
                }
            }
        }
        self.shared.wake();
        Ok(())
    }

    /// Units that were never begun are refused; after a failure nobody may be told that.
    fn refuse_rest(&self) {
        if self.shared.has_failed() {
            return;
        }
        for command in self.commands.try_iter() {
            if let Command::Unit { id, seat, generation, .. } = command {
                seat.refuse(generation);
                seat.answer(id, Outcome::Aborted);
            }
        }
        self.shared.wake();
    }
}

fn begin(db: &Connection, group: &mut Group) -> rusqlite::Result<()> {
    if !group.begun {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        group.begun = true;
    }
    Ok(())
}

fn publish(log: &mut Log, published: Vec<Published>, sums: &Sums) {
    for Published { place, batch, end } in published {
        log.publish(place, batch, end);
    }
    for (service, place, next) in sums.steps() {
        log.commit(service, place, next);
    }
}
