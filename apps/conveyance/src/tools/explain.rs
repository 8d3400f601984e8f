//! Raw -> mapped -> tracked -> published: one listing's way, each step with its place, time and value. A change by hand
//! is a command -> tracked -> published.

use std::sync::Arc;

use anyhow::{Context, Result};
use dataflow::bus::{Bus, Want};
use dataflow::flow::partition_of;
use dataflow::{Batch, Flow};
use messages::topics::{KIND_COMMAND, LISTING_CHANGES, LISTING_CURRENT, LISTING_RAW};
use serde_json::{Value, json};

use super::{json_or_text, time_text};

/// Explains a listing.
///
/// # Errors
/// A text that says what to do when there is no such listing.
pub(crate) fn explain(bus: &dyn Bus, flow: &Flow, key: &str) -> Result<Value> {
    let partitions = flow.topic(LISTING_CURRENT).map_or(1, |t| t.partitions);
    let partition = partition_of(key.as_bytes(), partitions);
    let tracked = bus.latest(LISTING_CURRENT, partition, key.as_bytes())?;
    let tracked = tracked.with_context(|| {
        format!("no listing `{key}`: keys are FEED:KEY, as on the page or in /listings")
    })?;
    let mut steps = Vec::new();
    let mut origin = None;
    if let Some(record) = tracked.records().next() {
        origin = Some(record.meta.origin);
        steps.push(step("tracked", LISTING_CURRENT, partition, &record, &tracked));
    }
    for (stage, topic) in [("mapped", LISTING_CHANGES), ("raw", LISTING_RAW)] {
        let Some(offset) = origin else { break };
        let Some(batch) = batch_at(bus, topic, partition, offset)? else {
            steps.push(json!({"stage": stage, "topic": topic, "partition": partition, "offset": offset, "notes": ["no longer kept: retention has passed it"]}));
            break;
        };
        let Some(record) = batch.records_from(offset).next() else { break };
        // What a user said comes from no row of a feed.
        if record.meta.kind == KIND_COMMAND {
            steps.push(step("command", topic, partition, &record, &batch));
            break;
        }
        origin = Some(record.meta.origin);
        steps.push(step(stage, topic, partition, &record, &batch));
    }
    steps.reverse();
    Ok(json!({"ListingKey": key, "steps": steps}))
}

fn batch_at(bus: &dyn Bus, topic: &str, partition: u16, offset: u64) -> Result<Option<Arc<Batch>>> {
    let batches = bus.read(topic, partition, offset, Want { bytes_max: 1, durable: false })?;
    Ok(batches
        .into_iter()
        .find(|b| b.records_from(offset).next().is_some_and(|r| r.offset == offset)))
}

fn step(
    stage: &str,
    topic: &str,
    partition: u16,
    record: &dataflow::RecordRef<'_>,
    batch: &Batch,
) -> Value {
    let value = record.value.map_or(Value::Null, json_or_text);
    let notes: Vec<String> =
        value.get("notes").and_then(Value::as_array).into_iter().flatten().map(note_text).collect();
    json!({
        "stage": stage, "topic": topic, "partition": partition, "offset": record.offset,
        "time": time_text(batch.appended_ms), "kind": record.meta.kind, "trace": format!("{:032x}", record.meta.trace),
        "value": value, "notes": notes,
    })
}

fn note_text(note: &Value) -> String {
    let part = |name: &str| note.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{} ({}): {}", part("field"), part("code"), part("message"))
}
