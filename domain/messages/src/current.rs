//! `listing.current`: the last version of each listing, which is also all that `track` remembers of it.
//!
//! Two layers: `listing` is what counts now, and `commands` holds what users set over the feed together with
//! the feed's own values beneath, so that the feed's last word can always be told from theirs.

use std::borrow::Cow;

use crate::change::fields::Field;
use crate::change::scan::{self, Malformed};
use crate::change::{self, Stamp};
use crate::json::{write_name, write_str, write_u64};

/// How many command ids of a listing are remembered.
pub const IDS_MAX: usize = 32;
/// Most fields of one listing that users may hold at a time.
pub const OVERRIDES_MAX: usize = 64;

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
        let text = std::str::from_utf8(value)
            .map_err(|e| Malformed { what: "the state is not UTF-8", at: e.valid_up_to() })?;
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
        let long = [self.listing, self.commands, self.notes, self.last_change];
        let bytes: usize = long.iter().flatten().map(|text| text.len()).sum();
        let mut out = Vec::with_capacity(bytes + listing_key.len() + 320);
        out.extend_from_slice(b"{\"ListingKey\":");
        write_str(&mut out, listing_key);
        out.extend_from_slice(b",\"version\":");
        write_u64(&mut out, self.version);
        out.extend_from_slice(if self.deleted {
            b",\"deleted\":true"
        } else {
            b",\"deleted\":false"
        });
        if let Some(stamp) = &self.stamp {
            out.extend_from_slice(b",\"stamp\":");
            stamp.write(&mut out);
        }
        for (name, text) in ["listing", "commands", "notes", "lastChange"].iter().zip(long) {
            if let Some(text) = text {
                write_name(&mut out, name);
                out.extend_from_slice(text.as_bytes());
            }
        }
        out.push(b'}');
        out
    }
}

/// A field that a user holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override<'a> {
    /// The field.
    pub field: Cow<'a, str>,
    /// The user's value, canonical JSON text; `null` takes the field away.
    pub value: Cow<'a, str>,
    /// The feed's own value, `null` where it has none. The command holds until the feed says otherwise.
    pub feed: Cow<'a, str>,
    /// The version of the listing that the command made.
    pub version: u64,
    /// The command.
    pub command_id: Cow<'a, str>,
    /// Who commanded, JSON text.
    pub by: Cow<'a, str>,
}

/// What users commanded about a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands<'a> {
    /// The version up to which the feed had the last word: a command must be based on this or a later one.
    pub floor: u64,
    /// Ids of the last accepted commands, oldest first, at most [`IDS_MAX`].
    pub ids: Vec<Cow<'a, str>>,
    /// Fields that users hold, in byte order of their names.
    pub overrides: Vec<Override<'a>>,
}

