//! Who works on which partition: members of one service share its partitions out by the order they joined.
//!
//! A partition moves only when its owner has released it, so nothing is ever lost by a member here; an
//! owner that is dropped has released everything.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dataflow::bus::{Assignment, Event, Outcome};

use crate::shared::lock;

/// What a member and the rest of the bus share.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: u64,
    mailbox: Mutex<VecDeque<Event>>,
    /// Rises with every rewind; units of an older one are refused.
    generation: AtomicU64,
    /// A generation in which a unit was refused: all later units of it are refused too.
    refused: AtomicU64,
    /// Units handed in and not answered.
    in_flight: AtomicUsize,
}

impl Seat {
    fn new(id: u64) -> Self {
        Self {
            id,
            mailbox: Mutex::default(),
            generation: AtomicU64::new(1),
            refused: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn handed_in(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn accepts(&self, generation: u64) -> bool {
        generation == self.generation() && generation != self.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn refuse(&self, generation: u64) {
        self.refused.store(generation, Ordering::SeqCst);
    }

    pub(crate) fn answer(&self, unit: u64, outcome: Outcome) {
        self.tell(Event::Outcome { unit, outcome });
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn tell(&self, event: Event) {
        lock(&self.mailbox).push_back(event);
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        lock(&self.mailbox).drain(..).collect()
    }

    /// Outcomes of units from before a rewind mean nothing after it.
    pub(crate) fn forget_outcomes(&self) {
        lock(&self.mailbox).retain(|event| !matches!(event, Event::Outcome { .. }));
    }
}

/// All groups of this process.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: HashMap<Arc<str>, Group>,
    next_seat: u64,
    next_epoch: u64,
}

#[derive(Debug, Default)]
struct Group {
    seats: Vec<Arc<Seat>>,
    owners: Vec<Option<Owner>>,
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    seat: u64,
    epoch: u64,
    revoking: bool,
}

impl Groups {
    /// A new member of a service whose inputs have that many partitions.
    pub(crate) fn join(&mut self, service: &Arc<str>, partitions: u16) -> Arc<Seat> {
        self.next_seat += 1;
        let seat = Arc::new(Seat::new(self.next_seat));
        let group = self.groups.entry(Arc::clone(service)).or_default();
        group.owners.resize(usize::from(partitions), None);
        group.seats.push(Arc::clone(&seat));
        group.share_out(&mut self.next_epoch);
        seat
    }

    pub(crate) fn leave(&mut self, service: &str, seat: u64) {
        let Some(group) = self.groups.get_mut(service) else { return };
        group.seats.retain(|s| s.id != seat);
        for owner in &mut group.owners {
            owner.take_if(|o| o.seat == seat);
        }
        group.share_out(&mut self.next_epoch);
    }

    pub(crate) fn release(&mut self, service: &str, seat: u64, assignment: Assignment) {
        let Some(group) = self.groups.get_mut(service) else { return };
        let Some(owner) = group.owners.get_mut(usize::from(assignment.partition)) else { return };
        owner.take_if(|o| o.seat == seat && o.epoch == assignment.epoch);
        group.share_out(&mut self.next_epoch);
    }

    /// Whether the member owns the partition under that epoch.
    pub(crate) fn owns(&self, service: &str, seat: u64, assignment: Assignment) -> bool {
        let group = self.groups.get(service);
        let owner = group.and_then(|g| g.owners.get(usize::from(assignment.partition)));
        owner.copied().flatten().is_some_and(|o| o.seat == seat && o.epoch == assignment.epoch)
    }
}

impl Group {
    /// Gives free partitions to whom they fall, and asks for those that fall to someone else now.
    fn share_out(&mut self, next_epoch: &mut u64) {
        let Self { seats, owners } = self;
        for (partition, owner) in (0u16..).zip(owners) {
            let Some(turn) = usize::from(partition).checked_rem(seats.len()) else { return };
            let Some(target) = seats.get(turn) else { return };
            match owner {
                None => {
                    *next_epoch += 1;
                    let epoch = *next_epoch;
                    *owner = Some(Owner { seat: target.id, epoch, revoking: false });
                    target.tell(Event::Assigned(Assignment { partition, epoch }));
                }
                Some(owner) if owner.seat != target.id && !owner.revoking => {
                    owner.revoking = true;
                    if let Some(seat) = seats.iter().find(|s| s.id == owner.seat) {
                        seat.tell(Event::Revoked(Assignment { partition, epoch: owner.epoch }));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seat: &Seat) -> Vec<(char, u16, u64)> {
        let events = seat.take_events().into_iter();
        events
            .map(|event| match event {
                Event::Assigned(a) => ('a', a.partition, a.epoch),
                Event::Revoked(a) => ('r', a.partition, a.epoch),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn partitions_are_shared_out_handed_over_and_inherited() {
        let mut groups = Groups::default();
        let name: Arc<str> = "s".into();
        let one = groups.join(&name, 3);
        assert_eq!(told(&one), [('a', 0, 1), ('a', 1, 2), ('a', 2, 3)]);
        let two = groups.join(&name, 3);
        assert_eq!(told(&one), [('r', 1, 2)]);
        assert_eq!(told(&two), [], "nothing before it was released");
        groups.release("s", one.id, Assignment { partition: 1, epoch: 1 });
        assert_eq!(told(&two), [], "a stale epoch releases nothing");
        groups.release("s", one.id, Assignment { partition: 1, epoch: 2 });
        assert_eq!(told(&two), [('a', 1, 4)]);
        assert!(groups.owns("s", two.id, Assignment { partition: 1, epoch: 4 }));
        assert!(!groups.owns("s", one.id, Assignment { partition: 1, epoch: 2 }));
        groups.leave("s", one.id);
        assert_eq!(told(&two), [('a', 0, 5), ('a', 2, 6)]);
    }
}
