//! What can be decided without reading the listing that is known: most messages say nothing new.
//!
//! The rules are those of [`crate::apply`], and so is what comes out, byte for byte; this is only the short way.

use messages::change::{Change, Observed};
use messages::current::Head;

use crate::apply::{Standing, standing};
use crate::decision::{Decision, Outcome};

/// Decides about an observation that is stale or unchanged; `None` when the whole state must be read.
#[must_use]
pub fn glance(key: &str, head: &Head<'_>, change: &Change<'_>) -> Option<Decision> {
    let Change::Observed(seen) = change else { return None };
    let last = head.stamp.as_ref()?;
    let unchanged = Decision::nothing(Outcome::Unchanged, head.version);
    match standing(last, head.deleted, &seen.stamp) {
        Standing::Stale => Some(Decision::nothing(Outcome::Stale, head.version)),
        _ if head.deleted || last.hash != seen.stamp.hash => None,
        Standing::Again => Some(unchanged),
        Standing::Remapped | Standing::Newer => {
            Some(Decision { current: Some(moved(key, head, seen)), ..unchanged })
        }
    }
}

fn moved(key: &str, head: &Head<'_>, seen: &Observed<'_>) -> Vec<u8> {
    Head { stamp: Some(seen.stamp), notes: seen.notes, ..*head }.write(key)
}