impl<'a> Commands<'a> {
    /// Reads the `commands` of a [`Current`].
    ///
    /// # Errors
    /// [`Malformed`] when it is not what [`Commands::text`] writes.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut commands = Self::default();
        scan::object(text, |name, value| match name {
            "floor" => change::whole(value).map(|floor| commands.floor = floor),
            "ids" => scan::array(value, |id| {
                commands.ids.push(change::command_id(id)?.into());
                Ok(())
            }),
            "overrides" => scan::object(value, |field, value| {
                commands.overrides.push(parse_override(field, value)?);
                Ok(())
            }),
            _ => Ok(()),
        })?;
        if !commands.overrides.is_sorted_by(|a, b| a.field < b.field) {
            return Err(Malformed::whole("overrides are not in byte order of their fields"));
        }
        Ok(commands)
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = b"{\"floor\":".to_vec();
        write_u64(&mut out, self.floor);
        out.extend_from_slice(b",\"ids\":[");
        for (at, id) in self.ids.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_str(&mut out, id);
        }
        out.extend_from_slice(b"],\"overrides\":{");
        for held in &self.overrides {
            write_override(&mut out, held);
        }
        out.extend_from_slice(b"}}");
        String::from_utf8(out).expect("it was put together from text")
    }

    /// Remembers the id of an accepted command, and forgets the oldest of too many.
    pub fn remember(&mut self, id: &'a str) {
        self.ids.push(id.into());
        let surplus = self.ids.len().saturating_sub(IDS_MAX);
        self.ids.drain(..surplus);
    }

    /// Sets a field; an earlier command over it is replaced.
    pub fn set(&mut self, new: Override<'a>) {
        match self.overrides.binary_search_by(|held| held.field.cmp(&new.field)) {
            Ok(at) => {
                if let Some(held) = self.overrides.get_mut(at) {
                    *held = new;
                }
            }
            Err(at) => self.overrides.insert(at, new),
        }
    }

    /// The override of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Override<'a>> {
        self.overrides.iter().find(|held| held.field == field)
    }

    /// What users hold, as fields to be put over the feed's.
    pub fn over(&self) -> impl Iterator<Item = Field<'_>> {
        self.overrides.iter().map(|held| (&*held.field, &*held.value))
    }

    /// The feed's own values beneath, as fields to be put back over what counts now.
    pub fn beneath(&self) -> impl Iterator<Item = Field<'_>> {
        self.overrides.iter().map(|held| (&*held.field, &*held.feed))
    }
}

fn parse_override<'a>(field: &'a str, text: &'a str) -> Result<Override<'a>, Malformed> {
    let mut held = Override {
        field: field.into(),
        value: "null".into(),
        feed: "null".into(),
        version: 0,
        command_id: "".into(),
        by: "\"\"".into(),
    };
    scan::object(text, |name, value| {
        match name {
            "value" => held.value = value.into(),
            "feed" => held.feed = value.into(),
            "version" => held.version = change::whole(value)?,
            "commandId" => held.command_id = change::command_id(value)?.into(),
            "by" => held.by = value.into(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(held)
}

fn write_override(out: &mut Vec<u8>, held: &Override<'_>) {
    write_name(out, &held.field);
    out.push(b'{');
    for (name, text) in [("value", &held.value), ("feed", &held.feed)] {
        write_name(out, name);
        out.extend_from_slice(text.as_bytes());
    }
    write_name(out, "version");
    write_u64(out, held.version);
    write_name(out, "commandId");
    write_str(out, &held.command_id);
    write_name(out, "by");
    out.extend_from_slice(held.by.as_bytes());
    out.push(b'}');
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
            assert_eq!(Current::parse(&current.write("calgary:\"1\"")), Ok(current));
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
        for text in ["", r#"{"ids":[1]}"#, r#"{"overrides":{"B":{},"A":{}}}"#, r#"{"floor":"1"}"#] {
            assert!(Commands::parse(text).is_err(), "{text}");
        }
    }

    fn held(field: &'static str, value: &'static str) -> Override<'static> {
        Override {
            field: field.into(),
            value: value.into(),
            feed: "null".into(),
            version: 2,
            command_id: "c-1".into(),
            by: "\"anna\"".into(),
        }
    }

    #[test]
    fn commands_are_read_as_they_were_written() {
        let mut commands = Commands { floor: 1, ..Commands::default() };
        commands.remember("c-1");
        commands.set(held("ListPrice", "1"));
        commands.set(held("City", "\"x\""));
        commands.set(held("ListPrice", "2"));
        assert_eq!(commands.over().collect::<Vec<_>>(), [("City", "\"x\""), ("ListPrice", "2")]);
        let text = commands.text();
        assert_eq!(Commands::parse(&text), Ok(commands));
    }

    #[test]
    fn only_the_last_ids_are_remembered() {
        let ids: Vec<_> = (0..IDS_MAX + 3).map(|n| format!("c{n}")).collect();
        let mut commands = Commands::default();
        ids.iter().for_each(|id| commands.remember(id));
        assert_eq!(commands.ids.len(), IDS_MAX);
        assert_eq!(commands.ids.first().map(AsRef::as_ref), Some("c3"));
    }
}
