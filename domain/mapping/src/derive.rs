//! What takes more than one column, or gives more than one field: bathrooms, country and currency, the postal code
//! and the address.

use address::{Address, PostalCode, PostalCodeError};
use messages::Decimal;
use messages::fields::FieldId;
use messages::json::Value;

use crate::convert::{number, table_key};
use crate::draft::Draft;
use crate::fault::shown;
use crate::ids::IDS;
use crate::mapper::Cells;
use crate::pack::{AddressRule, LinePart, Pack, PostalCodeRule};

/// Bathrooms as one number: 2.25 is two full and one quarter, three in all.
pub(crate) fn bathrooms(pack: &Pack, slot: usize, cells: &Cells<'_>, draft: &mut Draft) {
    let ids = &*IDS;
    let Some(text) = cells.text(slot) else { return };
    let column = || pack.columns.get(slot).map_or("", |c| &c.name);
    let count = match number(&text) {
        Ok(Some(count)) if !count.is_negative() && count <= Decimal::whole(1000) => count,
        Ok(None) => return,
        _ => {
            let message =
                format!("column `{}`: `{}` is no number of bathrooms", column(), shown(&text));
            return draft.note(ids.bathrooms_total, "unreadable_number", &message);
        }
    };
    let hundredths = count.shift(2).and_then(Decimal::to_integer).unwrap_or(-1);
    let (full, part) = (hundredths.div_euclid(100), hundredths.rem_euclid(100));
    let field = match part {
        0 => None,
        25 => Some(ids.bathrooms_one_quarter),
        50 => Some(ids.bathrooms_half),
        75 => Some(ids.bathrooms_three_quarter),
        _ => {
            let message = format!(
                "column `{}`: `{}` bathrooms are not counted in quarters",
                column(),
                shown(&text)
            );
            return draft.note(ids.bathrooms_total, "odd_bathrooms", &message);
        }
    };
    draft.set_number(ids.bathrooms_full, Decimal::whole(full));
    if let Some(field) = field {
        draft.set_number(field, Decimal::whole(1));
    }
    draft.set_number(ids.bathrooms_total, Decimal::whole(full + i64::from(field.is_some())));
}

/// The country follows from the state or province, and the currency from the country, where the pack gives neither.
pub(crate) fn country_and_currency(draft: &mut Draft) {
    let ids = &*IDS;
    if !draft.has(ids.country)
        && let Some(state) = draft.text(ids.state).and_then(address::StateOrProvince::parse)
    {
        draft.set_text(ids.country, state.country().code());
    }
    if !draft.has(ids.currency) {
        match draft.text(ids.country) {
            Some("US") => draft.set_text(ids.currency, "USD"),
            Some("CA") => draft.set_text(ids.currency, "CAD"),
            _ => {}
        }
    }
}

pub(crate) fn country(draft: &Draft) -> Option<address::Country> {
    match draft.text(IDS.country) {
        Some("US") => Some(address::Country::Us),
        Some("CA") => Some(address::Country::Ca),
        _ => None,
    }
}

pub(crate) fn postal_code(
    pack: &Pack,
    rule: &PostalCodeRule,
    cells: &Cells<'_>,
    draft: &mut Draft,
) {
    let ids = &*IDS;
    let Some(text) = cells.text(rule.slot) else { return };
    if !rule.null.is_empty() && rule.null.contains(&table_key(&text)) {
        return;
    }
    // A ZIP code begins with a digit, a Canadian code with a letter.
    let guess = if text.starts_with(|c: char| c.is_ascii_digit()) {
        address::Country::Us
    } else {
        address::Country::Ca
    };
    let parsed = match country(draft).unwrap_or(guess) {
        address::Country::Us if rule.restore_zeros => PostalCode::parse_restoring_zeros(&text),
        country => PostalCode::parse(&text, country),
    };
    match parsed {
        Ok(code) => {
            draft.set_text(ids.postal_code, code.code());
            if let Some(plus4) = code.plus4() {
                draft.set_text(ids.postal_code_plus4, plus4);
            }
        }
        Err(PostalCodeError::Empty) => {}
        Err(error) => {
            let column = pack.columns.get(rule.slot).map_or("", |c| &c.name);
            let message = format!("column `{column}`: `{}`: {error}", shown(&text));
            draft.note(ids.postal_code, "unreadable_postal_code", &message);
        }
    }
}

