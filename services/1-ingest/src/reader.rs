//! One feed, step by step: look for files, read one, settle what is absent from it.
//!
//! A step does a bounded piece of work and saves the checkpoint with what it sent. All that is held in
//! memory between steps can be made anew from the store and the files, and comes out the same.

use std::collections::{HashMap, VecDeque};
use std::fs::File;

use dataflow::contract::BadRow;
use dataflow::{Failure, Reject, Status};
use messages::topics::KIND_RAW_ROW;

use crate::as_of::AsOf;
use crate::compare::Compare;
use crate::config::{FeedConfig, Mode};
use crate::confirmations::{Confirmations, HeldDeletes};
use crate::decode::{Decoder, Item, Shape};
use crate::fault::FileFault;
use crate::files::{self, Candidate, Identifier, Stamp};
use crate::message::{RowHead, version};
use crate::plan::RowPlan;
use crate::sink::{Raw, Sink};
use crate::state::{
    GENERATION, Identity, KNOWN_MAX, Known, Phase, Position, Reading, Settling, Snapshot, State,
    Work, chunk_key, known_key, push_key,
};
use crate::window::Window;

/// A step ends when what it sent reaches this many bytes,
const STEP_BYTES_OUT: usize = 1 << 20;
/// or it has read so many,
const STEP_BYTES_IN: u64 = 8 << 20;
/// or so many rows.
const STEP_ROWS: u64 = 4096;
/// Files looked at in one step, besides the bytes hashed.
const STEP_FILES: usize = 500;
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

/// Files being identified.
struct Listing {
    paths: Vec<String>,
    at: usize,
    found: Vec<Candidate>,
}

/// The file being read.
struct Open {
    decoder: Decoder,
    /// For what the file system says of it at the end.
    file: File,
    stamp: Stamp,
    head: RowHead,
    there: bool,
}

/// What a piece of reading came to.
#[derive(Default)]
struct Piece {
    rows: u64,
    keys: u64,
    blank: u64,
    windows_1252: u64,
    bytes_out: usize,
    ended: bool,
    fault: Option<FileFault>,
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

