//! Records of a topic as they are, page by page.

use anyhow::{Context, Result};
use dataflow::RecordRef;
use dataflow::bus::Want;
use serde_json::{Map, Value, json};

use super::{Tools, json_or_text, time_text};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;
/// Most records in one answer.
const PAGE_MAX: usize = 5_000;

/// Records of one partition from `from` on, and where to go on; `next` is null at the end.
pub(super) fn page(
    tools: &Tools,
    topic: &str,
    partition: u16,
    from: u64,
    key: Option<&str>,
) -> Result<Value> {
    let spec = tools.flow.topic(topic).with_context(|| {
        let names: Vec<_> = tools.flow.topics.iter().map(|t| t.name.as_str()).collect();
        format!("no topic `{topic}`: one of {}", names.join(", "))
    })?;
    anyhow::ensure!(
        partition < spec.partitions,
        "topic `{topic}` has partitions 0 to {}: there is no {partition}",
        spec.partitions - 1
    );
    let range = tools.bus.range(topic, partition)?;
    let mut next = from.max(range.start);
    let mut records = Vec::new();
    while next < range.end && records.len() < PAGE_MAX {
        let want = Want { bytes_max: READ_BYTES, durable: false };
        let batches = tools.bus.read(topic, partition, next, want)?;
        let Some(last) = batches.last() else { break };
        let all = batches.iter().flat_map(|b| b.records_from(next));
        let wanted = all.filter(|r| key.is_none_or(|key| r.key == key.as_bytes()));
        records.extend(wanted.map(|r| told(partition, &r)));
        next = last.next_offset();
    }
    let more = next < range.end;
    Ok(json!({"records": records, "partitions": spec.partitions, "next": more.then_some(next)}))
}

fn told(partition: u16, record: &RecordRef<'_>) -> Value {
    let meta = record.meta;
    let mut headers = Map::new();
    for (name, value) in record.headers() {
        headers.insert(name.to_owned(), String::from_utf8_lossy(value).into());
    }
    json!({
        "partition": partition, "offset": record.offset,
        "key": String::from_utf8_lossy(record.key),
        "ce_type": meta.kind, "ce_source": meta.source, "ce_id": format!("{:032x}", meta.id),
        "ce_time": time_text(meta.time_ms), "trace": format!("{:032x}", meta.trace),
        "schema": meta.schema, "headers": headers,
        "value": record.value.map(json_or_text),
    })
}
