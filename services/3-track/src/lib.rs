//! listing.changes -> listing.current, listing.events, media.wanted, command.results
//!
//! Keeps the last version of each listing, drops what is stale or says nothing new, applies users'
//! commands, and says what changed. The decision is the pure function [`apply`]; [`Track`] reads, calls it,
//! and sends what it says.

mod answer;
mod apply;
mod command;
mod decision;
mod layers;
mod media;
mod value;

pub use answer::{Answer, CommandOutcome, Refusal};
pub use apply::apply;
pub use command::{ADDED_PREFIX, added_key};
pub use decision::{Decision, Outcome, Trouble};
pub use layers::{Superseded, beneath, give_up_all, settle};
pub use value::SET_MAX;

use dataflow::{Emit, Failure, Input, Out, Reject, Transform};
use messages::change::Change;
use messages::current::Current;
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
        let change = Change::parse(value).map_err(|e| bad(e.to_string()))?;
        let state = out.state()?;
        let previous = state.as_deref().map(Current::parse).transpose();
        let previous = previous.map_err(|e| held(key, &Trouble::State(e)))?;
        let decision = apply(key, previous.as_ref(), &change).map_err(|e| match e {
            Trouble::Change(_) => bad(e.to_string()).into(),
            Trouble::State(_) => held(key, &e),
        })?;
        send(&decision, record.key, out);
        let is_replay = matches!(&change, Change::Observed(seen) if seen.stamp.revision > 1);
        count(&decision, record.meta.source, is_replay, out);
        Ok(())
    }
}

fn bad(what: impl AsRef<str>) -> Reject {
    Reject::new(BAD_CHANGE, what)
}

fn held(key: &str, trouble: &Trouble) -> Failure {
    Failure::stop(format!("listing {key}: {trouble}; restore listing.current from a backup"))
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
        out.emit(topics::COMMAND_RESULTS, emit(&answer.value, KIND_COMMAND_RESULT, version));
    }
    if let Some(current) = &decision.current {
        // A stamp that moved makes another message of the same version.
        let version = if decision.is_new_version { version } else { messages::hash(current) };
        out.put_state(emit(current, topics::KIND_CURRENT, version));
    }
}

/// Kind of what became of a command.
pub const KIND_COMMAND_RESULT: &str = "command.result";

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
