//! Who wins: the feed's last word, and the user's commands over it.
//!
//! A commanded field holds until the feed's own value for it differs from the value the command was based
//! on; then the feed wins, and the user is told. A listing that is only mapped anew (a replay) is no new
//! word of the feed, so commands stay on top of it.

use std::borrow::Cow;

use messages::change::fields::Fields;
use messages::current::{Commands, Override};

/// What the feed's own values are when a field is absent.
const ABSENT: &str = "null";

/// A command that the feed has overtaken, in one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded<'a> {
    /// The command.
    pub command_id: Cow<'a, str>,
    /// The field.
    pub field: Cow<'a, str>,
    /// Whether the feed now says what the user said.
    pub agrees: bool,
}

impl Superseded<'_> {
    /// One line for the user.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        if self.agrees { "the feed now says the same" } else { "the feed has a newer value" }
    }
}

/// Takes the feed's new word into `commands`: gives up the fields in which the feed said something new, and
/// returns them. When the listing was only mapped anew nothing is given up, the values beneath are replaced.
pub fn settle<'a>(
    commands: &mut Commands<'a>,
    feed: &Fields<'a>,
    remapped: bool,
) -> Vec<Superseded<'a>> {
    let mut superseded = Vec::new();
    commands.overrides.retain_mut(|held| {
        let now = feed.get(&held.field).unwrap_or(ABSENT);
        if remapped {
            held.feed = Cow::Borrowed(now);
        }
        let holds = held.feed == now;
        if !holds {
            superseded.push(give_up(held, held.value == now));
        }
        holds
    });
    superseded
}

/// Gives up all fields, because the feed no longer has the listing.
pub fn give_up_all<'a>(commands: &mut Commands<'a>) -> Vec<Superseded<'a>> {
    commands.overrides.drain(..).map(|held| give_up(&held, false)).collect()
}

fn give_up<'a>(held: &Override<'a>, agrees: bool) -> Superseded<'a> {
    Superseded { command_id: held.command_id.clone(), field: held.field.clone(), agrees }
}

/// The value beneath the user's in a field: the feed's own.
#[must_use]
pub fn beneath<'a>(field: &str, listing: &Fields<'a>, commands: &Commands<'a>) -> Cow<'a, str> {
    match commands.get(field) {
        Some(held) => held.feed.clone(),
        None => Cow::Borrowed(listing.get(field).unwrap_or(ABSENT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(field: &'static str, value: &'static str, feed: &'static str) -> Override<'static> {
        Override {
            field: field.into(),
            value: value.into(),
            feed: feed.into(),
            version: 2,
            command_id: "c-1".into(),
            by: "\"anna\"".into(),
        }
    }

    /// The user set ListPrice 500 -> 490; then the feed says this. What counts, and what is told?
    #[test]
    fn a_command_holds_until_the_feed_says_something_new() {
        let cases = [
            // (the feed says, remapped, what counts, superseded: whether the feed agrees)
            (r#"{"ListPrice":500}"#, false, r#"{"ListPrice":490}"#, None),
            (r#"{"City":"x","ListPrice":500}"#, false, r#"{"City":"x","ListPrice":490}"#, None),
            (r#"{"ListPrice":480}"#, false, r#"{"ListPrice":480}"#, Some(false)),
            (r#"{"ListPrice":490}"#, false, r#"{"ListPrice":490}"#, Some(true)),
            ("{}", false, "{}", Some(false)),
            (r#"{"ListPrice":501}"#, true, r#"{"ListPrice":490}"#, None),
            ("{}", true, r#"{"ListPrice":490}"#, None),
        ];
        for (feed, remapped, counts, told) in cases {
            let mut commands = Commands::default();
            commands.set(held("ListPrice", "490", "500"));
            let feed = Fields::parse(feed).unwrap();
            let superseded = settle(&mut commands, &feed, remapped);
            assert_eq!(feed.under(commands.over()).text(), counts, "{feed:?}");
            assert_eq!(superseded.first().map(|s| s.agrees), told, "{feed:?}");
        }
    }

    #[test]
    fn after_a_replay_the_command_is_compared_with_the_value_mapped_anew() {
        let mut commands = Commands::default();
        commands.set(held("ListPrice", "490", "500"));
        let anew = Fields::parse(r#"{"ListPrice":501}"#).unwrap();
        assert_eq!(settle(&mut commands, &anew, true), []);
        assert_eq!(settle(&mut commands, &anew, false), [], "the feed says the same as before");
        let old = Fields::parse(r#"{"ListPrice":500}"#).unwrap();
        assert_eq!(settle(&mut commands, &old, false).len(), 1);
    }

    #[test]
    fn what_users_took_away_or_added_is_held_too() {
        let mut commands = Commands::default();
        commands.set(held("City", "null", "\"a\""));
        commands.set(held("PublicRemarks", "\"nice\"", "null"));
        let feed = Fields::parse(r#"{"City":"a","ListPrice":1}"#).unwrap();
        assert_eq!(settle(&mut commands, &feed, false), []);
        let merged = feed.under(commands.over());
        assert_eq!(merged.text(), r#"{"ListPrice":1,"PublicRemarks":"nice"}"#);
        assert_eq!(beneath("City", &merged, &commands), "\"a\"");
        assert_eq!(beneath("PublicRemarks", &merged, &commands), "null");
        assert_eq!(beneath("ListPrice", &merged, &commands), "1");
        assert_eq!(merged.under(commands.beneath()).text(), feed.text());
        let feed = Fields::parse(r#"{"City":"b","PublicRemarks":"ours"}"#).unwrap();
        assert_eq!(settle(&mut commands, &feed, false).len(), 2);
        assert_eq!(give_up_all(&mut commands), []);
    }
}
