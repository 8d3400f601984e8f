//! Records travel and are stored in batches: one contiguous, self-describing byte block for each
//! topic partition and unit of work.
//!
//! Block: format version, record count, base time, a table of the few strings that repeat (`ce_type`,
//! `ce_source`), then the records. Offsets inside a block are deltas from its base offset, so a block is
//! built before its place in the log is known, and compaction can drop records without renumbering.

use std::collections::HashMap;
use std::sync::Arc;

use crate::varint::{put, take, take_bytes, unzigzag, zigzag};

/// Newest version of the block format; a newer one is refused by [`Batch::decode`].
pub const FORMAT: u8 = 2;
/// Version of a block whose table is small enough for every program that ever read blocks.
const FORMAT_SMALL: u8 = 1;
/// Most strings in the table of a block of [`FORMAT_SMALL`]. With more feeds than this in one block the table
/// grows, by at most two strings for each record, and the block is of version 2.
const STRINGS_SMALL: usize = 250;
/// Bytes of the shortest record: two ids of 16 bytes, and one byte for each of the nine other parts.
const RECORD_BYTES_MIN: usize = 41;
/// Kinds and sources are a handful, so that a linear search finds them fastest; beyond this many an index does.
const STRINGS_SEARCHED: usize = 16;

/// The envelope of a record: CloudEvents attributes and trace context, in fixed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta<'a> {
    /// `ce_id`: derives from source, key, version and service.
    pub id: u128,
    /// The W3C trace id that the whole way of one source record shares.
    pub trace: u128,
    /// `ce_type`, for example `listing.observed`.
    pub kind: &'a str,
    /// `ce_source`: the feed or device that said it.
    pub source: &'a str,
    /// `ce_time`: when the first record of this trace was read, in milliseconds since 1970.
    pub time_ms: i64,
    /// Schema version of the value.
    pub schema: u16,
    /// Offset of the input record that caused this one, in the same partition of the input topic.
    pub origin: u64,
}

/// One record inside a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Offset in its partition.
    pub offset: u64,
    /// Key: the identity its order matters for.
    pub key: &'a [u8],
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The envelope.
    pub meta: Meta<'a>,
    /// Further headers, encoded; read with [`RecordRef::headers`].
    pub header_block: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// Further headers (dead letters carry some; ordinary records none), in the order they were written.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'a str, &'a [u8])> {
        let mut block = self.header_block;
        let mut headers = Vec::new();
        while let Some(header) = take_header(&mut block) {
            headers.push(header);
        }
        headers
    }

    /// The value of the first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().into_iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

fn take_header<'a>(block: &mut &'a [u8]) -> Option<(&'a str, &'a [u8])> {
    let len = take(block)?;
    let name = std::str::from_utf8(take_bytes(block, len)?).ok()?;
    let len = take(block)?;
    Some((name, take_bytes(block, len)?))
}

/// What a new record consists of; its offset is given by the log.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Key.
    pub key: &'a [u8],
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Envelope.
    pub meta: Meta<'a>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Builds one block.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    records: Vec<u8>,
    count: u64,
    base_time: i64,
    strings: Vec<String>,
    /// Where the strings beyond [`STRINGS_SEARCHED`] are.
    index: HashMap<String, u64>,
}

/// A place in a builder to roll back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    len: usize,
    count: u64,
    strings: usize,
}

impl BatchBuilder {
    /// Empty, with room for about so many bytes of records.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { records: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Empties it for the next block; the room for records stays.
    pub fn clear(&mut self) {
        self.records.clear();
        self.strings.clear();
        self.index.clear();
        self.count = 0;
    }

