//! What is kept of a `listing.events` value.

use std::borrow::Cow;
use std::sync::LazyLock;

use messages::change::scan;
use messages::fields::{FIELDS, Field, Group};
use messages::json::{write_name, write_str};

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
    let text = std::str::from_utf8(value).ok()?;
    whole(text).or_else(|| any(text))
}

/// An event of a whole listing as `track` writes it: with `after` last, which is all but all of the text. It is
/// looked into when it is written, so one pass is enough. `None` for any other.
fn whole(text: &str) -> Option<Event> {
    let mut parts = Parts::default();
    let leading = ["type", "version", "asOf", "commandId", "whole", "before"];
    let rest = scan::leading(text, &leading, |name, raw| {
        parts.take(name, raw);
        Ok(())
    });
    let after = rest.ok()?.strip_prefix("\"after\":")?.strip_suffix('}')?;
    parts.after = Some(after).filter(|_| parts.is_whole());
    parts.after?;
    parts.event()
}

fn any(text: &str) -> Option<Event> {
    let mut parts = Parts::default();
    scan::object(text, |name, raw| {
        parts.take(name, raw);
        Ok(())
    })
    .ok()?;
    parts.event()
}

/// The members of an event that count.
#[derive(Default)]
struct Parts<'a> {
    kind: Option<&'static str>,
    version: u64,
    as_of: Option<Cow<'a, str>>,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn take(&mut self, name: &str, raw: &'a str) {
        let object = || raw.starts_with('{').then_some(raw);
        match name {
            "type" => {
                let name = scan::string(raw).unwrap_or_default();
                self.kind = Some(TYPES.into_iter().find(|t| **t == *name).unwrap_or("fields"));
            }
            "asOf" => self.as_of = scan::string(raw),
            "version" => self.version = raw.parse().unwrap_or(0),
            "before" => self.before = object(),
            "after" => self.after = object(),
            _ => {}
        }
    }

    /// Whether `before` and `after` may be whole listings.
    fn is_whole(&self) -> bool {
        matches!(self.kind, Some("added" | "back_on_market" | "deleted"))
    }

    fn event(self) -> Option<Event> {
        let (kind, whole) = (self.kind?, self.is_whole());
        let mut kept = Vec::with_capacity(160);
        kept.push(b'{');
        if let Some(as_of) = &self.as_of {
            write_name(&mut kept, "asOf");
            write_str(&mut kept, as_of);
        }
        write_fields(&mut kept, "before", self.before, whole)?;
        write_fields(&mut kept, "after", self.after, whole)?;
        kept.push(b'}');
        Some(Event { kind, version: self.version, kept })
    }
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

/// The fields of a whole listing that history keeps.
fn keeps(name: &str) -> bool {
    // Most fields are ruled out by their length alone.
    KEPT.lengths >> name.len().min(127) & 1 == 1 && KEPT.names.contains(&name)
}

struct Kept {
    names: Vec<&'static str>,
    /// One bit for each length that a name has.
    lengths: u128,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let kept = |f: &&Field| matches!(f.group, Group::Price | Group::Status | Group::Assessment);
    let names: Vec<_> = FIELDS.iter().filter(kept).map(|f| f.name).collect();
    let lengths = names.iter().fold(0, |bits, name| bits | 1 << name.len().min(127));
    Kept { names, lengths }
});

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
            (
                r#"{"type":"back_on_market","after":{"ListPrice":7},"version":3,"before":{}}"#,
                "back_on_market",
                r#"{"before":{},"after":{"ListPrice":7}}"#,
            ),
            (r#"{"type":"renamed","version":3}"#, "fields", "{}"),
        ] {
            assert_eq!(kept(value), Some((kind, expect.to_owned())));
        }
        for value in [
            "",
            "[]",
            r#"{"version":1}"#,
            r#"{"type":"added","after":{"ListPrice"}}"#,
            r#"{"type":"added","after":{"ListPrice":1},{}}"#,
            r#"{"type":"added","after":{"ListPrice":1}}}"#,
            r#"{"type":"added","after":{"ListPrice":1}"#,
        ] {
            assert_eq!(kept(value), None, "{value}");
        }
    }
}
