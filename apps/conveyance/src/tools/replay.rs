//! Sends the archive of raw rows through today's mapping, with a higher mapping revision.
//!
//! The rows go to `normalize` through its own redrive topic; what comes out different is a `corrected` event.

use std::sync::Arc;

use anyhow::Result;
use dataflow::BatchBuilder;
use dataflow::batch::NewRecord;
use dataflow::bus::Want;
use dataflow::dead;
use dataflow::unit::{Output, Unit};
use messages::topics::LISTING_RAW;
use normalize::REVISION_HEADER;
use serde_json::{Value, json};

use super::Tools;

/// Bytes of rows sent in one unit.
const UNIT_BYTES: usize = 2 << 20;
/// Under this name it is counted how often the archive was replayed.
const REPLAY: &str = "replay";
/// Name of the counter of mapping revisions.
const REVISION: &str = "revision";

pub(super) fn replay(tools: &Tools, feed: Option<&str>) -> Result<Value> {
    let done = tools
        .bus
        .tallies(REPLAY)?
        .into_iter()
        .find(|(name, _)| name == REVISION)
        .map_or(0, |(_, n)| n);
    let revision = done + 2;
    let partitions = tools.flow.topic(LISTING_RAW).map_or(0, |t| t.partitions);
    let mut rows = 0u64;
    for partition in 0..partitions {
        let end = tools.bus.range(LISTING_RAW, partition)?.end;
        let mut from = tools.bus.range(LISTING_RAW, partition)?.start;
        while from < end {
            let batches = tools.bus.read(
                LISTING_RAW,
                partition,
                from,
                Want { bytes_max: UNIT_BYTES, durable: false },
            )?;
            let Some(last) = batches.last() else { break };
            let next = last.next_offset();
            let records = batches
                .iter()
                .flat_map(|b| b.records_from(from))
                .filter(|r| feed.is_none_or(|f| r.meta.source == f));
            let mut builder = BatchBuilder::default();
            for record in records {
                let (revision, offset) = (revision.to_string(), record.offset.to_string());
                let headers = [
                    (REVISION_HEADER, revision.as_bytes()),
                    (dead::TOPIC, LISTING_RAW.as_bytes()),
                    (dead::OFFSET, offset.as_bytes()),
                ];
                builder.push(NewRecord {
                    key: record.key,
                    value: record.value,
                    meta: record.meta,
                    headers: &headers,
                });
            }
            rows += builder.count();
            send(tools, partition, &builder)?;
            from = next;
        }
    }
    tools
        .bus
        .append(REPLAY, Unit { tallies: vec![(REVISION.to_owned(), 1)], ..Unit::default() })?;
    Ok(json!({"rows": rows, "revision": revision}))
}

fn send(tools: &Tools, partition: u16, builder: &BatchBuilder) -> Result<()> {
    if builder.is_empty() {
        return Ok(());
    }
    let topic: Arc<str> = format!("{}.redrive", crate::flow::NORMALIZE).into();
    let output = Output { topic, partition, count: builder.count(), block: builder.finish() };
    tools.bus.append(REPLAY, Unit { outputs: vec![output], ..Unit::default() })?;
    Ok(())
}
