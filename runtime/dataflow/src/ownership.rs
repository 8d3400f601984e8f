//! Who owns which partition, as one explicit state machine: pure, and tested on its own.
//!
//! Assigned -> Restoring -> Running -> Draining -> Released. Every assignment has an epoch, everything that
//! happens names the epoch it belongs to, and what is stale changes nothing. Revocation and shutdown are the
//! same path. (A deferred un-assign that fired after a re-assign left other systems looking healthy while
//! they owned nothing.)

use std::collections::BTreeMap;

use crate::bus::Assignment;

/// Where an owned partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// State is being brought back; no records yet.
    Restoring,
    /// Records are handled.
    Running,
    /// Taken away, or shutting down: what is in flight ends, nothing new begins.
    Draining,
    /// The program is wrong for what it reads here; kept uncommitted until someone acts.
    Held,
}

/// What to do about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the bus for the state of this partition.
    Restore(Assignment),
    /// Hand in what is built, wait for what is in flight, then call [`Ownership::drained`].
    Drain(Assignment),
    /// Tell the bus that it is free.
    Release(Assignment),
    /// Drop everything about it: someone else owns it.
    Forget(Assignment),
}

/// The partitions of one member.
#[derive(Debug, Default)]
pub struct Ownership {
    slots: BTreeMap<u16, (u64, Phase)>,
    /// Highest epoch seen for each partition: an older one never comes back.
    seen: BTreeMap<u16, u64>,
}

impl Ownership {
    /// The bus gave a partition.
    pub fn assigned(&mut self, a: Assignment) -> Vec<Action> {
        if self.seen.get(&a.partition).is_some_and(|seen| *seen >= a.epoch) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        if let Some((epoch, _)) = self.slots.insert(a.partition, (a.epoch, Phase::Restoring)) {
            actions.push(Action::Forget(Assignment { epoch, ..a }));
        }
        self.seen.insert(a.partition, a.epoch);
        actions.push(Action::Restore(a));
        actions
    }

    /// The bus brought the state back.
    pub fn restored(&mut self, a: Assignment) {
        if self.phase(a) == Some(Phase::Restoring) {
            self.slots.insert(a.partition, (a.epoch, Phase::Running));
        }
    }

    /// The bus wants a partition back, or the process stops.
    pub fn revoked(&mut self, a: Assignment) -> Vec<Action> {
        match self.phase(a) {
            None | Some(Phase::Draining) => Vec::new(),
            Some(Phase::Restoring | Phase::Held) => {
                self.slots.remove(&a.partition);
                vec![Action::Release(a)]
            }
            Some(Phase::Running) => {
                self.slots.insert(a.partition, (a.epoch, Phase::Draining));
                vec![Action::Drain(a)]
            }
        }
    }

    /// Nothing of a draining partition is in flight any more.
    pub fn drained(&mut self, a: Assignment) -> Vec<Action> {
        if self.phase(a) != Some(Phase::Draining) {
            return Vec::new();
        }
        self.slots.remove(&a.partition);
        vec![Action::Release(a)]
    }

    /// The bus gave the partition to someone else already.
    pub fn lost(&mut self, a: Assignment) -> Vec<Action> {
        if self.phase(a).is_none() {
            return Vec::new();
        }
        self.slots.remove(&a.partition);
        vec![Action::Forget(a)]
    }

    /// The program cannot read what is there.
    pub fn held(&mut self, a: Assignment) {
        if self.phase(a) == Some(Phase::Running) {
            self.slots.insert(a.partition, (a.epoch, Phase::Held));
        }
    }

    /// The phase of exactly this assignment; `None` when it is stale or not owned.
    #[must_use]
    pub fn phase(&self, a: Assignment) -> Option<Phase> {
        self.slots.get(&a.partition).filter(|(epoch, _)| *epoch == a.epoch).map(|(_, phase)| *phase)
    }

