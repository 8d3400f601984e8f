//! The notes left for one subscriber: bounded, and replaced by a place in the ring when they are too many.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::changes::watch::{Sight, Watch};

/// Most notes for one subscriber; then it is to look through the ring itself, and gets the latest states.
pub(crate) const NOTES_MAX: usize = 256;
/// An emptied list larger than this is given back.
const KEPT: usize = 16;

/// A place in the ring: number of the round, and of the entry in it.
pub(crate) type Place = (u64, usize);

/// One change that concerns the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) round: u64,
    pub(crate) at: u32,
    pub(crate) sight: Sight,
}

/// One subscriber, as the hub knows it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) watch: Watch,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    notes: VecDeque<Note>,
    /// From here on it has to look itself.
    missed: Option<Place>,
    /// It is to be told the position, though nothing concerned it.
    due: bool,
    waker: Option<Waker>,
}

/// What a subscriber finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Notes, oldest first.
    Notes(Vec<Note>),
    /// There were too many: the ring is to be looked through from this place on.
    Missed(Place),
    /// Nothing happened, but the position is wanted.
    Due,
    /// Nothing; the waker is kept.
    Nothing,
}

impl Subscriber {
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, inbox: Mutex::default() }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a note. Returns whom to wake.
    pub(crate) fn leave(&self, note: Note) -> Option<Waker> {
        let mut inbox = self.inbox();
        if inbox.missed.is_none() {
            if inbox.notes.len() < NOTES_MAX {
                inbox.notes.push_back(note);
            } else {
                inbox.missed = inbox.notes.front().map(|n| (n.round, n.at as usize));
                inbox.notes = VecDeque::new();
            }
        }
        inbox.waker.take()
    }

    /// Asks it to tell its client the position. Returns whom to wake.
    pub(crate) fn ask_for_position(&self) -> Option<Waker> {
        let mut inbox = self.inbox();
        inbox.due = true;
        inbox.waker.take()
    }

    /// Up to `most` notes; keeps `waker` where there is nothing.
    pub(crate) fn take(&self, most: usize, waker: &Waker) -> Found {
        let mut inbox = self.inbox();
        if let Some(place) = inbox.missed {
            return Found::Missed(place);
        }
        if !inbox.notes.is_empty() {
            let count = inbox.notes.len().min(most);
            let notes = inbox.notes.drain(..count).collect();
            if inbox.notes.is_empty() && inbox.notes.capacity() > KEPT {
                inbox.notes = VecDeque::new();
            }
            return Found::Notes(notes);
        }
        if std::mem::take(&mut inbox.due) {
            return Found::Due;
        }
        if !inbox.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inbox.waker = Some(waker.clone());
        }
        Found::Nothing
    }

    /// Forgets all notes: their subscriber looks through the ring up to now. Only under the hub's lock.
    pub(crate) fn start_over(&self) {
        let mut inbox = self.inbox();
        inbox.missed = None;
        inbox.notes = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(round: u64) -> Note {
        Note { round, at: 3, sight: Sight::Seen }
    }

    #[test]
    fn notes_are_bounded_and_then_say_where_to_look() {
        let one = Subscriber::new(Watch::default());
        let waker = Waker::noop();
        assert_eq!(one.take(9, waker), Found::Nothing);
        assert!(one.leave(note(5)).is_some(), "someone waits");
        assert!(one.leave(note(6)).is_none());
        assert_eq!(one.take(1, waker), Found::Notes(vec![note(5)]));
        assert_eq!(one.take(9, waker), Found::Notes(vec![note(6)]));
        (10..11 + NOTES_MAX as u64).for_each(|n| drop(one.leave(note(n))));
        assert_eq!(one.take(9, waker), Found::Missed((10, 3)));
        drop(one.leave(note(9_999)));
        assert_eq!(one.take(9, waker), Found::Missed((10, 3)));
        one.start_over();
        drop(one.ask_for_position());
        assert_eq!(one.take(9, waker), Found::Due);
        assert_eq!(one.take(9, waker), Found::Nothing);
    }
}
