//! One hop at 500 records a second: from the moment a record is sent to the moment a reader of what is committed has
//! its copy.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::peers::Role;
use super::topics::{self, PARTITIONS, client};
use super::{commits, now, works};

/// Records a second.
const RATE: u32 = 500;
/// Records before the first that counts. All of them must be through before it is sent: a contender takes seconds to
/// begin, and what waited for that says nothing about one hop.
const WARM: u64 = 1_500;
/// All that was sent must have arrived so long after the last.
const PATIENCE: Duration = Duration::from_secs(40);

/// Measures for `time`, after a warm-up.
pub(super) fn run(task: &Role, time: Duration) -> Result<Value> {
    let mut running = task.start()?;
    let reader = reader(task, &[0; PARTITIONS as usize])?;
    let producer = topics::producer(&task.brokers, 0)?;
    let count = WARM + time.as_secs() * u64::from(RATE);
    let mut sent: HashMap<Vec<u8>, Instant> = HashMap::new();
    let mut times = Vec::new();
    let (mut from, mut n, mut last) = (now(), 0, now());
    let mut from_ms = 0;
    while times.len() as u64 + WARM < count {
        if n == WARM && !sent.is_empty() {
            (from, from_ms) = (now(), commits::now_ms());
        }
        if n < count && now() >= from && (n != WARM || sent.is_empty()) {
            let key = format!("market:K{n:07}");
            topics::send(&producer, &task.input, &key, &works::listing(n, 0))?;
            sent.insert(key.into_bytes(), now());
            from += Duration::from_secs(1) / RATE;
            n += 1;
            last = now();
        }
        if let Some(message) = reader.poll(Duration::from_micros(200)) {
            let message = message?;
            let at = sent
                .remove(message.key().unwrap_or_default())
                .context("a copy that was not sent")?;
            if number(message.key()) >= WARM {
                times.push(at.elapsed());
            }
        }
        if last.elapsed() > PATIENCE {
            bail!("{} of {n} records did not arrive", sent.len());
        }
        running.still_there()?;
    }
    producer.flush(PATIENCE)?;
    times.sort_unstable();
    let at = |share: usize| {
        let place = times.len().saturating_sub(1) * share / 1_000;
        times.get(place).map(|d| (d.as_secs_f64() * 1e4).round() / 10.0)
    };
    let commits = commits::between(&task.state, from_ms..=commits::now_ms())?;
    Ok(json!({
        "records": times.len(),
        "p50": at(500),
        "p99": at(990),
        "max": at(1_000),
        "commit_p50": commits::ms(&commits, 50),
        "commit_p99": commits::ms(&commits, 99),
    }))
}

fn number(key: Option<&[u8]>) -> u64 {
    let digits = key.and_then(|k| k.get(8..)).and_then(|k| std::str::from_utf8(k).ok());
    digits.and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// Reads what is committed of the output, each partition from an offset on.
pub(super) fn reader(task: &Role, from: &[u64]) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = client(&task.brokers)
        .set("isolation.level", "read_committed")
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "500")
        .set("fetch.min.bytes", "1")
        .set("fetch.queue.backoff.ms", "1")
        .create()?;
    let mut list = TopicPartitionList::new();
    for (partition, from) in (0..PARTITIONS).zip(from) {
        let from = Offset::Offset(from.cast_signed());
        list.add_partition_offset(&task.output, i32::from(partition), from)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}
