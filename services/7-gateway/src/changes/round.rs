//! What one call of the view changed, as subscribers see it.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use dataflow::{Batch, RecordRef};

use crate::columns::{DELETED, Row, SHOWN};
use crate::record;
use crate::store::Stored;

/// Everything that one call of the view changed, in the order of slots and offsets.
#[derive(Debug)]
pub(crate) struct Round {
    /// Rises by one with each round.
    pub(crate) number: u64,
    /// Next offsets before it.
    pub(crate) before: Arc<[u64]>,
    /// Next offsets after it.
    pub(crate) after: Arc<[u64]>,
    pub(crate) entries: Vec<Entry>,
    /// Bytes of the batches that it keeps in memory.
    pub(crate) bytes: usize,
}

/// One listing that changed, or what became of one command.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which partition, counted over both topics.
    pub(crate) slot: usize,
    pub(crate) offset: u64,
    batch: Arc<Batch>,
    at: usize,
    pub(crate) what: What,
    pub(crate) frames: Frames,
}

/// Events of an entry, each made when the first subscriber wants it.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) change: OnceLock<Option<Frame>>,
    pub(crate) gone: OnceLock<Option<Frame>>,
    pub(crate) result: OnceLock<Option<Frame>>,
}

/// One event as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Name of the event.
    pub(crate) name: &'static str,
    /// The whole event.
    pub(crate) bytes: Bytes,
    /// Where its data begins; it ends before the last two bytes.
    pub(crate) data: usize,
}

/// What an entry says.
#[derive(Debug)]
pub(crate) enum What {
    /// A listing.
    Listing(Box<Listing>),
    /// What became of a command of the device that hashes to this.
    Result(u64),
}

/// A listing before and after.
#[derive(Debug)]
pub(crate) struct Listing {
    /// As the view had it; `None` where it had none, or is not known.
    pub(crate) before: Option<Row>,
    pub(crate) now: Row,
    /// Folded words of address and place, for those who search for text.
    words: OnceLock<(String, String)>,
}

/// What a listing that is no longer seen is told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    Left,
    Deleted,
    Hidden,
}

impl Gone {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Deleted => "deleted",
            Self::Hidden => "hidden",
        }
    }
}

impl Entry {
    pub(crate) fn new(
        slot: usize,
        offset: u64,
        (batch, at): (Arc<Batch>, usize),
        what: What,
    ) -> Self {
        Self { slot, offset, batch, at, what, frames: Frames::default() }
    }

    /// The record that it comes from.
    pub(crate) fn record(&self) -> Option<RecordRef<'_>> {
        self.batch.get(self.at)
    }

    /// The key of its listing.
    pub(crate) fn key(&self) -> &str {
        self.record().and_then(|r| std::str::from_utf8(r.key).ok()).unwrap_or_default()
    }

    pub(crate) fn listing(&self) -> Option<&Listing> {
        match &self.what {
            What::Listing(listing) => Some(listing),
            What::Result(_) => None,
        }
    }

    /// Folded words of the address and of the place.
    pub(crate) fn words<'a>(&'a self, listing: &'a Listing) -> (&'a str, &'a str) {
        let (address, place) = listing.words.get_or_init(|| {
            let read = || {
                let record = self.record()?;
                let stored =
                    Stored::new(self.key(), record.meta.time_ms, record::parse(record.value?)?);
                Some((stored.address_words.into_owned(), stored.place_words.into_owned()))
            };
            read().unwrap_or_default()
        });
        (address, place)
    }
}

impl Listing {
    pub(crate) fn new(before: Option<Row>, now: Row) -> Self {
        Self { before, now, words: OnceLock::new() }
    }

    /// Whether it is the version that the view had: only where it stands in its feed has moved.
    pub(crate) fn is_same_version(&self) -> bool {
        self.before.is_some_and(|row| row.version == self.now.version)
    }

    /// What to tell those who do not see it any more.
    pub(crate) fn gone(&self) -> Gone {
        if self.now.is(DELETED) {
            Gone::Deleted
        } else if self.now.is(SHOWN) {
            Gone::Left
        } else {
            Gone::Hidden
        }
    }
}

impl Round {
    /// The next offset of a slot for someone who has seen the entries up to and including `at`.
    pub(crate) fn position_after(&self, at: usize) -> impl Iterator<Item = u64> {
        let here = self.entries.get(at).map_or((usize::MAX, 0), |e| (e.slot, e.offset + 1));
        // After the last entry all of the round is seen, also what was no use to anyone.
        let here = if at + 1 >= self.entries.len() { (usize::MAX, 0) } else { here };
        self.before.iter().zip(self.after.iter()).enumerate().map(move |(slot, (before, after))| {
            match slot.cmp(&here.0) {
                std::cmp::Ordering::Less => *after,
                std::cmp::Ordering::Equal => here.1,
                std::cmp::Ordering::Greater => *before,
            }
        })
    }
}