pub(crate) fn address(rule: &AddressRule, cells: &Cells<'_>, draft: &mut Draft) {
    let ids = &*IDS;
    let mut line = line(&rule.line, cells);
    if line.is_empty() {
        return;
    }
    let country = country(draft);
    let unit = rule.unit.and_then(|slot| cells.text(slot)).map(|text| bare_unit(&text).to_owned());
    let unit = unit.filter(|unit| !unit.is_empty());
    let read = |line: &str| match rule.full {
        true => address::parse_full(line, country),
        false => address::standardize(line, country.unwrap_or(address::Country::Us)),
    };
    let mut address = read(&line);
    match (&unit, &address.unit_number) {
        (Some(unit), None) => {
            line.push_str(", # ");
            line.push_str(unit);
            address = read(&line);
        }
        (Some(unit), Some(found)) if !found.eq_ignore_ascii_case(unit) => {
            let message = format!(
                "the address says unit `{}`, and the column of units `{}`: the address counts",
                shown(found),
                shown(unit)
            );
            draft.note(ids.unit_number, "unit_disagrees", &message);
        }
        _ => {}
    }
    write_address(&address, draft);
}

/// `APT 5`, `UNIT 5`, `#5` and `5` are all unit 5.
fn bare_unit(text: &str) -> &str {
    let text = text.trim().trim_start_matches('#').trim_start();
    for word in ["APARTMENT", "APT", "UNIT", "STE", "SUITE"] {
        let (Some(start), Some(rest)) = (text.get(..word.len()), text.get(word.len()..)) else {
            continue;
        };
        let rest = rest.trim_start_matches('.');
        if start.eq_ignore_ascii_case(word) && (rest.starts_with([' ', '#'])) {
            return rest.trim_start_matches([' ', '#']);
        }
    }
    text
}

fn line(parts: &[LinePart], cells: &Cells<'_>) -> String {
    let mut line = String::new();
    for part in parts {
        let text = match part {
            LinePart::Text(text) => std::borrow::Cow::Borrowed(text.as_str()),
            LinePart::Column(slot) => cells.text(*slot).unwrap_or_default(),
        };
        line.push_str(&text);
    }
    crate::convert::collapse(line.trim()).into_owned()
}

fn write_address(address: &Address, draft: &mut Draft) {
    let ids = &*IDS;
    let texts: [(FieldId, Option<&str>); 11] = [
        (ids.street_number, address.street_number.as_deref()),
        (ids.street_dir_prefix, address.street_dir_prefix),
        (ids.street_name, address.street_name.as_deref()),
        (ids.street_suffix, address.street_suffix),
        (ids.street_suffix_modifier, address.street_suffix_modifier),
        (ids.street_dir_suffix, address.street_dir_suffix),
        (ids.street_additional_info, address.street_additional_info.as_deref()),
        (ids.unit_number, address.unit_number.as_deref()),
        (ids.unparsed_address, Some(address.unparsed_address.as_str())),
        (ids.city, address.city.as_deref()),
        (ids.state, address.state_or_province.map(address::StateOrProvince::code)),
    ];
    for (field, text) in texts {
        if let Some(text) = text.filter(|text| !text.is_empty())
            && !draft.has(field)
        {
            let max = match field.field().kind {
                messages::fields::Kind::Text(max) => usize::from(max),
                _ => 200,
            };
            let end = text.char_indices().nth(max).map_or(text.len(), |(at, _)| at);
            draft.set_text(field, text.get(..end).unwrap_or(text));
        }
    }
    if let Some(number) = address.street_number_numeric {
        draft.set_number(ids.street_number_numeric, Decimal::whole(i64::from(number)));
    }
    if let Some(code) = address.postal_code
        && !draft.has(ids.postal_code)
    {
        draft.set_text(ids.postal_code, code.code());
    }
}

/// A single value as text, trimmed; `None` where it is empty or no single value.
pub(crate) fn text_of<'v>(value: &'v Value<'_>) -> Option<std::borrow::Cow<'v, str>> {
    let text = match value {
        Value::String(text) => text.trim(),
        Value::Number(text) => text,
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(std::borrow::Cow::Borrowed(text))
}
