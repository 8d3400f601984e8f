//! The bare client doing the copy: what a bus can at best come near to. One thread, one transaction after another.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::commits::Recorder;
use super::topics::{PARTITIONS, client};

/// Longest call into the client.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is copied, and how.
#[derive(Debug, Clone)]
pub(super) struct Copying {
    pub(super) brokers: String,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) group: String,
    /// Time between two commits.
    pub(super) commit: Duration,
    /// Threads that share the partitions.
    pub(super) threads: u32,
    /// Where it says how long its commits took.
    pub(super) state: PathBuf,
}

type Copier = ThreadedProducer<DefaultProducerContext>;

/// Copies until the process is killed.
pub(super) fn copy(copying: &Copying, thread: u32) -> Result<()> {
    let consumer: BaseConsumer = client(&copying.brokers)
        .set("group.id", &copying.group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "16384")
        .create()?;
    let producer: Copier = client(&copying.brokers)
        .set("transactional.id", format!("{}-{thread}", copying.group))
        .set("compression.codec", "lz4")
        .set("linger.ms", "2")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.init_transactions(PATIENCE)?;
    // Nothing is measured across a rebalance, so there is none: each thread has its partitions.
    let mut list = TopicPartitionList::new();
    for partition in (0..PARTITIONS).filter(|p| u32::from(*p) % copying.threads == thread) {
        list.add_partition(&copying.input, i32::from(partition));
    }
    consumer.assign(&list)?;
    let recorder = Recorder::open(&copying.state)?;
    loop {
        let Some(first) = consumer.poll(Duration::from_millis(100)) else { continue };
        producer.begin_transaction()?;
        send(&producer, &copying.output, &first?)?;
        let from = super::now();
        while let Some(left) = copying.commit.checked_sub(from.elapsed()) {
            if let Some(message) = consumer.poll(left) {
                send(&producer, &copying.output, &message?)?;
            }
        }
        let from = super::now();
        commit(&consumer, &producer)?;
        recorder.note(from.elapsed())?;
    }
}

fn commit(consumer: &BaseConsumer, producer: &Copier) -> Result<()> {
    // The client's own flush waits in steps of 100 ms.
    while producer.in_flight_count() > 0 {
        std::thread::park_timeout(Duration::from_micros(300));
    }
    let group = consumer.group_metadata().context("not in the group")?;
    producer.send_offsets_to_transaction(&consumer.position()?, &group, PATIENCE)?;
    producer.commit_transaction(PATIENCE)?;
    Ok(())
}

fn send(producer: &Copier, topic: &str, message: &BorrowedMessage<'_>) -> Result<()> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic)
        .partition(message.partition())
        .timestamp(message.timestamp().to_millis().unwrap_or_default());
    record.key = message.key();
    record.payload = message.payload();
    record.headers = message.headers().map(rdkafka::message::BorrowedHeaders::detach);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                std::thread::park_timeout(Duration::from_millis(1));
                record = back;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
