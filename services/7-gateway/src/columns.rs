//! The columns that search compares, in memory: about 60 bytes for each listing.
//!
//! Rows live in blocks of [`BLOCK`] listings in order of arrival. A filter runs over the columns it needs and no
//! others, so a million listings take some ten milliseconds, exact totals included (`examples/speed.rs` prints it),
//! and a load pays for no index: in SQLite a cell index costs 1 microsecond for each listing and more as it grows,
//! an R*Tree 7. The columns hold no truth: they are read back from the view's file when it is opened.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::dictionary::Dictionary;
use crate::record::Basis;

/// Listings in one block.
pub(crate) const BLOCK: usize = 4096;
/// No price.
pub(crate) const PRICE_NONE: i64 = i64::MIN;
/// No count of rooms.
pub(crate) const COUNT_NONE: u8 = u8::MAX;
/// Most listings that one view holds: ids are 32 bits, and memory is about 90 bytes for each.
pub(crate) const LISTINGS_MAX: usize = 100_000_000;

/// Bit: the listing may be seen by everyone. Without it a row takes part in nothing.
pub(crate) const SHOWN: u8 = 1;
/// Bit: it has a place that may be seen.
pub(crate) const PLACED: u8 = 2;
/// Bit: it was deleted.
pub(crate) const DELETED: u8 = 4;
/// Bit: its address may be seen.
pub(crate) const ADDRESS: u8 = 8;
const BASIS_SHIFT: u8 = 4;

/// One listing's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hash: u64,
    pub(crate) signature: u64,
    /// Hundredths, or [`PRICE_NONE`].
    pub(crate) price: i64,
    /// Milliseconds since 1970.
    pub(crate) changed: i64,
    pub(crate) lat: i32,
    pub(crate) lon: i32,
    pub(crate) city: u32,
    /// Which version of the listing it is: 0 where none was read yet.
    pub(crate) version: u32,
    pub(crate) state: u16,
    pub(crate) country: u16,
    pub(crate) status: u16,
    pub(crate) kind: u16,
    pub(crate) feed: u16,
    pub(crate) beds: u8,
    pub(crate) baths: u8,
    pub(crate) flags: u8,
}

impl Row {
    /// A listing of which nothing is known but its key.
    pub(crate) fn waiting(hash: u64) -> Self {
        Self {
            hash,
            signature: 0,
            price: PRICE_NONE,
            changed: 0,
            lat: 0,
            lon: 0,
            city: 0,
            version: 0,
            state: 0,
            country: 0,
            status: 0,
            kind: 0,
            feed: 0,
            beds: COUNT_NONE,
            baths: COUNT_NONE,
            flags: 0,
        }
    }

    /// Whether all of `bits` are set.
    pub(crate) fn is(&self, bits: u8) -> bool {
        self.flags & bits == bits
    }

    /// What the price is.
    pub(crate) fn basis(&self) -> Basis {
        let number = self.flags >> BASIS_SHIFT;
        Basis::ALL.into_iter().find(|basis| basis.number() == number).unwrap_or_default()
    }
}

/// The bits of a [`Basis`] in `flags`.
pub(crate) fn basis_bits(basis: Basis) -> u8 {
    basis.number() << BASIS_SHIFT
}

/// The smallest box around all places of a block; it grows and never shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) west: i32,
    pub(crate) south: i32,
    pub(crate) east: i32,
    pub(crate) north: i32,
}

impl Bounds {
    /// Around nothing.
    pub(crate) const EMPTY: Self =
        Self { west: i32::MAX, south: i32::MAX, east: i32::MIN, north: i32::MIN };

    /// Grows to hold a place.
    pub(crate) fn add(&mut self, lat: i32, lon: i32) {
        self.west = self.west.min(lon);
        self.east = self.east.max(lon);
        self.south = self.south.min(lat);
        self.north = self.north.max(lat);
    }

    /// Grows to hold another box.
    pub(crate) fn join(&mut self, other: &Self) {
        self.west = self.west.min(other.west);
        self.east = self.east.max(other.east);
        self.south = self.south.min(other.south);
        self.north = self.north.max(other.north);
    }

