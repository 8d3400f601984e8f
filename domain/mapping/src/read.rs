//! Reading TOML with every fault found, each with its line.
//!
//! A table is taken apart key by key; what is left over at the end is a key that nobody knows, and is said so.

use std::ops::Range;

use messages::Decimal;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest TOML text that is read, in bytes.
pub(crate) const TEXT_MAX: usize = 1 << 20;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The text cannot be used.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// Something that is wrong with a TOML text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: usize,
    /// How much it matters.
    pub severity: Severity,
    /// One line that says what to do.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = if self.severity == Severity::Error { "" } else { "warning: " };
        write!(f, "line {}: {severity}{}", self.line, self.message)
    }
}

/// A TOML text was refused, for all of these reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Every error found.
    pub findings: Vec<Finding>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, finding) in self.findings.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Collects findings; knows the text, for their lines.
#[derive(Debug)]
pub(crate) struct Findings<'t> {
    text: &'t str,
    list: Vec<Finding>,
}

impl<'t> Findings<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new() }
    }

    pub(crate) fn error(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.push(span, Severity::Error, message.into());
    }

    pub(crate) fn warn(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.push(span, Severity::Warning, message.into());
    }

    fn push(&mut self, span: &Range<usize>, severity: Severity, message: String) {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        self.list.push(Finding { line, severity, message });
    }

    /// All findings, in the order of lines.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|f| f.line);
        self.list
    }

    /// The value, unless an error was found.
    pub(crate) fn judge<T>(self, value: Option<T>) -> Result<T, Refused> {
        let findings: Vec<_> =
            self.finish().into_iter().filter(|f| f.severity == Severity::Error).collect();
        match value {
            Some(value) if findings.is_empty() => Ok(value),
            _ => Err(Refused { findings }),
        }
    }

    /// The whole text as a table.
    pub(crate) fn document(&mut self) -> Option<Table<'t>> {
        if self.text.len() > TEXT_MAX {
            self.error(&(0..0), format!("the text has more than {TEXT_MAX} bytes"));
            return None;
        }
        match DeTable::parse(self.text) {
            Ok(table) => Some(Table::new(String::new(), 0..0, table.into_inner())),
            Err(error) => {
                let message = error.message().lines().collect::<Vec<_>>().join(", ");
                self.error(&error.span().unwrap_or(0..0), format!("not TOML: {message}"));
                None
            }
        }
    }
}

/// A string with its place.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) span: Range<usize>,
}

