//! `listing.events`: what changed about a listing, one message for each kind of change.
//!
//! All events of a key in order, folded, give exactly the `listing` of `listing.current`. [`Fold`] does that,
//! and notices when an event does not fit what came before it.

mod fold;

pub use fold::{Fold, FoldError, fold};

use crate::change::fields::{Difference, object_text};
use crate::change::scan::{self, Malformed};
use crate::change::whole;
use crate::fields::{Group, field, is_off_market};
use crate::json::{write_name, write_str, write_u64};

/// Longest value that is repeated in `lastChange`, in bytes of JSON.
const SHOWN_MAX: usize = 200;

/// What kind of change an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// The listing is there for the first time; `after` is all of it.
    Added,
    /// It is there again (`whole`: after it was deleted, `after` is all of it; else its status is
    /// `Active` again).
    BackOnMarket,
    /// Money of the deal.
    Price,
    /// `StandardStatus` and `MlsStatus`.
    Status,
    /// `TaxAssessedValue`.
    Assessment,
    /// Any other field.
    Fields,
    /// It is gone.
    Deleted,
    /// It was mapped anew from the same record: nothing happened to the home.
    Corrected,
}

/// Every type with its name and its kind (`ce_type`).
const TYPES: [(EventType, &str, &str); 8] = [
    (EventType::Added, "added", "listing.event.added"),
    (EventType::BackOnMarket, "back_on_market", "listing.event.back_on_market"),
    (EventType::Price, "price", "listing.event.price"),
    (EventType::Status, "status", "listing.event.status"),
    (EventType::Assessment, "assessment", "listing.event.assessment"),
    (EventType::Fields, "fields", "listing.event.fields"),
    (EventType::Deleted, "deleted", "listing.event.deleted"),
    (EventType::Corrected, "corrected", "listing.event.corrected"),
];

impl EventType {
    /// The name in `type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// The kind of the message.
    #[must_use]
    pub fn kind(self) -> &'static str {
        TYPES.iter().find(|(kind, ..)| *kind == self).map_or("", |(.., kind)| kind)
    }

    /// The type that a change of this field alone has.
    #[must_use]
    pub fn of_field(name: &str) -> Self {
        match field(name).map(|f| f.group) {
            Some(Group::Price) => Self::Price,
            Some(Group::Status) => Self::Status,
            Some(Group::Assessment) => Self::Assessment,
            _ => Self::Fields,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        TYPES.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }
}

/// Sorts what differs into the events that tell it, in the order they are sent.
#[must_use]
pub fn typed<'a>(differences: &[Difference<'a>]) -> Vec<(EventType, Vec<Difference<'a>>)> {
    let mut events: Vec<(EventType, Vec<Difference<'a>>)> = Vec::new();
    for difference in differences {
        let kind = EventType::of_field(difference.name);
        match events.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, list)) => list.push(*difference),
            None => events.push((kind, vec![*difference])),
        }
    }
    for (kind, list) in &mut events {
        if *kind == EventType::Status && list.iter().any(is_return) {
            *kind = EventType::BackOnMarket;
        }
    }
    events.sort_by_key(|(kind, _)| *kind);
    events
}

/// Whether `StandardStatus` went from an off-market value back to `Active`.
fn is_return(difference: &Difference<'_>) -> bool {
    let before = difference.before.and_then(scan::string).unwrap_or_default();
    difference.name == "StandardStatus"
        && difference.after == Some("\"Active\"")
        && is_off_market(&before)
}

/// One event. JSON text is borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// What kind of change.
    pub kind: EventType,
    /// Version of the listing that the change made.
    pub version: u64,
    /// As-of of the snapshot that showed it; `None` for a listing that only users wrote.
    pub as_of: Option<&'a str>,
    /// The command that caused it, where it was one.
    pub command_id: Option<&'a str>,
    /// For [`EventType::BackOnMarket`]: whether `after` is the whole listing.
    pub whole: Option<bool>,
    /// Fields as they were, a JSON object; null where there was no value.
    pub before: &'a str,
    /// Fields as they are, a JSON object; null where there is no value any more.
    pub after: &'a str,
}

impl<'a> Event<'a> {
    /// The value.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.before.len() + self.after.len() + 128);
        out.extend_from_slice(b"{\"type\":");
        write_str(&mut out, self.kind.name());
        out.extend_from_slice(b",\"version\":");
        write_u64(&mut out, self.version);
        for (name, text) in [("asOf", self.as_of), ("commandId", self.command_id)] {
            if let Some(text) = text {
                write_name(&mut out, name);
                write_str(&mut out, text);
            }
        }
        if let Some(whole) = self.whole {
            out.extend_from_slice(if whole { b",\"whole\":true" } else { b",\"whole\":false" });
        }
        for (name, text) in [("before", self.before), ("after", self.after)] {
            write_name(&mut out, name);
            out.extend_from_slice(text.as_bytes());
        }
        out.push(b'}');
        out
    }

    /// Reads a value of `listing.events`.
    ///
    /// # Errors
    /// [`Malformed`] when it is not what [`Event::write`] writes.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(value)
            .map_err(|e| Malformed { what: "an event is not UTF-8", at: e.valid_up_to() })?;
        let (mut kind, mut version) = (None, None);
        let mut rest = (None, None, None, "{}", "{}");
        scan::object(text, |name, value| {
            let inside = || value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            match name {
                "type" => kind = inside().and_then(EventType::of_name),
                "version" => version = Some(whole(value)?),
                "asOf" => rest.0 = inside(),
                "commandId" => rest.1 = inside(),
                "whole" => rest.2 = Some(value == "true"),
                "before" => rest.3 = value,
                "after" => rest.4 = value,
                _ => {}
            }
            Ok(())
        })?;
        let (as_of, command_id, whole, before, after) = rest;
        let kind = kind.ok_or(Malformed::whole("an event is of no known type"))?;
        let version = version.ok_or(Malformed::whole("an event has no version"))?;
        Ok(Self { kind, version, as_of, command_id, whole, before, after })
    }
}

