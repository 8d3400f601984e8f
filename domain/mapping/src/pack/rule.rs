//! One rule: a column, the field it becomes, and how.

use std::collections::BTreeMap;
use std::ops::Range;

use messages::Decimal;
use messages::fields::{FieldId, Kind};
use messages::json::write_str;

use super::PostalCodeRule;
use super::compile::{Compiler, date_forms};
use crate::convert::{Convert, Done, Table as LookupTable, list, table_key};
use crate::forms::DateForms;
use crate::read::{Findings, Item, Scalar, Table, Text, nearest};

/// What happens to a value that the lookup lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The row becomes a dead letter.
    Reject,
    /// The field stays empty, with a note.
    Null,
    /// The field takes it as it is.
    Pass,
}

/// How a column becomes a field.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) field: FieldId,
    pub(crate) slot: usize,
    pub(crate) convert: Convert,
    pub(crate) table: Option<LookupTable>,
    pub(crate) unknown: Unknown,
    pub(crate) required: bool,
    /// Texts that say that there is no value, in capitals.
    pub(crate) null: Vec<String>,
    /// Numbers up to this one say so too.
    pub(crate) null_at_most: Option<Decimal>,
    /// Only so many characters of the text count.
    pub(crate) take: Option<usize>,
    /// The unit, given with the value.
    pub(crate) unit: Option<(FieldId, Vec<u8>)>,
}

/// A lookup table as it stands in the pack.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) span: Range<usize>,
    entries: Vec<(String, Target, Range<usize>)>,
}

#[derive(Debug)]
enum Target {
    One(String),
    Several(Vec<String>),
}

/// Reads all of `[lookups]`.
pub(super) fn lookups(
    mut table: Table<'_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, Lookup> {
    let mut lookups = BTreeMap::new();
    for (name, item) in table.rest() {
        let span = name.span.clone();
        let Some(mut table) = item.into_table() else {
            findings.error(
                &span,
                "a lookup is a table: [lookups.NAME] with one line for each value of the column",
            );
            continue;
        };
        let mut entries: Vec<(String, Target, Range<usize>)> = Vec::new();
        for (key, item) in table.rest() {
            let Some(target) = target(&item) else {
                findings.error(
                    &item.span(),
                    "a lookup gives a string, a number, true, false or an array of strings",
                );
                continue;
            };
            let folded = table_key(&key.value);
            if entries.iter().any(|(known, ..)| *known == folded) {
                findings.error(
                    &key.span,
                    format!("`{}` is there already: case does not matter", key.value),
                );
            }
            entries.push((folded, target, item.span()));
        }
        lookups.insert(name.value, Lookup { span, entries });
    }
    lookups
}

fn target(item: &Item<'_>) -> Option<Target> {
    match item.scalar() {
        Some(Scalar::Text(text)) => Some(Target::One(text)),
        Some(Scalar::Flag(flag)) => Some(Target::One(flag.to_string())),
        Some(Scalar::Number(number)) => Some(Target::One(number.to_string())),
        None => item
            .strings()
            .map(|texts| Target::Several(texts.into_iter().map(|t| t.value).collect())),
    }
}

impl Lookup {
    /// Compiles it for one field: each target is converted now, and a wrong one is found now.
    fn compile(
        &self,
        field: FieldId,
        convert: &Convert,
        findings: &mut Findings<'_>,
    ) -> LookupTable {
        let mut table = LookupTable::new();
        for (key, target, span) in &self.entries {
            match compile_target(convert, target) {
                Ok(value) => drop(table.insert(key.clone(), value)),
                Err(wrong) => {
                    let name = field.field().name;
                    let hint = match field.field().kind {
                        Kind::Locked(values) => nearest(&wrong, values.iter().copied()),
                        _ => None,
                    };
                    let hint =
                        hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                    findings.error(
                        span,
                        format!("`{wrong}` is not a value that `{name}` can have{hint}"),
                    );
                }
            }
        }
        table
    }
}

fn compile_target(convert: &Convert, target: &Target) -> Result<Option<Vec<u8>>, String> {
    let mut out = Vec::new();
    match (convert, target) {
        (_, Target::One(text)) if text.trim().is_empty() => return Ok(None),
        // An item of a list: lists take tables item by item.
        (Convert::List { .. }, Target::One(text)) => write_str(&mut out, text.trim()),
        (Convert::List { .. }, Target::Several(texts)) => {
            let items = texts.iter().map(|t| t.as_str().into());
            drop(list(items, None, &mut out));
            // Without brackets, so that several items fit where one would.
            out = out.get(1..out.len().saturating_sub(1)).unwrap_or_default().to_vec();
        }
        (_, Target::Several(_)) => return Err("[...]".to_owned()),
        (_, Target::One(text)) => match convert.text(text.trim(), &mut out) {
            Ok(Done::Value) => {}
            Ok(Done::Nothing) => return Ok(None),
            Ok(Done::Changed(_)) | Err(_) => return Err(text.clone()),
        },
    }
    Ok(Some(out))
}

