//! What is kept of a `listing.events` value.

use messages::fields::{Group, field};
use messages::json::{write_name, write_str};

use messages::change::scan;

/// Event types that `track` sends; any other is kept as `fields`, so that nothing is lost.
pub(crate) const TYPES: [&str; 8] =
    ["added", "price", "status", "assessment", "fields", "back_on_market", "deleted", "corrected"];

/// An event, as far as history goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) version: u64,
    /// `{"asOf":..,"before":{..},"after":{..}}`: for a whole listing only its price, status and assessment, the
    /// rest is in the listing.
    pub(crate) kept: Vec<u8>,
}

/// Reads a `listing.events` value; `None` when it is not a JSON object with a type.
pub(crate) fn read(value: &[u8]) -> Option<Event> {
    let (mut kind, mut version) = (None, 0);
    let (mut as_of, mut before, mut after) = (None, None, None);
    scan::object(std::str::from_utf8(value).ok()?, |name, raw| {
        match name {
            "type" => {
                let name = scan::string(raw).unwrap_or_default();
                kind = Some(TYPES.into_iter().find(|t| **t == *name).unwrap_or("fields"));
            }
            "asOf" => as_of = Some(scan::string(raw).unwrap_or_default()),
            "version" => version = raw.parse().unwrap_or(0),
            "before" => before = object(raw),
            "after" => after = object(raw),
            _ => {}
        }
        Ok(())
    })
    .ok()?;
    let kind = kind?;
    let whole = matches!(kind, "added" | "back_on_market" | "deleted");
    let mut kept = Vec::with_capacity(160);
    kept.push(b'{');
    if let Some(as_of) = as_of {
        write_name(&mut kept, "asOf");
        write_str(&mut kept, &as_of);
    }
    write_fields(&mut kept, "before", before, whole)?;
    write_fields(&mut kept, "after", after, whole)?;
    kept.push(b'}');
    Some(Event { kind, version, kept })
}

fn write_fields(out: &mut Vec<u8>, name: &str, fields: Option<&str>, whole: bool) -> Option<()> {
    let Some(fields) = fields else { return Some(()) };
    write_name(out, name);
    if !whole {
        out.extend_from_slice(fields.as_bytes());
        return Some(());
    }
    out.push(b'{');
    scan::object(fields, |name, raw| {
        if keeps(name) {
            write_name(out, name);
            out.extend_from_slice(raw.as_bytes());
        }
        Ok(())
    })
    .ok()?;
    out.push(b'}');
    Some(())
}

fn object(raw: &str) -> Option<&str> {
    raw.starts_with('{').then_some(raw)
}

/// The fields of a whole listing that history keeps.
fn keeps(name: &str) -> bool {
    field(name).is_some_and(|f| matches!(f.group, Group::Price | Group::Status | Group::Assessment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(value: &str) -> Option<(&'static str, String)> {
        let event = read(value.as_bytes())?;
        Some((event.kind, String::from_utf8(event.kept).expect("text")))
    }

    #[test]
    fn history_keeps_what_the_listing_does_not_have() {
        for (value, kind, expect) in [
            (
                r#"{"type":"added","version":1,"asOf":"2022-01-01T00:00:00.000Z","after":{"City":"Calgary","ListPrice":5,"StandardStatus":"Active"}}"#,
                "added",
                r#"{"asOf":"2022-01-01T00:00:00.000Z","after":{"ListPrice":5,"StandardStatus":"Active"}}"#,
            ),
            (
                r#"{"type":"fields","version":2,"before":{"City":"A"},"after":{"City":null}}"#,
                "fields",
                r#"{"before":{"City":"A"},"after":{"City":null}}"#,
            ),
            (r#"{"type":"deleted","version":3}"#, "deleted", "{}"),
            (r#"{"type":"renamed","version":3}"#, "fields", "{}"),
        ] {
            assert_eq!(kept(value), Some((kind, expect.to_owned())));
        }
        for value in ["", "[]", r#"{"version":1}"#, r#"{"type":"added","after":{"ListPrice"}}"#] {
            assert_eq!(kept(value), None, "{value}");
        }
    }
}