    /// Number of records so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The present end, for [`BatchBuilder::rollback`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { len: self.records.len(), count: self.count, strings: self.strings.len() }
    }

    /// Forgets everything after `mark`.
    pub fn rollback(&mut self, mark: Mark) {
        self.records.truncate(mark.len);
        self.count = mark.count;
        for text in self.strings.drain(mark.strings.min(self.strings.len())..) {
            self.index.remove(&text);
        }
    }

    /// Adds one record.
    pub fn push(&mut self, record: NewRecord<'_>) {
        self.push_at(self.count, record);
    }

    /// Adds one record at a distance from the block's base offset; distances rise. A log that drops
    /// superseded records builds what is left with this, so that records keep their offsets.
    pub fn push_at(&mut self, delta: u64, record: NewRecord<'_>) {
        let meta = record.meta;
        if self.count == 0 && self.records.is_empty() {
            self.base_time = meta.time_ms;
        }
        let kind = self.intern(meta.kind);
        let source = self.intern(meta.source);
        let buf = &mut self.records;
        put(buf, delta);
        put(buf, record.key.len() as u64);
        buf.extend_from_slice(record.key);
        put(buf, record.value.map_or(0, |v| v.len() as u64 + 1));
        buf.extend_from_slice(record.value.unwrap_or_default());
        buf.extend_from_slice(&meta.id.to_le_bytes());
        buf.extend_from_slice(&meta.trace.to_le_bytes());
        put(buf, kind);
        put(buf, source);
        put(buf, zigzag(meta.time_ms.wrapping_sub(self.base_time)));
        put(buf, u64::from(meta.schema));
        put(buf, meta.origin);
        put_headers(buf, record.headers);
        self.count += 1;
    }

    /// Index of `text` in the string table.
    fn intern(&mut self, text: &str) -> u64 {
        if let Some(at) = self.strings.iter().take(STRINGS_SEARCHED).position(|s| s == text) {
            return at as u64;
        }
        if let Some(at) = self.index.get(text) {
            return *at;
        }
        let at = self.strings.len() as u64;
        if self.strings.len() >= STRINGS_SEARCHED {
            self.index.insert(text.to_owned(), at);
        }
        self.strings.push(text.to_owned());
        at
    }

    /// The finished block.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.records.len() + 128);
        self.finish_into(&mut block);
        block
    }

    /// As [`BatchBuilder::finish`], into a buffer that is used again.
    pub fn finish_into(&self, block: &mut Vec<u8>) {
        block.clear();
        block.push(if self.strings.len() > STRINGS_SMALL { FORMAT } else { FORMAT_SMALL });
        put(block, self.count);
        put(block, zigzag(self.base_time));
        put(block, self.strings.len() as u64);
        for text in &self.strings {
            put(block, text.len() as u64);
            block.extend_from_slice(text.as_bytes());
        }
        block.extend_from_slice(&self.records);
    }
}

fn put_headers(buf: &mut Vec<u8>, headers: &[(&str, &[u8])]) {
    let len: usize = headers.iter().map(|(n, v)| n.len() + v.len() + 20).sum();
    if len == 0 {
        buf.push(0);
        return;
    }
    let mut block = Vec::with_capacity(len);
    for (name, value) in headers {
        put(&mut block, name.len() as u64);
        block.extend_from_slice(name.as_bytes());
        put(&mut block, value.len() as u64);
        block.extend_from_slice(value);
    }
    put(buf, block.len() as u64);
    buf.extend_from_slice(&block);
}

/// A decoded block with its place in the log. Cheap to share: hold it in an [`Arc`].
#[derive(Debug)]
pub struct Batch {
    base_offset: u64,
    base_time: i64,
    strings: Vec<String>,
    block: Arc<Vec<u8>>,
    starts: Vec<u32>,
    reaches: u64,
    /// When the log took it, in milliseconds since 1970.
    pub appended_ms: i64,
}

/// Why a block could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Written by a newer program.
    #[error(
        "batch format {0} is newer than this program reads ({FORMAT}); use the newer conveyance that wrote it"
    )]
    Newer(u8),
    /// Bytes that no version wrote.
    #[error(
        "batch is damaged at record {0}; restore the log from a backup, or run `conveyance check`"
    )]
    Damaged(u64),
}

impl Batch {
    /// Decodes a block that starts at `base_offset`. Every record is checked here, so that iteration
    /// cannot fail.
    ///
    /// # Errors
    /// [`DecodeError`] when the block is newer than this program or damaged.
    pub fn decode(
        block: Arc<Vec<u8>>,
        base_offset: u64,
        appended_ms: i64,
    ) -> Result<Self, DecodeError> {
        let mut rest = block.as_slice();
        let (&format, tail) = rest.split_first().ok_or(DecodeError::Damaged(0))?;
        if format > FORMAT {
            return Err(DecodeError::Newer(format));
        }
        if format < FORMAT_SMALL {
            return Err(DecodeError::Damaged(0));
        }
        rest = tail;
        let (count, base_time, strings) =
            take_preamble(&mut rest).ok_or(DecodeError::Damaged(0))?;
        let mut batch = Self {
            base_offset,
            base_time,
            strings,
            block: Arc::clone(&block),
            starts: Vec::new(),
            reaches: 0,
            appended_ms,
        };
        let mut starts = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut least = base_offset;
        for n in 0..count {
            let start =
                u32::try_from(block.len() - rest.len()).map_err(|_| DecodeError::Damaged(n))?;
            let record = batch.take_record(&mut rest).filter(|r| r.offset >= least);
            // The offset after the last one is asked for as well.
            least = record.and_then(|r| r.offset.checked_add(1)).ok_or(DecodeError::Damaged(n))?;
            starts.push(start);
        }
        let clean = rest.is_empty();
        batch.starts = starts;
        if clean { Ok(batch) } else { Err(DecodeError::Damaged(count)) }
    }

