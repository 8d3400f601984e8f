//! listing.current, command.results -> subscribers.
//!
//! [`LiveView`] is the read model with an ear to it: what was applied is compared with what was there before, and
//! given to the hub as one round. Nothing of it is kept but the last rounds in memory; after a start they are read
//! back from the log, so that clients of the process before can go on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use dataflow::bus::{Bus, BusError, Want};
use dataflow::contract::{Delivery, ViewPosition};
use dataflow::{Batch, Failure, Flow, RecordRef, View};
use messages::change::device_of;
use messages::change::scan::{object, string};
use messages::topics::{COMMAND_RESULTS, LISTING_CURRENT};

use crate::changes::hub::{Hub, Topic};
use crate::changes::round::{Entry, Listing, Round, What};
use crate::columns::{Columns, Row, key_hash};
use crate::view::{ListingView, Shared};

/// Offsets that are read back for each partition at the start.
const READ_BACK: u64 = 1_000;
/// Bytes read back for each partition, about.
const READ_BACK_BYTES: usize = 2 << 20;

/// The read model of listings, and the hub that its changes go to.
pub struct LiveView {
    view: ListingView,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
}

/// What a server needs to serve subscriptions; clones share it.
#[derive(Clone)]
pub struct Live(pub(crate) Arc<Hub>);

impl Live {
    /// To be told whenever the view found nothing more to read: it is not behind.
    pub fn idle(&self) {
        self.0.idle();
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    /// How many are subscribed.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.0.subscribers()
    }
}

/// A record of the call at hand: batch, place in it, slot.
type Found = (Arc<Batch>, usize, usize);

impl LiveView {
    /// Listens to a view. `instance` tells this process from others and from its predecessors.
    ///
    /// # Errors
    /// [`BusError`] when the flow table lacks the topics.
    pub fn new(
        view: ListingView,
        bus: Arc<dyn Bus>,
        flow: &Flow,
        instance: u32,
    ) -> Result<Self, BusError> {
        let mut topics = Vec::new();
        let mut first = 0;
        for name in [LISTING_CURRENT, COMMAND_RESULTS] {
            let topic = flow.topic(name).ok_or_else(|| {
                BusError::Fatal(format!("the flow table has no topic `{name}`: add it"))
            })?;
            topics.push(Topic { name: name.into(), partitions: topic.partitions, first });
            first += usize::from(topic.partitions);
        }
        let shared = view.shared();
        let hub = Arc::new(Hub::new(bus, topics, view.model(), instance));
        Ok(Self { view, shared, hub })
    }

    /// What a server needs.
    #[must_use]
    pub fn live(&self) -> Live {
        Live(Arc::clone(&self.hub))
    }

    /// The last record of each listing, and every result, of one call.
    fn gather(&self, deliveries: &[Delivery]) -> (Vec<Found>, Vec<Found>) {
        let mut listings: HashMap<&[u8], (&Arc<Batch>, usize, usize)> = HashMap::new();
        let mut results = Vec::new();
        for delivery in deliveries {
            let Some(slot) = self.hub.slot(&delivery.topic, delivery.partition) else { continue };
            let batch = &delivery.batch;
            for at in batch.first_at(delivery.from)..batch.len() {
                let Some(record) = batch.get(at) else { continue };
                if &*delivery.topic == LISTING_CURRENT {
                    listings.insert(record.key, (batch, at, slot));
                } else {
                    results.push((Arc::clone(batch), at, slot));
                }
            }
        }
        let listings = listings.into_values().map(|(b, at, slot)| (Arc::clone(b), at, slot));
        (listings.collect(), results)
    }

    fn before(&self, listings: &[Found]) -> Vec<Option<Row>> {
        let columns = self.shared.columns.read().unwrap_or_else(PoisonError::into_inner);
        listings.iter().map(|found| row_of(&columns, found)).collect()
    }

    /// What was applied, as one round.
    fn round(
        &self,
        (listings, results): (Vec<Found>, Vec<Found>),
        before: &[Option<Row>],
        (from, after): (Arc<[u64]>, Arc<[u64]>),
    ) -> Round {
        let bytes = bytes_of(listings.iter().chain(&results));
        let mut entries: Vec<_> = results.into_iter().filter_map(result).collect();
        {
            let columns = self.shared.columns.read().unwrap_or_else(PoisonError::into_inner);
            self.hub.follow(&columns);
            for (found, before) in listings.into_iter().zip(before) {
                let Some(now) = row_of(&columns, &found) else { continue };
                let what = What::Listing(Box::new(Listing::new(*before, now)));
                entries.extend(entry(found, what));
            }
        }
        entries.sort_unstable_by_key(|e| (e.slot, e.offset));
        Round { number: 0, before: from, after, entries, bytes }
    }

    /// Where the hub is to start: where the view is.
    fn start(&self, position: &ViewPosition) -> Result<(), BusError> {
        let mut next = Vec::new();
        for (_, topic, partition) in self.hub.slots() {
            let known = position
                .next
                .iter()
                .find(|(name, p, _)| **name == *topic.name && *p == partition)
                .map(|(_, _, next)| *next);
            let start = self.hub.bus.range(&topic.name, partition)?.start;
            next.push(known.unwrap_or(start));
        }
        let next: Arc<[u64]> = next.into();
        self.hub.start_at(Arc::clone(&next));
        let back = next.iter().map(|n| n.saturating_sub(READ_BACK)).collect();
        let round = read_back(&self.hub, (back, Arc::clone(&next)), READ_BACK_BYTES)?;
        // Where there is too much to be kept, the ring begins here, and the log is read for who comes back.
        let nothing = || Round {
            number: 0,
            before: Arc::clone(&next),
            after: Arc::clone(&next),
            entries: Vec::new(),
            bytes: 0,
        };
        self.hub.publish(round.unwrap_or_else(nothing), (0, 0));
        Ok(())
    }
}

