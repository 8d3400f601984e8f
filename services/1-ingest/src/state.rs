//! What a feed remembers between steps and restarts, and the keys it is stored under.
//!
//! `state` is the checkpoint; `known/<n>` a file that was begun or done; `keys/<set>/<chunk>` the keys of a
//! snapshot, as many as one step read, each with its length before it.

use std::sync::Arc;

use dataflow::Failure;
use serde::{Deserialize, Serialize};

use crate::as_of::AsOf;
use crate::decode::Place;
use crate::sink::Sink;

/// Version of what is stored; a newer one is refused.
pub const FORMAT: u32 = 1;
/// Sequence numbers of one version of a file: of a file that was replaced by another with the same as-of
/// the rows come after all of the first one's.
pub const GENERATION: u64 = 1_000_000_000;
/// Most files remembered; with more, the one begun first is forgotten.
pub const KNOWN_MAX: usize = 100_000;

const STATE: &[u8] = b"state";
const KNOWN: &str = "known/";

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// XXH3-128 of all its bytes as they lie on disk, in hexadecimal.
    pub hash: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Identity {
    /// A short name for people to type.
    #[must_use]
    pub fn short(&self) -> &str {
        self.hash.get(..12).unwrap_or(&self.hash)
    }
}

/// One version of a file with the moment it speaks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) identity: Identity,
    pub(crate) as_of: AsOf,
    /// Counts versions with the same as-of, from 0.
    pub(crate) generation: u64,
    /// File name, as in messages.
    pub(crate) file: String,
    /// Rows read so far, also those that became dead letters.
    pub(crate) rows: u64,
}

impl Snapshot {
    /// Sequence number of a row or, beyond the rows, of a delete.
    pub(crate) fn seq(&self, row: u64) -> u64 {
        self.generation.saturating_mul(GENERATION).saturating_add(row)
    }
}

/// Keys in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeySet {
    pub(crate) id: u64,
    pub(crate) chunks: u64,
    pub(crate) keys: u64,
}

impl KeySet {
    /// Appends a chunk of keys.
    pub(crate) fn append(&mut self, sink: &mut impl Sink, chunk: &[u8], keys: u64) {
        if keys > 0 {
            sink.put(&chunk_key(self.id, self.chunks), Some(chunk));
            self.chunks += 1;
            self.keys += keys;
        }
    }

    /// One chunk.
    pub(crate) fn chunk(&self, sink: &mut impl Sink, chunk: u64) -> Result<Arc<[u8]>, Failure> {
        sink.get(&chunk_key(self.id, chunk))?.ok_or_else(|| {
            Failure::stop(
                "the feed's store lacks a part of its keys: restore the data folder from a backup",
            )
        })
    }
}

pub(crate) fn chunk_key(set: u64, chunk: u64) -> Vec<u8> {
    format!("keys/{set:08}/{chunk:08}").into_bytes()
}

/// Appends a key to a chunk.
pub(crate) fn push_key(chunk: &mut Vec<u8>, key: &[u8]) {
    let len = u16::try_from(key.len()).expect("keys are checked to be shorter than KEY_BYTES_MAX");
    chunk.extend_from_slice(&len.to_le_bytes());
    chunk.extend_from_slice(key);
}

/// Takes the first key off a chunk.
pub(crate) fn take_key<'a>(chunk: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = chunk.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    *chunk = rest;
    Some(key)
}

/// A file that is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) snapshot: Snapshot,
    pub(crate) path: String,
    pub(crate) place: Option<Place>,
    /// Rows whose key is not known.
    pub(crate) unreadable: u64,
    /// Its keys, where it is a full snapshot that was never read to its end before.
    pub(crate) keys: Option<KeySet>,
    /// Its number among the files remembered.
    pub(crate) known: u64,
    /// The files that a one-shot load was given, as a hash.
    pub(crate) round: u64,
}

/// Deletes that wait for a confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) snapshot: Snapshot,
    pub(crate) keys: KeySet,
    pub(crate) deletes: u64,
    pub(crate) of: u64,
}

/// A full snapshot whose rows are read: what is absent from it?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settling {
    pub(crate) snapshot: Snapshot,
    pub(crate) keys: KeySet,
    pub(crate) unreadable: u64,
    /// Whether it was read to its end.
    pub(crate) whole: bool,
    pub(crate) phase: Phase,
}

