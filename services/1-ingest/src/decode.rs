//! The rows of a file, one by one: framing, text, key, and the row as JSON.

mod fuzz;
mod row;

use dataflow::Reject;
use memchr::memchr;

use crate::config::{Encoding, Format};
use crate::csv::{self, BadQuote, Field, Scan};
use crate::fault::FileFault;
use crate::header::{Header, HeaderSearch};
use crate::plan::RowPlan;
use crate::text::{self, Found};
use crate::window::Window;

pub use fuzz::{fuzz_csv, fuzz_json_lines};
pub use row::KEY_BYTES_MAX;
use row::check_key;

/// How much of a row that is too long its dead letter holds.
pub const LONG_ROW_SHOWN: usize = 4 << 10;

/// Where reading goes on: all that a restart needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Uncompressed bytes read.
    pub offset: u64,
    /// Physical lines read.
    pub line: u64,
    /// Within a line that is too long: what follows up to the next line break is skipped.
    pub skipping: bool,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A row, in [`Decoder::row`] until [`Decoder::advance`].
    Row,
    /// Something that is no row, for a dead letter; its bytes are [`Decoder::original`].
    Bad(Reject),
    /// A line without any value.
    Blank,
    /// Bytes went by without a row: part of a line that is too long.
    Skipped,
    /// Nothing follows.
    End,
}

/// How rows are told apart, and what is read from them.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    pub(crate) row_bytes_max: usize,
    pub(crate) plan: RowPlan,
}

/// Reads the rows of one file.
pub(crate) struct Decoder {
    window: Window,
    shape: Shape,
    encoding: Encoding,
    header: Header,
    place: Place,
    fields: Vec<Field>,
    text: String,
    found: Found,
    len: usize,
    lines: u64,
    /// How much of a row its dead letter holds.
    shown: usize,
}

impl Decoder {
    /// Starts a file: byte order mark, first look, header. Then goes on from [`Decoder::place`].
    pub(crate) fn open(window: Window, shape: Shape, file: &str) -> Result<Self, FileFault> {
        let encoding = match shape.format {
            Format::Csv { encoding, .. } => encoding,
            Format::JsonLines => Encoding::Utf8,
        };
        let mut decoder = Self {
            window,
            shape,
            encoding,
            header: Header::default(),
            place: Place { offset: 0, line: 0, skipping: false },
            fields: Vec::new(),
            text: String::new(),
            found: Found::Utf8,
            len: 0,
            lines: 0,
            shown: usize::MAX,
        };
        decoder.sniff(file)?;
        if matches!(decoder.shape.format, Format::Csv { .. }) {
            decoder.header = decoder.find_header(file)?;
        }
        Ok(decoder)
    }

    /// Where the next row begins.
    pub(crate) fn place(&self) -> Place {
        Place { offset: self.window.offset(), ..self.place }
    }

    /// Goes on from a place of an earlier run; a bounded piece of the way. Returns whether it is there.
    pub(crate) fn go_to(&mut self, place: Place) -> Result<bool, FileFault> {
        self.place = place;
        self.window.skip_to(place.offset)
    }

