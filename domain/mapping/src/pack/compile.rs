//! From the text of a pack to its rules; every fault is found, none stops the search for more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use messages::fields::{FieldId, Kind};
use messages::time::zone_minutes;

use super::rule::{self, Lookup};
use super::{
    AddressRule, Column, Encoding, Format, KeyPart, LinePart, Pack, PostalCodeRule, Rule, Source,
    Timestamp, template,
};
use crate::columns::clean_name;
use crate::convert::Done;
use crate::forms::{DateForm, DateForms};
use crate::read::{Findings, Scalar, Table, Text, nearest};

/// Longest name of a pack, in bytes.
const NAME_MAX: usize = 40;

/// What was compiled so far.
#[derive(Default)]
pub(super) struct Compiler {
    pub(super) columns: Vec<Column>,
    pub(super) slots: HashMap<String, usize>,
    aliases: BTreeMap<String, Vec<String>>,
    pub(super) lookups: BTreeMap<String, Lookup>,
    pub(super) lookups_used: HashSet<String>,
    fields: HashMap<FieldId, Range<usize>>,
    constants: Vec<(FieldId, Vec<u8>)>,
    rules: Vec<Rule>,
    postal_code: Option<PostalCodeRule>,
}

/// Compiles the whole document. `None` only where it is not TOML; else the findings say whether it may be used.
pub(super) fn pack(findings: &mut Findings<'_>) -> Option<Pack> {
    let mut document = findings.document()?;
    let mut compiler = Compiler::default();
    let name = document.required("name", findings);
    let title = document.string("title", findings);
    check_name(name.as_ref(), findings);
    compiler.aliases(document.table_or_empty("aliases", findings), findings);
    compiler.lookups = rule::lookups(document.table_or_empty("lookups", findings), findings);
    let source = compiler.source(document.table("source", findings), findings);
    compiler.constants(document.table_or_empty("constants", findings), findings);
    compiler.fields(document.table_or_empty("fields", findings), findings);
    let address = document.table("address", findings).and_then(|t| compiler.address(t, findings));
    let bathrooms =
        document.table("bathrooms", findings).and_then(|t| compiler.bathrooms(t, findings));
    document.finish(findings);
    compiler.look_over(findings);
    let (source, key, timestamp) = source?;
    Some(Pack {
        name: name.map(|t| t.value).unwrap_or_default(),
        title: title.map(|t| t.value).unwrap_or_default(),
        source,
        key,
        columns: compiler.columns,
        slots: compiler.slots,
        constants: compiler.constants,
        rules: compiler.rules,
        timestamp,
        postal_code: compiler.postal_code,
        address,
        bathrooms,
    })
}

fn check_name(name: Option<&Text>, findings: &mut Findings<'_>) {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if let Some(name) = name
        && (name.value.is_empty() || name.value.len() > NAME_MAX || !name.value.bytes().all(fits))
    {
        findings.error(
            &name.span,
            format!("`name` has lower-case letters, digits and dashes, at most {NAME_MAX}"),
        );
    }
}

type SourceParts = (Source, Vec<KeyPart>, Option<Timestamp>);

impl Compiler {
    /// The place of a column; a column is optional where everything that names it says so.
    pub(super) fn slot(
        &mut self,
        name: &Text,
        optional: bool,
        findings: &mut Findings<'_>,
    ) -> usize {
        let clean = clean_name(&name.value);
        if clean.is_empty() {
            findings.error(&name.span, "the name of a column is empty");
        }
        if let Some(at) = self.slots.get(&clean).copied() {
            if let Some(column) = self.columns.get_mut(at) {
                column.optional &= optional;
            }
            return at;
        }
        let at = self.columns.len();
        let aliases = self.aliases.get(&clean).cloned().unwrap_or_default();
        for known in aliases.iter().chain([&clean]) {
            self.slots.insert(known.clone(), at);
        }
        self.columns.push(Column { name: clean, aliases, optional });
        at
    }

    /// Says that a field is given here; giving it twice is a fault.
    fn claim(&mut self, field: FieldId, span: &Range<usize>, findings: &mut Findings<'_>) {
        if self.fields.insert(field, span.clone()).is_some() {
            let name = field.field().name;
            findings.error(
                span,
                format!("`{name}` is given twice, as a constant and as a field: remove one"),
            );
        }
    }