/// A table that is being taken apart.
#[derive(Debug)]
pub(crate) struct Table<'t> {
    path: String,
    pub(crate) span: Range<usize>,
    entries: Vec<(Text, Spanned<DeValue<'t>>)>,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    fn new(path: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        let entry = |(key, value): (Spanned<std::borrow::Cow<'t, str>>, _)| {
            let span = key.span();
            (Text { value: key.into_inner().into_owned(), span }, value)
        };
        let entries = table.into_iter().map(entry).collect();
        Self { path, span, entries, known: Vec::new() }
    }

    /// How messages call a key of this table.
    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { format!("`{key}`") } else { format!("`{}.{key}`", self.path) }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name.value == key)?;
        Some(self.entries.remove(at).1)
    }

    fn wrong(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        findings: &mut Findings<'_>,
    ) {
        let found = value.get_ref().type_str();
        findings
            .error(&value.span(), format!("{} must be {expected}, and is {found}", self.name(key)));
    }

    pub(crate) fn string(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Text> {
        let value = self.take(key)?;
        let span = value.span();
        match value.get_ref() {
            DeValue::String(text) => Some(Text { value: text.to_string(), span }),
            _ => {
                self.wrong(key, &value, "a string", findings);
                None
            }
        }
    }

    /// A string that must be there.
    pub(crate) fn required(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Text> {
        let there = self.entries.iter().any(|(name, _)| name.value == key);
        if !there {
            findings.error(&self.span, format!("{} is missing", self.name(key)));
        }
        self.string(key, findings)
    }

    /// One string, or an array of them.
    pub(crate) fn strings(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Vec<Text> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let texts = texts(&value);
        if texts.is_none() {
            self.wrong(key, &value, "a string or an array of strings", findings);
        }
        texts.unwrap_or_default()
    }

    pub(crate) fn bool(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<bool> {
        let value = self.take(key)?;
        if value.get_ref().as_bool().is_none() {
            self.wrong(key, &value, "true or false", findings);
        }
        value.get_ref().as_bool()
    }

    /// A number, exactly as it stands.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Decimal> {
        let value = self.take(key)?;
        let number = number(value.get_ref());
        if number.is_none() {
            self.wrong(key, &value, "a number", findings);
        }
        number
    }

    pub(crate) fn table(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Self> {
        let value = self.take(key)?;
        if !value.get_ref().is_table() {
            self.wrong(key, &value, "a table", findings);
        }
        let path = self.name(key).trim_matches('`').to_owned();
        into_table(path, value)
    }

    /// A table, or an empty one.
    pub(crate) fn table_or_empty(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Self {
        let span = self.span.clone();
        self.table(key, findings).unwrap_or_else(|| Self::new(key.to_owned(), span, DeTable::new()))
    }

    /// An array of tables.
    pub(crate) fn tables(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Vec<Self> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let is_tables =
            value.get_ref().as_array().is_some_and(|a| a.iter().all(|v| v.get_ref().is_table()));
        if !is_tables {
            self.wrong(key, &value, "an array of tables", findings);
            return Vec::new();
        }
        let DeValue::Array(items) = value.into_inner() else { return Vec::new() };
        items.into_iter().filter_map(|item| into_table(key.to_owned(), item)).collect()
    }

    /// All that is left, for tables whose keys are free.
    pub(crate) fn rest(&mut self) -> Vec<(Text, Item<'t>)> {
        let path = self.path.clone();
        let item = |(key, value): (Text, Spanned<DeValue<'t>>)| {
            let path = format!("{path}.{}", key.value);
            (key, Item { path, value })
        };
        std::mem::take(&mut self.entries).into_iter().map(item).collect()
    }

    /// Says which keys nobody took.
    pub(crate) fn finish(self, findings: &mut Findings<'_>) {
        for (key, _) in &self.entries {
            let hint = nearest(&key.value, self.known.iter().copied()).map_or_else(
                || format!("known are {}", self.known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            findings
                .error(&key.span, format!("{} is not a known key; {hint}", self.name(&key.value)));
        }
    }
}

/// A value of a table with free keys.
#[derive(Debug)]
pub(crate) struct Item<'t> {
    path: String,
    value: Spanned<DeValue<'t>>,
}

impl<'t> Item<'t> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub(crate) fn scalar(&self) -> Option<Scalar> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(Scalar::Text(text.to_string())),
            DeValue::Boolean(flag) => Some(Scalar::Flag(*flag)),
            other => number(other).map(Scalar::Number),
        }
    }

    pub(crate) fn strings(&self) -> Option<Vec<Text>> {
        texts(&self.value)
    }

    pub(crate) fn into_table(self) -> Option<Table<'t>> {
        into_table(self.path, self.value)
    }

    /// One table, or an array of them; empty where it is neither.
    pub(crate) fn into_tables(self) -> Vec<Table<'t>> {
        let Self { path, value } = self;
        if value.get_ref().is_table() {
            return into_table(path, value).into_iter().collect();
        }
        let DeValue::Array(items) = value.into_inner() else { return Vec::new() };
        let count = items.len();
        let tables: Vec<_> =
            items.into_iter().filter_map(|item| into_table(path.clone(), item)).collect();
        if tables.len() == count { tables } else { Vec::new() }
    }
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text(String),
    Flag(bool),
    Number(Decimal),
}

fn into_table(path: String, value: Spanned<DeValue<'_>>) -> Option<Table<'_>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Some(Table::new(path, span, table)),
        _ => None,
    }
}

fn texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<Text>> {
    let one = |v: &Spanned<DeValue<'_>>| {
        v.get_ref().as_str().map(|text| Text { value: text.to_owned(), span: v.span() })
    };
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(one).collect(),
        _ => one(value).map(|text| vec![text]),
    }
}

fn number(value: &DeValue<'_>) -> Option<Decimal> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => Decimal::parse(number.as_str()),
        DeValue::Float(number) => Decimal::parse(number.as_str()),
        _ => None,
    }
}

/// The name among `names` that `name` is most likely a slip of, if any is near.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let limit = name.chars().count().div_ceil(3);
    names
        .into_iter()
        .filter(|candidate| candidate.len() <= 200 && name.len() <= 200)
        .map(|candidate| (distance(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Number of characters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (cb, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(ca != *cb);
            left = cost.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        for (name, expect) in [
            ("SALE PRCE", Some("SALE PRICE")),
            ("sale price", Some("SALE PRICE")),
            ("SALEDATE", Some("SALE DATE")),
            ("ROLL_NUMBER", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, ["SALE PRICE", "SALE DATE", "BLOCK"]), expect, "{name}");
        }
    }
}
