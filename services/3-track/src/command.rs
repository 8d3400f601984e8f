//! Users' commands: whether one counts, and what it does.
//!
//! A refusal is not remembered, since what is refused stays refused: a command names the version it is based on,
//! and versions only rise. (One that names a version yet to come is an exception; no device can have seen it.)

use std::borrow::Cow;

use messages::change::fields::{Field, Fields, differences};
use messages::change::set::read_set;
use messages::change::{Action, Command, added_key};
use messages::current::{Commands, Current, OVERRIDES_MAX, Override};
use messages::event::{self, EventType};

use crate::answer::{Answer, Refusal};
use crate::apply::{Cause, commands_of, fields_of, last_change, media_wanted, told};
use crate::decision::{Decision, Outcome, Trouble};
use crate::layers::beneath;

/// A refusal of what no version of the listing would allow.
fn impossible(reason: impl Into<String>) -> Refusal {
    Refusal { code: "impossible", reason: reason.into() }
}

/// The fields that a command sets, in order of names, each value in its canonical form.
type Set<'a> = Vec<(&'a str, String)>;

pub(crate) fn command<'a>(
    key: &str,
    previous: Option<&Current<'a>>,
    command: &Command<'a>,
) -> Result<Decision, Trouble> {
    let none = Current { deleted: true, ..Current::default() };
    let current = previous.unwrap_or(&none);
    let commands = commands_of(current)?;
    let known = commands.as_ref().is_some_and(|c| c.ids.iter().any(|id| id == command.id));
    let nothing = Decision::nothing(Outcome::Commanded, current.version);
    if known {
        let answers = vec![Answer::duplicate(command.id, current.version)];
        return Ok(Decision { answers, ..nothing });
    }
    // A first command must be based on the version that is there: before it, the feed had every last word.
    let floor = current.version;
    let commands = commands.unwrap_or(Commands { floor, ..Commands::default() });
    match admit(key, previous, command, &commands) {
        Ok(set) => accepted(key, current, command, (commands, set)),
        Err(refusal) => {
            let answers = vec![Answer::refused(command.id, &refusal, current.version)];
            Ok(Decision { answers, ..nothing })
        }
    }
}

/// Whether a command counts, and what it sets.
fn admit<'a>(
    key: &str,
    previous: Option<&Current<'_>>,
    command: &Command<'a>,
    commands: &Commands<'_>,
) -> Result<Set<'a>, Refusal> {
    match (command.action, previous) {
        (Action::Add, None) if key == added_key(command.id) => {}
        (Action::Add, None) => {
            let reason = format!("the key of an added listing must be {}", added_key(command.id));
            return Err(Refusal { code: "impossible", reason });
        }
        (Action::Add, Some(_)) => {
            let reason = "the listing is there already: edit it instead".to_owned();
            return Err(Refusal { code: "exists", reason });
        }
        (Action::Edit | Action::Withdraw, Some(current)) if !current.deleted => {
            check_version(command.based_on, current.version, commands.floor)?;
        }
        (Action::Edit | Action::Withdraw, _) => {
            let reason = "there is no such listing, or no longer".to_owned();
            return Err(Refusal { code: "unknown_listing", reason });
        }
    }
    let set = set_of(command)?;
    check_fields(command, commands, &set)?;
    Ok(set)
}

/// A command may be based on an older version when only other commands, on other fields, came since: so a
/// device that was offline can send several, one after the other.
fn check_version(based_on: u64, version: u64, floor: u64) -> Result<(), Refusal> {
    if (floor..=version).contains(&based_on) {
        return Ok(());
    }
    let reason = format!(
        "the listing is at version {version}, not {based_on}: look at it again before changing it"
    );
    Err(Refusal { code: "stale", reason })
}

fn check_fields(
    command: &Command<'_>,
    commands: &Commands<'_>,
    set: &Set<'_>,
) -> Result<(), Refusal> {
    let mut held = commands.overrides.len();
    for (field, _) in set {
        match commands.get(field) {
            Some(earlier) if earlier.version > command.based_on => {
                let reason = format!("{field} was changed since version {}", command.based_on);
                return Err(Refusal { code: "stale", reason });
            }
            Some(_) => {}
            None => held += 1,
        }
    }
    if held > OVERRIDES_MAX {
        return Err(impossible("more than 64 fields of the listing would be held by users"));
    }
    Ok(())
}

