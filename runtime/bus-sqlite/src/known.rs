//! Which keys the compacted topics have never had.
//!
//! Of a first load nearly every key is new, and to learn that from the index costs a walk down a B-tree whose
//! pages the cache has lost: once for the service that asks for its state, once for the writer. A Bloom filter
//! in memory says it in one look. It may only say so when every key of the log is in it: at once for a log that
//! has none, and for any other after it was filled from the index, which is done when enough lookups found
//! nothing (a log that is only resumed never pays for it).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use rusqlite::{Connection, params};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Keys of the first generation; each further one takes four times as many, so that there are few to look at.
const FIRST_KEYS: usize = 1 << 16;
/// Beyond so many keys (120 MB) the filter gives up: every key may be known.
const KEYS_MAX: usize = 80_000_000;
/// Bits for each key: one key in a hundred that is new is not seen to be.
const BITS_PER_KEY: usize = 12;
/// Words of a block; all bits of a key are in one, so that a look touches one cache line.
const BLOCK_WORDS: usize = 8;
/// Bits set for each key.
const PROBES: u32 = 6;
/// The index is read into the filter once so many lookups have found nothing.
const FILL_AFTER: u64 = 20_000;
/// Keys read in one step of filling: a read transaction must end soon.
const FILL_STEP: usize = 20_000;

/// The filter of a log. All keys that are written go through [`Known::add`] before they are committed.
#[derive(Debug)]
pub(crate) struct Known {
    /// `None` when there were too many.
    generations: RwLock<Option<Vec<Generation>>>,
    complete: AtomicBool,
    misses: AtomicU64,
    filled_to: Mutex<Option<(u32, Vec<u8>)>>,
}

#[derive(Debug)]
struct Generation {
    blocks: Vec<[u64; BLOCK_WORDS]>,
    room: usize,
}

impl Generation {
    fn new(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(64 * BLOCK_WORDS);
        Self { blocks: vec![[0; BLOCK_WORDS]; blocks], room: keys }
    }

    fn at(&self, hash: u64) -> usize {
        // The high half picks the block, the low half the bits in it.
        let blocks = self.blocks.len() as u64;
        usize::try_from(((hash >> 32) * blocks) >> 32).unwrap_or(0)
    }

    fn has(&self, hash: u64) -> bool {
        self.blocks.get(self.at(hash)).is_some_and(|block| {
            bits(hash).all(|(word, bit)| block.get(word).is_some_and(|w| w & bit != 0))
        })
    }

    fn add(&mut self, hash: u64) {
        let at = self.at(hash);
        let Some(block) = self.blocks.get_mut(at) else { return };
        for (word, bit) in bits(hash) {
            if let Some(w) = block.get_mut(word) {
                *w |= bit;
            }
        }
        self.room = self.room.saturating_sub(1);
    }
}

/// The bits of a key within its block: nine bits of a mixed hash for each.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |n| {
        let nine = (mixed >> (n * 9 + 1)) & 511;
        (usize::try_from(nine >> 6).unwrap_or(0), 1 << (nine & 63))
    })
}

fn hash(place: u32, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, u64::from(place))
}

impl Known {
    /// For a log; with `empty` it has no keys yet.
    pub(crate) fn new(empty: bool) -> Self {
        Self {
            generations: RwLock::new(Some(Vec::new())),
            complete: AtomicBool::new(empty),
            misses: AtomicU64::new(0),
            filled_to: Mutex::new(None),
        }
    }

    /// Whether the key was certainly never written to that place.
    pub(crate) fn never(&self, place: u32, key: &[u8]) -> bool {
        if !self.complete.load(Ordering::Acquire) {
            return false;
        }
        let hash = hash(place, key);
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        generations.as_ref().is_some_and(|all| !all.iter().any(|one| one.has(hash)))
    }