/// A round made of what the log still has between two positions, as the view knows those listings now; `None` where
/// a partition holds more bytes than that there.
pub(crate) fn read_back(
    hub: &Hub,
    (from, until): (Arc<[u64]>, Arc<[u64]>),
    bytes_max: usize,
) -> Result<Option<Round>, BusError> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for (slot, topic, partition) in hub.slots() {
        let (Some(&first), Some(&end)) = (from.get(slot), until.get(slot)) else { continue };
        let mut next = first;
        while next < end {
            // What is not durable yet counts too: it may stand for what it has taken the place of.
            let want = Want { bytes_max: 256 << 10, durable: false };
            let batches = hub.bus.read(&topic.name, partition, next, want)?;
            let Some(last) = batches.last().map(|b| b.next_offset()) else { break };
            for batch in batches {
                bytes += batch.bytes();
                take(hub, &batch, (slot, next, end), &mut entries);
            }
            if bytes > bytes_max * from.len().max(1) {
                return Ok(None);
            }
            next = last.max(next + 1);
        }
    }
    entries.sort_unstable_by_key(|e: &Entry| (e.slot, e.offset));
    Ok(Some(Round { number: 0, before: from, after: until, entries, bytes }))
}

fn take(hub: &Hub, batch: &Arc<Batch>, (slot, next, end): (usize, u64, u64), to: &mut Vec<Entry>) {
    let is_listing = hub.topics.first().is_some_and(|t| slot < usize::from(t.partitions));
    let columns = hub.maker.model.columns();
    hub.follow(&columns);
    for at in batch.first_at(next)..batch.len() {
        if batch.get(at).is_none_or(|record| record.offset >= end) {
            break;
        }
        let found = (Arc::clone(batch), at, slot);
        if !is_listing {
            to.extend(result(found));
        } else if let Some(now) = row_of(&columns, &found) {
            to.extend(entry(found, What::Listing(Box::new(Listing::new(None, now)))));
        }
    }
}

fn bytes_of<'a>(found: impl Iterator<Item = &'a Found>) -> usize {
    let mut batches: Vec<_> = found.map(|(b, _, _)| (Arc::as_ptr(b), b.bytes())).collect();
    batches.sort_unstable();
    batches.dedup();
    batches.into_iter().map(|(_, bytes)| bytes).sum()
}

/// The row of a record's listing. Of two listings whose keys hash alike the first is taken: it happens once in
/// ten million views of a million listings, and an event too many is all it does.
fn row_of(columns: &Columns, (batch, at, _): &Found) -> Option<Row> {
    let record = batch.get(*at)?;
    let key = std::str::from_utf8(record.key).ok()?;
    columns.find(key_hash(key)).find_map(|id| columns.get(id))
}

fn entry((batch, at, slot): Found, what: What) -> Option<Entry> {
    let offset = batch.get(at)?.offset;
    Some(Entry::new(slot, offset, (batch, at), what))
}

fn result(found: Found) -> Option<Entry> {
    let device = device_in(&found.0.get(found.1)?)?;
    entry(found, What::Result(device))
}

/// The hash of the device whose command a result is about.
fn device_in(record: &RecordRef<'_>) -> Option<u64> {
    let mut device = None;
    object(std::str::from_utf8(record.value?).ok()?, |name, raw| {
        if name == "commandId" {
            device = string(raw).map(|id| key_hash(device_of(&id)));
        }
        Ok(())
    })
    .ok()?;
    device
}

impl View for LiveView {
    fn position(&mut self) -> Result<ViewPosition, Failure> {
        let position = self.view.position()?;
        if position.epoch == self.hub.bus.epoch() {
            self.start(&position).map_err(stop)?;
        }
        Ok(position)
    }

    fn reset(&mut self, epoch: u64) -> Result<(), Failure> {
        self.view.reset(epoch)?;
        self.start(&ViewPosition { epoch, ..ViewPosition::default() }).map_err(stop)
    }

    fn apply(&mut self, deliveries: &[Delivery], now_ms: i64) -> Result<(), Failure> {
        let found = self.gather(deliveries);
        let before = self.before(&found.0);
        self.view.apply(deliveries, now_ms)?;
        let from = self.hub.standing().next;
        let mut after = from.to_vec();
        let mut behind_ms = 0;
        for delivery in deliveries {
            let slot = self.hub.slot(&delivery.topic, delivery.partition);
            if let Some(next) = slot.and_then(|slot| after.get_mut(slot)) {
                *next = (*next).max(delivery.next_offset());
            }
            behind_ms = behind_ms.max(now_ms.saturating_sub(delivery.batch.appended_ms));
        }
        let round = self.round(found, &before, (from, after.into()));
        self.hub.publish(round, (now_ms, behind_ms));
        Ok(())
    }
}

fn stop(error: BusError) -> Failure {
    Failure::stop(error.to_string())
}
