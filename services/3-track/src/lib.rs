//! listing.changes -> listing.current, listing.events, media.wanted, command.results
//!
//! Keeps the last version of each listing, drops what is stale or says nothing new, applies users'
//! commands, and says what changed. The decision is the pure function [`apply`]; [`Track`] reads, calls it,
//! and sends what it says.

mod answer;
mod apply;
mod command;
mod decision;
mod glance;
mod layers;
mod media;

pub use answer::{Answer, CommandOutcome, Refusal};
use apply::first;

pub use apply::apply;
pub use decision::{Decision, Outcome, Trouble};
pub use glance::glance;
pub use layers::{Superseded, beneath, give_up_all, settle};
pub use messages::change::set::SET_MAX;
pub use messages::change::{ADDED_PREFIX, added_key};

use dataflow::{Emit, Failure, Input, Out, Reject, Transform};
use messages::change::Change;
use messages::change::scan::Malformed;
use messages::current::{Current, Head};
use messages::topics;

/// Reason code of a change that cannot be read.
pub const BAD_CHANGE: &str = "bad_change";
/// Longest key, in bytes.
const KEY_MAX: usize = 512;

/// The service.
#[derive(Debug, Default)]
pub struct Track;

impl Transform for Track {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let record = input.record;
        if record.meta.schema > topics::SCHEMA {
            return Err(Failure::stop(format!(
                "a change of schema {} is newer than this program, which knows {}: upgrade it",
                record.meta.schema,
                topics::SCHEMA
            )));
        }
        let key = std::str::from_utf8(record.key).ok().filter(|k| k.len() <= KEY_MAX);
        let key = key.ok_or_else(|| bad("the key is not UTF-8 of at most 512 bytes"))?;
        let value = record.value.ok_or_else(|| bad("a change must have a value"))?;
        let state = out.state()?;
        let (change, decision) = judge(key, state.as_deref(), value)?;
        send(&decision, record.key, out);
        let is_replay = matches!(&change, Change::Observed(seen) if seen.stamp.revision > 1);
        count(&decision, record.meta.source, is_replay, out);
        Ok(())
    }
}

/// The change, and the decision about it.
fn judge<'a>(
    key: &str,
    state: Option<&[u8]>,
    value: &'a [u8],
) -> Result<(Change<'a>, Decision), Failure> {
    let unread = |e: Malformed| bad(e.to_string());
    if state.is_some() {
        let change = Change::parse(value).map_err(unread)?;
        let decision = decide(key, state, &change)?;
        return Ok((change, decision));
    }
    // Of a listing that is not known yet every field will be looked at: they are read in the same pass.
    let (change, fields) = Change::parse_with_fields(value).map_err(unread)?;
    let decision = first(key, &change, fields).map_err(|trouble| troubled(key, trouble))?;
    Ok((change, decision))
}

fn troubled(key: &str, trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Change(e) => bad(e.to_string()).into(),
        Trouble::State(_) => Failure::stop(format!("listing {key}: {trouble}; {RESTORE}")),
    }
}

/// The decision, read from the state as it is stored.
///
/// # Errors
/// `Reject` for a bad change, `Stop` for a state that cannot be read.
pub fn decide(key: &str, state: Option<&[u8]>, change: &Change<'_>) -> Result<Decision, Failure> {
    let unread = |e| troubled(key, Trouble::State(e));
    if let Some(state) = state
        && let Some(decision) = glance(key, &Head::parse(state).map_err(unread)?, change)
    {
        return Ok(decision);
    }
    let previous = state.map(Current::parse).transpose().map_err(unread)?;
    apply(key, previous.as_ref(), change).map_err(|trouble| troubled(key, trouble))
}

/// What to do about a state that cannot be read.
const RESTORE: &str = "restore listing.current from a backup, or rebuild it from listing.changes";

fn bad(what: impl AsRef<str>) -> Reject {
    Reject::new(BAD_CHANGE, what)
}

fn send(decision: &Decision, key: &[u8], out: &mut Out<'_>) {
    let version = decision.version;
    let emit = |value, kind, version| Emit {
        key,
        value: Some(value),
        kind,
        version,
        schema: topics::SCHEMA,
    };
    for (kind, value) in &decision.events {
        out.emit(topics::LISTING_EVENTS, emit(value.as_slice(), kind.kind(), version));
    }
    if let Some(media) = &decision.media {
        out.emit(topics::MEDIA_WANTED, emit(media, topics::KIND_MEDIA_WANTED, version));
    }
    for answer in &decision.answers {
        // A version may have several answers, so each is told apart by what it says.
        let version = messages::hash(&answer.value);
        out.emit(
            topics::COMMAND_RESULTS,
            emit(&answer.value, topics::KIND_COMMAND_RESULT, version),
        );
    }
    if let Some(current) = &decision.current {
        // A stamp that moved makes another message of the same version.
        let version = if decision.is_new_version { version } else { messages::hash(current) };
        out.put_state(emit(current, topics::KIND_CURRENT, version));
    }
}

/// Counts, for each feed: rows read = sent + unchanged + dead letters. A replay reads no rows, so it is
/// counted apart.
fn count(decision: &Decision, source: &str, is_replay: bool, out: &mut Out<'_>) {
    let mut feed = |name: &str| out.tally(&[name, ":", source].concat(), 1);
    match decision.outcome {
        Outcome::Sent | Outcome::Unchanged | Outcome::Stale if is_replay => feed("replayed"),
        Outcome::Sent => feed("sent"),
        Outcome::Unchanged => feed("unchanged"),
        Outcome::Stale => {
            feed("unchanged");
            feed("stale");
        }
        Outcome::Deleted => feed("deleted"),
        Outcome::DeleteUnchanged => feed("deletes_unchanged"),
        Outcome::Commanded => {}
    }
    for (kind, _) in &decision.events {
        out.tally(&["event:", kind.name()].concat(), 1);
    }
    for answer in &decision.answers {
        out.tally(&["command:", answer.outcome.name()].concat(), 1);
    }
}