    /// The same records at their place in the log: a bus decodes a block before it knows the place.
    #[must_use]
    pub fn placed(self, base_offset: u64, appended_ms: i64) -> Self {
        Self { base_offset, appended_ms, ..self }
    }

    /// The same records, with the word that the log holds nothing else below `next`: a log may keep markers
    /// between records, and a reader that stands behind them has nothing left to read.
    #[must_use]
    pub fn reaching(self, next: u64) -> Self {
        Self { reaches: next, ..self }
    }

    /// The block it was decoded from, see the module.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Size of the block in bytes, for budgets.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.block.len()
    }

    /// Offset of the first record that the block was written with.
    #[must_use]
    pub fn base_offset(&self) -> u64 {
        self.base_offset
    }

    /// Where to read on: one past the offset of the last record, or past what [`Batch::reaching`] says.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        let last = self.starts.len().checked_sub(1).and_then(|last| self.get(last));
        last.map_or(self.base_offset, |r| r.offset + 1).max(self.reaches)
    }

    /// The record at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<RecordRef<'_>> {
        let start = *self.starts.get(index)? as usize;
        self.take_record(&mut self.block.get(start..)?)
    }

    /// The records whose offset is `from` or later, in order.
    pub fn records_from(&self, from: u64) -> impl Iterator<Item = RecordRef<'_>> {
        let first = self.first_at(from);
        (first..self.starts.len()).filter_map(|index| self.get(index))
    }

    /// All records, in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.records_from(0)
    }

    /// Index of the first record whose offset is `from` or later.
    #[must_use]
    pub fn first_at(&self, from: u64) -> usize {
        if from <= self.base_offset {
            return 0;
        }
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).is_some_and(|r| r.offset < from) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    fn take_record<'a>(&'a self, rest: &mut &'a [u8]) -> Option<RecordRef<'a>> {
        let offset = self.base_offset.checked_add(take(rest)?)?;
        let len = take(rest)?;
        let key = take_bytes(rest, len)?;
        let value = match take(rest)? {
            0 => None,
            len => Some(take_bytes(rest, len - 1)?),
        };
        let id = u128::from_le_bytes(take_bytes(rest, 16)?.try_into().ok()?);
        let trace = u128::from_le_bytes(take_bytes(rest, 16)?.try_into().ok()?);
        let kind = self.strings.get(usize::try_from(take(rest)?).ok()?)?;
        let source = self.strings.get(usize::try_from(take(rest)?).ok()?)?;
        let time_ms = self.base_time.wrapping_add(unzigzag(take(rest)?));
        let schema = u16::try_from(take(rest)?).ok()?;
        let origin = take(rest)?;
        let len = take(rest)?;
        let header_block = take_bytes(rest, len)?;
        Some(RecordRef {
            offset,
            key,
            value,
            meta: Meta { id, trace, kind, source, time_ms, schema, origin },
            header_block,
        })
    }
}

