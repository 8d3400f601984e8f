//! Cuts bytes into CSV rows and fields (RFC 4180), without copying and without ever losing a line.
//!
//! A quote opens a field only at its start. What is not well-formed ends at the next line break, so that
//! a quote that is opened and never closed costs its own line and not the rest of the file.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

/// A field of a row: a range of the row's bytes, without the quotes around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Whether quotes within it are doubled.
    pub doubled: bool,
}

impl Field {
    /// Its bytes in `row`, with doubled quotes as one.
    #[must_use]
    pub fn of<'a>(&self, row: &'a str) -> Cow<'a, str> {
        let text = row.get(self.start..self.end).unwrap_or_default();
        if self.doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
    }
}

/// What stands at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// A row.
    Row {
        /// Bytes with the line break.
        len: usize,
        /// Physical lines: more than one where quoted fields hold line breaks.
        lines: u64,
    },
    /// A line that is not part of a well-formed row: its length with the line break, and why.
    Bad {
        /// Bytes with the line break.
        len: usize,
        /// What is wrong.
        why: BadQuote,
    },
    /// The row does not end within these bytes.
    More,
}

/// What is wrong with the quotes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadQuote {
    /// Text stands between a closing quote and the next delimiter.
    TextAfter,
    /// A quote is opened and not closed before the end.
    NeverClosed,
}

enum Ended {
    Delimiter,
    Line,
    Text,
    Open,
    Unknown,
}

/// Cuts the first row off `bytes`, which are not empty. `last` says that nothing follows them.
pub fn scan(bytes: &[u8], last: bool, delimiter: u8, fields: &mut Vec<Field>) -> Scan {
    fields.clear();
    let mut at = 0;
    let mut quoted = false;
    loop {
        let (field, next, ended) = if bytes.get(at) == Some(&b'"') {
            quoted = true;
            quoted_field(bytes, at, delimiter)
        } else {
            plain_field(bytes, at, delimiter)
        };
        fields.push(field);
        match ended {
            Ended::Delimiter => at = next,
            Ended::Line => return row(bytes, next, quoted),
            Ended::Text => return bad(bytes, BadQuote::TextAfter, last),
            Ended::Unknown if last => return row(bytes, bytes.len(), quoted),
            Ended::Open if last => return bad(bytes, BadQuote::NeverClosed, last),
            Ended::Open | Ended::Unknown => return Scan::More,
        }
    }
}

/// The first physical line of `bytes`, with its line break: where reading goes on after a bad row.
#[must_use]
pub fn first_line(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes).map(|at| at + 1)
}

fn row(bytes: &[u8], len: usize, quoted: bool) -> Scan {
    let lines = if quoted { count_lines(bytes.get(..len).unwrap_or_default()) } else { 1 };
    Scan::Row { len, lines }
}

fn count_lines(row: &[u8]) -> u64 {
    let breaks = memchr_iter(b'\n', row).count();
    let open = !row.is_empty() && row.last() != Some(&b'\n');
    u64::try_from(breaks).unwrap_or(u64::MAX) + u64::from(open)
}

fn bad(bytes: &[u8], why: BadQuote, last: bool) -> Scan {
    match first_line(bytes) {
        Some(len) => Scan::Bad { len, why },
        None if last => Scan::Bad { len: bytes.len(), why },
        None => Scan::More,
    }
}

fn plain_field(bytes: &[u8], start: usize, delimiter: u8) -> (Field, usize, Ended) {
    let rest = bytes.get(start..).unwrap_or_default();
    let Some(len) = memchr2(delimiter, b'\n', rest) else {
        let field = Field { start, end: line_end(bytes, start, bytes.len()), doubled: false };
        return (field, bytes.len(), Ended::Unknown);
    };
    let end = start + len;
    if bytes.get(end) == Some(&b'\n') {
        let field = Field { start, end: line_end(bytes, start, end), doubled: false };
        (field, end + 1, Ended::Line)
    } else {
        (Field { start, end, doubled: false }, end + 1, Ended::Delimiter)
    }
}

/// A carriage return before the line break belongs to the line break.
fn line_end(bytes: &[u8], start: usize, end: usize) -> usize {
    let before = bytes.get(start..end).and_then(<[u8]>::last);
    if before == Some(&b'\r') { end - 1 } else { end }
}

fn quoted_field(bytes: &[u8], quote: usize, delimiter: u8) -> (Field, usize, Ended) {
    let start = quote + 1;
    let mut at = start;
    let mut doubled = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(len) = memchr(b'"', rest) else {
            return (Field { start, end: bytes.len(), doubled }, bytes.len(), Ended::Open);
        };
        let end = at + len;
        if bytes.get(end + 1) == Some(&b'"') {
            doubled = true;
            at = end + 2;
            continue;
        }
        let (next, ended) = after_quote(bytes, end + 1, delimiter);
        return (Field { start, end, doubled }, next, ended);
    }
}

