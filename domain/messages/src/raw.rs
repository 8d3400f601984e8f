//! `listing.raw`: a row as its feed gave it, or the word that the feed holds it no longer.
//!
//! Rows are written with the column names prepared once for each file, and read without copying.

use std::borrow::Cow;

use crate::json::{self, JsonError, Value, write_name, write_str, write_u64};

/// Longest value that is written or read, in bytes: a row larger than this is not a listing.
pub const VALUE_MAX: usize = 1 << 20;

/// Where a row stands: the snapshot it is of, and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// As-of of the snapshot, a moment in its fixed form.
    pub as_of: &'a str,
    /// Number of the row within the feed's snapshot.
    pub seq: u64,
    /// File the row is in, without folders.
    pub file: &'a str,
}

/// The columns of a CSV file, prepared for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWriter {
    names: Vec<Vec<u8>>,
}

impl RowWriter {
    /// Of the (cleaned) column names of a file. A name that comes twice is written twice; the last one counts.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let prepare = |name: N| {
            let mut out = Vec::new();
            write_str(&mut out, name.as_ref());
            out.push(b':');
            out
        };
        Self { names: names.into_iter().map(prepare).collect() }
    }

    /// Appends the value for a row: `fields` in the order of the columns, as they stand in the file.
    pub fn write<'f>(
        &self,
        out: &mut Vec<u8>,
        origin: &Origin<'_>,
        line: u64,
        fields: impl IntoIterator<Item = &'f str>,
    ) {
        begin(out, origin, line);
        out.push(b'{');
        for (at, (name, field)) in self.names.iter().zip(fields).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            write_str(out, field);
        }
        out.extend_from_slice(b"}}");
    }
}

/// Appends the value for a row that came as a JSON object. The caller has checked that it is one; line breaks
/// inside it stay as they are.
pub fn write_object(out: &mut Vec<u8>, origin: &Origin<'_>, line: u64, object: &[u8]) {
    begin(out, origin, line);
    out.extend_from_slice(object);
    out.push(b'}');
}

/// Appends the value that says that the feed holds the row no longer.
pub fn write_delete(out: &mut Vec<u8>, origin: &Origin<'_>, reason: &str) {
    out.extend_from_slice(b"{\"op\":\"delete\"");
    write_origin(out, origin);
    write_name(out, "reason");
    write_str(out, reason);
    out.push(b'}');
}

fn begin(out: &mut Vec<u8>, origin: &Origin<'_>, line: u64) {
    out.extend_from_slice(b"{\"op\":\"upsert\"");
    write_origin(out, origin);
    out.extend_from_slice(b",\"line\":");
    write_u64(out, line);
    out.extend_from_slice(b",\"row\":");
}

fn write_origin(out: &mut Vec<u8>, origin: &Origin<'_>) {
    out.extend_from_slice(b",\"asOf\":");
    write_str(out, origin.as_of);
    out.extend_from_slice(b",\"seq\":");
    write_u64(out, origin.seq);
    out.extend_from_slice(b",\"file\":");
    write_str(out, origin.file);
}

/// A value of `listing.raw`, borrowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw<'a> {
    /// As-of of the snapshot.
    pub as_of: Cow<'a, str>,
    /// Number of the row within the snapshot.
    pub seq: u64,
    /// File it came from.
    pub file: Cow<'a, str>,
    /// What it says.
    pub op: Op<'a>,
}

/// What a raw message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Op<'a> {
    /// The feed holds this row.
    Upsert {
        /// Line of the file.
        line: u64,
        /// The row: a JSON object, to be read with [`json::members`].
        row: &'a str,
    },
    /// The feed holds the row no longer.
    Delete {
        /// Why that is known.
        reason: Cow<'a, str>,
    },
}

/// A value is not one of `listing.raw`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// Not UTF-8.
    #[error("the value is not UTF-8 text: the program that wrote it is not one of ours")]
    Utf8,
    /// Too long.
    #[error("the value has {0} bytes, more than the {VALUE_MAX} that a row may have")]
    TooLong(usize),
    /// Not JSON.
    #[error("the value is {0}")]
    Json(#[from] JsonError),
    /// A member is missing or of the wrong type.
    #[error("`{0}` is missing or not what it should be")]
    Member(&'static str),
}

#[derive(Default)]
struct Parts<'a> {
    op: Option<Cow<'a, str>>,
    as_of: Option<Cow<'a, str>>,
    seq: Option<u64>,
    file: Option<Cow<'a, str>>,
    line: Option<u64>,
    row: Option<&'a str>,
    reason: Option<Cow<'a, str>>,
}

impl<'a> Raw<'a> {
    /// Reads a value. Members that are not known are passed over, so that a later version may add some.
    ///
    /// # Errors
    /// [`RawError`] where it is not one that `ingest` writes.
    pub fn parse(value: &'a [u8]) -> Result<Self, RawError> {
        let mut parts = Parts::default();
        for member in json::members(text_of(value)?) {
            parts.take(member?);
        }
        parts.finish()
    }

    /// As [`Raw::parse`], but a row (which is written last) is taken unread: who reads it with [`json::members`]
    /// learns whether it is an object, and reads it once and not twice. Where it is none, [`Raw::parse`] says what
    /// is wrong with the value.
    ///
    /// # Errors
    /// As [`Raw::parse`].
    pub fn parse_head(value: &'a [u8]) -> Result<Self, RawError> {
        let mut parts = Parts::default();
        let row = json::leading(text_of(value)?, "row", |member| parts.take(member))?;
        parts.row = parts.row.or(row);
        parts.finish()
    }
}