    fn look(&self, memory: &mut Memory, sink: &mut impl Sink) -> Result<Status, Failure> {
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
                if memory.state.position.take().is_some() {
                    memory.state.save(sink);
                }
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

    fn read(&self, memory: &mut Memory, sink: &mut impl Sink) -> Result<Status, Failure> {
        let Work::Read(reading) = &memory.state.work else { return Ok(Status::Busy) };
        let mut reading = reading.clone();
        if !self.open(memory, sink, &reading)? {
            return Ok(Status::Busy);
        }
        let Some(mut open) = memory.open.take() else { return Ok(Status::Busy) };
        let piece = self.read_rows(memory, &mut open, &mut reading, sink)?;
        if let Some(fault) = piece.fault.as_ref().filter(|_| piece.rows == 0) {
            return Err(fault.clone().into());
        }
        self.count(sink, &piece);
        if let Some(keys) = &mut reading.keys {
            keys.append(sink, &memory.chunk, piece.keys);
        }
        reading.place = Some(open.decoder.place());
        memory.state.work = Work::Read(reading);
        let unchanged = open.file.metadata().is_ok_and(|m| Stamp::from(&m) == open.stamp);
        match (piece.ended, unchanged) {
            (false, _) => memory.open = Some(open),
            (true, true) => self.finish(memory, sink),
            // Written to while it was read: looked at again before its end counts.
            (true, false) => {}
        }
        memory.state.save(sink);
        Ok(Status::Busy)
    }

    /// Opens the file that is being read and goes to where reading stopped. Returns whether it is there.
    fn open(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
        reading: &Reading,
    ) -> Result<bool, Failure> {
        if memory.open.is_none() {
            let stamp = match memory.identifier.identify(&reading.path) {
                Ok(None) => return Ok(false),
                Ok(Some((stamp, identity))) if identity == reading.snapshot.identity => stamp,
                Ok(Some(_)) | Err(_) => {
                    memory.state.parked = Some(reading.clone());
                    memory.state.work = Work::Look;
                    (memory.queue, memory.listing) = (None, None);
                    memory.state.save(sink);
                    return Ok(false);
                }
            };
            memory.open = Some(self.open_file(reading, stamp)?);
        }
        let Some(open) = &mut memory.open else { return Ok(false) };
        if let (false, Some(place)) = (open.there, reading.place) {
            open.there = open.decoder.go_to(place)?;
        }
        Ok(open.there)
    }

    fn open_file(&self, reading: &Reading, stamp: Stamp) -> Result<Open, FileFault> {
        let name = &reading.snapshot.file;
        let failed =
            |e: std::io::Error| FileFault::new(format!("{} cannot be read: {e}", reading.path));
        let file = File::open(&reading.path).map_err(failed)?;
        let window = file
            .try_clone()
            .and_then(|copy| Window::open(copy, name, reading.snapshot.identity.size))
            .map_err(failed)?;
        let shape = Shape {
            format: self.config.format,
            row_bytes_max: self.config.limits.row_bytes,
            plan: self.plan.clone(),
        };
        let decoder = Decoder::open(window, shape, name)?;
        Ok(Open {
            decoder,
            file,
            stamp,
            head: RowHead::new(&reading.snapshot),
            there: reading.place.is_none(),
        })
    }

    fn read_rows(
        &self,
        memory: &mut Memory,
        open: &mut Open,
        reading: &mut Reading,
        sink: &mut impl Sink,
    ) -> Result<Piece, Failure> {
        let mut piece = Piece::default();
        let from = open.decoder.place().offset;
        memory.chunk.clear();
        while piece.rows < STEP_ROWS
            && piece.bytes_out < STEP_BYTES_OUT
            && open.decoder.place().offset - from < STEP_BYTES_IN
        {
            match open.decoder.next() {
                Ok(Item::End) => {
                    piece.ended = true;
                    break;
                }
                Ok(Item::Blank) => piece.blank += 1,
                Ok(Item::Skipped) => {}
                Ok(Item::Row) => self.row(memory, open, reading, (&mut piece, sink))?,
                Ok(Item::Bad(reject)) => {
                    next_row(reading)?;
                    piece.rows += 1;
                    self.bad_row(open, reading, sink, &reject);
                    piece.bytes_out += open.decoder.original().len();
                    open.decoder.advance();
                }
                Err(fault) => {
                    piece.fault = Some(fault);
                    break;
                }
            }
        }
        Ok(piece)
    }

    fn row(
        &self,
        memory: &mut Memory,
        open: &mut Open,
        reading: &mut Reading,
        (piece, sink): (&mut Piece, &mut impl Sink),
    ) -> Result<(), Failure> {
        let seq = next_row(reading)?;
        piece.rows += 1;
        let (value, key) = (&mut memory.value, &mut memory.key);
        value.clear();
        key.clear();
        key.extend_from_slice(&self.key_prefix);
        open.head.write(value, seq, open.decoder.line());
        match open.decoder.row(value, key) {
            Ok(()) => {
                value.push(b'}');
                let version = version(reading.snapshot.as_of, seq);
                sink.emit(Raw { key, value, kind: KIND_RAW_ROW, version });
                piece.bytes_out += value.len() + key.len();
                piece.windows_1252 += u64::from(open.decoder.was_windows_1252());
                if reading.keys.is_some() {
                    push_key(
                        &mut memory.chunk,
                        key.get(self.key_prefix.len()..).unwrap_or_default(),
                    );
                    piece.keys += 1;
                }
            }
            Err(reject) => {
                self.bad_row(open, reading, sink, &reject);
                piece.bytes_out += open.decoder.original().len();
            }
        }
        open.decoder.advance();
        Ok(())
    }

    fn bad_row(&self, open: &Open, reading: &mut Reading, sink: &mut impl Sink, reject: &Reject) {
        reading.unreadable += 1;
        let file = &reading.snapshot.file;
        let line = open.decoder.line().to_string();
        let key = format!("{}:{file}:{line}", self.config.name);
        let headers = [("cv_file", file.as_bytes()), ("cv_line", line.as_bytes())];
        let row =
            BadRow { key: key.as_bytes(), original: open.decoder.original(), headers: &headers };
        sink.reject(&row, reject);
    }

    fn count(&self, sink: &mut impl Sink, piece: &Piece) {
        for (name, n) in [
            ("read", piece.rows),
            ("blank_rows", piece.blank),
            ("windows_1252", piece.windows_1252),
        ] {
            if n > 0 {
                let n = i64::try_from(n).unwrap_or(i64::MAX);
                sink.tally(&format!("{name}:{}", self.config.name), n);
            }
        }
    }

    /// The end of a file was reached, and it is still what it was.
    fn finish(&self, memory: &mut Memory, sink: &mut impl Sink) {
        let Work::Read(reading) = std::mem::replace(&mut memory.state.work, Work::Look) else {
            return;
        };
        memory.known.complete(sink, reading.known);
        memory.state.position = self.rereads().then(|| Position {
            round: reading.round,
            as_of: reading.snapshot.as_of,
            path: reading.path.clone(),
        });
        if let Some(keys) = reading.keys {
            memory.compare = None;
            memory.state.work = Work::Settle(Settling {
                snapshot: reading.snapshot,
                keys,
                unreadable: reading.unreadable,
                whole: true,
                phase: Phase::Decide,
            });
        }
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

/// Counts a row; its sequence number.
fn next_row(reading: &mut Reading) -> Result<u64, Failure> {
    reading.snapshot.rows += 1;
    if reading.snapshot.rows >= GENERATION {
        return Err(Failure::stop(format!(
            "{} has more than {GENERATION} rows: split it",
            reading.snapshot.file
        )));
    }
    Ok(reading.snapshot.seq(reading.snapshot.rows))
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
        if let Some(number) = self.known.number_of(&candidate.identity, candidate.as_of)
            && let Some(known) = self.known.by_number.get(&number)
        {
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

/// Files that were begun or done, by content and as-of.
struct KnownFiles {
    by_number: std::collections::BTreeMap<u64, Known>,
    numbers: HashMap<(Identity, AsOf), u64>,
}

impl KnownFiles {
    fn load(sink: &mut impl Sink) -> Result<Self, Failure> {
        let mut known =
            Self { by_number: std::collections::BTreeMap::new(), numbers: HashMap::new() };
        for (number, file) in Known::load_all(sink)? {
            known.insert(number, file);
        }
        Ok(known)
    }

    fn insert(&mut self, number: u64, known: Known) {
        self.numbers.insert((known.identity.clone(), known.as_of), number);
        self.by_number.insert(number, known);
    }

    fn number_of(&self, identity: &Identity, as_of: AsOf) -> Option<u64> {
        self.numbers.get(&(identity.clone(), as_of)).copied()
    }

    fn is_complete(&self, candidate: &Candidate) -> bool {
        self.number_of(&candidate.identity, candidate.as_of)
            .and_then(|number| self.by_number.get(&number))
            .is_some_and(|known| known.complete)
    }

    /// The as-of under which this content came last.
    fn last_as_of(&self, identity: &Identity) -> Option<AsOf> {
        self.by_number.values().rev().find(|k| k.identity == *identity).map(|k| k.as_of)
    }

    fn next_generation(&self, as_of: AsOf) -> u64 {
        let last = self.by_number.values().filter(|k| k.as_of == as_of).map(|k| k.generation).max();
        last.map_or(0, |generation| generation + 1)
    }

    fn complete(&mut self, sink: &mut impl Sink, number: u64) {
        if let Some(known) = self.by_number.get_mut(&number).filter(|k| !k.complete) {
            known.complete = true;
            known.save(sink, number);
        }
    }

    fn forget_oldest(&mut self, sink: &mut impl Sink) {
        while self.by_number.len() > KNOWN_MAX
            && let Some((number, known)) = self.by_number.pop_first()
        {
            self.numbers.remove(&(known.identity, known.as_of));
            sink.put(&known_key(number), None);
        }
    }
}
