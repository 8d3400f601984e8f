//! Values of several items: lists and media.

use std::borrow::Cow;

use messages::Decimal;
use messages::json::{Value, items, members, write_str};

use super::{Converted, Done, Problem, Table, collapse, look_up};
use crate::fault::shown;

/// Most items of a list that are carried.
const ITEMS_MAX: usize = 500;
/// Longest item of a list, in bytes.
const ITEM_MAX: usize = 200;

/// Appends the items as an array, each once. Through a table, an item becomes what the table says; one that the
/// table lacks is left out and told of.
pub(crate) fn list<'t>(
    items: impl Iterator<Item = Cow<'t, str>>,
    table: Option<&Table>,
    out: &mut Vec<u8>,
) -> Converted {
    let start = out.len();
    let mut seen: Vec<(usize, usize)> = Vec::new();
    let mut problem = None;
    out.push(b'[');
    for item in items.take(ITEMS_MAX) {
        let item = item.trim();
        if item.is_empty() || item.len() > ITEM_MAX {
            continue;
        }
        let from = out.len() + usize::from(!seen.is_empty());
        if !seen.is_empty() {
            out.push(b',');
        }
        match table.map(|table| look_up(table, item)) {
            None => write_str(out, &collapse(item)),
            Some(Some(value)) => out.extend_from_slice(value.as_deref().unwrap_or_default()),
            Some(None) => problem = Some(unknown_item(item)),
        }
        let new = out.get(from..).filter(|new| !new.is_empty());
        let known = new.is_none_or(|new| seen.iter().any(|(a, b)| out.get(*a..*b) == Some(new)));
        if known {
            out.truncate(from - usize::from(!seen.is_empty()));
        } else {
            seen.push((from, out.len()));
        }
    }
    out.push(b']');
    if seen.is_empty() {
        out.truncate(start);
        return problem.map_or(Ok(Done::Nothing), Err);
    }
    Ok(problem.map_or(Done::Value, Done::Changed))
}

fn unknown_item(item: &str) -> Problem {
    let says = format!("holds `{}`, which the pack's lookup lacks: left out", shown(item));
    Problem { code: "unknown_lookup", says: says.into() }
}

/// Items of a JSON array that are strings or numbers.
pub(crate) fn array_items(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    items(text).filter_map(|item| match item {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Number(text)) => Some(Cow::Borrowed(text)),
        _ => None,
    })
}

pub(super) fn urls(text: &str, out: &mut Vec<u8>) -> Converted {
    let urls = text
        .split(|c: char| c.is_whitespace() || c == '|' || c == ',')
        .filter(|url| !url.is_empty());
    photos(urls.map(Cow::Borrowed), out)
}

/// Appends `Media` objects for addresses of photos, in that order.
fn photos<'t>(urls: impl Iterator<Item = Cow<'t, str>>, out: &mut Vec<u8>) -> Converted {
    let start = out.len();
    out.push(b'[');
    let mut count = 0u64;
    for url in
        urls.filter(|url| url.starts_with("https://") || url.starts_with("http://")).take(ITEMS_MAX)
    {
        if count > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"MediaURL\":");
        write_str(out, &url);
        out.extend_from_slice(b",\"Order\":");
        messages::json::write_u64(out, count);
        out.push(b'}');
        count += 1;
    }
    out.push(b']');
    if count == 0 {
        out.truncate(start);
        return Err(Problem::new("unreadable_media", "holds no address of a photo"));
    }
    Ok(Done::Value)
}

/// Appends a JSON array of media in canonical form: addresses, or objects as the RESO resource `Media` has them.
pub(crate) fn media(text: &str, out: &mut Vec<u8>) -> Converted {
    if items(text).any(|item| matches!(item, Ok(Value::String(_)))) {
        return photos(array_items(text), out);
    }
    let start = out.len();
    out.push(b'[');
    for item in items(text).flatten().take(ITEMS_MAX) {
        let Value::Object(object) = item else { continue };
        if out.len() > start + 1 {
            out.push(b',');
        }
        canonical_object(object, out);
    }
    out.push(b']');
    if out.len() == start + 2 {
        out.truncate(start);
        return Ok(Done::Nothing);
    }
    Ok(Done::Value)
}

/// Appends any JSON value with members sorted by name, numbers in their one form and no white space.
fn canonical(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Number(text) => match Decimal::parse(text) {
            Some(number) => number.write(out),
            None => out.extend_from_slice(text.as_bytes()),
        },
        Value::String(text) => write_str(out, text),
        Value::Object(text) => canonical_object(text, out),
        Value::Array(text) => {
            out.push(b'[');
            for (at, item) in items(text).flatten().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                canonical(&item, out);
            }
            out.push(b']');
        }
    }
}

fn canonical_object(text: &str, out: &mut Vec<u8>) {
    let mut all: Vec<_> = members(text).flatten().collect();
    all.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    out.push(b'{');
    let mut last: Option<&str> = None;
    for (name, value) in &all {
        if last == Some(name) {
            continue;
        }
        last = Some(name);
        messages::json::write_name(out, name);
        canonical(value, out);
    }
    out.push(b'}');
}
