//! Topics: made, filled with the fixture, and read back to be checked.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dataflow::flow::partition_of;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::works::{self, Work};

/// Partitions of every topic here.
pub(super) const PARTITIONS: u16 = 8;
/// Longest wait for one answer of a broker.
const PATIENCE: Duration = Duration::from_secs(30);
/// A topic that gives nothing for this long has no more.
const SILENCE: Duration = Duration::from_secs(10);

/// A client's configuration without anything particular.
pub(super) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    config
}

/// How much input there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) keys: u64,
    pub(super) revisions: u64,
}

impl Size {
    pub(super) fn records(self) -> u64 {
        self.keys * self.revisions
    }
}

/// A producer of input, which waits so many milliseconds for more before it sends.
pub(super) fn producer(
    brokers: &str,
    linger_ms: u32,
) -> Result<ThreadedProducer<DefaultProducerContext>> {
    Ok(client(brokers)
        .set("compression.codec", "lz4")
        .set("enable.idempotence", "true")
        .set("linger.ms", linger_ms.to_string())
        .set("batch.size", "500000")
        .create()?)
}

/// The envelope that records of Conveyance carry.
fn envelope(id: u64) -> OwnedHeaders {
    let (id, trace) = (format!("{id:032x}"), format!("00-{id:032x}-{id:016x}-01"));
    let list = [
        ("ce_specversion", "1.0"),
        ("ce_id", id.as_str()),
        ("ce_type", "listing.observed"),
        ("ce_source", "market"),
        ("ce_time", "2026-01-01T00:00:00.000Z"),
        ("traceparent", trace.as_str()),
        ("cv_schema", "1"),
    ];
    let headers = OwnedHeaders::new_with_capacity(list.len());
    list.iter().fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(*value) }))
}

/// Sends one record, waiting where the queue is full.
pub(super) fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    key: &str,
    value: &str,
) -> Result<()> {
    let id = messages::hash(value.as_bytes());
    let partition = i32::from(partition_of(key.as_bytes(), PARTITIONS));
    let mut record =
        BaseRecord::to(topic).partition(partition).key(key).payload(value).headers(envelope(id));
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                std::thread::park_timeout(Duration::from_millis(5));
                record = back;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// The key of a listing.
pub(super) fn key_of(key: u64) -> String {
    format!("market:K{key:07}")
}

/// Writes the fixture: revision after revision of all keys.
pub(super) fn fill(brokers: &str, topic: &str, size: Size) -> Result<()> {
    let producer = producer(brokers, 5)?;
    for revision in 0..size.revisions {
        for key in 0..size.keys {
            send(&producer, topic, &key_of(key), &works::listing(key, revision))?;
        }
    }
    producer.flush(PATIENCE).context("the fixture was not written")?;
    let written: u64 = ends(brokers, topic)?.iter().sum();
    if written != size.records() {
        bail!("{written} records in {topic}, and not {}", size.records());
    }
    Ok(())
}

/// One past the last offset of each partition.
pub(super) fn ends(brokers: &str, topic: &str) -> Result<Vec<u64>> {
    let consumer: BaseConsumer =
        client(brokers).set("isolation.level", "read_uncommitted").create()?;
    (0..PARTITIONS)
        .map(|partition| {
            let (_, end) = consumer.fetch_watermarks(topic, i32::from(partition), PATIENCE)?;
            Ok(u64::try_from(end)?)
        })
        .collect()
}

/// Compares what a work made with what it should have made: every record, in the order of its key.
pub(super) fn check(brokers: &str, topic: &str, work: Work, size: Size) -> Result<()> {
    let mut found = read_all(brokers, topic)?;
    let mut buffer = Vec::new();
    for key in 0..size.keys {
        let name = key_of(key);
        let mut got = found.remove(name.as_bytes()).unwrap_or_default().into_iter();
        let mut before: Option<Vec<u8>> = None;
        for revision in 0..size.revisions {
            let value = works::listing(key, revision).into_bytes();
            let expected = match work {
                Work::Copy => Some(value),
                Work::Transform => {
                    works::transform(&value, &mut buffer)?;
                    Some(buffer.clone())
                }
                Work::State => {
                    let after = works::last(&value)?;
                    let event = works::change(before.as_deref(), &after);
                    before = Some(after);
                    event
                }
            };
            let Some(expected) = expected else { continue };
            let hash = messages::hash(&expected);
            if got.next() != Some(hash) {
                bail!(
                    "{topic}: {name} revision {revision} is not {}",
                    String::from_utf8_lossy(&expected)
                );
            }
        }
        if got.next().is_some() {
            bail!("{topic}: {name} has more records than it should");
        }
    }
    if found.is_empty() { Ok(()) } else { bail!("{topic}: {} keys that never were", found.len()) }
}

/// Hashes of the values of each key, in order; only what is committed.
fn read_all(brokers: &str, topic: &str) -> Result<HashMap<Vec<u8>, Vec<u64>>> {
    let consumer: BaseConsumer = client(brokers)
        .set("isolation.level", "read_committed")
        .set("group.id", "check")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, i32::from(partition), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut found: HashMap<Vec<u8>, Vec<u64>> = HashMap::new();
    let mut open = PARTITIONS;
    while open > 0 {
        match consumer.poll(SILENCE) {
            Some(Ok(message)) => {
                let key = message.key().unwrap_or_default().to_vec();
                found
                    .entry(key)
                    .or_default()
                    .push(messages::hash(message.payload().unwrap_or_default()));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error.into()),
            None => bail!("{topic} does not come to its end: a transaction is open"),
        }
    }
    Ok(found)
}
