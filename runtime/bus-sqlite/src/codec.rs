//! Compression of blocks: raw where it does not pay, zstd, or zstd with a topic's dictionary.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use zstd::bulk::{Compressor, Decompressor};

use crate::dictionary::Dictionaries;

/// As it is.
pub(crate) const RAW: i64 = 0;
/// Plain zstd.
pub(crate) const ZSTD: i64 = 1;
/// Largest block; also keeps a damaged length from asking for all memory.
pub(crate) const BLOCK_MAX: usize = 64 << 20;
/// Below this compression costs more than it saves.
const TINY: usize = 64;
const LENGTH_BYTES: usize = 4;

/// Compresses; belongs to one thread.
pub(crate) struct Packer {
    level: i32,
    plain: Option<Compressor<'static>>,
    with_dictionary: HashMap<i64, Compressor<'static>>,
    scratch: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(level: i32) -> Self {
        Self { level, plain: None, with_dictionary: HashMap::new(), scratch: Vec::new() }
    }

    /// Appends the packed block to `out` and returns its codec.
    pub(crate) fn pack(
        &mut self,
        block: &[u8],
        dictionary: Option<(i64, &[u8])>,
        out: &mut Vec<u8>,
    ) -> i64 {
        let codec = dictionary.map_or(ZSTD, |(id, _)| id);
        let length = u32::try_from(block.len()).ok();
        if block.len() >= TINY
            && let Some(length) = length
            && self.compress(block, dictionary).is_some()
            && self.scratch.len() + LENGTH_BYTES < block.len() - block.len() / 16
        {
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&self.scratch);
            return codec;
        }
        out.extend_from_slice(block);
        RAW
    }

    fn compress(&mut self, block: &[u8], dictionary: Option<(i64, &[u8])>) -> Option<()> {
        let compressor = match dictionary {
            None => match &mut self.plain {
                Some(plain) => plain,
                none => none.insert(Compressor::new(self.level).ok()?),
            },
            Some((id, bytes)) => match self.with_dictionary.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(Compressor::with_dictionary(self.level, bytes).ok()?)
                }
            },
        };
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(block.len()));
        compressor.compress_to_buffer(block, &mut self.scratch).ok().map(|_| ())
    }
}

/// Decompresses; belongs to one thread.
#[derive(Default)]
pub(crate) struct Unpacker {
    plain: Option<Decompressor<'static>>,
    with_dictionary: HashMap<i64, Decompressor<'static>>,
}

impl Unpacker {
    /// The block; `None` when the bytes are damaged or the dictionary is missing.
    pub(crate) fn unpack(
        &mut self,
        codec: i64,
        bytes: &[u8],
        dictionaries: &Dictionaries,
    ) -> Option<Vec<u8>> {
        if codec == RAW {
            return Some(bytes.to_vec());
        }
        let (length, frame) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if length > BLOCK_MAX {
            return None;
        }
        let block = self.decompressor(codec, dictionaries)?.decompress(frame, length).ok()?;
        (block.len() == length).then_some(block)
    }

    fn decompressor(
        &mut self,
        codec: i64,
        dictionaries: &Dictionaries,
    ) -> Option<&mut Decompressor<'static>> {
        if codec == ZSTD {
            return match &mut self.plain {
                Some(plain) => Some(plain),
                none => Some(none.insert(Decompressor::new().ok()?)),
            };
        }
        match self.with_dictionary.entry(codec) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => {
                let bytes = dictionaries.bytes(codec)?;
                Some(new.insert(Decompressor::with_dictionary(&bytes).ok()?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(seed in proptest::collection::vec(any::<u8>(), 0..40), times in 0usize..40) {
            let block = seed.repeat(times);
            let mut bytes = Vec::new();
            let codec = Packer::new(1).pack(&block, None, &mut bytes);
            let dictionaries = Dictionaries::default();
            prop_assert_eq!(Unpacker::default().unpack(codec, &bytes, &dictionaries), Some(block));
        }

        #[test]
        fn damage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), codec in 0i64..4) {
            drop(Unpacker::default().unpack(codec, &bytes, &Dictionaries::default()));
        }
    }

    #[test]
    fn a_damaged_length_is_refused_before_memory_is_asked_for() {
        let bytes = [0xff; 40];
        assert_eq!(Unpacker::default().unpack(ZSTD, &bytes, &Dictionaries::default()), None);
    }
}
