//! Recomputes and compares: events folded = current = views.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use dataflow::RecordRef;
use dataflow::bus::{Bus, Want};
use messages::current::Current;
use messages::event::Fold;
use messages::topics::{LISTING_CURRENT, LISTING_EVENTS, LISTING_PARTITIONS};
use serde_json::{Value, json};

use super::Tools;
use crate::engine::VIEWS;

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 20;
/// Most differences that are told; all are counted.
const TOLD_MAX: usize = 20;
/// Most looks at a log that is being written.
const LOOKS_MAX: u32 = 6;

#[derive(Default)]
struct Found {
    listings: u64,
    deleted: u64,
    events: u64,
    /// What differs, by key.
    differences: BTreeMap<Vec<u8>, String>,
}

impl Found {
    fn differ(&mut self, key: &[u8], text: &str) {
        self.differences.entry(key.to_vec()).or_insert_with(|| text.to_owned());
    }
}

pub(super) fn check(tools: &Tools) -> Result<Value> {
    let mut found = look(tools)?;
    // While services run, a key may change between two reads. What differs for good differs every time.
    for _ in 1..LOOKS_MAX {
        if found.differences.is_empty() {
            break;
        }
        let mut again = look(tools)?;
        again.differences.retain(|key, _| found.differences.contains_key(key));
        found = again;
    }
    let told = found.differences.iter().take(TOLD_MAX);
    let told: Vec<String> =
        told.map(|(key, text)| format!("{}: {text}", String::from_utf8_lossy(key))).collect();
    Ok(json!({
        "views": tools.dir.join(VIEWS).exists(), "ok": found.differences.is_empty(), "listings": found.listings, "deleted": found.deleted,
        "events": found.events, "differences": found.differences.len(), "first_differences": told,
    }))
}

fn look(tools: &Tools) -> Result<Found> {
    let mut found = Found::default();
    let mut current = HashMap::new();
    // One partition at a time, so that memory holds an eighth of the listings' folds.
    for partition in 0..LISTING_PARTITIONS {
        let mut folds = fold_events(&*tools.bus, partition, &mut found)?;
        // Superseded versions may still be there: only the last of each key counts.
        let mut last = HashMap::new();
        each(&*tools.bus, LISTING_CURRENT, partition, |record| {
            last.insert(record.key.to_vec(), record.offset);
        })?;
        each(&*tools.bus, LISTING_CURRENT, partition, |record| {
            if last.get(record.key) == Some(&record.offset) {
                compare(record, folds.remove(record.key), &mut found);
                current.insert(record.key.to_vec(), record.value.map_or(0, messages::hash));
            }
        })?;
        for (key, fold) in folds {
            if fold.is_ok_and(|f| f.version() > 0) {
                found.differ(&key, "there are events, but no current version");
            }
        }
    }
    // On Kafka the views are where a gateway runs; elsewhere there are none to compare.
    if tools.dir.join(VIEWS).exists() {
        compare_views(tools, current, &mut found)?;
    }
    Ok(found)
}

fn each(
    bus: &dyn Bus,
    topic: &str,
    partition: u16,
    mut f: impl FnMut(&RecordRef<'_>),
) -> Result<()> {
    let mut from = bus.range(topic, partition)?.start;
    loop {
        let batches =
            bus.read(topic, partition, from, Want { bytes_max: READ_BYTES, durable: false })?;
        let Some(last) = batches.last() else { return Ok(()) };
        let next = last.next_offset();
        batches.iter().flat_map(|b| b.records_from(from)).for_each(|r| f(&r));
        from = next;
    }
}

type Folds = HashMap<Vec<u8>, Result<Fold, String>>;

fn fold_events(bus: &dyn Bus, partition: u16, found: &mut Found) -> Result<Folds> {
    let mut folds = Folds::new();
    each(bus, LISTING_EVENTS, partition, |record| {
        found.events += 1;
        let fold = folds.entry(record.key.to_vec()).or_insert_with(|| Ok(Fold::default()));
        if let Ok(so_far) = fold
            && let Err(error) = so_far.add(record.value.unwrap_or_default())
        {
            *fold = Err(error.to_string());
        }
    })?;
    Ok(folds)
}

fn compare(record: &RecordRef<'_>, fold: Option<Result<Fold, String>>, found: &mut Found) {
    let value = record.value.unwrap_or_default();
    let current = match Current::parse(value) {
        Ok(current) => current,
        Err(error) => {
            return found
                .differ(record.key, &format!("the current version cannot be read: {error}"));
        }
    };
    if current.deleted {
        found.deleted += 1;
    } else {
        found.listings += 1;
    }
    match fold {
        Some(Err(error)) => found.differ(record.key, &error),
        None if current.version > 0 => {
            found.differ(record.key, "there is a current version, but no event")
        }
        None => {}
        Some(Ok(fold)) => {
            if fold.listing().as_deref() != current.listing {
                found.differ(record.key, "its events fold to another listing than the current one");
            } else if fold.version() != current.version {
                found.differ(
                    record.key,
                    &format!(
                        "the last event has version {}, the current one {}",
                        fold.version(),
                        current.version
                    ),
                );
            }
        }
    }
}

fn compare_views(
    tools: &Tools,
    mut current: HashMap<Vec<u8>, u64>,
    found: &mut Found,
) -> Result<()> {
    gateway::each_document(&tools.dir.join(VIEWS), |key, document| {
        match current.remove(key.as_bytes()) {
            None => found.differ(key.as_bytes(), "it is in the view, but not in the log"),
            Some(hash) if hash != messages::hash(document) => {
                found.differ(key.as_bytes(), "the view holds another version")
            }
            Some(_) => {}
        }
    })?;
    for key in current.keys() {
        found.differ(key, "it is in the log, but not in the view");
    }
    Ok(())
}
