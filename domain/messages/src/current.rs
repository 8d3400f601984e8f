//! `listing.current`: the last version of each listing, which is also all that `track` remembers of it.
//!
//! Two layers: `listing` is what counts now, and `commands` holds what users set over the feed together with
//! the feed's own values beneath, so that the feed's last word can always be told from theirs.
//!
//! The few members that most messages are judged by come first, so that [`Head`] need not read the rest.

mod commands;

pub use commands::{Commands, IDS_MAX, OVERRIDES_MAX, Override};

use crate::change::scan::{self, Malformed};
use crate::change::{self, Stamp};
use crate::json::{write_name, write_str, write_u64};

/// The state of a listing. JSON text is borrowed, and read when it is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Current<'a> {
    /// Number of changes so far; 0 for a listing that was only ever seen to be absent.
    pub version: u64,
    /// Whether it is gone. The stamp stays, so that an old snapshot cannot bring it back.
    pub deleted: bool,
    /// The feed's last word; `None` for a listing that a user added and no feed has.
    pub stamp: Option<Stamp<'a>>,
    /// The fields that count now.
    pub listing: Option<&'a str>,
    /// What users commanded, read with [`Commands::parse`]; `None` when they never did.
    pub commands: Option<&'a str>,
    /// Notes of the mapping.
    pub notes: Option<&'a str>,
    /// The last change in short.
    pub last_change: Option<&'a str>,
}

impl<'a> Current<'a> {
    /// Reads a value of `listing.current`.
    ///
    /// # Errors
    /// [`Malformed`] when it is not what [`Current::write`] writes.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let text = text_of(value)?;
        let mut current = Self::default();
        scan::object(text, |name, value| {
            match name {
                "version" => current.version = change::whole(value)?,
                "deleted" => current.deleted = value == "true",
                "stamp" => current.stamp = Some(change::parse_stamp(value)?),
                "listing" => current.listing = Some(value),
                "commands" => current.commands = Some(value),
                "notes" => current.notes = Some(value),
                "lastChange" => current.last_change = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        if current.deleted == current.listing.is_some() {
            return Err(Malformed::whole("a listing is there exactly when it is not deleted"));
        }
        Ok(current)
    }

    /// The value, for the listing of that key.
    #[must_use]
    pub fn write(&self, listing_key: &str) -> Vec<u8> {
        let long = [self.listing, self.commands, self.last_change];
        let bytes: usize = long.iter().flatten().map(|text| text.len()).sum();
        let head = Head {
            version: self.version,
            deleted: self.deleted,
            stamp: self.stamp,
            notes: self.notes,
            rest: "",
        };
        let mut out = head.begin(listing_key, bytes);
        for (name, text) in ["listing", "commands", "lastChange"].iter().zip(long) {
            if let Some(text) = text {
                write_name(&mut out, name);
                out.extend_from_slice(text.as_bytes());
            }
        }
        out.push(b'}');
        out
    }
}

/// The beginning of a [`Current`], with the rest as it is written, unread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// As in [`Current`].
    pub version: u64,
    /// As in [`Current`].
    pub deleted: bool,
    /// As in [`Current`].
    pub stamp: Option<Stamp<'a>>,
    /// As in [`Current`].
    pub notes: Option<&'a str>,
    /// The other members, and the closing bracket.
    pub rest: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the beginning of a value of `listing.current`.
    ///
    /// # Errors
    /// [`Malformed`] when it is not the beginning of what [`Current::write`] writes.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let text = text_of(value)?;
        let mut head = Self::default();
        let names = ["ListingKey", "version", "deleted", "stamp", "notes"];
        let rest = scan::leading(text, &names, |name, value| {
            match name {
                "version" => head.version = change::whole(value)?,
                "deleted" => head.deleted = value == "true",
                "stamp" => head.stamp = Some(change::parse_stamp(value)?),
                "notes" => head.notes = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { rest, ..head })
    }

    /// The value, for the listing of that key.
    #[must_use]
    pub fn write(&self, listing_key: &str) -> Vec<u8> {
        let mut out = self.begin(listing_key, self.rest.len());
        out.push(if self.rest.is_empty() { b'}' } else { b',' });
        out.extend_from_slice(self.rest.as_bytes());
        out
    }

    /// The members up to the rest, which takes about so many bytes more.
    fn begin(&self, listing_key: &str, more: usize) -> Vec<u8> {
        let notes = self.notes.map_or(0, str::len);
        let mut out = Vec::with_capacity(listing_key.len() + notes + more + 320);
        out.extend_from_slice(b"{\"ListingKey\":");
        write_str(&mut out, listing_key);
        out.extend_from_slice(b",\"version\":");
        write_u64(&mut out, self.version);
        let deleted: &[u8] =
            if self.deleted { b",\"deleted\":true" } else { b",\"deleted\":false" };
        out.extend_from_slice(deleted);
        if let Some(stamp) = &self.stamp {
            out.extend_from_slice(b",\"stamp\":");
            stamp.write(&mut out);
        }
        if let Some(notes) = self.notes {
            out.extend_from_slice(b",\"notes\":");
            out.extend_from_slice(notes.as_bytes());
        }
        out
    }
}

fn text_of(value: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(value)
        .map_err(|e| Malformed { what: "the state is not UTF-8", at: e.valid_up_to() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp<'static> = Stamp {
        source_timestamp: None,
        as_of: "2022-01-01T00:00:00.000Z",
        seq: 4,
        revision: 1,
        hash: "00000000000000ab",
        pack: "calgary",
    };

    #[test]
    fn states_are_read_as_they_were_written() {
        let live = Current {
            version: 3,
            stamp: Some(STAMP),
            listing: Some(r#"{"City":"Calgary"}"#),
            commands: Some(r#"{"floor":2}"#),
            notes: Some("[1]"),
            last_change: Some(r#"{"type":"added"}"#),
            ..Current::default()
        };
        let deleted =
            Current { version: 4, deleted: true, stamp: Some(STAMP), ..Current::default() };
        let added = Current { version: 1, listing: Some("{}"), ..Current::default() };
        for current in [live, deleted, added] {
            let value = current.write("calgary:\"1\"");
            assert_eq!(Current::parse(&value), Ok(current));
            let head = Head::parse(&value).unwrap();
            let (version, deleted) = (current.version, current.deleted);
            let Current { stamp, notes, .. } = current;
            assert_eq!(head, Head { version, deleted, stamp, notes, ..head });
            assert_eq!(head.write("calgary:\"1\""), value);
        }
        let text = String::from_utf8(deleted.write("calgary:1")).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"ListingKey":"calgary:1","version":4,"deleted":true,"stamp":{"asOf":"2022-01-01T00:00:00.000Z","#,
                r#""seq":4,"revision":1,"hash":"00000000000000ab","pack":"calgary"}}"#
            )
        );
    }

    #[test]
    fn broken_states_are_refused() {
        for text in
            ["", "[]", "{}", r#"{"deleted":true,"listing":{}}"#, r#"{"version":-1,"listing":{}}"#]
        {
            assert!(Current::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
