//! A row through a pack: the one hot path of `normalize`.

use std::borrow::Cow;
use std::sync::Arc;

use messages::fields::FieldId;
use messages::json::{JsonError, Value, members};
use messages::notes::Note;

use crate::checks;
use crate::convert::{self, Convert, Done, Problem, table_key};
use crate::derive::{self, text_of};
use crate::draft::Draft;
use crate::fault::{Fault, shown};
use crate::pack::{Pack, Rule, Timestamp, Unknown};
use crate::places::{Places, place};

/// Code of a row that is no JSON object.
pub const BAD_ROW: &str = "bad_row";

/// Maps rows through one pack. Keeps its buffers from row to row.
#[derive(Debug)]
pub struct Mapper {
    pack: Arc<Pack>,
    places: Places,
    draft: Draft,
    /// The columns of the last row, in their order: the next row nearly always has the same.
    order: Vec<(String, Option<usize>)>,
    mapped: [bool; FieldId::COUNT],
    listing: Vec<u8>,
    timestamp: Vec<u8>,
}

/// What a row became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped<'m> {
    /// The listing: a JSON object of RESO fields, sorted by name, in canonical form.
    pub listing: &'m [u8],
    /// [`messages::hash`] of it.
    pub hash: u64,
    /// When the source says the row is from.
    pub source_timestamp: Option<&'m str>,
    /// What a person should know.
    pub notes: &'m [Note],
}

/// Values of the columns that the pack names, by their place in it.
pub(crate) struct Cells<'r> {
    values: Vec<Value<'r>>,
}

impl Cells<'_> {
    /// A single value as text, trimmed and not empty.
    pub(crate) fn text(&self, slot: usize) -> Option<Cow<'_, str>> {
        text_of(self.values.get(slot)?)
    }
}

impl Mapper {
    /// A mapper for one pack.
    #[must_use]
    pub fn new(pack: Arc<Pack>, places: Places) -> Self {
        let mut mapped = [false; FieldId::COUNT];
        for id in pack.fields().into_iter().filter_map(FieldId::of) {
            if let Some(flag) = mapped.get_mut(id.index()) {
                *flag = true;
            }
        }
        Self {
            pack,
            places,
            draft: Draft::default(),
            order: Vec::new(),
            mapped,
            listing: Vec::with_capacity(4096),
            timestamp: Vec::with_capacity(32),
        }
    }

    /// Its pack.
    #[must_use]
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// Maps a row, given as a JSON object of columns.
    ///
    /// # Errors
    /// [`Fault`] where the row cannot be used: it is no JSON object, a required column or the source's timestamp
    /// cannot be read, or a lookup refuses a value.
    pub fn map(&mut self, row: &str) -> Result<Mapped<'_>, Fault> {
        let pack = Arc::clone(&self.pack);
        let cells = self
            .cells(&pack, row)
            .map_err(|error| Fault::new(BAD_ROW, format!("the row is {error}")))?;
        self.timestamp.clear();
        if let Some(timestamp) = &pack.timestamp {
            read_timestamp(&pack, timestamp, &cells, &mut self.timestamp)?;
        }
        let draft = &mut self.draft;
        draft.clear();
        for (field, value) in &pack.constants {
            draft.set(*field, |out| out.extend_from_slice(value));
        }
        for rule in &pack.rules {
            apply(&pack, rule, &cells, draft)?;
        }
        if let Some(slot) = pack.bathrooms {
            derive::bathrooms(&pack, slot, &cells, draft);
        }
        derive::country_and_currency(draft);
        if let Some(rule) = &pack.postal_code {
            derive::postal_code(&pack, rule, &cells, draft);
        }
        if let Some(rule) = &pack.address {
            derive::address(rule, &cells, draft);
            derive::country_and_currency(draft);
        }
        place(&self.places, draft);
        let mapped = &self.mapped;
        checks::check(draft, |field| mapped.get(field.index()).copied().unwrap_or(false));
        self.listing.clear();
        self.draft.write(&mut self.listing);
        Ok(self.mapped())
    }

    fn mapped(&self) -> Mapped<'_> {
        Mapped {
            listing: &self.listing,
            hash: messages::hash(&self.listing),
            source_timestamp: std::str::from_utf8(&self.timestamp)
                .ok()
                .filter(|text| !text.is_empty()),
            notes: &self.draft.notes,
        }
    }

    /// Sorts the row's values into the pack's columns; the last of a name counts.
    fn cells<'r>(&mut self, pack: &Pack, row: &'r str) -> Result<Cells<'r>, JsonError> {
        let mut values = vec![Value::Null; pack.columns.len()];
        for (at, member) in members(row).enumerate() {
            let (name, value) = member?;
            let slot = match self.order.get(at) {
                Some((known, slot)) if *known == name => *slot,
                _ => self.learn(pack, at, &name),
            };
            if let Some(cell) = slot.and_then(|slot| values.get_mut(slot)) {
                *cell = value;
            }
        }
        Ok(Cells { values })
    }

    fn learn(&mut self, pack: &Pack, at: usize, name: &str) -> Option<usize> {
        const COLUMNS_MAX: usize = 2000;
        let slot = pack
            .slots
            .get(name)
            .or_else(|| pack.slots.get(&crate::columns::clean_name(name)))
            .copied();
        self.order.truncate(at);
        if self.order.len() == at && at < COLUMNS_MAX {
            self.order.push((name.to_owned(), slot));
        }
        slot
    }
}

