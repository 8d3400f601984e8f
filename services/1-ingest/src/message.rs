//! The values on `listing.raw`, written by hand into a buffer that is used again.

use messages::json::{write_str, write_u64};
use xxhash_rust::xxh3::xxh3_64;

use crate::as_of::AsOf;
use crate::state::Snapshot;

/// What stands before the sequence number of each row of a file, and between it and the line.
pub(crate) struct RowHead {
    before_seq: Vec<u8>,
    after_seq: Vec<u8>,
}

impl RowHead {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let before_seq =
            format!("{{\"op\":\"upsert\",\"asOf\":\"{}\",\"seq\":", snapshot.as_of).into_bytes();
        let mut after_seq = b",\"file\":".to_vec();
        write_str(&mut after_seq, &snapshot.file);
        after_seq.extend_from_slice(b",\"line\":");
        Self { before_seq, after_seq }
    }

    /// Everything before the row itself; a `}` follows it.
    pub(crate) fn write(&self, out: &mut Vec<u8>, seq: u64, line: u64) {
        out.extend_from_slice(&self.before_seq);
        write_u64(out, seq);
        out.extend_from_slice(&self.after_seq);
        write_u64(out, line);
        out.extend_from_slice(b",\"row\":");
    }
}

/// The word that a key is absent.
pub(crate) fn write_delete(out: &mut Vec<u8>, snapshot: &Snapshot, seq: u64, reason: &str) {
    out.extend_from_slice(
        format!("{{\"op\":\"delete\",\"asOf\":\"{}\",\"seq\":{seq},\"file\":", snapshot.as_of)
            .as_bytes(),
    );
    write_str(out, &snapshot.file);
    out.extend_from_slice(b",\"reason\":");
    write_str(out, reason);
    out.push(b'}');
}

/// Identifies as-of and sequence number.
pub(crate) fn version(as_of: AsOf, seq: u64) -> u64 {
    let mut bytes = [0u8; 16];
    let (low, high) = bytes.split_at_mut(8);
    low.copy_from_slice(&as_of.ms().to_le_bytes());
    high.copy_from_slice(&seq.to_le_bytes());
    xxh3_64(&bytes)
}
