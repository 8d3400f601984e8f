//! How many dead letters wait, by service and reason: counted by reading on in their topics.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use dataflow::bus::{Bus, Want};
use dataflow::flow::Kind;
use dataflow::{Flow, RecordRef, dead};

use crate::tools::MARKS;

/// Bytes read in one look: a few megabytes a second, however many wait.
const READ_BYTES: usize = 4 << 20;
/// Most reasons told apart; codes are few by nature, and the rest is counted together.
const REASONS_MAX: usize = 64;
/// Looks between two readings of what was sent back.
const MARKS_EVERY: u32 = 5;

type Reasons = BTreeMap<String, BTreeMap<String, u64>>;

/// The count, and how far it got.
pub(super) struct Letters {
    places: Vec<Place>,
    counted: Reasons,
    /// The last count that went through; `None` before the first.
    whole: Option<Reasons>,
    sent_back: HashSet<String>,
    looks: u32,
}

struct Place {
    service: String,
    topic: String,
    partition: u16,
    next: u64,
}

impl Letters {
    pub(super) fn new(flow: &Flow) -> Self {
        let mut places = Vec::new();
        for service in flow.services.iter().filter(|s| s.kind != Kind::View) {
            let topic = service.dead_letters();
            let partitions = flow.topic(&topic).map_or(0, |t| t.partitions);
            places.extend((0..partitions).map(|partition| Place {
                service: service.name.clone(),
                topic: topic.clone(),
                partition,
                next: 0,
            }));
        }
        Self { places, counted: Reasons::new(), whole: None, sent_back: HashSet::new(), looks: 0 }
    }

    /// Reads what came since, at most some megabytes.
    pub(super) fn read_on(&mut self, bus: &dyn Bus) -> Result<()> {
        if self.looks.is_multiple_of(MARKS_EVERY) {
            self.read_marks(bus)?;
        }
        self.looks = self.looks.wrapping_add(1);
        let mut budget = READ_BYTES;
        for place in &mut self.places {
            let range = bus.range(&place.topic, place.partition)?;
            place.next = place.next.max(range.start);
            while place.next < range.end {
                if budget == 0 {
                    return Ok(()); // the rest in the next look
                }
                let want = Want { bytes_max: budget, durable: false };
                let batches = bus.read(&place.topic, place.partition, place.next, want)?;
                let Some(last) = batches.last() else { break };
                for record in batches.iter().flat_map(|b| b.records_from(place.next)) {
                    count(&mut self.counted, &self.sent_back, place, &record);
                }
                budget = batches.iter().fold(budget, |left, b| left.saturating_sub(b.bytes()));
                place.next = last.next_offset();
            }
        }
        self.whole = Some(self.counted.clone());
        Ok(())
    }

    /// When something was sent back since, everything is counted again without it.
    fn read_marks(&mut self, bus: &dyn Bus) -> Result<()> {
        let marks = bus.tallies(MARKS)?;
        if marks.len() != self.sent_back.len() {
            self.sent_back = marks.into_iter().map(|(id, _)| id).collect();
            self.counted.clear();
            self.places.iter_mut().for_each(|p| p.next = 0);
        }
        Ok(())
    }

    /// Those of a service that were not sent back: how many, and by reason.
    pub(super) fn of(&self, service: &str) -> (u64, BTreeMap<String, u64>) {
        let reasons = self.whole.as_ref().unwrap_or(&self.counted).get(service);
        let reasons = reasons.cloned().unwrap_or_default();
        (reasons.values().sum(), reasons)
    }
}

fn count(
    counted: &mut Reasons,
    sent_back: &HashSet<String>,
    place: &Place,
    record: &RecordRef<'_>,
) {
    let Place { service, partition, .. } = place;
    if !sent_back.is_empty()
        && sent_back.contains(&format!("{service}/{partition}/{}", record.offset))
    {
        return;
    }
    let code = record.header(dead::CODE).map(String::from_utf8_lossy).unwrap_or_default();
    let reasons = counted.entry(service.clone()).or_default();
    let known = reasons.len() < REASONS_MAX || reasons.contains_key(&*code);
    let code = if known { code.into_owned() } else { "other".to_owned() };
    *reasons.entry(code).or_default() += 1;
}
