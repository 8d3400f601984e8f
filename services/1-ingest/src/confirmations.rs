//! What feeds have to say to the operator, and the operator's word that a large delete is right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Deletes that a snapshot asks for and the guard refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldDeletes {
    /// The feed.
    pub feed: String,
    /// What to confirm: the beginning of the hash of the file's content.
    pub snapshot: String,
    /// The file.
    pub file: String,
    /// How many listings would be deleted,
    pub deletes: u64,
    /// of how many.
    pub of: u64,
}

impl std::fmt::Display for HeldDeletes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { feed, snapshot, file, deletes, of } = self;
        write!(
            f,
            "{file} would delete {deletes} of {of} listings of {feed}, more than one file may: if it is right, \
             `conveyance feeds confirm {feed} {snapshot}`; otherwise bring a whole, newer one"
        )
    }
}

#[derive(Debug, Default)]
struct Feed {
    held: Option<HeldDeletes>,
    notice: Option<String>,
    confirmed: Option<String>,
}

/// Shared between the program and its feeds. What is held is durable in the feed; a confirmation is once the
/// feed has taken it, so after a crash in between it is given again.
#[derive(Debug, Clone, Default)]
pub struct Confirmations(Arc<Mutex<BTreeMap<String, Feed>>>);

impl Confirmations {
    /// Everything that waits for a confirmation.
    #[must_use]
    pub fn held(&self) -> Vec<HeldDeletes> {
        self.lock().values().filter_map(|feed| feed.held.clone()).collect()
    }

    /// What feeds report of their last snapshots, by feed: why one deleted nothing.
    #[must_use]
    pub fn notices(&self) -> Vec<(String, String)> {
        let feeds = self.lock();
        feeds.iter().filter_map(|(name, feed)| Some((name.clone(), feed.notice.clone()?))).collect()
    }

    /// The operator's word that the deletes of that snapshot are right.
    ///
    /// # Errors
    /// A text for the operator when no such deletes are held.
    pub fn confirm(&self, feed: &str, snapshot: &str) -> Result<HeldDeletes, String> {
        let mut feeds = self.lock();
        let entry = feeds.get_mut(feed).and_then(|f| Some((f.held.clone()?, &mut f.confirmed)));
        match entry {
            Some((held, confirmed)) if held.snapshot == snapshot => {
                *confirmed = Some(snapshot.to_owned());
                Ok(held)
            }
            Some((held, _)) => Err(format!("no deletes of snapshot {snapshot} are held: {held}")),
            None => Err(format!("no deletes of feed {feed} are held")),
        }
    }

    pub(crate) fn is_confirmed(&self, feed: &str, snapshot: &str) -> bool {
        self.lock().get(feed).is_some_and(|f| f.confirmed.as_deref() == Some(snapshot))
    }

    pub(crate) fn publish(&self, feed: &str, held: Option<HeldDeletes>, notice: Option<String>) {
        let mut feeds = self.lock();
        let entry = feeds.entry(feed.to_owned()).or_default();
        (entry.held, entry.notice) = (held, notice);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
