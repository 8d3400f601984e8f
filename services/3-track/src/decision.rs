//! What is to be done about a change, as data: what to write, what to tell, what to count.

use messages::change::scan::Malformed;
use messages::event::EventType;

use crate::answer::Answer;

/// What became of a change; each kind is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An observation older than the feed's last word.
    Stale,
    /// An observation that says nothing new.
    Unchanged,
    /// An observation that changed the listing.
    Sent,
    /// The listing is gone.
    Deleted,
    /// The word that the listing is gone, older than the feed's last word or known already.
    DeleteUnchanged,
    /// A user's command; the first answer says what became of it.
    Commanded,
}

/// What is to be done about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What became of it.
    pub outcome: Outcome,
    /// Version of the listing after it; 0 when there is none.
    pub version: u64,
    /// Whether the change made that version.
    pub is_new_version: bool,
    /// The value for `listing.current`, where it is to be written.
    pub current: Option<Vec<u8>>,
    /// Values for `listing.events`, in order.
    pub events: Vec<(EventType, Vec<u8>)>,
    /// The value for `media.wanted`, where there are photos to fetch.
    pub media: Option<Vec<u8>>,
    /// What users are told about their commands.
    pub answers: Vec<Answer>,
}

impl Decision {
    /// Nothing to write and nothing to tell.
    pub(crate) fn nothing(outcome: Outcome, version: u64) -> Self {
        Self {
            outcome,
            version,
            is_new_version: false,
            current: None,
            events: Vec::new(),
            media: None,
            answers: Vec::new(),
        }
    }
}

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The change is bad, the next one may be good.
    #[error("{0}")]
    Change(Malformed),
    /// What was remembered of the listing cannot be read: the program or its store is at fault.
    #[error("the state of the listing cannot be read: {0}")]
    State(Malformed),
}
