//! Looking for files: listed, known by their content, put in order, begun.

use dataflow::{Failure, Status};

use super::{FeedReader, Memory};
use crate::config::Mode;
use crate::files::{self, Candidate};
use crate::sink::Sink;
use crate::state::{Phase, Reading, Settling, Snapshot, Work};

/// Files looked at in one step, besides the bytes hashed.
const STEP_FILES: usize = 500;

/// Files being identified.
pub(super) struct Listing {
    paths: Vec<String>,
    at: usize,
    found: Vec<Candidate>,
}
impl FeedReader {
    pub(super) fn look(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
    ) -> Result<Status, Failure> {
        if self.take_confirmation(memory, sink) {
            return Ok(Status::Busy);
        }
        let Some(queue) = &mut memory.queue else {
            self.list(memory)?;
            return Ok(Status::Busy);
        };
        match queue.pop_front() {
            Some(candidate) => self.begin(memory, sink, candidate),
            None => {
                memory.queue = None;
                Ok(self.config.watch_ms.map_or(Status::Done, |wait_ms| Status::Idle { wait_ms }))
            }
        }
    }

    /// The operator confirmed what was held: the deletes go ahead.
    fn take_confirmation(&self, memory: &mut Memory, sink: &mut impl Sink) -> bool {
        let state = &mut memory.state;
        let confirmed = state.waiting.take_if(|waiting| {
            self.confirmations.is_confirmed(&self.config.name, waiting.snapshot.identity.short())
        });
        let Some(waiting) = confirmed else { return false };
        memory.compare = None;
        state.work = Work::Settle(Settling {
            snapshot: waiting.snapshot,
            keys: waiting.keys,
            unreadable: 0,
            whole: true,
            phase: Phase::Delete { done: 0 },
        });
        state.save(sink);
        true
    }

    /// Lists and identifies files, and puts them in order: a bounded piece of it.
    fn list(&self, memory: &mut Memory) -> Result<(), Failure> {
        let mut listing = match memory.listing.take() {
            Some(listing) => listing,
            None => {
                let paths = files::list(&self.config)?;
                memory.identifier.keep_only(&paths);
                Listing { paths, at: 0, found: Vec::new() }
            }
        };
        let pause_at = listing.at + STEP_FILES;
        while let Some(path) = listing.paths.get(listing.at).filter(|_| listing.at < pause_at) {
            match memory.identifier.identify(path) {
                Ok(Some((_, identity))) => {
                    let name = files::name_of(path);
                    let known = || memory.known.last_as_of(&identity);
                    let as_of = files::as_of(&self.config.as_of, name, known)?;
                    listing.found.push(Candidate {
                        as_of,
                        path: path.clone(),
                        name: name.to_owned(),
                        identity,
                    });
                    listing.at += 1;
                }
                Ok(None) => {
                    memory.listing = Some(listing);
                    return Ok(());
                }
                Err(error) => {
                    return Err(Failure::stop(format!("{path} cannot be read: {error}")));
                }
            }
        }
        if listing.at < listing.paths.len() {
            memory.listing = Some(listing);
            return Ok(());
        }
        let mut found = listing.found;
        found.sort_by(|a, b| (a.as_of, &a.name, &a.path).cmp(&(b.as_of, &b.name, &b.path)));
        memory.round = round_of(&found);
        found.retain(|candidate| self.wanted(memory, candidate));
        memory.queue = Some(found.into());
        Ok(())
    }

    fn wanted(&self, memory: &Memory, candidate: &Candidate) -> bool {
        if !self.rereads() {
            return !memory.known.is_complete(candidate);
        }
        let position = memory.state.position.as_ref().filter(|p| p.round == memory.round);
        position.is_none_or(|p| {
            let done = (p.as_of, files::name_of(&p.path), p.path.as_str());
            (candidate.as_of, candidate.name.as_str(), candidate.path.as_str()) > done
        })
    }

    /// Starts a file, or goes on with it where it was found again.
    fn begin(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
        candidate: Candidate,
    ) -> Result<Status, Failure> {
        if let Some(parked) = memory.state.parked.take() {
            let same = parked.snapshot.identity == candidate.identity
                && parked.snapshot.as_of == candidate.as_of;
            if same {
                let mut reading = parked;
                reading.path = candidate.path;
                memory.state.work = Work::Read(reading);
            } else {
                if let Some(queue) = &mut memory.queue {
                    queue.push_front(candidate);
                }
                memory.abandon(parked);
            }
            memory.state.save(sink);
            return Ok(Status::Busy);
        }
        if !self.rereads() && memory.known.is_complete(&candidate) {
            return Ok(Status::Busy);
        }
        let (number, known) = memory.remember(sink, &candidate);
        let fresh = !known.complete && self.config.mode == Mode::Full;
        let keys = fresh.then(|| memory.state.new_set());
        memory.state.work = Work::Read(Reading {
            snapshot: Snapshot {
                identity: candidate.identity,
                as_of: candidate.as_of,
                generation: known.generation,
                file: candidate.name,
                rows: 0,
            },
            path: candidate.path,
            place: None,
            unreadable: 0,
            keys,
            known: number,
            round: memory.round,
        });
        memory.state.save(sink);
        Ok(Status::Busy)
    }
}

/// Names a list of files by place and content.
fn round_of(files: &[Candidate]) -> u64 {
    let mut text = String::new();
    for file in files {
        text.push_str(&file.path);
        text.push('\0');
        text.push_str(&file.identity.hash);
        text.push('\n');
    }
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}
