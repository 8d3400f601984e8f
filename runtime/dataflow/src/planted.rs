//! A runtime made wrong on purpose, so that fault campaigns against the real program can be shown to fail.
//!
//! Only with the feature `planted`, which no other feature asks for and an optimised build refuses.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::bus::{Assignment, BusError, Event, Member, Outcome};
use crate::contract::StoreEntry;
use crate::unit::Unit;

#[cfg(not(debug_assertions))]
compile_error!(
    "the feature `planted` makes the program lose messages: it is for fault campaigns only"
);

/// Ids of the units that hold only progress; a worker never comes so far.
const FIRST_ID: u64 = 1 << 62;

/// Commits progress first, and hands in the work only when that is committed.
pub(crate) struct CommitFirst {
    member: Box<dyn Member>,
    /// Work whose progress is on its way, with the id of that.
    waiting: VecDeque<(u64, Unit)>,
    next_id: u64,
}

impl CommitFirst {
    pub(crate) fn new(member: Box<dyn Member>) -> Self {
        Self { member, waiting: VecDeque::new(), next_id: FIRST_ID }
    }

    /// The outcome of progress is not told; that of the work is.
    fn on(&mut self, event: Event) -> Result<Option<Event>, BusError> {
        let Event::Outcome { unit, outcome } = event else { return Ok(Some(event)) };
        let Some((_, work)) = self.waiting.pop_front_if(|(id, _)| *id == unit) else {
            return Ok(Some(event));
        };
        if outcome == Outcome::Committed {
            self.member.submit(work)?;
            return Ok(None);
        }
        Ok(Some(Event::Outcome { unit: work.id, outcome }))
    }
}

impl Member for CommitFirst {
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Event>, BusError> {
        let mut told = Vec::new();
        for event in self.member.poll(wait, bytes_max)? {
            told.extend(self.on(event)?);
        }
        Ok(told)
    }

    fn submit(&mut self, mut unit: Unit) -> Result<(), BusError> {
        let progress = std::mem::take(&mut unit.progress);
        self.next_id += 1;
        self.waiting.push_back((self.next_id, unit));
        self.member.submit(Unit { id: self.next_id, progress, ..Unit::default() })
    }

    fn rewind(&mut self) -> Result<(), BusError> {
        self.waiting.clear();
        self.member.rewind()
    }

    fn restore(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.member.restore(assignment)
    }

    fn release(&mut self, assignment: Assignment) -> Result<(), BusError> {
        self.member.release(assignment)
    }

    fn record_bytes_max(&self) -> usize {
        self.member.record_bytes_max()
    }

    fn in_flight_max(&self) -> usize {
        self.member.in_flight_max()
    }

    fn first_unit_bytes(&self) -> usize {
        self.member.first_unit_bytes()
    }

    fn state(&mut self, partition: u16, key: &[u8]) -> Result<Option<Arc<[u8]>>, BusError> {
        self.member.state(partition, key)
    }

    fn state_range(
        &mut self,
        partition: u16,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, BusError> {
        self.member.state_range(partition, prefix, after, limit)
    }
}