/// Record count, base time, strings. Numbers that the block has no room for are damage, found before memory is
/// asked for.
fn take_preamble(rest: &mut &[u8]) -> Option<(u64, i64, Vec<String>)> {
    let count = take(rest)?;
    let base_time = unzigzag(take(rest)?);
    let distinct = take(rest)?;
    let fits = count <= (rest.len() / RECORD_BYTES_MIN) as u64;
    if !fits || distinct > (count * 2).max(STRINGS_SMALL as u64) {
        return None;
    }
    let mut strings = Vec::new();
    for _ in 0..distinct {
        let len = take(rest)?;
        strings.push(std::str::from_utf8(take_bytes(rest, len)?).ok()?.to_owned());
    }
    Some((count, base_time, strings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(kind: &str, time_ms: i64) -> Meta<'_> {
        Meta { id: 7, trace: 9, kind, source: "feed", time_ms, schema: 1, origin: 3 }
    }

    fn block() -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        builder.push(NewRecord {
            key: b"a",
            value: Some(b"one"),
            meta: meta("x", 1000),
            headers: &[],
        });
        builder.push(NewRecord {
            key: b"",
            value: None,
            meta: meta("y", 990),
            headers: &[("code", b"bad"), ("n", b"")],
        });
        let mark = builder.mark();
        builder.push(NewRecord { key: b"gone", value: None, meta: meta("z", 1), headers: &[] });
        builder.rollback(mark);
        builder.finish()
    }

    #[test]
    fn a_builder_that_is_used_again_builds_the_same() {
        let mut used = BatchBuilder::with_capacity(10);
        for n in 0..300 {
            let meta = meta(Box::leak(format!("kind {n}").into_boxed_str()), n);
            used.push(NewRecord { key: b"k", value: None, meta, headers: &[] });
        }
        let mut again = vec![7; 9];
        used.clear();
        let mut fresh = BatchBuilder::default();
        for builder in [&mut used, &mut fresh] {
            let record =
                NewRecord { key: b"a", value: Some(b"v"), meta: meta("kind 9", 50), headers: &[] };
            builder.push(record);
        }
        used.finish_into(&mut again);
        assert_eq!(again, fresh.finish());
    }

    #[test]
    fn records_survive_the_round_trip() {
        let good = block();
        let batch = Batch::decode(Arc::new(good.clone()), 100, 5).expect("valid");
        let records: Vec<_> = batch.records().collect();
        assert_eq!(records.len(), 2);
        assert_eq!(
            (records[0].offset, records[0].key, records[0].value),
            (100, &b"a"[..], Some(&b"one"[..]))
        );
        assert_eq!(records[1].meta, meta("y", 990));
        assert_eq!(records[1].value, None);
        assert_eq!(records[1].headers(), [("code", &b"bad"[..]), ("n", &b""[..])]);
        assert_eq!(batch.next_offset(), 102);
        assert_eq!(
            Batch::decode(Arc::new(block()), 100, 5).map(|b| b.reaching(105).next_offset()),
            Ok(105)
        );
        assert_eq!(batch.records_from(101).count(), 1);
        let text = String::from_utf8_lossy(&good).into_owned();
        assert!(text.contains("feed") && !text.contains('z'), "what was rolled back left nothing");
    }

    /// Found by fuzzing or thought of with it: each of these once panicked or asked for memory without end.
    #[test]
    fn numbers_that_cannot_be_are_damage() {
        let record = |delta: u64| {
            let mut builder = BatchBuilder::default();
            let one = NewRecord { key: b"k", value: None, meta: meta("x", 1), headers: &[] };
            builder.push_at(delta, one);
            builder.push_at(delta, one);
            builder.finish()
        };
        let decode = |block: Vec<u8>, base| Batch::decode(Arc::new(block), base, 0).err();
        assert_eq!(decode(record(3), 0), Some(DecodeError::Damaged(1)), "offsets rise");
        assert_eq!(decode(record(0), u64::MAX), Some(DecodeError::Damaged(0)), "no offset follows");
        let huge = |format: u8, count: u64, strings: u64| {
            let mut block = vec![format];
            for number in [count, 0, strings] {
                put(&mut block, number);
            }
            block.extend_from_slice(&[0; 100]);
            block
        };
        for block in [huge(1, u64::MAX, 0), huge(2, 2, u64::MAX), huge(0, 0, 0)] {
            assert_eq!(decode(block, 0), Some(DecodeError::Damaged(0)));
        }
    }

    #[test]
    fn a_block_takes_the_records_of_any_number_of_feeds() {
        for (feeds, format) in [(3_u64, 1), (249, 1), (250, 2), (2_000, 2)] {
            let mut builder = BatchBuilder::default();
            let source = |n: u64| format!("feed-{n}");
            for n in 0..feeds * 2 {
                let source = source(n % feeds);
                let meta = Meta { source: &source, ..meta("x", 1) };
                builder.push(NewRecord { key: b"k", value: None, meta, headers: &[] });
            }
            let block = builder.finish();
            assert_eq!(block[0], format, "{feeds} feeds");
            let batch = Batch::decode(Arc::new(block), 0, 0).expect("valid");
            let sources: Vec<_> = batch.records().map(|r| r.meta.source.to_owned()).collect();
            assert_eq!(sources, (0..feeds * 2).map(|n| source(n % feeds)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_cut_or_changed_block_is_refused_and_never_panics() {
        let good = block();
        for cut in 0..good.len() {
            assert!(Batch::decode(Arc::new(good[..cut].to_vec()), 0, 0).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                if let Ok(batch) = Batch::decode(Arc::new(bad), 0, 0) {
                    batch.records().for_each(|r| drop(r.headers()));
                }
            }
        }
        assert_eq!(Batch::decode(Arc::new(vec![9]), 0, 0).err(), Some(DecodeError::Newer(9)));
    }
}