/// How far settling is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// To be counted and decided.
    Decide,
    /// What is absent from it is deleted; so many are done.
    Delete { done: u64 },
    /// It deletes nothing: its keys join those that are live.
    Merge,
    /// It is older than the newest complete one: what only it has is deleted again; so many are done.
    Correct { done: u64 },
}

/// How far a one-shot load is in the order of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The files of the load: a load of other files begins at its beginning.
    pub(crate) round: u64,
    pub(crate) as_of: AsOf,
    pub(crate) path: String,
}

/// What a feed is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    Look,
    Read(Reading),
    Settle(Settling),
}

/// The checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: u32,
    pub(crate) work: Work,
    /// A file that was being read and is no longer what it was, or where it was.
    pub(crate) parked: Option<Reading>,
    /// Keys that the feed may have live.
    pub(crate) live: Option<KeySet>,
    /// The newest full snapshot that was complete.
    pub(crate) newest: Option<Snapshot>,
    pub(crate) waiting: Option<Waiting>,
    /// Sets to be removed; of the first, the chunks from the last downwards.
    pub(crate) garbage: Vec<KeySet>,
    pub(crate) next_set: u64,
    pub(crate) next_known: u64,
    /// The file that a one-shot load finished last.
    pub(crate) position: Option<Position>,
    /// What the operator should know of the last snapshot.
    pub(crate) notice: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT,
            work: Work::Look,
            parked: None,
            live: None,
            newest: None,
            waiting: None,
            garbage: Vec::new(),
            next_set: 1,
            next_known: 1,
            position: None,
            notice: None,
        }
    }
}

impl State {
    /// Reads it back; a feed that is new has the default.
    pub(crate) fn load(sink: &mut impl Sink) -> Result<Self, Failure> {
        let Some(bytes) = sink.get(STATE)? else { return Ok(Self::default()) };
        /// Only what every version has.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let damaged = || {
            Failure::stop("the feed's checkpoint is damaged: restore the data folder from a backup")
        };
        let version: Versioned = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        if version.format > FORMAT {
            return Err(Failure::stop(format!(
                "the feed's checkpoint has format {}, newer than this program reads ({FORMAT}): use the newer conveyance that wrote it",
                version.format
            )));
        }
        serde_json::from_slice(&bytes).map_err(|_| damaged())
    }

    pub(crate) fn save(&self, sink: &mut impl Sink) {
        let bytes = serde_json::to_vec(self).expect("plain values with text keys always serialise");
        sink.put(STATE, Some(&bytes));
    }

    pub(crate) fn new_set(&mut self) -> KeySet {
        let id = self.next_set;
        self.next_set += 1;
        KeySet { id, chunks: 0, keys: 0 }
    }

    /// Hands a set over for removal.
    pub(crate) fn discard(&mut self, set: KeySet) {
        if set.chunks > 0 {
            self.garbage.push(set);
        }
    }
}

/// A file that was begun or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) as_of: AsOf,
    pub(crate) generation: u64,
    pub(crate) complete: bool,
}

impl Known {
    pub(crate) fn save(&self, sink: &mut impl Sink, number: u64) {
        let bytes = serde_json::to_vec(self).expect("plain values with text keys always serialise");
        sink.put(&known_key(number), Some(&bytes));
    }

    /// All that are remembered, by number.
    pub(crate) fn load_all(sink: &mut impl Sink) -> Result<Vec<(u64, Self)>, Failure> {
        let mut all = Vec::new();
        let mut after = KNOWN.as_bytes().to_vec();
        loop {
            let page = sink.range(KNOWN.as_bytes(), &after, 1000)?;
            let Some((last, _)) = page.last() else { return Ok(all) };
            after.clone_from(last);
            for (key, value) in &page {
                let number = std::str::from_utf8(key).ok().and_then(|k| k.strip_prefix(KNOWN));
                let known = serde_json::from_slice(value).ok();
                if let (Some(number), Some(known)) = (number.and_then(|n| n.parse().ok()), known) {
                    all.push((number, known));
                }
            }
        }
    }
}

pub(crate) fn known_key(number: u64) -> Vec<u8> {
    format!("{KNOWN}{number:020}").into_bytes()
}