fn set_of<'a>(command: &Command<'a>) -> Result<Set<'a>, Refusal> {
    let set = read_set(command.set).map_err(|e| impossible(e.reason))?;
    match (command.action, set.is_empty()) {
        (Action::Withdraw, true) => Ok(vec![("StandardStatus", "\"Withdrawn\"".to_owned())]),
        (Action::Withdraw, false) => {
            Err(impossible("a listing is withdrawn without setting fields"))
        }
        (Action::Edit | Action::Add, true) => {
            Err(impossible("no fields are set: name at least one"))
        }
        (Action::Edit, false) => Ok(set),
        (Action::Add, false) => Ok(with_currency(set)),
    }
}

/// What no feed says of an added listing follows from its country, as where a feed does not say it.
fn with_currency(mut set: Set<'_>) -> Set<'_> {
    let currency = match set.iter().find(|(name, _)| *name == "Country").map(|(_, v)| v.as_str()) {
        Some("\"CA\"") => "\"CAD\"",
        Some("\"US\"") => "\"USD\"",
        _ => return set,
    };
    let at = set.partition_point(|(name, _)| *name < "Currency");
    set.insert(at, ("Currency", currency.to_owned()));
    set
}

fn accepted<'a>(
    key: &str,
    current: &Current<'a>,
    command: &Command<'a>,
    (mut commands, set): (Commands<'a>, Set<'a>),
) -> Result<Decision, Trouble> {
    let before = fields_of(current)?;
    let is_new_version = set.iter().any(|(name, v)| before.get(name).unwrap_or("null") != v);
    // An added listing is there even when all that is set in it is nothing.
    let is_added = command.action == Action::Add;
    let version = current.version + u64::from(is_new_version || is_added);
    hold(&mut commands, command, (&before, &set), version);
    if is_added {
        commands.floor = version;
    }
    let over: Vec<Field<'_>> = set.iter().map(|(name, v)| (*name, v.as_str())).collect();
    let after = before.under(over);
    let found = differences(&before, &after);
    let text = after.text();
    // It happens now: the time that a feed stamped the listing with is not this change's.
    let cause = Cause { as_of: None, command_id: Some(command.id) };
    let (events, change) = if is_added {
        (vec![added(version, command.id, &text)], Some(event::last_change(EventType::Added, None)))
    } else {
        let typed = event::typed(&found);
        (told(&typed, version, cause), is_new_version.then(|| last_change(&typed)))
    };
    let commands = commands.text();
    let next = Current {
        version,
        deleted: false,
        listing: Some(&text),
        commands: Some(&commands),
        last_change: change.as_deref().or(current.last_change),
        ..*current
    };
    Ok(Decision {
        outcome: Outcome::Commanded,
        version,
        is_new_version: is_new_version || is_added,
        current: Some(next.write(key)),
        events,
        media: media_wanted(&found, version, &after),
        answers: vec![Answer::accepted(command.id, version)],
    })
}

/// Puts what is set over the feed's own values.
fn hold<'a>(
    commands: &mut Commands<'a>,
    command: &Command<'a>,
    (before, set): (&Fields<'a>, &Set<'a>),
    version: u64,
) {
    for (field, value) in set {
        let feed = beneath(field, before, commands);
        commands.set(Override {
            field: Cow::Borrowed(field),
            value: Cow::Owned(value.clone()),
            feed,
            version,
            command_id: Cow::Borrowed(command.id),
            by: Cow::Borrowed(command.by),
        });
    }
    commands.remember(command.id);
}

fn added(version: u64, command_id: &str, listing: &str) -> (EventType, Vec<u8>) {
    let told = event::Event {
        kind: EventType::Added,
        version,
        as_of: None,
        command_id: Some(command_id),
        whole: None,
        before: "{}",
        after: listing,
    };
    (EventType::Added, told.write())
}
