//! What a change means for what is known of its listing. Pure: no clock, no bus, no feed's name.
//!
//! Observations of a feed are compared with each other only, by their place in the feed, never with a
//! command and never by our clock. The rules, each with its reason:
//!
//! * An observation before the feed's last word is *stale*. (An old snapshot that is read again must not win.)
//! * One with the same place, revision and hash is the same message again: nothing is written, so reading
//!   a file twice writes nothing.
//! * One later in the feed with the same content moves the stamp forward: `listing.current` is written, with no
//!   event and no new version. Without it, an observation between the two that comes late would win.
//! * One with the same place and a higher mapping revision is the same record mapped anew (a replay):
//!   all that differs is one `corrected` event, since nothing happened to the home. A lower revision is stale.
//! * One with the same place and revision but other content: the later in the log wins, as an ordinary
//!   change. (A source that says two things about one place in itself leaves no better judge.)
//! * The word that the feed has the listing no longer counts when it is later than the feed's last word. It is
//!   remembered also for a listing that was never seen (version 0), so that an older observation that comes late
//!   does not bring it to life.

use std::cmp::Ordering;

use messages::change::fields::{Difference, Fields, differences, object_text};
use messages::change::scan::Malformed;
use messages::change::{Change, Observed, Stamp};
use messages::current::{Commands, Current};
use messages::event::{self, Event, EventType};

use crate::answer::Answer;
use crate::command;
use crate::decision::{Decision, Outcome, Trouble};
use crate::layers::{self, Superseded};
use crate::media;

/// Decides what a change of the listing `key` means, after all that came before it.
///
/// # Errors
/// [`Trouble`] when the change or the state cannot be read.
pub fn apply<'a>(
    key: &str,
    previous: Option<&Current<'a>>,
    change: &Change<'a>,
) -> Result<Decision, Trouble> {
    match (change, previous) {
        (Change::Observed(seen), None) => {
            let fields = Fields::parse(seen.listing).map_err(Trouble::Change)?;
            appeared(key, &Current::default(), seen, &fields)
        }
        (Change::Observed(seen), Some(previous)) => observed(key, previous, seen),
        (Change::Absent(stamp), None) => Ok(never_seen(key, stamp)),
        (Change::Absent(stamp), Some(previous)) => absent(key, previous, stamp),
        (Change::Command(command), _) => command::command(key, previous, command),
    }
}

/// As [`apply`] for a listing of which nothing is known, given its fields where they were read with the change.
pub(crate) fn first<'a>(
    key: &str,
    change: &Change<'a>,
    fields: Option<Fields<'a>>,
) -> Result<Decision, Trouble> {
    match (change, fields) {
        (Change::Observed(seen), Some(fields)) => appeared(key, &Current::default(), seen, &fields),
        _ => apply(key, None, change),
    }
}

/// Where an observation stands to the feed's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Before it.
    Stale,
    /// The same place and revision.
    Again,
    /// The same place, mapped by a later revision.
    Remapped,
    /// After it.
    Newer,
}

pub(crate) fn standing(last: &Stamp<'_>, deleted: bool, stamp: &Stamp<'_>) -> Standing {
    match stamp.cmp_position(last) {
        Ordering::Less => Standing::Stale,
        Ordering::Greater => Standing::Newer,
        // A feed that lacks the listing at a place does not show it there: the first of the two stands.
        Ordering::Equal if deleted => Standing::Stale,
        Ordering::Equal => match stamp.revision.cmp(&last.revision) {
            Ordering::Less => Standing::Stale,
            Ordering::Equal => Standing::Again,
            Ordering::Greater => Standing::Remapped,
        },
    }
}

fn observed<'a>(
    key: &str,
    previous: &Current<'a>,
    seen: &Observed<'a>,
) -> Result<Decision, Trouble> {
    let standing = previous
        .stamp
        .map_or(Standing::Newer, |last| standing(&last, previous.deleted, &seen.stamp));
    if standing == Standing::Stale {
        return Ok(Decision::nothing(Outcome::Stale, previous.version));
    }
    if previous.deleted {
        let fields = Fields::parse(seen.listing).map_err(Trouble::Change)?;
        return appeared(key, previous, seen, &fields);
    }
    let same = previous.stamp.is_some_and(|last| last.hash == seen.stamp.hash);
    match (same, standing) {
        (true, Standing::Again) => Ok(Decision::nothing(Outcome::Unchanged, previous.version)),
        (true, _) => Ok(moved(key, previous, seen, previous.commands)),
        (false, _) => compared(key, previous, seen, standing),
    }
}

