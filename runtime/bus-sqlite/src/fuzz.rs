//! An entry for fuzzing: any bytes are a stored row or are refused, without a panic.

use std::sync::Arc;

use dataflow::Batch;

use crate::codec::Unpacker;
use crate::dictionary::Dictionaries;

/// For fuzzing: reads any bytes as a row of the log with one dictionary known. Returns its number of records.
#[must_use]
pub fn fuzz_stored_row(codec: i64, bytes: &[u8]) -> Option<usize> {
    let dictionaries = Dictionaries::default();
    dictionaries.add(2, 0, b"a dictionary without a header is plain content to zstd".to_vec());
    let block = Unpacker::default().unpack(codec, bytes, &dictionaries)?;
    Batch::decode(Arc::new(block), 0, 0).ok().map(|batch| batch.records().count())
}
