//! What is not done yet: records, and the age of the oldest, for each service and partition.

use anyhow::Result;
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
    let conditions = tools.conditions().into_iter();
    let conditions: Vec<Value> =
        conditions.map(|(place, text)| json!({"place": place, "condition": text})).collect();
    Ok(json!({"partitions": partitions, "conditions": conditions}))
}
