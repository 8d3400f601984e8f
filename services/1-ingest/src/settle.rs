//! What is absent from a full snapshot, once its rows are read.
//!
//! The feed keeps the keys that may be *live*. A complete snapshot that is not older than the newest complete
//! one is compared with them: what it lacks is deleted, unless that is more than the guard allows, and its keys
//! are then the live ones. A snapshot with a row whose key cannot be read, or one that was not read to its end,
//! deletes nothing, and its keys join the live ones. An older one deletes nothing that a newer one said: but
//! what it alone has was told as live by its rows, and the newest complete one has said that it is gone, so
//! that is said again. So the end is the same in whatever order files come.

use dataflow::{Failure, Status};
use messages::topics::KIND_RAW_ABSENT;

use crate::compare::{Compare, Found};
use crate::message::{version, write_delete};
use crate::reader::{FeedReader, Memory};
use crate::sink::{Raw, Sink};
use crate::state::{Phase, Settling, Snapshot, State, Waiting, Work, push_key};

/// Keys that one step deletes or moves.
const STEP_KEYS: u64 = 4096;

impl FeedReader {
    /// A bounded piece of settling.
    pub(crate) fn settle(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
    ) -> Result<Status, Failure> {
        let Work::Settle(settling) = memory.state.work.clone() else { return Ok(Status::Busy) };
        self.check_keys(&settling)?;
        let live = memory.state.live;
        let mut compare = match memory.compare.take() {
            Some(compare) => compare,
            None => Compare::new(settling.keys, live),
        };
        if !compare.advance(sink)? {
            memory.compare = Some(compare);
            return Ok(Status::Busy);
        }
        let finished = match settling.phase {
            Phase::Decide => {
                let phase = self.decide(&mut memory.state, &settling, &compare);
                memory.state.work = Work::Settle(Settling { phase, ..settling });
                false
            }
            Phase::Delete { done } => {
                let about = About { by: &settling.snapshot, older: None, wanted: Found::Absent };
                self.delete(memory, sink, &mut compare, (about, &settling, done))?
            }
            Phase::Correct { done } => {
                let newest =
                    memory.state.newest.clone().unwrap_or_else(|| settling.snapshot.clone());
                let older = Some(settling.snapshot.file.as_str());
                let about = About { by: &newest, older, wanted: Found::New };
                self.delete(memory, sink, &mut compare, (about, &settling, done))?
            }
            Phase::Merge => merge(memory, sink, &mut compare)?,
        };
        if !finished {
            memory.compare = Some(compare);
        }
        memory.state.save(sink);
        Ok(Status::Busy)
    }

    fn check_keys(&self, settling: &Settling) -> Result<(), Failure> {
        let max = self.config.limits.keys;
        if settling.keys.keys <= max {
            return Ok(());
        }
        Err(Failure::stop(format!(
            "{} has more than {max} rows: raise the feed's limit of `keys`, or take it as partial",
            settling.snapshot.file
        )))
    }

    /// What a snapshot may do, and what the operator is told.
    fn decide(&self, state: &mut State, settling: &Settling, compare: &Compare) -> Phase {
        let snapshot = &settling.snapshot;
        let file = &snapshot.file;
        state.notice = None;
        if let Some(newest) = state.newest.as_ref().filter(|newest| snapshot.as_of < newest.as_of) {
            state.notice = Some(format!(
                "{file} is older than {}, so nothing was deleted because of it",
                newest.file
            ));
            return Phase::Correct { done: 0 };
        }
        // Newer word than what waits for a confirmation, complete or not: the old question is void.
        if let Some(waiting) = state.waiting.take() {
            state.discard(waiting.keys);
        }
        if !settling.whole || settling.unreadable > 0 {
            state.notice = Some(if settling.whole {
                let n = settling.unreadable;
                format!(
                    "{file} has {n} rows whose key cannot be read (dead letters), so nothing was deleted"
                )
            } else {
                format!("{file} was replaced before it was read to its end, so nothing was deleted")
            });
            return Phase::Merge;
        }
        state.newest = Some(snapshot.clone());
        if !self.too_many(compare) {
            return Phase::Delete { done: 0 };
        }
        let (keys, deletes, of) = (settling.keys, compare.absent, compare.of);
        state.waiting = Some(Waiting { snapshot: snapshot.clone(), keys, deletes, of });
        Phase::Merge
    }