    /// Notes that a lookup in the index found nothing.
    pub(crate) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes keys that are about to be written.
    pub(crate) fn add<'k>(&self, place: u32, keys: impl Iterator<Item = &'k [u8]>) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = generations.as_mut() else { return };
        let full = !keys.map(|key| hash(place, key)).all(|hash| put(all, hash));
        if full {
            self.complete.store(false, Ordering::Release);
            *generations = None;
        }
    }

    fn wants_filling(&self) -> bool {
        !self.complete.load(Ordering::Acquire)
            && self.misses.load(Ordering::Relaxed) >= FILL_AFTER
            && self.generations.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// One step of filling, where it is wanted; whether there is more to do at once.
    pub(crate) fn fill(&self, db: &Connection) -> rusqlite::Result<bool> {
        if !self.wants_filling() {
            return Ok(false);
        }
        let mut from = self.filled_to.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, key) = from.take().unwrap_or_default();
        let mut statement = db.prepare_cached(
            "SELECT place, key FROM latest_key WHERE (place, key) >= (?1, ?2) ORDER BY place, key LIMIT ?3",
        )?;
        let mut rows = statement.query(params![place, key, FILL_STEP as i64])?;
        let mut count = 0;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let (place, key) = (row.get(0)?, row.get_ref(1)?.as_blob()?);
            self.add(place, std::iter::once(key));
            count += 1;
            if count == FILL_STEP {
                last = Some((place, key.to_vec()));
            }
        }
        let more = last.is_some();
        *from = last;
        if !more {
            let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
            self.complete.store(generations.is_some(), Ordering::Release);
        }
        Ok(more)
    }
}

/// `false` when there is no room for more.
fn put(generations: &mut Vec<Generation>, hash: u64) -> bool {
    if generations.iter().any(|generation| generation.has(hash)) {
        return true;
    }
    if generations.last().is_none_or(|last| last.room == 0) {
        let power = u32::try_from(generations.len()).unwrap_or(u32::MAX);
        let keys = FIRST_KEYS.saturating_mul(4usize.saturating_pow(power));
        if keys > KEYS_MAX {
            return false;
        }
        generations.push(Generation::new(keys));
    }
    if let Some(last) = generations.last_mut() {
        last.add(hash);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Vec<u8> {
        format!("market:{n}").into_bytes()
    }

    fn add(known: &Known, place: u32, numbers: std::ops::Range<u32>) {
        let keys: Vec<_> = numbers.map(key).collect();
        known.add(place, keys.iter().map(Vec::as_slice));
    }

    fn never(known: &Known, place: u32, numbers: std::ops::Range<u32>) -> usize {
        numbers.filter(|n| known.never(place, &key(*n))).count()
    }

    #[test]
    fn a_key_that_was_added_is_never_denied_and_few_others_are_not() {
        let known = Known::new(true);
        assert_eq!(never(&known, 0, 0..100), 100);
        add(&known, 3, 0..200_000);
        assert_eq!(never(&known, 3, 0..200_000), 0);
        let fresh = never(&known, 3, 200_000..300_000);
        assert!(fresh > 95_000, "{fresh} of 100,000 new keys are seen to be new");
        assert!(never(&known, 4, 0..1_000) > 950, "another place has other keys");
    }

    fn index(keys: std::ops::Range<u32>) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE latest_key (place INTEGER, key BLOB, offset INTEGER, PRIMARY KEY (place, key)) WITHOUT ROWID",
        )
        .unwrap();
        for n in keys {
            let row = params![n % 3, key(n), n];
            db.prepare_cached("INSERT INTO latest_key VALUES (?1, ?2, ?3)")
                .unwrap()
                .execute(row)
                .unwrap();
        }
        db
    }

    #[test]
    fn a_log_with_keys_is_read_once_lookups_find_nothing() {
        let count = u32::try_from(FILL_STEP).unwrap() * 2 + 10;
        let (known, db) = (Known::new(false), index(0..count));
        assert!(!known.fill(&db).unwrap(), "nobody asked yet");
        assert_eq!(never(&known, 0, count..count + 100), 0, "what is not read may be there");
        (0..FILL_AFTER).for_each(|_| known.missed());
        let mut steps = 1;
        while known.fill(&db).unwrap() {
            assert_eq!(never(&known, 0, count..count + 100), 0, "not all is read");
            // What is written meanwhile counts too.
            add(&known, 9, steps..steps + 1);
            steps += 1;
        }
        assert!(steps >= 3);
        assert!((0..count).all(|n| !known.never(n % 3, &key(n))));
        assert!(!known.never(9, &key(1)));
        assert!(never(&known, 0, count..count + 1_000) > 950);
    }

    #[test]
    fn too_many_keys_make_it_give_up() {
        let mut generations = vec![];
        for _ in 0..6 {
            generations.push(Generation { blocks: vec![[0; BLOCK_WORDS]], room: 0 });
        }
        let known = Known::new(true);
        *known.generations.write().unwrap() = Some(generations);
        assert!(known.never(0, b"a"));
        known.add(0, std::iter::once(&b"a"[..]));
        assert!(!known.never(0, b"a") && !known.never(0, b"b"));
        (0..FILL_AFTER).for_each(|_| known.missed());
        assert!(!known.fill(&index(0..3)).unwrap() && !known.never(0, b"b"));
    }
}