    fn aliases(&mut self, mut table: Table<'_>, findings: &mut Findings<'_>) {
        for (name, item) in table.rest() {
            let Some(others) = item.strings() else {
                findings.error(
                    &item.span(),
                    "an alias is a string or an array of strings: other names of the column",
                );
                continue;
            };
            let others = others.into_iter().map(|t| clean_name(&t.value)).collect();
            self.aliases.insert(clean_name(&name.value), others);
        }
    }

    fn source(
        &mut self,
        table: Option<Table<'_>>,
        findings: &mut Findings<'_>,
    ) -> Option<SourceParts> {
        let Some(mut table) = table else {
            findings.error(&(0..0), "[source] is missing: it says the format and the key");
            return None;
        };
        let format = table.required("format", findings).and_then(|t| format(&t, findings));
        let encoding = table
            .string("encoding", findings)
            .map_or(Some(Encoding::Auto), |t| encoding(&t, findings));
        let delimiter =
            table.string("delimiter", findings).map_or(Some(b','), |t| delimiter(&t, findings));
        let header =
            table.strings("header", findings).into_iter().map(|t| clean_name(&t.value)).collect();
        let key = table.required("key", findings);
        let stamp = table.table("timestamp", findings).and_then(|t| self.timestamp(t, findings));
        table.finish(findings);
        let key = key?;
        let parts = self.key(&key, findings)?;
        let (format, encoding, delimiter) = (format?, encoding?, delimiter?);
        Some((Source { format, encoding, delimiter, header, key: key.value }, parts, stamp))
    }

    fn key(&mut self, key: &Text, findings: &mut Findings<'_>) -> Option<Vec<KeyPart>> {
        let Some(parts) = template(&key.value) else {
            findings
                .error(&key.span, "`key` names columns in braces, for example \"{BLOCK}-{LOT}\"");
            return None;
        };
        for part in &parts {
            let KeyPart::Column(name) = part else { continue };
            if self.aliases.contains_key(name) {
                findings.error(
                    &key.span,
                    format!("column `{name}` of the key has aliases: a key must have one name"),
                );
            }
            self.slot(&Text { value: name.clone(), span: key.span.clone() }, false, findings);
        }
        Some(parts)
    }

