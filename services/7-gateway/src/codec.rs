//! Values as they are stored: short ones as they are, longer ones compressed, with a dictionary once the
//! view has one. The first byte says which, so that a value outlives the choice.

use std::collections::HashMap;
use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};

/// Stored as it is.
const RAW: u8 = 255;
/// Compressed without a dictionary. Every other first byte is the number of a dictionary.
const PLAIN: u8 = 0;
/// Values shorter than this (most events) are not worth the time of compressing, in bytes.
const RAW_MAX: usize = 256;
/// Longest value that is read back, in bytes; a damaged length must not take the memory.
pub(crate) const VALUE_MAX: usize = 16 << 20;
/// zstd level. With a dictionary this one takes as long as the negative ones (2.6 microseconds for a listing of 1 KiB),
/// and its result is a fifth smaller.
const LEVEL: i32 = 1;
/// Size of a trained dictionary, in bytes.
const DICTIONARY_BYTES: usize = 32 << 10;

/// Why a stored value cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error(
        "a stored value is damaged; stop the program, delete the view file and start again: it is rebuilt"
    )]
    Damaged,
    #[error("{0}")]
    Zstd(#[from] std::io::Error),
}

/// Makes stored values.
pub(crate) struct Encoder {
    number: u8,
    compressor: Compressor<'static>,
    buffer: Vec<u8>,
}

impl Encoder {
    /// Without a dictionary (`number` 0) or with the one of that number.
    pub(crate) fn new(dictionary: Option<(u8, &[u8])>) -> Result<Self, CodecError> {
        let (number, compressor) = match dictionary {
            None => (PLAIN, Compressor::new(LEVEL)?),
            Some((number, bytes)) => (number, Compressor::with_dictionary(LEVEL, bytes)?),
        };
        Ok(Self { number, compressor, buffer: Vec::new() })
    }

    /// The stored form; valid until the next call.
    pub(crate) fn encode(&mut self, value: &[u8]) -> Result<&[u8], CodecError> {
        self.buffer.clear();
        if value.len() < RAW_MAX {
            self.buffer.push(RAW);
            self.buffer.extend_from_slice(value);
            return Ok(&self.buffer);
        }
        self.buffer.resize(1 + zstd::zstd_safe::compress_bound(value.len()), 0);
        let (first, rest) = self.buffer.split_first_mut().ok_or(CodecError::Damaged)?;
        *first = self.number;
        let len = self.compressor.compress_to_buffer(value, rest)?;
        self.buffer.truncate(1 + len);
        Ok(&self.buffer)
    }
}

/// Reads stored values.
pub(crate) struct Decoder {
    plain: Decompressor<'static>,
    numbered: HashMap<u8, Decompressor<'static>>,
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, CodecError> {
        Ok(Self { plain: Decompressor::new()?, numbered: HashMap::new() })
    }

    /// The number of the dictionary that `stored` needs and this decoder does not have yet.
    pub(crate) fn missing(&self, stored: &[u8]) -> Option<u8> {
        let number = *stored.first()?;
        (number != RAW && number != PLAIN && !self.numbered.contains_key(&number)).then_some(number)
    }

    /// Takes a dictionary.
    pub(crate) fn add(&mut self, number: u8, bytes: &[u8]) -> Result<(), CodecError> {
        self.numbered.insert(number, Decompressor::with_dictionary(bytes)?);
        Ok(())
    }

    /// The value as it was.
    pub(crate) fn decode(&mut self, stored: &[u8]) -> Result<Vec<u8>, CodecError> {
        let (number, rest) = stored.split_first().ok_or(CodecError::Damaged)?;
        let decompressor = match *number {
            RAW => return Ok(rest.to_vec()),
            PLAIN => &mut self.plain,
            number => self.numbered.get_mut(&number).ok_or(CodecError::Damaged)?,
        };
        let len = zstd::zstd_safe::get_frame_content_size(rest).ok().flatten();
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= VALUE_MAX);
        Ok(decompressor.decompress(rest, len.ok_or(CodecError::Damaged)?)?)
    }
}

/// A dictionary trained on samples; `None` when they are too few or too alike to learn from.
pub(crate) fn train(samples: &[Vec<u8>]) -> Option<Arc<[u8]>> {
    zstd::dict::from_samples(samples, DICTIONARY_BYTES).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(n: usize) -> Vec<u8> {
        format!(
            r#"{{"ListingKey":"calgary:{n}","City":"Calgary","StateOrProvince":"AB","Country":"CA","ListPrice":{},"PublicRemarks":"{}"}}"#,
            n * 7919,
            ["bright", "quiet", "renovated", "close to schools"][n % 4].repeat(5),
        )
        .into_bytes()
    }

    #[test]
    fn values_come_back_whatever_they_were_stored_with() {
        let samples: Vec<_> = (0..400).map(listing).collect();
        let dictionary = train(&samples).expect("trained");
        let mut decoder = Decoder::new().expect("made");
        let mut plain = Encoder::new(None).expect("made");
        let mut with = Encoder::new(Some((1, &dictionary))).expect("made");
        let mut sizes = (0, 0);
        for value in [Vec::new(), b"{}".to_vec(), listing(9), listing(7).repeat(500)] {
            let stored = plain.encode(&value).expect("encoded").to_vec();
            assert_eq!(decoder.decode(&stored).expect("decoded"), value);
            sizes.0 += stored.len();
            let stored = with.encode(&value).expect("encoded").to_vec();
            if let Some(number) = decoder.missing(&stored) {
                assert!(decoder.decode(&stored).is_err());
                decoder.add(number, &dictionary).expect("added");
            }
            assert_eq!(decoder.decode(&stored).expect("decoded"), value);
            sizes.1 += stored.len();
        }
        assert!(sizes.1 < sizes.0, "the dictionary helps: {sizes:?}");
    }

    #[test]
    fn damage_is_an_error() {
        let mut decoder = Decoder::new().expect("made");
        let mut stored =
            Encoder::new(None).expect("made").encode(&listing(1).repeat(9)).expect("ok").to_vec();
        assert!(decoder.decode(&[]).is_err());
        stored.truncate(stored.len() / 2);
        assert!(decoder.decode(&stored).is_err());
        assert!(decoder.decode(&[7, 1, 2, 3]).is_err());
    }
}