    /// Whether records of this assignment are to be handled.
    #[must_use]
    pub fn running(&self, a: Assignment) -> bool {
        self.phase(a) == Some(Phase::Running)
    }

    /// All that is owned.
    pub fn owned(&self) -> impl Iterator<Item = (Assignment, Phase)> {
        self.slots.iter().map(|(partition, (epoch, phase))| {
            (Assignment { partition: *partition, epoch: *epoch }, *phase)
        })
    }

    /// Those that drain.
    #[must_use]
    pub fn draining(&self) -> Vec<Assignment> {
        self.owned().filter(|(_, phase)| *phase == Phase::Draining).map(|(a, _)| a).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn a(partition: u16, epoch: u64) -> Assignment {
        Assignment { partition, epoch }
    }

    #[test]
    fn the_whole_life() {
        let mut own = Ownership::default();
        assert_eq!(own.assigned(a(0, 1)), [Action::Restore(a(0, 1))]);
        assert!(!own.running(a(0, 1)));
        own.restored(a(0, 1));
        assert!(own.running(a(0, 1)));
        assert_eq!(own.revoked(a(0, 1)), [Action::Drain(a(0, 1))]);
        assert_eq!(own.revoked(a(0, 1)), [], "a second revoke changes nothing");
        assert_eq!(own.drained(a(0, 1)), [Action::Release(a(0, 1))]);
        assert_eq!(own.owned().count(), 0);
    }

    #[test]
    fn revoked_while_restoring_is_released_at_once_and_a_late_restore_is_stale() {
        let mut own = Ownership::default();
        own.assigned(a(0, 1));
        assert_eq!(own.revoked(a(0, 1)), [Action::Release(a(0, 1))]);
        own.restored(a(0, 1));
        assert_eq!(own.phase(a(0, 1)), None);
    }

    #[test]
    fn a_deferred_revoke_of_an_older_epoch_does_not_take_the_new_one() {
        let mut own = Ownership::default();
        own.assigned(a(0, 1));
        own.restored(a(0, 1));
        assert_eq!(own.assigned(a(0, 2)), [Action::Forget(a(0, 1)), Action::Restore(a(0, 2))]);
        own.restored(a(0, 1));
        assert_eq!(own.phase(a(0, 2)), Some(Phase::Restoring));
        own.restored(a(0, 2));
        assert_eq!(own.revoked(a(0, 1)), []);
        assert_eq!(own.lost(a(0, 1)), []);
        assert!(own.running(a(0, 2)));
        assert_eq!(own.assigned(a(0, 2)), [], "an epoch is given once");
    }

    proptest! {
        /// Whatever comes in whatever order: only the newest epoch of a partition ever runs, and every
        /// partition that was given is in the end released or forgotten exactly once.
        #[test]
        fn epochs_only_rise(events in proptest::collection::vec((0u8..6, 0u16..3, 1u64..6), 0..60)) {
            let mut own = Ownership::default();
            let mut newest = BTreeMap::new();
            let (mut given, mut ended) = (0, 0);
            for (event, partition, epoch) in events {
                let at = a(partition, epoch);
                let actions = match event {
                    0 => own.assigned(at),
                    1 => { own.restored(at); Vec::new() }
                    2 => own.revoked(at),
                    3 => own.drained(at),
                    4 => own.lost(at),
                    _ => { own.held(at); Vec::new() }
                };
                for action in actions {
                    match action {
                        Action::Restore(at) => {
                            given += 1;
                            prop_assert!(newest.insert(at.partition, at.epoch).is_none_or(|old| old < at.epoch));
                        }
                        Action::Release(_) | Action::Forget(_) => ended += 1,
                        Action::Drain(at) => prop_assert_eq!(own.phase(at), Some(Phase::Draining)),
                    }
                }
                for (at, _) in own.owned() {
                    prop_assert_eq!(newest.get(&at.partition), Some(&at.epoch));
                }
            }
            prop_assert_eq!(given - ended, own.owned().count());
        }
    }
}