fn text_of(value: &[u8]) -> Result<&str, RawError> {
    if value.len() > VALUE_MAX {
        return Err(RawError::TooLong(value.len()));
    }
    std::str::from_utf8(value).map_err(|_| RawError::Utf8)
}

impl<'a> Parts<'a> {
    fn take(&mut self, (name, value): (Cow<'a, str>, Value<'a>)) {
        match (name.as_ref(), value) {
            ("op", Value::String(text)) => self.op = Some(text),
            ("asOf", Value::String(text)) => self.as_of = Some(text),
            ("file", Value::String(text)) => self.file = Some(text),
            ("reason", Value::String(text)) => self.reason = Some(text),
            ("seq", Value::Number(text)) => self.seq = text.parse().ok(),
            ("line", Value::Number(text)) => self.line = text.parse().ok(),
            ("row", Value::Object(text)) => self.row = Some(text),
            _ => {}
        }
    }

    fn finish(self) -> Result<Raw<'a>, RawError> {
        let op = match self.op.as_deref() {
            Some("upsert") => Op::Upsert {
                line: self.line.ok_or(RawError::Member("line"))?,
                row: self.row.ok_or(RawError::Member("row"))?,
            },
            Some("delete") => Op::Delete { reason: self.reason.ok_or(RawError::Member("reason"))? },
            _ => return Err(RawError::Member("op")),
        };
        let as_of = self.as_of.filter(|t| is_moment(t)).ok_or(RawError::Member("asOf"))?;
        let seq = self.seq.ok_or(RawError::Member("seq"))?;
        Ok(Raw { as_of, seq, file: self.file.ok_or(RawError::Member("file"))?, op })
    }
}

/// Whether a text is a moment in its fixed form, so that comparing it as text is right.
fn is_moment(text: &str) -> bool {
    crate::time::has_fixed_form(text) && crate::time::Moment::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: Origin<'_> =
        Origin { as_of: "2022-01-01T00:00:00.000Z", seq: 7, file: "a \"b\".csv" };

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_is_written_and_read_back() {
        let writer = RowWriter::new(["ROLL", "A \"name\""]);
        let text = written(|out| writer.write(out, &ORIGIN, 17, ["007", "line\nbreak"]));
        assert_eq!(
            text,
            r#"{"op":"upsert","asOf":"2022-01-01T00:00:00.000Z","seq":7,"file":"a \"b\".csv","line":17,"row":{"ROLL":"007","A \"name\"":"line\nbreak"}}"#
        );
        let raw = Raw::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (raw.as_of.as_ref(), raw.seq, raw.file.as_ref()),
            (ORIGIN.as_of, 7, ORIGIN.file)
        );
        let row = r#"{"ROLL":"007","A \"name\"":"line\nbreak"}"#;
        assert_eq!(raw.op, Op::Upsert { line: 17, row });
    }

    #[test]
    fn an_object_stays_byte_for_byte() {
        let object = r#"{ "a" : 1.50 , "a" : null }"#;
        let text = written(|out| write_object(out, &ORIGIN, 1, object.as_bytes()));
        let raw = Raw::parse(text.as_bytes()).unwrap();
        assert_eq!(raw.op, Op::Upsert { line: 1, row: object });
    }

    #[test]
    fn a_delete_is_written_and_read_back() {
        let text = written(|out| write_delete(out, &ORIGIN, "absent"));
        assert_eq!(Raw::parse(text.as_bytes()).unwrap().op, Op::Delete { reason: "absent".into() });
        assert_eq!(Raw::parse(text.as_bytes()), Raw::parse_head(text.as_bytes()));
    }

    #[test]
    fn what_is_not_a_raw_message_is_refused() {
        let whole = r#"{"op":"upsert","asOf":"2022-01-01T00:00:00.000Z","seq":7,"file":"f","line":1,"row":{}}"#;
        assert!(Raw::parse(whole.as_bytes()).is_ok());
        for (from, to) in [
            ("upsert", "insert"),
            ("T00:00:00.000Z", ""),
            ("2022-01-01", "2022-02-30"),
            ("T00:00:00.000Z", "t00:00:00.000Z"),
            ("T00:00:00.000Z", "T00:00:00+00:00"),
            ("7", "-7"),
            ("\"f\"", "1"),
            ("\"line\":1", "\"line\":1.5"),
            ("{}}", "[]}"),
            ("{}}", "{}"),
            ("{}}", "{}}x"),
        ] {
            let broken = whole.replace(from, to);
            assert!(Raw::parse(broken.as_bytes()).is_err(), "{broken}");
        }
        assert_eq!(Raw::parse(b"\xff"), Err(RawError::Utf8));
        assert_eq!(Raw::parse(&vec![b' '; VALUE_MAX + 1]), Err(RawError::TooLong(VALUE_MAX + 1)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Raw::parse(&bytes).is_err());
            drop(Raw::parse_head(&bytes));
        }

        #[test]
        fn any_row_comes_back(names in proptest::collection::vec(".{0,12}", 0..6), fields in proptest::collection::vec(".{0,20}", 6)) {
            let writer = RowWriter::new(&names);
            let text = written(|out| writer.write(out, &ORIGIN, 3, fields.iter().map(String::as_str)));
            let raw = Raw::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(Raw::parse_head(text.as_bytes()), Ok(raw.clone()));
            let Op::Upsert { row, .. } = raw.op else { panic!("an upsert was written") };
            let read: Vec<_> = json::members(row).map(Result::unwrap).collect();
            let wrote: Vec<_> = names.iter().zip(&fields)
                .map(|(n, f)| (Cow::Borrowed(n.as_str()), Value::String(Cow::Borrowed(f.as_str())))).collect();
            prop_assert_eq!(read, wrote);
        }
    }
}
