//! One hop at 500 records a second: from the moment a record is sent to the moment a reader of what is committed has
//! its copy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::peers::{Role, Running};
use super::topics::{self, PARTITIONS, client};
use super::{commits, now, works};

/// Records a second.
const RATE: u32 = 500;
/// Records before the first that counts. All of them must be through before it is sent: a contender takes seconds to
/// begin, and what waited for that says nothing about one hop.
const WARM: u64 = 1_500;
/// Nothing arrives for so long: the rest is lost.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks whether the contender lives.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks whether all are through.
const BREATH: Duration = Duration::from_millis(1);

/// Keys on their way, and when each was sent.
type Sent = Mutex<HashMap<Vec<u8>, Instant>>;

/// Measures for `time`, after a warm-up. What is sent and what is read have a thread each, and both sleep: who measures
/// must leave the processor to who is measured.
pub(super) fn run(task: &Role, time: Duration) -> Result<Value> {
    let mut running = task.start()?;
    let reader = reader(task, &[0; PARTITIONS as usize])?;
    let count = WARM + time.as_secs() * u64::from(RATE);
    let (sent, stop) = (Sent::default(), AtomicBool::new(false));
    let (mut times, from_ms) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(task, &sent, count, &stop));
        let times = read(&reader, &sent, count, &mut running);
        stop.store(true, Ordering::SeqCst);
        let from_ms = sender.join().map_err(|_| anyhow!("the sender panicked"))?;
        anyhow::Ok((times?, from_ms?))
    })?;
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
        "commit_ms_p50": commits::ms(&commits, 50),
        "commit_ms_p99": commits::ms(&commits, 99),
    }))
}

/// Sends so many at the rate. When the first was sent that counts, in milliseconds since 1970.
fn send(task: &Role, sent: &Sent, count: u64, stop: &AtomicBool) -> Result<u64> {
    let producer = topics::producer(&task.brokers, 0)?;
    let (mut at, mut from_ms) = (now(), 0);
    for n in 0..count {
        if n == WARM {
            while !lock(sent).is_empty() && !stop.load(Ordering::SeqCst) {
                std::thread::park_timeout(BREATH);
            }
            (at, from_ms) = (now(), commits::now_ms());
        }
        while let Some(left) = at.checked_duration_since(now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("market:K{n:07}");
        lock(sent).insert(key.clone().into_bytes(), now());
        topics::send(&producer, &task.input, &key, &works::listing(n, 0))?;
        at += Duration::from_secs(1) / RATE;
    }
    producer.flush(PATIENCE)?;
    Ok(from_ms)
}

/// Reads until all copies are there; how long those took that count.
fn read(
    reader: &BaseConsumer,
    sent: &Sent,
    count: u64,
    running: &mut Running,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut last = now();
    while times.len() as u64 + WARM < count {
        running.still_there()?;
        if last.elapsed() > PATIENCE {
            bail!("{} records did not arrive", lock(sent).len());
        }
        let Some(message) = reader.poll(LOOK) else { continue };
        let message = message?;
        let at = lock(sent).remove(message.key().unwrap_or_default());
        let took = at.context("a copy that was not sent")?.elapsed();
        if number(message.key()) >= WARM {
            times.push(took);
        }
        last = now();
    }
    Ok(times)
}

fn lock(sent: &Sent) -> MutexGuard<'_, HashMap<Vec<u8>, Instant>> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
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