/// Nothing new, but said later: only the stamp (and what was noted) moves.
fn moved(
    key: &str,
    previous: &Current<'_>,
    seen: &Observed<'_>,
    commands: Option<&str>,
) -> Decision {
    let current =
        Current { stamp: Some(seen.stamp), notes: seen.notes, commands, ..*previous }.write(key);
    let nothing = Decision::nothing(Outcome::Unchanged, previous.version);
    Decision { current: Some(current), ..nothing }
}

/// The listing was not there, and is.
fn appeared<'a>(
    key: &str,
    previous: &Current<'a>,
    seen: &Observed<'a>,
    fields: &Fields<'a>,
) -> Result<Decision, Trouble> {
    let version = previous.version + 1;
    // Version 0 was never there: it was only ever said to be absent.
    let (kind, whole) = match previous.version {
        0 => (EventType::Added, None),
        _ => (EventType::BackOnMarket, Some(true)),
    };
    let mut commands = commands_of(previous)?;
    if let Some(commands) = &mut commands {
        commands.floor = version;
    }
    let text = fields.text();
    let told = Event {
        kind,
        version,
        as_of: Some(seen.stamp.as_of),
        command_id: None,
        whole,
        before: "{}",
        after: &text,
    };
    let commands = commands.map(|c| c.text());
    let current = Current {
        version,
        deleted: false,
        stamp: Some(seen.stamp),
        listing: Some(&text),
        commands: commands.as_deref(),
        notes: seen.notes,
        last_change: Some(&event::last_change(kind, None)),
    };
    Ok(Decision {
        outcome: Outcome::Sent,
        version,
        is_new_version: true,
        current: Some(current.write(key)),
        events: vec![(kind, told.write())],
        media: media::wanted(version, fields),
        answers: Vec::new(),
    })
}

/// The listing is there and was: field by field.
fn compared<'a>(
    key: &str,
    previous: &Current<'a>,
    seen: &Observed<'a>,
    standing: Standing,
) -> Result<Decision, Trouble> {
    let before = fields_of(previous)?;
    let feed = Fields::parse(seen.listing).map_err(Trouble::Change)?;
    let mut commands = commands_of(previous)?;
    let mut superseded = Vec::new();
    if let Some(commands) = &mut commands {
        superseded = layers::settle(commands, &feed, standing == Standing::Remapped);
    }
    let after = match &commands {
        Some(commands) if !commands.overrides.is_empty() => feed.under(commands.over()),
        _ => feed.clone(),
    };
    let found = differences(&before, &after);
    let version = previous.version + u64::from(!found.is_empty());
    let answers = answers(&superseded, version);
    let has_word = !found.is_empty() || !superseded.is_empty();
    let commands = commands.as_ref().map(|commands| {
        let floor = if has_word { version } else { commands.floor };
        Commands { floor, ..commands.clone() }.text()
    });
    let commands = commands.as_deref();
    if !found.is_empty() {
        let current = Current { version, commands, ..*previous };
        let changed = changed(key, &current, seen, (&found, &after, standing));
        return Ok(Decision { answers, ..changed });
    }
    if standing == Standing::Again && !has_word {
        return Ok(Decision::nothing(Outcome::Unchanged, version));
    }
    Ok(Decision { answers, ..moved(key, previous, seen, commands) })
}

