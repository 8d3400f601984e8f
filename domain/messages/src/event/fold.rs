//! Puts a listing together again from its events; `conveyance check` compares the result with `listing.current`.

use std::collections::BTreeMap;

use super::{Event, EventType};
use crate::change::fields::object_text;
use crate::change::scan::{self, Malformed};

/// Why events do not fold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// An event cannot be read.
    #[error("an event cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// An event is older than the one before it.
    #[error("an event of version {found} follows one of version {last}")]
    Order {
        /// Version of the event before.
        last: u64,
        /// Version of this one.
        found: u64,
    },
    /// An event tells of a listing that is not there, or adds one that is.
    #[error("a `{kind}` event of version {version} does not fit: the listing is {}", if *.present { "there already" } else { "not there" })]
    Presence {
        /// Type of the event.
        kind: &'static str,
        /// Its version.
        version: u64,
        /// Whether the listing was there.
        present: bool,
    },
    /// An event says that a field was something that it was not.
    #[error("an event of version {version} says that {field} was {said}, but it was {was}")]
    Before {
        /// Version of the event.
        version: u64,
        /// The field.
        field: String,
        /// What the event says, JSON text.
        said: String,
        /// What the events before it say, JSON text.
        was: String,
    },
}

/// A listing put together again from its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    version: u64,
    fields: Option<BTreeMap<String, String>>,
}

impl Fold {
    /// Adds the next event of the key.
    ///
    /// # Errors
    /// [`FoldError`] when it does not fit the events before it; the fold is then of no further use.
    pub fn add(&mut self, event: &[u8]) -> Result<(), FoldError> {
        let event = Event::parse(event)?;
        if event.version < self.version {
            return Err(FoldError::Order { last: self.version, found: event.version });
        }
        self.version = event.version;
        let whole = event.kind == EventType::Added || event.whole == Some(true);
        if whole == self.fields.is_some() {
            let kind = event.kind.name();
            return Err(FoldError::Presence { kind, version: event.version, present: whole });
        }
        let fields = self.fields.get_or_insert_default();
        check_before(fields, &event)?;
        scan::object(event.after, |name, value| {
            if value == "null" {
                fields.remove(name);
            } else {
                fields.insert(name.to_owned(), value.to_owned());
            }
            Ok(())
        })?;
        if event.kind == EventType::Deleted {
            self.fields = None;
        }
        Ok(())
    }

    /// Version of the last event; 0 when there was none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The listing as it is in `listing.current`, `None` when it is deleted or never was.
    #[must_use]
    pub fn listing(&self) -> Option<String> {
        let fields = self.fields.as_ref()?;
        Some(object_text(fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }
}

fn check_before(fields: &BTreeMap<String, String>, event: &Event<'_>) -> Result<(), FoldError> {
    let mut wrong = None;
    scan::object(event.before, |name, said| {
        let was = fields.get(name).map_or("null", String::as_str);
        if was != said && wrong.is_none() {
            let (field, said, was) = (name.to_owned(), said.to_owned(), was.to_owned());
            wrong = Some(FoldError::Before { version: event.version, field, said, was });
        }
        Ok(())
    })?;
    wrong.map_or(Ok(()), Err)
}

/// Folds all events of a key, in order.
///
/// # Errors
/// [`FoldError`] for the first event that does not fit.
pub fn fold<'e>(events: impl IntoIterator<Item = &'e [u8]>) -> Result<Fold, FoldError> {
    let mut fold = Fold::default();
    events.into_iter().try_for_each(|event| fold.add(event))?;
    Ok(fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events, and the listing that they give or a part of the error.
    type Case = (&'static [&'static str], Result<Option<&'static str>, &'static str>);

    #[test]
    fn events_fold_or_do_not_fit() {
        const ADDED: &str =
            r#"{"type":"added","version":1,"before":{},"after":{"City":"a","ListPrice":1}}"#;
        const DELETED: &str =
            r#"{"type":"deleted","version":2,"before":{"ListPrice":1},"after":{}}"#;
        let cases: &[Case] = &[
            (&[], Ok(None)),
            (&[ADDED], Ok(Some(r#"{"City":"a","ListPrice":1}"#))),
            (
                &[
                    ADDED,
                    r#"{"type":"price","version":2,"before":{"ListPrice":1},"after":{"ListPrice":2}}"#,
                ],
                Ok(Some(r#"{"City":"a","ListPrice":2}"#)),
            ),
            (
                &[
                    ADDED,
                    r#"{"type":"fields","version":2,"before":{"City":"a","Zone":null},"after":{"City":null,"Zone":7}}"#,
                ],
                Ok(Some(r#"{"ListPrice":1,"Zone":7}"#)),
            ),
            (&[ADDED, DELETED], Ok(None)),
            (
                &[
                    ADDED,
                    DELETED,
                    r#"{"type":"back_on_market","version":3,"whole":true,"before":{},"after":{"City":"b"}}"#,
                ],
                Ok(Some(r#"{"City":"b"}"#)),
            ),
            (&[ADDED, ADDED], Err("there already")),
            (&[DELETED], Err("not there")),
            (&[ADDED, DELETED, DELETED], Err("not there")),
            (
                &[
                    ADDED,
                    r#"{"type":"back_on_market","version":3,"whole":true,"before":{},"after":{}}"#,
                ],
                Err("there already"),
            ),
            (
                &[ADDED, r#"{"type":"price","version":0,"before":{},"after":{}}"#],
                Err("follows one of version 1"),
            ),
            (
                &[ADDED, r#"{"type":"price","version":2,"before":{"ListPrice":3},"after":{}}"#],
                Err("ListPrice was 3, but it was 1"),
            ),
            (&["{"], Err("cannot be read")),
        ];
        for (events, expect) in cases {
            match (fold(events.iter().map(|e| e.as_bytes())), expect) {
                (Ok(found), Ok(expect)) => {
                    assert_eq!(found.listing().as_deref(), *expect, "{events:?}")
                }
                (Err(found), Err(part)) => {
                    assert!(found.to_string().contains(part), "{events:?}: {found}")
                }
                (found, _) => panic!("{events:?}: {found:?}"),
            }
        }
    }
}
