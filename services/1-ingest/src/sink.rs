//! Where a feed writes to: the runtime, or a test.

use std::sync::Arc;

use dataflow::contract::{BadRow, StoreEntry};
use dataflow::{Emit, Failure, Reject, SourceOut};
use messages::topics::{LISTING_RAW, SCHEMA};

/// What a message on `listing.raw` says.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// `ListingKey`.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// `ce_type`.
    pub kind: &'a str,
    /// Identifies as-of and sequence.
    pub version: u64,
}

/// What a step of a feed needs of the world. Everything given to it counts together, or not at all.
pub trait Sink {
    /// Sends a message on `listing.raw`.
    fn emit(&mut self, raw: Raw<'_>);

    /// Whether this step has sent enough.
    fn is_full(&self) -> bool;

    /// A value of this feed's store, writes of this and earlier steps included.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure>;

    /// Saves or removes a value of this feed's store.
    fn put(&mut self, key: &[u8], value: Option<&[u8]>);

    /// Entries of earlier steps by prefix, after a key, in key order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure>;

    /// Records a dead letter.
    fn reject(&mut self, row: &BadRow<'_>, reason: &Reject);

    /// Adds to a counter.
    fn tally(&mut self, name: &str, n: i64);
}

impl Sink for SourceOut<'_> {
    fn emit(&mut self, raw: Raw<'_>) {
        let Raw { key, value, kind, version } = raw;
        SourceOut::emit(
            self,
            LISTING_RAW,
            Emit { key, value: Some(value), kind, version, schema: SCHEMA },
        );
    }

    fn is_full(&self) -> bool {
        SourceOut::is_full(self)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        SourceOut::get(self, key)
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        SourceOut::put(self, key, value);
    }

    fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure> {
        SourceOut::range(self, prefix, after, limit)
    }

    fn reject(&mut self, row: &BadRow<'_>, reason: &Reject) {
        SourceOut::reject(self, row, reason);
    }

    fn tally(&mut self, name: &str, n: i64) {
        SourceOut::tally(self, name, n);
    }
}