    fn timestamp(
        &mut self,
        mut table: Table<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<Timestamp> {
        let column = table.required("column", findings);
        let forms = date_forms(&mut table, findings);
        table.finish(findings);
        Some(Timestamp { slot: self.slot(&column?, false, findings), forms })
    }

    fn constants(&mut self, mut table: Table<'_>, findings: &mut Findings<'_>) {
        for (name, item) in table.rest() {
            let Some(field) = known_field(&name, findings) else { continue };
            self.claim(field, &name.span, findings);
            let Some(scalar) = item.scalar() else {
                findings.error(&item.span(), "a constant is a string, a number, true or false");
                continue;
            };
            let mut value = Vec::new();
            match constant(field, &scalar, &mut value) {
                Ok(()) => self.constants.push((field, value)),
                Err(says) => findings
                    .error(&item.span(), format!("`{}`: the constant {says}", field.field().name)),
            }
        }
    }

    fn fields(&mut self, mut table: Table<'_>, findings: &mut Findings<'_>) {
        for (name, item) in table.rest() {
            let Some(field) = known_field(&name, findings) else { continue };
            self.claim(field, &name.span, findings);
            if field.field().name == "PostalCode" {
                self.postal_code = rule::postal_code(self, item, findings);
            } else {
                let rules = rule::rules(self, field, item, findings);
                self.rules.extend(rules);
            }
        }
    }

    fn address(
        &mut self,
        mut table: Table<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<AddressRule> {
        let line = table.required("line", findings);
        let unit = table.string("unit", findings).map(|t| self.slot(&t, false, findings));
        let full = table.bool("full", findings).unwrap_or(false);
        table.finish(findings);
        let line = line?;
        let span = line.span.clone();
        if !line.value.contains('{') {
            return Some(AddressRule {
                line: vec![LinePart::Column(self.slot(&line, false, findings))],
                unit,
                full,
            });
        }
        let Some(parts) = template(&line.value) else {
            findings.error(
                &span,
                "`line` is a column, or a text with columns in braces: \"{NUMBER} {STREET}\"",
            );
            return None;
        };
        let part = |part| match part {
            KeyPart::Text(text) => LinePart::Text(text),
            KeyPart::Column(value) => {
                LinePart::Column(self.slot(&Text { value, span: span.clone() }, false, findings))
            }
        };
        Some(AddressRule { line: parts.into_iter().map(part).collect(), unit, full })
    }

    fn bathrooms(&mut self, mut table: Table<'_>, findings: &mut Findings<'_>) -> Option<usize> {
        let column = table.required("column", findings);
        table.finish(findings);
        Some(self.slot(&column?, false, findings))
    }

    /// What is odd about the pack as a whole.
    fn look_over(&self, findings: &mut Findings<'_>) {
        for (name, lookup) in
            self.lookups.iter().filter(|(name, _)| !self.lookups_used.contains(*name))
        {
            findings.warn(&lookup.span, format!("no field uses the lookup `{name}`"));
        }
        for name in ["StateOrProvince", "City"] {
            let given = FieldId::of(name).is_some_and(|field| self.fields.contains_key(&field));
            if !given {
                findings.warn(
                    &(0..0),
                    format!("the pack gives no `{name}`, which RESO asks of every listing"),
                );
            }
        }
    }
}

/// The field of that name, or a finding that says which one may be meant.
fn known_field(name: &Text, findings: &mut Findings<'_>) -> Option<FieldId> {
    let field = FieldId::of(&name.value);
    if field.is_none() {
        let names = messages::fields::FIELDS.iter().map(|f| f.name);
        let hint = nearest(&name.value, names).map_or_else(
            || "only fields of the Data Dictionary that are carried can be given".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        findings.error(&name.span, format!("`{}` is no RESO field; {hint}", name.value));
    }
    field
}

fn constant(field: FieldId, scalar: &Scalar, out: &mut Vec<u8>) -> Result<(), String> {
    let text = match (scalar, field.field().kind) {
        (Scalar::Flag(flag), Kind::Boolean) => flag.to_string(),
        (Scalar::Number(number), Kind::Money | Kind::Integer | Kind::Decimal(_)) => {
            number.to_string()
        }
        (Scalar::Text(text), kind) if !matches!(kind, Kind::Boolean | Kind::Media) => text.clone(),
        _ => return Err("is of the wrong type for the field".to_owned()),
    };
    match rule::plain_convert(field).text(text.trim(), out) {
        Ok(Done::Value) => Ok(()),
        Ok(Done::Changed(problem)) | Err(problem) => Err(problem.says.into_owned()),
        Ok(Done::Nothing) => Err("is empty".to_owned()),
    }
}

fn format(text: &Text, findings: &mut Findings<'_>) -> Option<Format> {
    match text.value.as_str() {
        "csv" => Some(Format::Csv),
        "jsonl" => Some(Format::JsonLines),
        other => {
            findings.error(
                &text.span,
                format!("`format` must be \"csv\" or \"jsonl\", and is \"{other}\""),
            );
            None
        }
    }
}

fn encoding(text: &Text, findings: &mut Findings<'_>) -> Option<Encoding> {
    match text.value.as_str() {
        "auto" => Some(Encoding::Auto),
        "utf-8" => Some(Encoding::Utf8),
        "windows-1252" => Some(Encoding::Windows1252),
        other => {
            let known = "\"auto\", \"utf-8\" or \"windows-1252\"";
            findings.error(&text.span, format!("`encoding` must be {known}, and is \"{other}\""));
            None
        }
    }
}

fn delimiter(text: &Text, findings: &mut Findings<'_>) -> Option<u8> {
    let one = match text.value.as_bytes() {
        [b] if b.is_ascii_punctuation() || *b == b'\t' => Some(*b).filter(|b| *b != b'"'),
        _ => None,
    };
    if one.is_none() {
        findings.error(&text.span, "`delimiter` must be one punctuation mark or a tab (\"\\t\")");
    }
    one
}

/// Reads `form` (one, or several to try in order) and `offset`.
pub(super) fn date_forms(table: &mut Table<'_>, findings: &mut Findings<'_>) -> DateForms {
    let mut forms = Vec::new();
    for form in table.strings("form", findings) {
        match DateForm::parse(&form.value) {
            Ok(read) => forms.push(read),
            Err(says) => findings.error(&form.span, says),
        }
    }
    let offset = table.string("offset", findings).map_or(Some(0), |offset| {
        let minutes = zone_minutes(offset.value.as_bytes());
        if minutes.is_none() {
            findings.error(&offset.span, "`offset` is a zone such as \"-08:00\" or \"Z\"");
        }
        minutes
    });
    DateForms { forms, offset: offset.unwrap_or(0) }
}