fn read_timestamp(
    pack: &Pack,
    rule: &Timestamp,
    cells: &Cells<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let column = column_name(pack, rule.slot);
    let Some(text) = cells.text(rule.slot) else {
        let message = format!("column `{column}` says when the row is from, and is empty");
        return Err(Fault::new("missing_value", message));
    };
    let moment = rule.forms.moment(&text);
    let moment = moment.ok_or_else(|| failed(column, &text, &convert::NOT_A_DATE))?;
    moment.write(out);
    Ok(())
}

fn column_name(pack: &Pack, slot: usize) -> &str {
    pack.columns.get(slot).map_or("", |column| &column.name)
}

fn failed(column: &str, text: &str, problem: &Problem) -> Fault {
    Fault::new(problem.code, sentence(column, text, problem))
}

fn sentence(column: &str, text: &str, problem: &Problem) -> String {
    format!("column `{column}`: `{}` {}", shown(text), problem.says)
}

/// Applies one rule. A field that has a value from an earlier rule keeps it.
fn apply(pack: &Pack, rule: &Rule, cells: &Cells<'_>, draft: &mut Draft) -> Result<(), Fault> {
    if draft.has(rule.field) {
        return Ok(());
    }
    let value = cells.values.get(rule.slot).unwrap_or(&Value::Null);
    let done = draft.set(rule.field, |out| {
        let start = out.len();
        let done = give(rule, value, out);
        if !matches!(done, Ok(Done::Value | Done::Changed(_))) {
            out.truncate(start);
        }
        done
    });
    let column = column_name(pack, rule.slot);
    let text = || text_of(value).unwrap_or(Cow::Borrowed("[...]"));
    match done {
        Ok(Done::Value) => {}
        Ok(Done::Changed(problem)) => {
            draft.note(rule.field, problem.code, &sentence(column, &text(), &problem))
        }
        Ok(Done::Nothing) if rule.required => {
            return Err(Fault::new(
                "missing_value",
                format!("column `{column}` is required, and is empty"),
            ));
        }
        Ok(Done::Nothing) => return Ok(()),
        Err(problem) if rule.required || refuses(rule, &problem) => {
            return Err(failed(column, &text(), &problem));
        }
        Err(problem) => {
            draft.note(rule.field, problem.code, &sentence(column, &text(), &problem));
            return Ok(());
        }
    }
    finish(rule, draft);
    Ok(())
}

fn refuses(rule: &Rule, problem: &Problem) -> bool {
    rule.unknown == Unknown::Reject && problem.code.starts_with("unknown_")
}

/// What depends on the value: too small a number is none, and an area brings its unit.
fn finish(rule: &Rule, draft: &mut Draft) {
    if let Some(most) = rule.null_at_most
        && draft.number(rule.field).is_some_and(|number| number <= most)
    {
        return draft.unset(rule.field);
    }
    if let Some((field, value)) = &rule.unit {
        draft.set(*field, |out| out.extend_from_slice(value));
    }
}

const NOT_SINGLE: Problem =
    Problem::new("not_a_single_value", "is a list or an object, and the field takes one value");

fn give(rule: &Rule, value: &Value<'_>, out: &mut Vec<u8>) -> Result<Done, Problem> {
    match (value, &rule.convert) {
        (Value::Array(text), Convert::List { .. }) => {
            return convert::list(convert::array_items(text), rule.table.as_ref(), out);
        }
        (Value::Array(text), Convert::Media) => return convert::media(text, out),
        (Value::Array(_) | Value::Object(_), _) => return Err(NOT_SINGLE),
        _ => {}
    }
    let Some(text) = text_of(value) else { return Ok(Done::Nothing) };
    let text = rule.take.map_or(&*text, |count| take(&text, count));
    if !rule.null.is_empty() && rule.null.contains(&table_key(text)) {
        return Ok(Done::Nothing);
    }
    match (&rule.table, &rule.convert) {
        (Some(_), Convert::List { separator }) => listed(rule, text, *separator, out),
        (Some(table), _) => match convert::look_up(table, text) {
            Some(Some(value)) => {
                out.extend_from_slice(value);
                Ok(Done::Value)
            }
            Some(None) => Ok(Done::Nothing),
            None if rule.unknown == Unknown::Pass => rule.convert.text(text, out),
            None => Err(Problem::new("unknown_lookup", "is not in the pack's lookup")),
        },
        (None, convert) => convert.text(text, out),
    }
}

/// A list through a lookup: the whole text where the lookup has it, else item by item.
fn listed(rule: &Rule, text: &str, separator: char, out: &mut Vec<u8>) -> Result<Done, Problem> {
    let whole = rule.table.as_ref().and_then(|table| convert::look_up(table, text));
    match whole {
        Some(Some(value)) => {
            out.push(b'[');
            out.extend_from_slice(value);
            out.push(b']');
            Ok(Done::Value)
        }
        Some(None) => Ok(Done::Nothing),
        None => convert::list(text.split(separator).map(Cow::Borrowed), rule.table.as_ref(), out),
    }
}

fn take(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text).trim_end()
}