/// Both sides of an event over these fields: `(before, after)`.
#[must_use]
pub fn sides(differences: &[Difference<'_>]) -> (String, String) {
    let before = differences.iter().map(|d| (d.name, d.before.unwrap_or("null")));
    let after = differences.iter().map(|d| (d.name, d.after.unwrap_or("null")));
    (object_text(before), object_text(after))
}

/// `lastChange` of a listing: the type, and the first of the fields with what it was and is. Long values
/// are left out, they are in the event.
#[must_use]
pub fn last_change(kind: EventType, first: Option<&Difference<'_>>) -> String {
    let mut text = format!("{{\"type\":\"{}\"", kind.name());
    if let Some(difference) = first {
        text.push_str(",\"field\":\"");
        text.push_str(difference.name);
        text.push('"');
        for (name, value) in [("before", difference.before), ("after", difference.after)] {
            let value = value.unwrap_or("null");
            if value.len() <= SHOWN_MAX {
                text.push_str(",\"");
                text.push_str(name);
                text.push_str("\":");
                text.push_str(value);
            }
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::fields::{Fields, differences};

    #[test]
    fn changes_are_told_by_type() {
        let cases = [
            (r#"{"ListPrice":1}"#, r#"{"ListPrice":2}"#, "price ListPrice"),
            (r#"{"ClosePrice":1,"LeaseAmount":1}"#, r"{}", "price ClosePrice LeaseAmount"),
            (
                r#"{"TaxAssessedValue":1,"TaxYear":1}"#,
                r#"{"TaxAssessedValue":2,"TaxYear":2}"#,
                "assessment TaxAssessedValue, fields TaxYear",
            ),
            (
                r#"{"City":"a","ListPrice":1,"MlsStatus":"A"}"#,
                r#"{"City":"b","ListPrice":2,"MlsStatus":"P"}"#,
                "price ListPrice, status MlsStatus, fields City",
            ),
            (
                r#"{"StandardStatus":"Active"}"#,
                r#"{"StandardStatus":"Pending"}"#,
                "status StandardStatus",
            ),
            (
                r#"{"StandardStatus":"Pending"}"#,
                r#"{"StandardStatus":"Active"}"#,
                "back_on_market StandardStatus",
            ),
            (
                r#"{"MlsStatus":"P","StandardStatus":"Withdrawn"}"#,
                r#"{"MlsStatus":"A","StandardStatus":"Active"}"#,
                "back_on_market MlsStatus StandardStatus",
            ),
            (
                r#"{"StandardStatus":"Coming Soon"}"#,
                r#"{"StandardStatus":"Active"}"#,
                "status StandardStatus",
            ),
            (
                r#"{"StandardStatus":"Pending"}"#,
                r#"{"StandardStatus":"Active Under Contract"}"#,
                "status StandardStatus",
            ),
            ("{}", r#"{"NotInTheDictionary":1}"#, "fields NotInTheDictionary"),
            ("{}", "{}", ""),
        ];
        for (before, after, expect) in cases {
            let found =
                differences(&Fields::parse(before).unwrap(), &Fields::parse(after).unwrap());
            let found: Vec<_> = typed(&found)
                .iter()
                .map(|(kind, list)| {
                    list.iter().fold(kind.name().to_owned(), |text, d| text + " " + d.name)
                })
                .collect();
            assert_eq!(found.join(", "), expect, "{before} -> {after}");
        }
    }

    #[test]
    fn events_are_read_as_they_were_written() {
        for (kind, name, ce_type) in TYPES {
            assert_eq!(ce_type, format!("{}{name}", crate::topics::KIND_EVENT_PREFIX));
            let event = Event {
                kind,
                version: 3,
                as_of: Some("2022-01-01T00:00:00.000Z"),
                command_id: (kind == EventType::Price).then_some("c-1"),
                whole: (kind == EventType::BackOnMarket).then_some(false),
                before: r#"{"City":"a"}"#,
                after: r#"{"City":null}"#,
            };
            assert_eq!(Event::parse(&event.write()), Ok(event));
        }
        for text in ["", "{}", r#"{"type":"x","version":1}"#, r#"{"type":"added"}"#] {
            assert!(Event::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_change_is_short() {
        let difference = Difference { name: "ListPrice", before: Some("1"), after: None };
        assert_eq!(
            last_change(EventType::Price, Some(&difference)),
            r#"{"type":"price","field":"ListPrice","before":1,"after":null}"#
        );
        let long = format!("\"{}\"", "x".repeat(SHOWN_MAX));
        let difference =
            Difference { name: "PublicRemarks", before: Some("\"a\""), after: Some(&long) };
        assert_eq!(
            last_change(EventType::Fields, Some(&difference)),
            r#"{"type":"fields","field":"PublicRemarks","before":"a"}"#
        );
        assert_eq!(last_change(EventType::Deleted, None), r#"{"type":"deleted"}"#);
    }
}
