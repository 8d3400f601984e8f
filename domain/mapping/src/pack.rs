//! A mapping pack, read and compiled.
//!
//! ```toml
//! name = "rolls"
//! title = "Assessment rolls of Oldtown"
//!
//! [source]
//! format = "csv"                       # or "jsonl"
//! header = ["ROLL", "VALUE"]           # the first row that has these columns; without it, the first row
//! key = "{ROLL}"                       # several: "{BOROUGH}-{BLOCK}-{LOT}"
//! timestamp = { column = "CHANGED", form = "%m/%d/%Y" }   # when the source says that a row is from
//!
//! [aliases]
//! "UNIT" = ["APART MENT"]              # other names that a column has had
//!
//! [constants]
//! City = "Oldtown"
//!
//! [fields]                             # RESO field = how
//! ParcelNumber = "ROLL"
//! TaxAssessedValue = { column = "VALUE", null_at_most = 10 }
//! LotSizeArea = { column = "LAND", unit = "Square Meters" }
//! PropertyType = { column = "CLASS", lookup = "classes", unknown = "reject" }
//! LivingArea = [{ column = "SQFT", unit = "Square Feet" }, { column = "SQM", unit = "Square Meters" }]
//!
//! [lookups.classes]
//! A = "Residential"
//! Z = ""                               # known, and means nothing
//!
//! [address]
//! line = "ADDRESS"                     # or "{NUMBER} {STREET}"
//! unit = "UNIT"
//!
//! [bathrooms]
//! column = "BATHS"                     # 2.25 is two full and one quarter
//! ```
//!
//! The field says the type, so the pack need not. Columns that no rule names are passed over.

mod compile;
mod rule;

use std::collections::HashMap;

use messages::fields::FieldId;

use crate::forms::DateForms;
use crate::read::{Finding, Findings, Refused};
pub(crate) use rule::{Rule, Unknown};

/// A mapping pack.
#[derive(Debug, Clone)]
pub struct Pack {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) source: Source,
    pub(crate) key: Vec<KeyPart>,
    pub(crate) columns: Vec<Column>,
    /// Names and aliases of columns, to their places in `columns`.
    pub(crate) slots: HashMap<String, usize>,
    pub(crate) constants: Vec<(FieldId, Vec<u8>)>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) postal_code: Option<PostalCodeRule>,
    pub(crate) address: Option<AddressRule>,
    pub(crate) bathrooms: Option<usize>,
}

/// How the files of a feed are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// CSV or JSON Lines.
    pub format: Format,
    /// How text is encoded.
    pub encoding: Encoding,
    /// What stands between the fields of a CSV row.
    pub delimiter: u8,
    /// The header of a CSV file is the first row that has all of these columns; empty: the first row.
    pub header: Vec<String>,
    /// The key of a row, with columns in braces: `{BLOCK}-{LOT}`.
    pub key: String,
}

/// Form of a feed's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values, RFC 4180, with a header.
    Csv,
    /// One JSON object in each line.
    JsonLines,
}

/// Encoding of a feed's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// What is valid UTF-8 is UTF-8; the rest is Windows-1252.
    Auto,
    /// UTF-8.
    Utf8,
    /// Windows-1252.
    Windows1252,
}

/// A part of the key of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// Text that stands in every key.
    Text(String),
    /// The value of a column.
    Column(String),
}

/// A column that the pack names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, cleaned.
    pub name: String,
    /// Other names that it has had.
    pub aliases: Vec<String>,
    /// Whether a file may lack it.
    pub optional: bool,
}

/// Where the source's own time of a row stands.
#[derive(Debug, Clone)]
pub(crate) struct Timestamp {
    pub(crate) slot: usize,
    pub(crate) forms: DateForms,
}

#[derive(Debug, Clone)]
pub(crate) struct PostalCodeRule {
    pub(crate) slot: usize,
    pub(crate) null: Vec<String>,
    /// Whether a spreadsheet may have taken leading zeros.
    pub(crate) restore_zeros: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct AddressRule {
    pub(crate) line: Vec<LinePart>,
    pub(crate) unit: Option<usize>,
    /// Whether the line is the whole address, with city, state and postal code.
    pub(crate) full: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinePart {
    Text(String),
    Column(usize),
}

impl Pack {
    /// Reads and compiles a pack.
    ///
    /// # Errors
    /// [`Refused`] with every error and its line.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut findings = Findings::new(text);
        let pack = compile::pack(&mut findings);
        findings.judge(pack)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in a few words.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How the files are written.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What makes the key of a row.
    #[must_use]
    pub fn key(&self) -> &[KeyPart] {
        &self.key
    }

    /// The columns it names.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns that every file must have under exactly this name: those that are not optional and never had
    /// another.
    pub fn required_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|c| !c.optional && c.aliases.is_empty()).map(|c| c.name.as_str())
    }

    /// The RESO fields that it can give, sorted by name.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let mut ids: Vec<FieldId> = self.constants.iter().map(|(id, _)| *id).collect();
        ids.extend(self.rules.iter().map(|rule| rule.field));
        ids.extend(self.postal_code.iter().filter_map(|_| FieldId::of("PostalCode")));
        ids.extend(self.address.iter().filter_map(|_| FieldId::of("UnparsedAddress")));
        ids.extend(self.bathrooms.iter().filter_map(|_| FieldId::of("BathroomsTotalInteger")));
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| id.field().name).collect()
    }
}

/// Everything that is wrong or odd about the text of a pack, in the order of lines.
#[must_use]
pub fn lint(text: &str) -> Vec<Finding> {
    let mut findings = Findings::new(text);
    compile::pack(&mut findings);
    findings.finish()
}

/// Reads a text with columns in braces. `None` where a brace is not closed or no column is named.
pub(crate) fn template(text: &str) -> Option<Vec<KeyPart>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        if name.trim().is_empty() || before.contains('}') {
            return None;
        }
        if !before.is_empty() {
            parts.push(KeyPart::Text(before.to_owned()));
        }
        parts.push(KeyPart::Column(crate::columns::clean_name(name)));
        rest = tail;
    }
    if rest.contains('}') || parts.is_empty() {
        return None;
    }
    if !rest.is_empty() {
        parts.push(KeyPart::Text(rest.to_owned()));
    }
    Some(parts)
}

#[cfg(test)]
mod tests;