    /// Physical line that the present row begins on, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.place.line + 1
    }

    /// The bytes of the present row or of what is no row, without the line break.
    pub(crate) fn original(&self) -> &[u8] {
        let bytes = self.window.bytes();
        let bytes = bytes.get(..self.len).unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        bytes.get(..self.shown).unwrap_or(bytes)
    }

    /// Whether the present row was Windows-1252.
    pub(crate) fn was_windows_1252(&self) -> bool {
        self.found == Found::Windows1252
    }

    /// Looks at what comes next. After [`Item::Row`] and [`Item::Bad`] call [`Decoder::advance`].
    pub(crate) fn next(&mut self) -> Result<Item, FileFault> {
        if self.place.skipping {
            return self.skip();
        }
        let scan = self.scan()?;
        match scan {
            None => Ok(Item::End),
            Some(Scan::Row { len, lines }) => {
                (self.len, self.lines) = (len, lines);
                Ok(self.check_row())
            }
            Some(Scan::Bad { len, why }) => {
                (self.len, self.lines) = (len, 1);
                Ok(Item::Bad(quote_reject(why)))
            }
            Some(Scan::More) => {
                let line = csv::first_line(self.window.bytes());
                self.place.skipping = line.is_none();
                self.lines = u64::from(line.is_some());
                self.len = line.unwrap_or(self.window.bytes().len());
                self.shown = LONG_ROW_SHOWN.min(self.shape.row_bytes_max);
                Ok(Item::Bad(self.too_long()))
            }
        }
    }

    /// Steps over the present row.
    pub(crate) fn advance(&mut self) {
        self.window.consume(self.len);
        self.place.line += self.lines;
        (self.len, self.lines, self.shown) = (0, 0, usize::MAX);
    }

    /// Appends the present row as a JSON object, and its key to `key`.
    pub(crate) fn row(&self, out: &mut Vec<u8>, key: &mut Vec<u8>) -> Result<(), Reject> {
        let before = key.len();
        match self.shape.format {
            Format::Csv { .. } => self.csv_row(out, key)?,
            Format::JsonLines => self.json_row(out, key)?,
        }
        check_key(key.get(before..).unwrap_or_default())
    }

    /// Frames the next row; `None` at the end, `More` when it is longer than allowed.
    fn scan(&mut self) -> Result<Option<Scan>, FileFault> {
        loop {
            let (bytes, last) = (self.window.bytes(), self.window.ended());
            if bytes.is_empty() && last {
                return Ok(None);
            }
            let scan =
                if bytes.is_empty() { Scan::More } else { self.scan_bytes(bytes.len(), last) };
            let max = self.shape.row_bytes_max;
            match scan {
                Scan::More if self.window.bytes().len() <= max => self.window.fill()?,
                Scan::More => return Ok(Some(self.overlong())),
                Scan::Row { len, .. } if len > max => return Ok(Some(self.overlong())),
                scan => return Ok(Some(scan)),
            }
        }
    }

    fn scan_bytes(&mut self, len: usize, last: bool) -> Scan {
        let bytes = self.window.bytes();
        match self.shape.format {
            Format::Csv { delimiter, .. } => csv::scan(bytes, last, delimiter, &mut self.fields),
            Format::JsonLines => match csv::first_line(bytes) {
                Some(len) => Scan::Row { len, lines: 1 },
                None if last => Scan::Row { len, lines: 1 },
                None => Scan::More,
            },
        }
    }

    /// A row beyond the limit. Where its first line ends within it, a quote was left open: that line is bad
    /// and reading goes on behind it. Otherwise the line itself is too long and is skipped.
    fn overlong(&self) -> Scan {
        let bytes = self.window.bytes();
        let bytes = bytes.get(..self.shape.row_bytes_max).unwrap_or(bytes);
        match csv::first_line(bytes) {
            Some(len) => Scan::Bad { len, why: BadQuote::NeverClosed },
            None => Scan::More,
        }
    }

    fn too_long(&self) -> Reject {
        let message = format!(
            "the row is longer than {} bytes: only its beginning is kept here; raise `row_bytes` if it is right",
            self.shape.row_bytes_max
        );
        Reject::new("row_too_long", message)
    }

    /// Skips to the end of a line that is too long.
    fn skip(&mut self) -> Result<Item, FileFault> {
        if let Some(len) = csv::first_line(self.window.bytes()) {
            self.window.consume(len);
            self.place.line += 1;
            self.place.skipping = false;
        } else {
            self.window.consume(usize::MAX);
            if self.window.ended() {
                self.place.skipping = false;
            } else {
                self.window.fill()?;
            }
        }
        Ok(Item::Skipped)
    }

    fn check_row(&mut self) -> Item {
        let bytes = self.window.bytes().get(..self.len).unwrap_or_default();
        let blank = match self.shape.format {
            Format::Csv { delimiter, .. } => {
                bytes.iter().all(|b| *b == delimiter || b.is_ascii_whitespace() || *b == b'"')
            }
            Format::JsonLines => bytes.iter().all(u8::is_ascii_whitespace),
        };
        if blank {
            self.advance();
            return Item::Blank;
        }
        match text::decode(bytes, self.encoding, &mut self.text) {
            Ok(found) => self.found = found,
            Err(reject) => return Item::Bad(reject),
        }
        if let (Found::Windows1252, Format::Csv { delimiter, .. }) = (self.found, self.shape.format)
        {
            csv::scan(self.text.as_bytes(), true, delimiter, &mut self.fields);
        }
        match self.shape.format {
            Format::Csv { .. } if !self.header.names().is_empty() => self.check_columns(),
            _ => Item::Row,
        }
    }

    fn check_columns(&mut self) -> Item {
        let (have, want) = (self.fields.len(), self.header.names().len());
        if have == want {
            return Item::Row;
        }
        // Several lines with a wrong count are likely lines that an open quote joined: only the first is bad.
        if self.lines > 1 {
            let first = csv::first_line(self.window.bytes()).unwrap_or(self.len);
            (self.len, self.lines) = (first, 1);
        }
        let message = format!(
            "{have} fields where the header has {want}: look for a stray quote or delimiter"
        );
        Item::Bad(Reject::new("wrong_column_count", message))
    }

    /// The present row as text.
    fn row_text(&self) -> &str {
        match self.found {
            Found::Windows1252 => &self.text,
            Found::Utf8 => {
                let bytes = self.window.bytes().get(..self.len).unwrap_or_default();
                std::str::from_utf8(bytes).unwrap_or_default()
            }
        }
    }

    /// The first look at a file: what it surely is not.
    fn sniff(&mut self, file: &str) -> Result<(), FileFault> {
        self.window.fill()?;
        let bytes = self.window.bytes();
        let refuse = |what: &str| Err(FileFault::new(format!("{file} {what}")));
        if bytes.is_empty() {
            return refuse("is empty: no snapshot; bring it again");
        }
        if bytes.starts_with(b"\xff\xfe")
            || bytes.starts_with(b"\xfe\xff")
            || looks_like_utf16(bytes)
        {
            return refuse(
                "is UTF-16: save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`",
            );
        }
        if bytes.starts_with(b"PK\x03\x04") {
            return refuse("is a ZIP archive (or a spreadsheet): unpack it, or save it as CSV");
        }
        if memchr(b'\n', bytes).is_none()
            && memchr(b'\r', bytes).is_some_and(|at| at + 1 < bytes.len())
        {
            return refuse(
                "ends its lines with carriage returns only: convert it, for example with `tr '\\r' '\\n'`",
            );
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            self.window.consume(3);
            self.encoding = Encoding::Utf8;
        }
        Ok(())
    }

    fn find_header(&mut self, file: &str) -> Result<Header, FileFault> {
        let mut search = HeaderSearch::default();
        loop {
            match self.next()? {
                Item::Row => {
                    let row = self.row_text();
                    let names = self.fields.iter().map(|f| f.of(row).into_owned()).collect();
                    let header = search.offer(names, &self.shape.plan, file)?;
                    self.advance();
                    if let Some(header) = header {
                        return Ok(header);
                    }
                }
                Item::Bad(_) => {
                    self.advance();
                    search.offer(Vec::new(), &self.shape.plan, file)?;
                }
                Item::Blank | Item::Skipped => {}
                Item::End => return Err(search.missing(&self.shape.plan, file)),
            }
        }
    }
}

fn quote_reject(why: BadQuote) -> Reject {
    match why {
        BadQuote::TextAfter => Reject::new(
            "stray_quote",
            "text follows a closing quote: quotes within a field are doubled. Reading went on at the next line",
        ),
        BadQuote::NeverClosed => Reject::new(
            "open_quote",
            "a quote is opened and not closed within the limit of a row. Reading went on at the next line",
        ),
    }
}

fn looks_like_utf16(bytes: &[u8]) -> bool {
    let sample = bytes.get(..4096).unwrap_or(bytes);
    sample.iter().filter(|b| **b == 0).count() * 4 > sample.len()
}

#[cfg(test)]
mod tests;
