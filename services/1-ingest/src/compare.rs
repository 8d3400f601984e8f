//! Which keys of one set are not in another, in bounded steps.
//!
//! The keys of a snapshot that was read are held as hashes of 128 bits; those that are live stream past.
//! After a restart the comparison is made anew: it only reads, so it comes out the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use dataflow::Failure;
use xxhash_rust::xxh3::xxh3_128;

use crate::sink::Sink;
use crate::state::{KeySet, take_key};

/// Chunks compared in one step.
const CHUNKS_PER_STEP: usize = 32;

/// A hash of a key, which is its own hash for the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyHash(u64, u64);

impl KeyHash {
    fn of(key: &[u8]) -> Self {
        let hash = xxh3_128(key).to_le_bytes();
        let (low, high) = hash.split_at(8);
        let word = |half: &[u8]| half.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        Self(word(low), word(high))
    }
}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Where a key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// In the snapshot and not live before.
    New,
    /// In both.
    Both,
    /// Live before and absent from the snapshot.
    Absent,
    /// One of a kind that was taken already.
    Taken,
}

/// A walk over the chunks of a set.
#[derive(Debug, Clone, Default)]
struct Walk {
    chunk: u64,
    bytes: Option<(Arc<[u8]>, usize)>,
}

impl Walk {
    /// The next key is given to `f`. Returns false at the end.
    fn next(
        &mut self,
        set: &KeySet,
        sink: &mut impl Sink,
        f: impl FnOnce(&[u8]),
    ) -> Result<bool, Failure> {
        loop {
            if let Some((bytes, at)) = &mut self.bytes {
                let mut rest = bytes.get(*at..).unwrap_or_default();
                if let Some(key) = take_key(&mut rest) {
                    f(key);
                    *at = bytes.len() - rest.len();
                    return Ok(true);
                }
                self.bytes = None;
                self.chunk += 1;
            }
            if self.chunk >= set.chunks {
                return Ok(false);
            }
            self.bytes = Some((set.chunk(sink, self.chunk)?, 0));
        }
    }
}

/// A snapshot's keys against the live ones.
pub(crate) struct Compare {
    snapshot: KeySet,
    live: KeySet,
    map: HashMap<KeyHash, Found, BuildHasherDefault<AsItIs>>,
    loaded: u64,
    matched: u64,
    taking: Walk,
    /// Keys that were taken.
    pub(crate) taken: u64,
    /// Live keys that the snapshot lacks.
    pub(crate) absent: u64,
    /// Distinct live keys.
    pub(crate) of: u64,
}

impl Compare {
    pub(crate) fn new(snapshot: KeySet, live: Option<KeySet>) -> Self {
        let live = live.unwrap_or(KeySet { id: 0, chunks: 0, keys: 0 });
        Self {
            snapshot,
            live,
            map: HashMap::default(),
            loaded: 0,
            matched: 0,
            taking: Walk::default(),
            taken: 0,
            absent: 0,
            of: 0,
        }
    }

    /// A bounded piece of the comparison. Returns whether it is made.
    pub(crate) fn advance(&mut self, sink: &mut impl Sink) -> Result<bool, Failure> {
        for _ in 0..CHUNKS_PER_STEP {
            if self.loaded < self.snapshot.chunks {
                self.load(sink)?;
            } else if self.matched < self.live.chunks {
                self.match_live(sink)?;
            } else {
                return Ok(true);
            }
        }
        Ok(self.loaded >= self.snapshot.chunks && self.matched >= self.live.chunks)
    }

    fn load(&mut self, sink: &mut impl Sink) -> Result<(), Failure> {
        let chunk = self.snapshot.chunk(sink, self.loaded)?;
        let mut rest = &*chunk;
        while let Some(key) = take_key(&mut rest) {
            self.map.insert(KeyHash::of(key), Found::New);
        }
        self.loaded += 1;
        Ok(())
    }

    fn match_live(&mut self, sink: &mut impl Sink) -> Result<(), Failure> {
        let chunk = self.live.chunk(sink, self.matched)?;
        let mut rest = &*chunk;
        while let Some(key) = take_key(&mut rest) {
            match self.map.entry(KeyHash::of(key)) {
                Entry::Vacant(slot) => {
                    slot.insert(Found::Absent);
                    self.absent += 1;
                    self.of += 1;
                }
                Entry::Occupied(mut slot) => {
                    if *slot.get() == Found::New {
                        slot.insert(Found::Both);
                        self.of += 1;
                    }
                }
            }
        }
        self.matched += 1;
        Ok(())
    }

    /// The next key that was found so, each once, in the order of the store: [`Found::Absent`] among the live
    /// keys, [`Found::New`] among the snapshot's. A comparison serves one of the two. `None` at the end.
    pub(crate) fn take(
        &mut self,
        sink: &mut impl Sink,
        wanted: Found,
        key: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        let set = if wanted == Found::Absent { self.live } else { self.snapshot };
        loop {
            key.clear();
            if !self.taking.next(&set, sink, |found| key.extend_from_slice(found))? {
                return Ok(false);
            }
            if let Some(found) = self.map.get_mut(&KeyHash::of(key))
                && *found == wanted
            {
                *found = Found::Taken;
                self.taken += 1;
                return Ok(true);
            }
        }
    }
}
