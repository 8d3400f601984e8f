//! What is not done yet: records, and the age of the oldest, for each service and partition.

use anyhow::Result;
use dataflow::bus::Bus;
use dataflow::{Clock, SystemClock};
use serde_json::{Value, json};

use super::Tools;

pub(super) fn lag(tools: &Tools) -> Result<Value> {
    let now_ms = SystemClock.now_ms();
    let rows = tools.bus.backlog()?.into_iter().map(|b| {
        json!({
            "service": b.service, "topic": b.topic, "partition": b.partition, "next": b.next,
            "records": b.records, "oldest_seconds": b.oldest_ms.map(|ms| (now_ms - ms).max(0) / 1000),
        })
    });
    let partitions: Vec<Value> = rows.collect();
    let mut conditions: Vec<Value> = tools
        .board
        .conditions()
        .into_iter()
        .map(|(place, text)| json!({"place": place, "condition": text}))
        .collect();
    conditions.extend(
        tools.bus.conditions().into_iter().map(|text| json!({"place": "log", "condition": text})),
    );
    conditions.extend(
        tools
            .confirmations
            .held()
            .into_iter()
            .map(|h| json!({"place": format!("ingest {}", h.feed), "condition": h.to_string()})),
    );
    conditions.extend(
        tools
            .confirmations
            .notices()
            .into_iter()
            .map(|(feed, text)| json!({"place": format!("ingest {feed}"), "condition": text})),
    );
    Ok(json!({"partitions": partitions, "conditions": conditions}))
}