    /// Whether a place is in it, borders included.
    pub(crate) fn holds(&self, lat: i32, lon: i32) -> bool {
        (self.west..=self.east).contains(&lon) && (self.south..=self.north).contains(&lat)
    }

    /// Whether the two have a place in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.west <= other.east
            && other.west <= self.east
            && self.south <= other.north
            && other.south <= self.north
    }
}

macro_rules! block {
    ($($column:ident: $type:ty),* $(,)?) => {
        /// Columns of up to [`BLOCK`] listings.
        #[derive(Debug)]
        pub(crate) struct Block {
            pub(crate) bounds: Bounds,
            $(pub(crate) $column: Vec<$type>,)*
        }

        impl Block {
            fn new() -> Self {
                Self { bounds: Bounds::EMPTY, $($column: Vec::with_capacity(BLOCK),)* }
            }

            fn push(&mut self, row: &Row) {
                $(self.$column.push(row.$column);)*
            }

            fn put(&mut self, at: usize, row: &Row) {
                $(if let Some(slot) = self.$column.get_mut(at) { *slot = row.$column })*
            }

            /// The row at `at`.
            pub(crate) fn get(&self, at: usize) -> Option<Row> {
                Some(Row { $($column: *self.$column.get(at)?,)* })
            }
        }
    };
}

block! {
    hash: u64, signature: u64, price: i64, changed: i64, lat: i32, lon: i32, city: u32, version: u32,
    state: u16, country: u16, status: u16, kind: u16, feed: u16, beds: u8, baths: u8, flags: u8,
}

/// Dictionaries of the text columns.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    pub(crate) city: Dictionary,
    pub(crate) state: Dictionary,
    pub(crate) country: Dictionary,
    pub(crate) status: Dictionary,
    pub(crate) kind: Dictionary,
    pub(crate) feed: Dictionary,
}

/// How many listings are shown, kept with each row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) shown: u64,
    pub(crate) placed: u64,
    pub(crate) country: Vec<u64>,
    pub(crate) status: Vec<u64>,
    pub(crate) feed: Vec<u64>,
    pub(crate) changed_max: i64,
}

/// All columns of the view.
#[derive(Debug)]
pub(crate) struct Columns {
    blocks: Vec<Block>,
    ids: HashTable<u32>,
    len: usize,
    pub(crate) names: Dictionaries,
    pub(crate) totals: Totals,
}

impl Default for Columns {
    fn default() -> Self {
        let small = || Dictionary::new(60_000);
        Self {
            blocks: Vec::new(),
            ids: HashTable::new(),
            len: 0,
            names: Dictionaries {
                city: Dictionary::new(1_000_000),
                state: small(),
                country: small(),
                status: small(),
                kind: small(),
                feed: small(),
            },
            totals: Totals::default(),
        }
    }
}

