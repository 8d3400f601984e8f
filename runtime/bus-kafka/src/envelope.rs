//! The envelope on Kafka: CloudEvents in binary mode, W3C trace context, schema version; and back.
//!
//! Keys go to partitions as everywhere in Conveyance (`dataflow::flow::partition_of`): murmur2 as Kafka's own
//! default partitioner for Java has it, so a Java producer that sets the key and no partition agrees.

use std::ops::RangeInclusive;

use dataflow::{Meta, RecordRef};
use rdkafka::message::{BorrowedHeaders, Header, Headers, OwnedHeaders};
use xxhash_rust::xxh3::xxh3_128;

const VERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const KIND: &str = "ce_type";
const SOURCE: &str = "ce_source";
const TIME: &str = "ce_time";
const TRACE: &str = "traceparent";
const SCHEMA: &str = "cv_schema";
const ORIGIN: &str = "cv_origin";

/// The years 0 to 9999.
const YEARS_MS: RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// A few bytes of text, built without an allocation.
struct Text {
    bytes: [u8; 56],
    len: usize,
}

impl Text {
    fn new() -> Self {
        Self { bytes: [0; 56], len: 0 }
    }

    fn push(&mut self, more: &[u8]) {
        let end = self.len + more.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(more);
            self.len = end;
        }
    }

    /// Two decimal digits.
    fn two(&mut self, value: u64) {
        let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or(0);
        self.push(&[digit(value / 10), digit(value)]);
    }

    fn decimal(&mut self, value: u64) {
        for at in (0..=value.checked_ilog10().unwrap_or(0)).rev() {
            self.push(&[b'0' + u8::try_from(value / 10u64.pow(at) % 10).unwrap_or(0)]);
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn decimal(value: u64) -> Text {
    let mut text = Text::new();
    text.decimal(value);
    text
}

/// 32 digits.
fn hex(value: u128) -> [u8; 32] {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(value.to_be_bytes()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    text
}

fn take_hex(text: &[u8]) -> Option<u128> {
    let text: &[u8; 32] = text.try_into().ok()?;
    let digit = |d: u8| match d {
        b'0'..=b'9' => d - b'0',
        b'a'..=b'f' => d - b'a' + 10,
        _ => u8::MAX,
    };
    let (mut bytes, mut bad) = ([0; 16], 0);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = pair else { continue };
        let (high, low) = (digit(high), digit(low));
        bad |= (high | low) & 0xf0;
        *byte = high << 4 | low & 0xf;
    }
    (bad == 0).then(|| u128::from_be_bytes(bytes))
}

/// `00-TRACE-SPAN-01`; the span is the record's own, from its id.
fn traceparent(meta: &Meta<'_>) -> Text {
    let mut text = Text::new();
    text.push(b"00-");
    text.push(&hex(meta.trace));
    text.push(b"-");
    text.push(hex(meta.id).get(16..).unwrap_or_default());
    text.push(b"-01");
    text
}

/// RFC 3339 in UTC with milliseconds (civil from days, after Howard Hinnant); it ends with the year 9999.
fn rfc3339(time_ms: i64) -> Text {
    let time_ms = time_ms.clamp(*YEARS_MS.start(), *YEARS_MS.end());
    let (days, ms) = (time_ms.div_euclid(86_400_000), time_ms.rem_euclid(86_400_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let mut text = Text::new();
    let parts = [
        (year / 100, &b""[..]),
        (year % 100, b"-"),
        (month, b"-"),
        (day, b"T"),
        (ms / 3_600_000, b":"),
        (ms / 60_000 % 60, b":"),
        (ms / 1_000 % 60, b"."),
        (ms % 1_000 / 10, b""),
    ];
    for (value, after) in parts {
        text.two(value.unsigned_abs());
        text.push(after);
    }
    text.decimal((ms % 10).unsigned_abs());
    text.push(b"Z");
    text
}

/// Milliseconds since 1970 of what [`rfc3339`] writes, or of any RFC 3339 time in UTC.
fn parse_time(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?.iter().try_fold(0, |sum, byte| {
            let digit = byte.checked_sub(b'0').filter(|d| *d < 10)?;
            Some(sum * 10 + i64::from(digit))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let rest = text.get(19..)?.strip_suffix(b"Z")?;
    let fraction = match rest.strip_prefix(b".") {
        None => 0,
        Some(digits) => {
            let mut ms = 0;
            for at in 0..3 {
                let digit = digits.get(at).copied().unwrap_or(b'0');
                ms = ms * 10 + i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
            }
            ms
        }
    };
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + fraction)
}

/// The headers of a record.
pub(crate) fn write(record: &RecordRef<'_>) -> OwnedHeaders {
    let meta = &record.meta;
    fn add(headers: OwnedHeaders, key: &str, value: &[u8]) -> OwnedHeaders {
        headers.insert(Header { key, value: Some(value) })
    }
    let mut headers = OwnedHeaders::new_with_capacity(9);
    headers = add(headers, VERSION, b"1.0");
    headers = add(headers, ID, &hex(meta.id));
    headers = add(headers, KIND, meta.kind.as_bytes());
    headers = add(headers, SOURCE, meta.source.as_bytes());
    headers = add(headers, TIME, rfc3339(meta.time_ms).bytes());
    headers = add(headers, TRACE, traceparent(meta).bytes());
    headers = add(headers, SCHEMA, decimal(u64::from(meta.schema)).bytes());
    if meta.origin != 0 {
        headers = add(headers, ORIGIN, decimal(meta.origin).bytes());
    }
    if !record.header_block.is_empty() {
        for (key, value) in record.headers() {
            headers = add(headers, key, value);
        }
    }
    headers
}

/// What a record says about itself when its headers do not: someone else's record.
pub(crate) struct Fallback<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u16,
    pub(crate) offset: u64,
    pub(crate) time_ms: i64,
}

/// The envelope of a record, and its further headers into `others`.
pub(crate) fn read<'a>(
    headers: Option<&'a BorrowedHeaders>,
    fallback: &Fallback<'a>,
    others: &mut Vec<(&'a str, &'a [u8])>,
) -> Meta<'a> {
    others.clear();
    let (mut id, mut trace) = (None, None);
    let mut meta = Meta {
        id: 0,
        trace: 0,
        kind: fallback.topic,
        source: "",
        time_ms: fallback.time_ms,
        schema: 1,
        origin: 0,
    };
    let count = headers.map_or(0, Headers::count);
    for at in 0..count {
        let Some(header) = headers.and_then(|h| h.try_get(at)) else { break };
        let value = header.value.unwrap_or_default();
        let text = || std::str::from_utf8(value).ok();
        match header.key {
            VERSION => {}
            ID => id = Some(take_hex(value).unwrap_or_else(|| xxh3_128(value))),
            KIND => meta.kind = text().unwrap_or(meta.kind),
            SOURCE => meta.source = text().unwrap_or(meta.source),
            TIME => meta.time_ms = parse_time(value).unwrap_or(meta.time_ms),
            TRACE => trace = value.get(3..35).and_then(take_hex),
            SCHEMA => meta.schema = text().and_then(|t| t.parse().ok()).unwrap_or(meta.schema),
            ORIGIN => meta.origin = text().and_then(|t| t.parse().ok()).unwrap_or(meta.origin),
            other => others.push((other, value)),
        }
    }
    meta.id = id.unwrap_or_else(|| place_id(fallback));
    meta.trace = trace.unwrap_or(meta.id);
    meta
}

/// An id for a record that has none: its place.
fn place_id(fallback: &Fallback<'_>) -> u128 {
    let mut place = Vec::with_capacity(64);
    place.extend_from_slice(fallback.topic.as_bytes());
    place.extend_from_slice(&fallback.partition.to_le_bytes());
    place.extend_from_slice(&fallback.offset.to_le_bytes());
    xxh3_128(&place)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dataflow::batch::NewRecord;
    use dataflow::{Batch, BatchBuilder};
    use proptest::prelude::*;

    use super::*;

    fn round_trip(meta: Meta<'_>, headers: &[(&str, &[u8])]) {
        let mut builder = BatchBuilder::default();
        builder.push(NewRecord { key: b"k", value: None, meta, headers });
        let batch = Batch::decode(Arc::new(builder.finish()), 0, 0).unwrap();
        let written = write(&batch.get(0).unwrap());
        let fallback = Fallback { topic: "t", partition: 1, offset: 2, time_ms: 3 };
        let mut others = Vec::new();
        assert_eq!(read(Some(written.as_borrowed()), &fallback, &mut others), meta);
        assert_eq!(others, headers);
    }

    proptest! {
        #[test]
        fn an_envelope_comes_back(
            id: u128, trace: u128, kind in "[a-z.]{0,30}", source in "\\PC{0,30}",
            time_ms in YEARS_MS, schema: u16, origin: u64,
            other in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let meta = Meta { id, trace, kind: &kind, source: &source, time_ms, schema, origin };
            round_trip(meta, &[]);
            round_trip(meta, &[("cv_code", &other), ("x", b"")]);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_764_111_599_999, "2025-11-25T22:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (*YEARS_MS.start(), "0000-01-01T00:00:00.000Z"),
            (*YEARS_MS.end(), "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(std::str::from_utf8(rfc3339(ms).bytes()), Ok(text));
            assert_eq!(parse_time(text.as_bytes()), Some(ms));
        }
        assert_eq!(parse_time(b"2000-02-29T00:00:00Z"), Some(951_782_400_000));
        assert_eq!(parse_time(b"yesterday"), None);
        assert_eq!(rfc3339(i64::MAX).bytes(), b"9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn an_id_that_is_no_number_of_ours_is_hashed() {
        let number = hex(0x0123_4567_89ab_cdef_0000_0000_0000_00ff);
        assert_eq!(&number, b"0123456789abcdef00000000000000ff");
        assert_eq!(take_hex(&number), Some(0x0123_4567_89ab_cdef_0000_0000_0000_00ff));
        for text in
            ["", "0123", "0123456789ABCDEF00000000000000ff", "0g23456789abcdef00000000000000ff"]
        {
            assert_eq!(take_hex(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn someone_elses_record_gets_an_id_from_its_place() {
        let place = |offset| Fallback { topic: "t", partition: 1, offset, time_ms: 3 };
        let meta = |offset| read(None, &place(offset), &mut Vec::new()).id;
        assert_eq!(meta(7), meta(7));
        assert_ne!(meta(7), meta(8));
    }
}