/// How a text becomes that field where the pack says nothing more.
pub(super) fn plain_convert(field: FieldId) -> Convert {
    match (field.field().name, field.field().kind) {
        ("StateOrProvince", _) => Convert::State,
        ("Country", _) => Convert::Country,
        (_, Kind::Money) => Convert::Money,
        (_, Kind::Integer) => Convert::Integer,
        (_, Kind::Decimal(scale)) => Convert::Decimal { scale, shift: 0 },
        (_, Kind::Text(max)) => Convert::Text { max: usize::from(max), title: false },
        (_, Kind::Date) => Convert::Date(DateForms::default()),
        (_, Kind::Timestamp) => Convert::Timestamp(DateForms::default()),
        (_, Kind::Boolean) => Convert::Boolean { yes: Vec::new(), no: Vec::new() },
        (_, Kind::Locked(values)) => Convert::Locked(values),
        (_, Kind::Open) => Convert::Open { title: false },
        (_, Kind::List) => Convert::List { separator: ',' },
        (_, Kind::Media) => Convert::Media,
    }
}

/// Reads the rules of a field: a column, a table, or an array of tables of which the first that has a value counts.
pub(super) fn rules(
    compiler: &mut Compiler,
    field: FieldId,
    item: Item<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Rule> {
    if let Some(texts) = item.strings() {
        return texts
            .into_iter()
            .map(|column| simple(compiler, field, &column, findings))
            .collect();
    }
    let span = item.span();
    let tables = item.into_tables();
    if tables.is_empty() {
        findings.error(
            &span,
            "a field is given by a column (\"PRICE\"), or a table ({ column = \"PRICE\", ... })",
        );
    }
    tables.into_iter().filter_map(|table| rule(compiler, field, table, findings)).collect()
}

fn simple(
    compiler: &mut Compiler,
    field: FieldId,
    column: &Text,
    findings: &mut Findings<'_>,
) -> Rule {
    let convert = plain_convert(field);
    Rule {
        field,
        slot: compiler.slot(column, false, findings),
        unknown: if matches!(convert, Convert::Open { .. }) {
            Unknown::Pass
        } else {
            Unknown::Null
        },
        convert,
        table: None,
        required: false,
        null: Vec::new(),
        null_at_most: None,
        take: None,
        unit: None,
    }
}

fn rule(
    compiler: &mut Compiler,
    field: FieldId,
    mut table: Table<'_>,
    findings: &mut Findings<'_>,
) -> Option<Rule> {
    let span = table.span.clone();
    let column = table.required("column", findings);
    let lookup = table.string("lookup", findings);
    let unknown = table.string("unknown", findings);
    let required = table.bool("required", findings).unwrap_or(false);
    let optional = table.bool("optional", findings).unwrap_or(false);
    let null = table.strings("null", findings);
    let null_at_most = table.number("null_at_most", findings);
    let take = table
        .number("take", findings)
        .and_then(Decimal::to_integer)
        .and_then(|n| usize::try_from(n).ok());
    let mut rule =
        Rule { take, required, null_at_most, ..simple(compiler, field, &column?, findings) };
    if let Some(column) = compiler.columns.get_mut(rule.slot) {
        column.optional |= optional;
    }
    rule.null = null.iter().map(|t| table_key(&t.value)).collect();
    options(&mut rule, &mut table, findings);
    if null_at_most.is_some()
        && !matches!(rule.convert, Convert::Money | Convert::Integer | Convert::Decimal { .. })
    {
        findings.error(
            &span,
            format!("`null_at_most` is for numbers, and `{}` is none", field.field().name),
        );
    }
    table.finish(findings);
    if let Some(lookup) = &lookup {
        rule.table = compile_lookup(compiler, field, &rule.convert, lookup, findings);
        rule.unknown = Unknown::Null;
    }
    if let Some(text) = &unknown {
        rule.unknown = read_unknown(text, &rule.convert, findings).unwrap_or(rule.unknown);
    }
    Some(rule)
}

/// Reads the options that only some kinds of field have; [`Table::finish`] then says which do not belong.
fn options(rule: &mut Rule, table: &mut Table<'_>, findings: &mut Findings<'_>) {
    match &mut rule.convert {
        Convert::Date(forms) | Convert::Timestamp(forms) => *forms = date_forms(table, findings),
        Convert::Text { title, .. } | Convert::Open { title } => {
            *title = read_case(table, findings)
        }
        Convert::Boolean { yes, no } => {
            *yes = table.strings("yes", findings).into_iter().map(|t| t.value).collect();
            *no = table.strings("no", findings).into_iter().map(|t| t.value).collect();
        }
        Convert::List { separator } => {
            if let Some(text) = table.string("separator", findings) {
                *separator = text.value.chars().next().unwrap_or(',');
            }
        }
        Convert::Decimal { shift, .. } => {
            if let Some(text) = table.string("unit", findings) {
                rule.unit = unit(rule.field, &text, shift, findings);
            }
        }
        _ => {}
    }
}

fn read_case(table: &mut Table<'_>, findings: &mut Findings<'_>) -> bool {
    let Some(case) = table.string("case", findings) else { return false };
    if case.value != "title" {
        findings.error(&case.span, "`case` can only be \"title\": capitals become `Capitals`");
    }
    true
}

/// The field that says the unit of an area, the unit, and what the number is to be shifted by to be in it.
fn unit(
    field: FieldId,
    text: &Text,
    shift: &mut i32,
    findings: &mut Findings<'_>,
) -> Option<(FieldId, Vec<u8>)> {
    let companion = match field.field().name {
        "LivingArea" => "LivingAreaUnits",
        "BuildingAreaTotal" => "BuildingAreaUnits",
        "AboveGradeFinishedArea" => "AboveGradeFinishedAreaUnits",
        "BelowGradeFinishedArea" => "BelowGradeFinishedAreaUnits",
        "LotSizeArea" => "LotSizeUnits",
        other => {
            findings.error(&text.span, format!("`{other}` has no unit of its own"));
            return None;
        }
    };
    let companion = FieldId::of(companion).expect("the fields of units are in the table");
    // RESO has no hectares; one is ten thousand square metres.
    let (name, power) =
        if text.value == "Hectares" { ("Square Meters", 4) } else { (text.value.as_str(), 0) };
    *shift = power;
    let Kind::Locked(units) = companion.field().kind else { return None };
    if !units.contains(&name) {
        let known = units.join(", ");
        findings.error(
            &text.span,
            format!("`{}` is no unit here; known are {known}, Hectares", text.value),
        );
        return None;
    }
    let mut value = Vec::new();
    write_str(&mut value, name);
    Some((companion, value))
}

fn compile_lookup(
    compiler: &mut Compiler,
    field: FieldId,
    convert: &Convert,
    name: &Text,
    findings: &mut Findings<'_>,
) -> Option<LookupTable> {
    let Some(lookup) = compiler.lookups.get(&name.value) else {
        let hint = nearest(&name.value, compiler.lookups.keys().map(String::as_str));
        let hint =
            hint.map_or_else(|| "add it".to_owned(), |near| format!("did you mean `{near}`?"));
        findings.error(&name.span, format!("there is no [lookups.{}]: {hint}", name.value));
        return None;
    };
    compiler.lookups_used.insert(name.value.clone());
    Some(lookup.compile(field, convert, findings))
}

fn read_unknown(text: &Text, convert: &Convert, findings: &mut Findings<'_>) -> Option<Unknown> {
    let unknown = match text.value.as_str() {
        "reject" => Some(Unknown::Reject),
        "null" => Some(Unknown::Null),
        "pass" => Some(Unknown::Pass),
        _ => None,
    };
    if unknown.is_none() {
        findings
            .error(&text.span, "`unknown` must be \"reject\", \"null\" (with a note) or \"pass\"");
    }
    if unknown == Some(Unknown::Pass)
        && matches!(convert, Convert::Locked(_) | Convert::State | Convert::Country)
    {
        findings.error(
            &text.span,
            "`unknown = \"pass\"` is for open lookups: the values of this field are locked",
        );
    }
    unknown
}

/// Reads the rule of `PostalCode`, which is read by the country's own rules.
pub(super) fn postal_code(
    compiler: &mut Compiler,
    item: Item<'_>,
    findings: &mut Findings<'_>,
) -> Option<PostalCodeRule> {
    if let Some([column]) = item.strings().as_deref() {
        let slot = compiler.slot(column, false, findings);
        return Some(PostalCodeRule { slot, null: Vec::new(), restore_zeros: false });
    }
    let span = item.span();
    let Some(mut table) = item.into_table() else {
        findings.error(&span, "`PostalCode` is given by one column, or a table");
        return None;
    };
    let column = table.required("column", findings);
    let null = table.strings("null", findings).iter().map(|t| table_key(&t.value)).collect();
    let restore_zeros = table.bool("restore_zeros", findings).unwrap_or(false);
    table.finish(findings);
    Some(PostalCodeRule { slot: compiler.slot(&column?, false, findings), null, restore_zeros })
}
