//! Which offsets of a partition are done when completions arrive out of order: a contiguous watermark, and
//! above it a bounded done set that is kept in state (commit metadata is too small for it, as others found).

use std::collections::BTreeSet;

use crate::varint;

/// Version of a stored done set.
const FORMAT: u8 = 1;
/// Most offsets above the watermark; at this width the partition is not read further.
pub const WIDTH_MAX: usize = 1024;

/// The progress of one topic partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    fetched: u64,
    open: BTreeSet<u64>,
    done: BTreeSet<u64>,
}

impl Ledger {
    /// A ledger that goes on from a committed offset and the done set stored beside it; `None` when that is
    /// damaged, or was written by a newer program.
    #[must_use]
    pub fn resume(committed: u64, stored: &[u8]) -> Option<Self> {
        let mut done = BTreeSet::new();
        if let Some((format, mut rest)) = stored.split_first() {
            if *format != FORMAT {
                return None;
            }
            let mut at = 0_u64;
            while !rest.is_empty() {
                at = at.checked_add(varint::take(&mut rest)?)?;
                done.insert(at);
            }
        }
        Some(Self { fetched: committed, open: BTreeSet::new(), done })
    }

    /// Takes an offset up. `false` when it is done, or taken up already.
    pub fn begin(&mut self, offset: u64) -> bool {
        if offset < self.fetched || self.done.contains(&offset) {
            self.fetched = self.fetched.max(offset + 1);
            return false;
        }
        self.fetched = offset + 1;
        self.open.insert(offset);
        true
    }

    /// The offset is done. What lies below the watermark is forgotten.
    pub fn finish(&mut self, offset: u64) {
        if self.open.remove(&offset) {
            self.done.insert(offset);
        }
        self.done = self.done.split_off(&self.watermark());
    }

    /// Everything below is done: the offset to commit.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.fetched)
    }

    /// Whether the set has become so wide that reading must wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open.len() + self.done.len() >= WIDTH_MAX
    }

    /// The done set as it is stored.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        if self.done.is_empty() {
            return Vec::new();
        }
        let mut bytes = vec![FORMAT];
        let mut before = 0;
        for offset in &self.done {
            varint::put(&mut bytes, offset - before);
            before = *offset;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order of completions and wherever it restarts: each offset is taken up until it is
        /// done and never after, and the watermark never passes one that is not.
        #[test]
        fn nothing_is_skipped_or_repeated(order in Just((0u64..40).collect::<Vec<_>>()).prop_shuffle(), restarts in proptest::collection::vec(0usize..40, 0..4)) {
            let mut ledger = Ledger::default();
            let mut done = BTreeSet::new();
            prop_assert!((0..40).all(|o| ledger.begin(o)));
            for (n, offset) in order.iter().enumerate() {
                ledger.finish(*offset);
                done.insert(*offset);
                prop_assert!((0..ledger.watermark()).all(|o| done.contains(&o)));
                if restarts.contains(&n) {
                    let watermark = ledger.watermark();
                    ledger = Ledger::resume(watermark, &ledger.stored()).expect("as it was stored");
                    for o in watermark..40 {
                        prop_assert_eq!(ledger.begin(o), !done.contains(&o), "offset {}", o);
                        prop_assert!(!ledger.begin(o), "taken up twice");
                    }
                }
            }
            prop_assert_eq!(ledger.watermark(), 40);
            prop_assert!(ledger.stored().is_empty());
        }
    }

    #[test]
    fn what_no_version_wrote_is_refused() {
        let beyond = [&[FORMAT][..], &[0xff; 9], &[1], &[0xff; 9], &[1]].concat();
        for stored in [&[FORMAT + 1, 1][..], &[FORMAT, 0x80], &beyond] {
            assert_eq!(Ledger::resume(0, stored), None, "{stored:?}");
        }
        assert!(Ledger::resume(0, &[FORMAT, 5, 2]).is_some());
    }
}
