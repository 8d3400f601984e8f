//! One feed, step by step: look for files ([`look`]), read one ([`read`]), settle what is absent from it
//! ([`crate::settle`]).
//!
//! A step does a bounded piece of work and saves the checkpoint with what it sent. All that is held in
//! memory between steps can be made anew from the store and the files, and comes out the same.

mod known;
mod look;
mod read;

use std::collections::VecDeque;

use dataflow::{Failure, Status};

use crate::compare::Compare;
use crate::config::FeedConfig;
use crate::confirmations::{Confirmations, HeldDeletes};
use crate::files::{Candidate, Identifier};
use crate::plan::RowPlan;
use crate::sink::Sink;
use crate::state::{Known, Phase, Reading, Settling, State, Work, chunk_key};

use known::KnownFiles;
use look::Listing;
use read::Open;

/// Chunks of an old set of keys that one step removes.
const STEP_CHUNKS_REMOVED: u64 = 256;

/// A feed of files.
pub struct FeedReader {
    pub(crate) config: FeedConfig,
    plan: RowPlan,
    pub(crate) confirmations: Confirmations,
    pub(crate) key_prefix: Vec<u8>,
    pub(crate) memory: Option<Memory>,
}

/// What is held between steps; made anew from the store after a restart.
pub(crate) struct Memory {
    pub(crate) state: State,
    known: KnownFiles,
    identifier: Identifier,
    queue: Option<VecDeque<Candidate>>,
    listing: Option<Listing>,
    /// The files of this round, as a hash.
    round: u64,
    open: Option<Open>,
    pub(crate) compare: Option<Compare>,
    pub(crate) value: Vec<u8>,
    pub(crate) key: Vec<u8>,
    chunk: Vec<u8>,
}
impl FeedReader {
    /// A feed; what it remembers is read from the store at the first step.
    #[must_use]
    pub fn new(config: FeedConfig, plan: RowPlan, confirmations: Confirmations) -> Self {
        let key_prefix = format!("{}:", config.name).into_bytes();
        Self { config, plan, confirmations, key_prefix, memory: None }
    }

    /// A bounded piece of work.
    ///
    /// # Errors
    /// [`Failure::Stop`] for a fault of a whole file or of the store. After an error nothing of the step counts.
    pub fn step(&mut self, sink: &mut impl Sink) -> Result<Status, Failure> {
        let mut memory = match self.memory.take() {
            Some(memory) => memory,
            None => Memory::load(sink)?,
        };
        self.publish(&memory.state);
        let status = self.work(&mut memory, sink)?;
        // After an error the memory is dropped: it may be ahead of what counts.
        self.memory = Some(memory);
        Ok(status)
    }

    /// A one-shot load has ended: the next one begins with the first file again. Before that is said, a load
    /// goes on behind the last file that was read, also when it was killed while others were still at work.
    ///
    /// # Errors
    /// As [`FeedReader::step`].
    pub fn ended(&mut self, sink: &mut impl Sink) -> Result<(), Failure> {
        let mut memory = match self.memory.take() {
            Some(memory) => memory,
            None => Memory::load(sink)?,
        };
        if memory.state.position.take().is_some() {
            memory.state.save(sink);
        }
        self.memory = Some(memory);
        Ok(())
    }

    fn publish(&self, state: &State) {
        let held = state.waiting.as_ref().map(|waiting| HeldDeletes {
            feed: self.config.name.clone(),
            snapshot: waiting.snapshot.identity.short().to_owned(),
            file: waiting.snapshot.file.clone(),
            deletes: waiting.deletes,
            of: waiting.of,
        });
        self.confirmations.publish(&self.config.name, held, state.notice.clone());
    }

    fn work(&self, memory: &mut Memory, sink: &mut impl Sink) -> Result<Status, Failure> {
        if !memory.state.garbage.is_empty() {
            memory.remove_garbage(sink);
            return Ok(Status::Busy);
        }
        match memory.state.work {
            Work::Look => self.look(memory, sink),
            Work::Read(_) => self.read(memory, sink),
            Work::Settle(_) => self.settle(memory, sink),
        }
    }

    fn rereads(&self) -> bool {
        self.config.reread && self.config.watch_ms.is_none()
    }
}

impl Memory {
    fn load(sink: &mut impl Sink) -> Result<Self, Failure> {
        Ok(Self {
            state: State::load(sink)?,
            known: KnownFiles::load(sink)?,
            identifier: Identifier::default(),
            queue: None,
            listing: None,
            round: 0,
            open: None,
            compare: None,
            value: Vec::new(),
            key: Vec::new(),
            chunk: Vec::new(),
        })
    }

    /// A file that will not be read to its end: its keys, if it had any new ones, are live all the same.
    fn abandon(&mut self, reading: Reading) {
        self.compare = None;
        if let Some(keys) = reading.keys.filter(|keys| keys.keys > 0) {
            self.state.work = Work::Settle(Settling {
                snapshot: reading.snapshot,
                keys,
                unreadable: reading.unreadable,
                whole: false,
                phase: Phase::Decide,
            });
        }
    }

    /// The entry of a file among those remembered, new if it must be.
    fn remember(&mut self, sink: &mut impl Sink, candidate: &Candidate) -> (u64, Known) {
        if let Some((number, known)) = self.known.entry(&candidate.identity, candidate.as_of) {
            return (number, known.clone());
        }
        let known = Known {
            identity: candidate.identity.clone(),
            as_of: candidate.as_of,
            generation: self.known.next_generation(candidate.as_of),
            complete: false,
        };
        let number = self.state.next_known;
        self.state.next_known += 1;
        known.save(sink, number);
        self.known.insert(number, known.clone());
        self.known.forget_oldest(sink);
        (number, known)
    }

    /// Removes a piece of the first set that is garbage, from its end.
    fn remove_garbage(&mut self, sink: &mut impl Sink) {
        let Some(set) = self.state.garbage.first_mut() else { return };
        let left = set.chunks.saturating_sub(STEP_CHUNKS_REMOVED);
        for chunk in left..set.chunks {
            sink.put(&chunk_key(set.id, chunk), None);
        }
        set.chunks = left;
        if left == 0 {
            self.state.garbage.remove(0);
        }
        self.state.save(sink);
    }
}
