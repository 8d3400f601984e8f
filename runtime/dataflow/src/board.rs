//! What is wrong right now, said once, for whoever asks: the terminal, `conveyance lag`, the page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Longest list of conditions kept; a place has one at most, so this bounds the places.
const CONDITIONS_MAX: usize = 1000;

/// A shared list of conditions, one for each place.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<String, Condition>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    words: String,
    /// A partition is held: nothing of it is done until the program is another.
    held: bool,
}

impl Board {
    /// Sets what is wrong at `place`. Returns whether it is news, so that it is printed once.
    pub fn set(&self, place: &str, condition: &str) -> bool {
        self.put(place, Condition { words: condition.to_owned(), held: false })
    }

    /// As [`Board::set`], of a partition that is held.
    pub fn hold(&self, place: &str, condition: &str) -> bool {
        self.put(place, Condition { words: condition.to_owned(), held: true })
    }

    fn put(&self, place: &str, condition: Condition) -> bool {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if board.len() >= CONDITIONS_MAX && !board.contains_key(place) {
            return false;
        }
        board.insert(place.to_owned(), condition.clone()) != Some(condition)
    }

    /// All is well at `place` again.
    pub fn clear(&self, place: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    /// Everything that is wrong, by place.
    #[must_use]
    pub fn conditions(&self) -> Vec<(String, String)> {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.iter().map(|(place, c)| (place.clone(), c.words.clone())).collect()
    }

    /// Whether a partition is held: what waits for it to be done waits for a person.
    #[must_use]
    pub fn holds(&self) -> bool {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.values().any(|condition| condition.held)
    }
}
