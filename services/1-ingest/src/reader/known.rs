//! The files that were begun or done, as they are remembered.

use std::collections::{BTreeMap, HashMap};

use dataflow::Failure;

use crate::as_of::AsOf;
use crate::files::Candidate;
use crate::sink::Sink;
use crate::state::{Identity, KNOWN_MAX, Known, known_key};

/// Files that were begun or done, by content and as-of.
pub(super) struct KnownFiles {
    by_number: BTreeMap<u64, Known>,
    numbers: HashMap<(Identity, AsOf), u64>,
}

impl KnownFiles {
    pub(super) fn load(sink: &mut impl Sink) -> Result<Self, Failure> {
        let mut known = Self { by_number: BTreeMap::new(), numbers: HashMap::new() };
        for (number, file) in Known::load_all(sink)? {
            known.insert(number, file);
        }
        Ok(known)
    }

    pub(super) fn insert(&mut self, number: u64, known: Known) {
        self.numbers.insert((known.identity.clone(), known.as_of), number);
        self.by_number.insert(number, known);
    }

    fn number_of(&self, identity: &Identity, as_of: AsOf) -> Option<u64> {
        self.numbers.get(&(identity.clone(), as_of)).copied()
    }

    /// The entry of a content at an as-of.
    pub(super) fn entry(&self, identity: &Identity, as_of: AsOf) -> Option<(u64, &Known)> {
        let number = self.number_of(identity, as_of)?;
        Some((number, self.by_number.get(&number)?))
    }

    pub(super) fn is_complete(&self, candidate: &Candidate) -> bool {
        self.entry(&candidate.identity, candidate.as_of).is_some_and(|(_, known)| known.complete)
    }

    /// The as-of under which this content came last.
    pub(super) fn last_as_of(&self, identity: &Identity) -> Option<AsOf> {
        self.by_number.values().rev().find(|k| k.identity == *identity).map(|k| k.as_of)
    }

    pub(super) fn next_generation(&self, as_of: AsOf) -> u64 {
        let last = self.by_number.values().filter(|k| k.as_of == as_of).map(|k| k.generation).max();
        last.map_or(0, |generation| generation + 1)
    }

    pub(super) fn complete(&mut self, sink: &mut impl Sink, number: u64) {
        if let Some(known) = self.by_number.get_mut(&number).filter(|k| !k.complete) {
            known.complete = true;
            known.save(sink, number);
        }
    }

    pub(super) fn forget_oldest(&mut self, sink: &mut impl Sink) {
        while self.by_number.len() > KNOWN_MAX
            && let Some((number, known)) = self.by_number.pop_first()
        {
            self.numbers.remove(&(known.identity, known.as_of));
            sink.put(&known_key(number), None);
        }
    }
}
