//! Message types, topic names and the RESO fields that all services share.
//!
//! Values are JSON objects. Those on the hot path are written by hand into a buffer that is used again, and read
//! borrowed; [`schema`] says what each looks like, and the golden files keep it so.

mod asyncapi;
pub mod change;
pub mod current;
pub mod event;
pub mod fields;
pub mod json;
pub mod notes;
pub mod number;
pub mod observed;
pub mod raw;
pub mod schema;
pub mod time;
pub mod topics;

pub use asyncapi::{Topic, asyncapi};
pub use number::Decimal;

/// What a value hashes to: `hash` in `listing.changes` is this as [`hex`].
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// 16 lower-case hexadecimal digits.
#[must_use]
pub fn hex(hash: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| {
        let nibble = (hash >> (60 - 4 * at)) & 15;
        usize::try_from(nibble).ok().and_then(|n| DIGITS.get(n)).copied().unwrap_or(b'0')
    })
}

/// The `version` of a message about a snapshot's row, from which the runtime makes its id: the same row read again
/// has the same one. `revision` is 0 for raw rows, and the mapping revision behind them.
#[must_use]
pub fn version_of(as_of: &str, seq: u64, revision: u32) -> u64 {
    let seed = seq ^ (u64::from(revision) << 48);
    xxhash_rust::xxh3::xxh3_64_with_seed(as_of.as_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_sixteen_digits() {
        for (hash, expect) in [
            (0, "0000000000000000"),
            (0xdead_beef, "00000000deadbeef"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            assert_eq!(std::str::from_utf8(&hex(hash)).unwrap(), expect);
        }
    }

    #[test]
    fn versions_differ_by_each_part() {
        let versions = [
            version_of("2022-01-01T00:00:00.000Z", 1, 0),
            version_of("2022-01-01T00:00:00.000Z", 2, 0),
            version_of("2021-01-01T00:00:00.000Z", 1, 0),
            version_of("2022-01-01T00:00:00.000Z", 1, 1),
        ];
        let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len());
    }
}