fn after_quote(bytes: &[u8], at: usize, delimiter: u8) -> (usize, Ended) {
    match (bytes.get(at), bytes.get(at + 1)) {
        (None, _) => (at, Ended::Unknown),
        (Some(b'\n'), _) => (at + 1, Ended::Line),
        (Some(b'\r'), Some(b'\n')) => (at + 2, Ended::Line),
        (Some(b'\r'), None) => (at + 1, Ended::Unknown),
        (Some(byte), _) if *byte == delimiter => (at + 1, Ended::Delimiter),
        (Some(_), _) => (at, Ended::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(text: &str) -> (Scan, Vec<String>) {
        let mut fields = Vec::new();
        let scan = scan(text.as_bytes(), true, b',', &mut fields);
        (scan, fields.iter().map(|f| f.of(text).into_owned()).collect())
    }

    #[test]
    fn rows() {
        for (text, len, lines, expect) in [
            ("a,b\nc", 4, 1, vec!["a", "b"]),
            ("a,b\r\nc", 5, 1, vec!["a", "b"]),
            ("a,b", 3, 1, vec!["a", "b"]),
            ("a,b\r", 4, 1, vec!["a", "b"]),
            ("\n", 1, 1, vec![""]),
            (",\n", 2, 1, vec!["", ""]),
            ("\"a,1\",\"b\"\"c\"\n", 13, 1, vec!["a,1", "b\"c"]),
            ("\"a\nb\",c\nd", 8, 2, vec!["a\nb", "c"]),
            ("\"a\r\nb\"\r\n", 8, 2, vec!["a\r\nb"]),
            ("\"\",\"\"", 5, 1, vec!["", ""]),
            ("6\" pipe,x\n", 10, 1, vec!["6\" pipe", "x"]),
            (" \"a\",b\n", 7, 1, vec![" \"a\"", "b"]),
        ] {
            assert_eq!(
                fields(text),
                (Scan::Row { len, lines }, expect.into_iter().map(str::to_owned).collect()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_bad_row_costs_its_first_line_only() {
        for (text, len, why) in [
            ("\"abc\nd,e\n", 5, BadQuote::NeverClosed),
            ("\"abc", 4, BadQuote::NeverClosed),
            ("1,\"abc\n2,\"def\",x\n", 7, BadQuote::TextAfter),
            ("\"He said \"hi\" there\",x\ny", 23, BadQuote::TextAfter),
        ] {
            assert_eq!(fields(text).0, Scan::Bad { len, why }, "{text:?}");
        }
    }

    #[test]
    fn an_unfinished_row_asks_for_more() {
        for text in ["a,b", "\"a", "\"a\"", "\"a\"\r", "a,", "\"a\nb"] {
            assert_eq!(scan(text.as_bytes(), false, b',', &mut Vec::new()), Scan::More, "{text:?}");
        }
    }

    /// Reads everything, giving the scanner the bytes in pieces of `step`.
    fn read_all(bytes: &[u8], step: usize) -> Vec<(Scan, Vec<Field>)> {
        let (mut all, mut from, mut to) = (Vec::new(), 0, 0);
        while from < bytes.len() {
            let mut fields = Vec::new();
            let scan = scan(&bytes[from..to], to == bytes.len(), b',', &mut fields);
            match scan {
                Scan::More => {
                    assert!(to < bytes.len());
                    to = (to + step).min(bytes.len());
                }
                Scan::Row { len, .. } | Scan::Bad { len, .. } => {
                    assert!(len > 0 && from + len <= to);
                    from += len;
                    all.push((scan, fields));
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_whole_and_the_same_in_any_pieces(
            text in "[a,\"\r\n]{0,60}", bytes: Vec<u8>, step in 1usize..9,
        ) {
            for bytes in [text.as_bytes(), &bytes] {
                let whole = read_all(bytes, bytes.len());
                let mut pieces = read_all(bytes, step);
                // The fields of a bad line are not used, and depend on how much was seen.
                let mut expect = whole.clone();
                for (scan, fields) in pieces.iter_mut().chain(&mut expect) {
                    if matches!(scan, Scan::Bad { .. }) { fields.clear(); }
                }
                let cut: usize = whole.iter().map(|(s, _)| match s {
                    Scan::Row { len, .. } | Scan::Bad { len, .. } => *len,
                    Scan::More => 0,
                }).sum();
                prop_assert_eq!(cut, bytes.len());
                prop_assert_eq!(pieces.len(), expect.len());
                for (a, b) in pieces.iter().zip(&expect) {
                    let same_cut = matches!((a.0, b.0), (Scan::Bad { len: x, .. }, Scan::Bad { len: y, .. }) if x == y) || a == b;
                    prop_assert!(same_cut, "{:?} {:?}", a, b);
                }
            }
        }

        #[test]
        fn what_a_csv_writer_writes_is_read_back(rows in prop::collection::vec(prop::collection::vec("[a-c,\"\r\n é]{0,6}", 2..4), 1..5)) {
            let mut text = String::new();
            for row in &rows {
                let quoted: Vec<_> = row.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
                text.push_str(&quoted.join(","));
                text.push_str("\r\n");
            }
            let mut from = 0;
            for row in &rows {
                let mut fields = Vec::new();
                let rest = text.get(from..).unwrap();
                let Scan::Row { len, .. } = scan(rest.as_bytes(), true, b',', &mut fields) else { panic!("{rest:?}") };
                let got: Vec<_> = fields.iter().map(|f| f.of(rest).into_owned()).collect();
                prop_assert_eq!(&got, row);
                from += len;
            }
        }
    }
}
