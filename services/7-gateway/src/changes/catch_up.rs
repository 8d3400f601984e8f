//! What a stream that comes back has to catch up with, and where that is found: in the ring, or in the log.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::changes::hub::Hub;
use crate::changes::round::{Round, What};
use crate::changes::watch::{Sight, Watch};
use crate::live::read_back;
use crate::position::{Position, covers};

/// Longest time that a stream waits for this gateway to know what the one before knew.
const WAIT: Duration = Duration::from_secs(2);
/// Bytes of the log that are read for a stream from each partition; more changes than they hold mean a gap.
const OLD_BYTES_MAX: usize = 1 << 20;

/// A stream cannot go on from where it was; the text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap(pub(crate) &'static str);

/// How a stream goes on from where it was.
pub(crate) struct Plan {
    /// What is older than the ring; while it is held, few others can hold theirs.
    pub(crate) old: Option<(Arc<Round>, OwnedSemaphorePermit)>,
    /// The first round of the ring to look through.
    pub(crate) first: u64,
    /// Entries before this were seen.
    pub(crate) seen: Arc<[u64]>,
    /// Whether this process knows what the client could see.
    pub(crate) exact: bool,
}

const ELSEWHERE: Gap = Gap("the position belongs to another log");
const TOO_OLD: Gap = Gap("too much has changed since");
/// Something that must not be shown now may have been on the screen, or may never have been shown to anyone.
pub(crate) const UNSURE: Gap = Gap("listings were hidden or deleted meanwhile");
const BEHIND: Gap = Gap("this gateway is catching up itself");

/// Finds out how to go on from a position. Nothing is armed yet: what is found must be checked once more then.
pub(crate) async fn plan(hub: &Arc<Hub>, position: &Position) -> Result<Plan, Gap> {
    let standing = hub.standing();
    if position.epoch != hub.maker.epoch || position.next.len() != standing.next.len() {
        return Err(ELSEWHERE);
    }
    let seen = Arc::clone(&position.next);
    let own = position.instance == hub.maker.instance && covers(&standing.next, &seen);
    let known = hub.first_after(&seen);
    if let (true, Some(first)) = (own, known) {
        return Ok(Plan { old: None, first, seen, exact: true });
    }
    let (first, old) = match known {
        Some(first) => (first, None),
        None => read_old(hub, &seen).await?,
    };
    know_all(hub, &seen).await?;
    Ok(Plan { old, first, seen, exact: false })
}

type Old = Option<(Arc<Round>, OwnedSemaphorePermit)>;

/// Reads from the log what is older than the ring.
async fn read_old(hub: &Arc<Hub>, seen: &Arc<[u64]>) -> Result<(u64, Old), Gap> {
    let permit = Arc::clone(&hub.old).try_acquire_owned().map_err(|_| TOO_OLD)?;
    let (hub, seen) = (Arc::clone(hub), Arc::clone(seen));
    let read = move || {
        let (first, start) = hub.ring_start().ok_or(BEHIND)?;
        for (slot, topic, partition) in hub.slots() {
            let range = hub.bus.range(&topic.name, partition).map_err(|_| BEHIND)?;
            if seen.get(slot).is_some_and(|next| *next < range.start) {
                return Err(TOO_OLD);
            }
        }
        // A slot in which the client is further than the ring begins has nothing old.
        let until: Arc<[u64]> = start.iter().zip(seen.iter()).map(|(a, b)| *a.max(b)).collect();
        let round = read_back(&hub, (seen, until), OLD_BYTES_MAX).map_err(|_| BEHIND)?;
        Ok((first, Some((Arc::new(round.ok_or(TOO_OLD)?), permit))))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or(Err(BEHIND))
}

/// Waits until the view has everything that is in the log now. A position of another gateway may be ahead of this
/// one; and where the log kept only the last record of a listing, that record must be known before the stream
/// begins, since nothing else tells of the change before it.
async fn know_all(hub: &Arc<Hub>, seen: &Arc<[u64]>) -> Result<(), Gap> {
    let mut progress = hub.watch_progress();
    let asked = Arc::clone(hub);
    let ends = tokio::task::spawn_blocking(move || {
        let ends =
            asked.slots().map(|(_, t, p)| asked.bus.range(&t.name, p).map(|range| range.end));
        ends.collect::<Result<Vec<_>, _>>()
    });
    let ends = ends.await.ok().and_then(Result::ok).ok_or(BEHIND)?;
    if !covers(&ends, seen) {
        return Err(Gap("the position is not in this log"));
    }
    let caught_up =
        async { while !covers(&hub.standing().next, &ends) && progress.changed().await.is_ok() {} };
    tokio::time::timeout(WAIT, caught_up).await.map_err(|_| BEHIND)
}

/// What is to be told of rounds: the latest of each listing, oldest first, as places in `rounds`.
///
/// # Errors
/// [`UNSURE`] where that cannot be said.
pub(crate) fn latest(
    hub: &Hub,
    rounds: &[Arc<Round>],
    from: (u64, usize),
    (watch, seen, exact): (&Watch, Option<&[u64]>, bool),
) -> Result<Vec<(usize, usize, Sight)>, Gap> {
    let folded = hub.folded();
    let (mut told, mut found) = (HashSet::new(), Vec::new());
    for (place, round) in rounds.iter().enumerate().rev() {
        for (at, entry) in round.entries.iter().enumerate().rev() {
            let before = (round.number, at) < from;
            if before
                || seen.is_some_and(|seen| seen.get(entry.slot).is_some_and(|n| entry.offset < *n))
            {
                continue;
            }
            let Some(sight) = watch.sight(entry, &folded, exact) else { continue };
            let first = match &entry.what {
                What::Listing(listing) => told.insert(listing.now.hash),
                What::Result(_) => true,
            };
            if first && sight == Sight::Unsure {
                return Err(UNSURE);
            }
            if first {
                found.push((place, at, sight));
            }
        }
    }
    found.reverse();
    Ok(found)
}