/// Fields differ: `current` is as before but for the version that this makes, and the commands.
fn changed(
    key: &str,
    current: &Current<'_>,
    seen: &Observed<'_>,
    (found, after, standing): (&[Difference<'_>], &Fields<'_>, Standing),
) -> Decision {
    let version = current.version;
    let typed = match standing {
        Standing::Remapped => vec![(EventType::Corrected, found.to_vec())],
        _ => event::typed(found),
    };
    let next = Current {
        stamp: Some(seen.stamp),
        listing: Some(&after.text()),
        notes: seen.notes,
        last_change: Some(&last_change(&typed)),
        ..*current
    };
    Decision {
        outcome: Outcome::Sent,
        version,
        is_new_version: true,
        current: Some(next.write(key)),
        events: told(&typed, version, Cause { as_of: Some(seen.stamp.as_of), command_id: None }),
        media: media_wanted(found, version, after),
        answers: Vec::new(),
    }
}

/// A listing that was never seen is said to be absent: only the stamp is kept.
fn never_seen(key: &str, stamp: &Stamp<'_>) -> Decision {
    let current = Current {
        deleted: true,
        stamp: Some(*stamp),
        last_change: Some(&event::last_change(EventType::Deleted, None)),
        ..Current::default()
    };
    Decision { current: Some(current.write(key)), ..Decision::nothing(Outcome::DeleteUnchanged, 0) }
}

fn absent(key: &str, previous: &Current<'_>, stamp: &Stamp<'_>) -> Result<Decision, Trouble> {
    let is_newer = previous.stamp.is_none_or(|last| stamp.cmp_position(&last) == Ordering::Greater);
    let nothing = Decision::nothing(Outcome::DeleteUnchanged, previous.version);
    if !is_newer {
        return Ok(nothing);
    }
    if previous.deleted {
        let current = Current { stamp: Some(*stamp), ..*previous }.write(key);
        return Ok(Decision { current: Some(current), ..nothing });
    }
    deleted(key, previous, stamp)
}

/// The listing was there, and is gone. Commands go with it; their ids are remembered.
fn deleted(key: &str, previous: &Current<'_>, stamp: &Stamp<'_>) -> Result<Decision, Trouble> {
    let before = fields_of(previous)?;
    let version = previous.version + 1;
    let mut commands = commands_of(previous)?;
    let mut answers = Vec::new();
    if let Some(commands) = &mut commands {
        let reason = "the feed no longer has the listing";
        answers = layers::give_up_all(commands)
            .iter()
            .map(|s| Answer::superseded(&s.command_id, &s.field, reason, version))
            .collect();
        commands.floor = version;
    }
    let told_of = before.iter().filter(|(name, _)| EventType::of_field(name) != EventType::Fields);
    let told = Event {
        kind: EventType::Deleted,
        version,
        as_of: Some(stamp.as_of),
        command_id: None,
        whole: None,
        before: &object_text(told_of),
        after: "{}",
    };
    let commands = commands.map(|c| c.text());
    let current = Current {
        version,
        deleted: true,
        stamp: Some(*stamp),
        listing: None,
        commands: commands.as_deref(),
        notes: None,
        last_change: Some(&event::last_change(EventType::Deleted, None)),
    };
    Ok(Decision {
        outcome: Outcome::Deleted,
        version,
        is_new_version: true,
        current: Some(current.write(key)),
        events: vec![(EventType::Deleted, told.write())],
        media: None,
        answers,
    })
}

/// What made the change that events tell of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// As-of of the snapshot, the last one for a command.
    pub(crate) as_of: Option<&'a str>,
    /// The command.
    pub(crate) command_id: Option<&'a str>,
}

/// An event for each type of change.
pub(crate) fn told(
    typed: &[(EventType, Vec<Difference<'_>>)],
    version: u64,
    cause: Cause<'_>,
) -> Vec<(EventType, Vec<u8>)> {
    let one = |(kind, found): &(EventType, Vec<Difference<'_>>)| {
        let (before, after) = event::sides(found);
        let event = Event {
            kind: *kind,
            version,
            as_of: cause.as_of,
            command_id: cause.command_id,
            whole: (*kind == EventType::BackOnMarket).then_some(false),
            before: &before,
            after: &after,
        };
        (*kind, event.write())
    };
    typed.iter().map(one).collect()
}

/// Fields that tell a reader less than any other that changed with them: a board's own code beside the standard
/// status, and that something was modified.
const LESS_TELLING: [&str; 2] = ["MlsStatus", "ModificationTimestamp"];

/// `lastChange` for what the events tell: the first of them, and of its fields the first that tells most.
pub(crate) fn last_change(typed: &[(EventType, Vec<Difference<'_>>)]) -> String {
    let Some((kind, found)) = typed.first() else {
        return event::last_change(EventType::Fields, None);
    };
    let telling = found.iter().find(|d| !LESS_TELLING.contains(&d.name));
    event::last_change(*kind, telling.or(found.first()))
}

/// The request for photos, where the change may mean other ones.
pub(crate) fn media_wanted(
    found: &[Difference<'_>],
    version: u64,
    after: &Fields<'_>,
) -> Option<Vec<u8>> {
    if media::is_touched(found) { media::wanted(version, after) } else { None }
}

/// The fields that count now; none for a listing that is not there.
pub(crate) fn fields_of<'a>(current: &Current<'a>) -> Result<Fields<'a>, Trouble> {
    Fields::parse(current.listing.unwrap_or("{}")).map_err(Trouble::State)
}

/// What users commanded, `None` when they never did.
pub(crate) fn commands_of<'a>(current: &Current<'a>) -> Result<Option<Commands<'a>>, Trouble> {
    let parsed: Result<Option<_>, Malformed> = current.commands.map(Commands::parse).transpose();
    parsed.map_err(Trouble::State)
}

fn answers(superseded: &[Superseded<'_>], version: u64) -> Vec<Answer> {
    let one = |s: &Superseded<'_>| Answer::superseded(&s.command_id, &s.field, s.reason(), version);
    superseded.iter().map(one).collect()
}