    fn too_many(&self, compare: &Compare) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let share = compare.absent as f64 / compare.of.max(1) as f64;
        share > self.config.max_delete_share
    }

    /// Sends a piece of the deletes. Returns whether they are done.
    fn delete(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
        compare: &mut Compare,
        (about, settling, done): (About<'_>, &Settling, u64),
    ) -> Result<bool, Failure> {
        let reason = about.reason();
        let mut sent = 0;
        let mut key = Vec::new();
        // After a restart the comparison begins anew, and passes over what was sent.
        while compare.taken < done && compare.take(sink, about.wanted, &mut key)? {}
        let mut more = true;
        while sent < STEP_KEYS && !sink.is_full() {
            more = compare.take(sink, about.wanted, &mut key)?;
            if !more {
                break;
            }
            sent += 1;
            let seq = about.by.seq(about.by.rows.saturating_add(done + sent));
            memory.value.clear();
            memory.key.clear();
            memory.key.extend_from_slice(&self.key_prefix);
            memory.key.extend_from_slice(&key);
            write_delete(&mut memory.value, about.by, seq, &reason);
            let version = version(about.by.as_of, seq);
            sink.emit(Raw {
                key: &memory.key,
                value: &memory.value,
                kind: KIND_RAW_ABSENT,
                version,
            });
        }
        if sent > 0 {
            let n = i64::try_from(sent).unwrap_or(i64::MAX);
            sink.tally(&format!("deletes:{}", self.config.name), n);
        }
        let done = done + sent;
        let state = &mut memory.state;
        if more {
            let phase = match settling.phase {
                Phase::Correct { .. } => Phase::Correct { done },
                Phase::Delete { .. } | Phase::Decide | Phase::Merge => Phase::Delete { done },
            };
            state.work = Work::Settle(Settling { phase, ..settling.clone() });
            return Ok(false);
        }
        if about.older.is_some() {
            state.discard(settling.keys);
        } else if let Some(old) = state.live.replace(settling.keys) {
            state.discard(old);
        }
        state.work = Work::Look;
        Ok(true)
    }
}

/// Who says that keys are gone.
#[derive(Clone, Copy)]
struct About<'a> {
    by: &'a Snapshot,
    /// An older file that has them.
    older: Option<&'a str>,
    wanted: Found,
}

impl About<'_> {
    fn reason(&self) -> String {
        let file = &self.by.file;
        match self.older {
            None => format!("absent from the full snapshot {file}"),
            Some(older) => {
                format!("absent from the full snapshot {file}, which is newer than {older}")
            }
        }
    }
}

/// Adds the keys of a snapshot that deletes nothing to the live ones: a piece. Returns whether it is done.
fn merge(
    memory: &mut Memory,
    sink: &mut impl Sink,
    compare: &mut Compare,
) -> Result<bool, Failure> {
    let state = &mut memory.state;
    let mut live = match state.live {
        Some(live) => live,
        None => state.new_set(),
    };
    let (mut chunk, mut key, mut keys) = (Vec::new(), Vec::new(), 0);
    let mut more = true;
    while keys < STEP_KEYS {
        more = compare.take(sink, Found::New, &mut key)?;
        if !more {
            break;
        }
        push_key(&mut chunk, &key);
        keys += 1;
    }
    live.append(sink, &chunk, keys);
    state.live = Some(live);
    if more {
        return Ok(false);
    }
    if let Work::Settle(settling) = std::mem::replace(&mut state.work, Work::Look) {
        // What waits for a confirmation is still needed.
        if state.waiting.as_ref().is_none_or(|waiting| waiting.keys.id != settling.keys.id) {
            state.discard(settling.keys);
        }
    }
    Ok(true)
}