/// What a key hashes to.
pub(crate) fn key_hash(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

impl Columns {
    /// Number of listings known, deleted and hidden ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for so many listings.
    pub(crate) fn reserve(&mut self, count: usize) {
        let blocks = &self.blocks;
        self.ids.reserve(count, |id| hash_in(blocks, *id).unwrap_or_default());
    }

    /// The blocks, in order of arrival.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The ids of listings whose key hashes to `hash`: one, or more in the rarest case.
    pub(crate) fn find(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.ids.iter_hash(hash).copied().filter(move |id| self.hash_of(*id) == Some(hash))
    }

    /// The listing of that id.
    pub(crate) fn get(&self, id: u32) -> Option<Row> {
        let (block, at) = place_of(id);
        self.blocks.get(block)?.get(at)
    }

    /// Adds a listing under the next id.
    pub(crate) fn push(&mut self, row: &Row) {
        if self.blocks.last().is_none_or(|block| block.flags.len() == BLOCK) {
            self.blocks.push(Block::new());
        }
        let Ok(id) = u32::try_from(self.len) else { return };
        if let Some(block) = self.blocks.last_mut() {
            block.push(row);
            grow(block, row);
        }
        self.len += 1;
        let blocks = &self.blocks;
        self.ids.insert_unique(row.hash, id, |id| hash_in(blocks, *id).unwrap_or_default());
        self.count(row, 1);
    }

    /// Replaces a listing.
    pub(crate) fn put(&mut self, id: u32, row: &Row) {
        let Some(old) = self.get(id) else { return };
        self.count(&old, u64::MAX);
        let (block, at) = place_of(id);
        if let Some(block) = self.blocks.get_mut(block) {
            block.put(at, row);
            grow(block, row);
        }
        self.count(row, 1);
    }

    fn hash_of(&self, id: u32) -> Option<u64> {
        hash_in(&self.blocks, id)
    }

    /// `by` is 1, or `u64::MAX` to take one away.
    fn count(&mut self, row: &Row, by: u64) {
        let totals = &mut self.totals;
        totals.changed_max = totals.changed_max.max(row.changed);
        if !row.is(SHOWN) {
            return;
        }
        totals.shown = totals.shown.wrapping_add(by);
        if row.is(PLACED) {
            totals.placed = totals.placed.wrapping_add(by);
        }
        for (counts, code) in [
            (&mut totals.country, row.country),
            (&mut totals.status, row.status),
            (&mut totals.feed, row.feed),
        ] {
            let at = usize::from(code);
            if counts.len() <= at {
                counts.resize(at + 1, 0);
            }
            if let Some(count) = counts.get_mut(at) {
                *count = count.wrapping_add(by);
            }
        }
    }
}

fn grow(block: &mut Block, row: &Row) {
    if row.is(PLACED) {
        block.bounds.add(row.lat, row.lon);
    }
}

fn place_of(id: u32) -> (usize, usize) {
    let id = usize::try_from(id).unwrap_or(usize::MAX);
    (id / BLOCK, id % BLOCK)
}

fn hash_in(blocks: &[Block], id: u32) -> Option<u64> {
    let (block, at) = place_of(id);
    blocks.get(block)?.hash.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u64) -> Row {
        Row {
            flags: SHOWN | PLACED,
            country: 1,
            lat: i32::try_from(n).unwrap(),
            ..Row::waiting(key_hash(&n.to_string()))
        }
    }

    #[test]
    fn rows_are_found_by_hash_across_blocks() {
        let mut columns = Columns::default();
        let count = BLOCK as u64 * 2 + 5;
        (0..count).for_each(|n| columns.push(&row(n)));
        for n in [0, 1, 4095, 4096, count - 1] {
            let ids: Vec<_> = columns.find(row(n).hash).collect();
            assert_eq!(ids, [u32::try_from(n).unwrap()]);
            assert_eq!(columns.get(ids[0]), Some(row(n)));
        }
        assert_eq!(columns.find(key_hash("absent")).count(), 0);
        assert_eq!(columns.blocks().len(), 3);
        assert_eq!(columns.blocks()[1].bounds.south, 4096);
    }

    #[test]
    fn equal_hashes_keep_both() {
        let mut columns = Columns::default();
        columns.push(&row(1));
        columns.push(&row(1));
        assert_eq!(columns.find(row(1).hash).count(), 2);
    }

    #[test]
    fn totals_follow_each_change() {
        let mut columns = Columns::default();
        (0..3).for_each(|n| columns.push(&row(n)));
        columns.put(1, &Row { flags: SHOWN, country: 2, ..row(1) });
        columns.put(2, &Row { flags: DELETED, ..row(2) });
        assert_eq!((columns.totals.shown, columns.totals.placed), (2, 1));
        assert_eq!(columns.totals.country, [0, 1, 1]);
    }

    #[test]
    fn the_basis_survives_the_bits() {
        for basis in Basis::ALL {
            let row = Row { flags: SHOWN | basis_bits(basis), ..row(1) };
            assert_eq!((row.basis(), row.is(SHOWN), row.is(DELETED)), (basis, true, false));
        }
    }
}
