//! What users commanded about a listing, as `listing.current` carries it.

use std::borrow::Cow;

use crate::change;
use crate::change::fields::Field;
use crate::change::scan::{self, Malformed};
use crate::json::{write_name, write_str, write_u64};

/// How many command ids of a listing are remembered.
pub const IDS_MAX: usize = 32;
/// Most fields of one listing that users may hold at a time.
pub const OVERRIDES_MAX: usize = 64;

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
    /// Reads the `commands` of a [`super::Current`].
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

    #[test]
    fn broken_ones_are_refused() {
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
