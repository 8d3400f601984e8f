//! Reading from outside any group: what `Bus::read`, `range` and `latest` need, and exact backlogs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataflow::Batch;
use dataflow::bus::{BusError, Range};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::KafkaConfig;
use crate::ends::ends;
use crate::faults::{self, Reports, What};
use crate::gather::{self, Gather};
use crate::lock;
use crate::monotonic;

/// Readers that stay where they are, for whoever reads on.
const CURSORS_MAX: usize = 8;
/// What a reader fetches ahead.
const AHEAD_KBYTES: usize = 2_048;
const STEP: Duration = Duration::from_millis(5);
/// Time after which a question that had no answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Readers of the committed records.
pub(crate) struct Readers {
    config: KafkaConfig,
    asker: BaseConsumer<Reports>,
    /// One for each group that was asked about: making a client takes far longer than its answer.
    of_groups: Mutex<HashMap<String, Arc<BaseConsumer<Reports>>>>,
    cursors: Mutex<Vec<Cursor>>,
}

/// A consumer that stands somewhere.
struct Cursor {
    consumer: BaseConsumer<Reports>,
    topic: String,
    partition: u16,
    next: u64,
}

impl Readers {
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self, BusError> {
        let asker = Self::consumer(config, &format!("{}conveyance-reader", config.prefix))?;
        Ok(Self {
            config: config.clone(),
            asker,
            of_groups: Mutex::default(),
            cursors: Mutex::default(),
        })
    }

    /// A consumer of committed records.
    pub(crate) fn consumer(
        config: &KafkaConfig,
        group: &str,
    ) -> Result<BaseConsumer<Reports>, BusError> {
        Self::settings(config, group)
            .create_with_context(Reports::default())
            .map_err(|e| faults::bus_error(config, What::Connect, &e))
    }

    /// Settings of a consumer of committed records.
    pub(crate) fn settings(config: &KafkaConfig, group: &str) -> ClientConfig {
        let mut client = config.client();
        client
            .set("client.id", "conveyance-reader")
            .set("group.id", group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.queue.backoff.ms", "1")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", AHEAD_KBYTES.to_string());
        client
    }

    /// A consumer that may ask about a group without being of it. There are as many as services.
    pub(crate) fn stranger(&self, group: &str) -> Result<Arc<BaseConsumer<Reports>>, BusError> {
        if let Some(known) = lock(&self.of_groups).get(group) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(Self::consumer(&self.config, group)?);
        lock(&self.of_groups).insert(group.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// For questions about the cluster.
    pub(crate) fn asker(&self) -> &BaseConsumer<Reports> {
        &self.asker
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.config.request_timeout_ms))
    }

    fn failed(&self, topic: &str, error: &KafkaError) -> BusError {
        faults::bus_error(&self.config, What::Read(topic), error)
    }

    /// First offset, and the end of what is committed.
    pub(crate) fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        let from = monotonic();
        loop {
            let known = ends(&self.asker, topic, partition, self.patience());
            match known.map_err(|e| self.failed(topic, &e)) {
                Ok((start, end)) => return Ok(Range { start, end, durable: end }),
                // A partition that was just made, or is moving, has no leader for a moment.
                Err(BusError::Busy(_)) if from.elapsed() < self.patience() => {
                    std::thread::park_timeout(ASK_AGAIN);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Committed records from `from` on, about `bytes_max` of them but at least one where there is one.
    pub(crate) fn read(
        &self,
        (topic, name): (&str, &Arc<str>),
        partition: u16,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let range = self.range(topic, partition)?;
        let from = from.max(range.start);
        if from >= range.end {
            return Ok(Vec::new());
        }
        let mut cursor = self.cursor(topic, partition, from)?;
        let (gather, next) = self.pull(&mut cursor, name, range.end, bytes_max)?;
        let mut cursors = lock(&self.cursors);
        if cursors.len() >= CURSORS_MAX {
            cursors.remove(0);
        }
        cursors.push(cursor);
        drop(cursors);
        let mut batches: Vec<Batch> = gather.finish().into_iter().map(|g| g.batch).collect();
        match batches.pop() {
            Some(last) => batches.push(last.reaching(next)),
            None => batches.extend(gather::nothing_until(next)),
        }
        Ok(batches.into_iter().map(Arc::new).collect())
    }

    /// The cursor that stands there, or another one put there.
    fn cursor(&self, topic: &str, partition: u16, from: u64) -> Result<Cursor, BusError> {
        let kept = {
            let mut cursors = lock(&self.cursors);
            let there = cursors
                .iter()
                .position(|c| c.topic == topic && c.partition == partition && c.next == from);
            if let Some(at) = there {
                return Ok(cursors.remove(at));
            }
            // One that stands in the same partition would go on saying its old position for a while.
            let other = cursors.iter().position(|c| c.topic != topic || c.partition != partition);
            if cursors.len() < CURSORS_MAX { None } else { other.map(|at| cursors.remove(at)) }
        };
        let consumer = match kept {
            Some(cursor) => cursor.consumer,
            None => {
                Self::consumer(&self.config, &format!("{}conveyance-reader", self.config.prefix))?
            }
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, i32::from(partition), Offset::Offset(from.cast_signed()))
            .and_then(|()| consumer.assign(&list))
            .map_err(|e| self.failed(topic, &e))?;
        Ok(Cursor { consumer, topic: topic.to_owned(), partition, next: from })
    }

    /// Takes records until the end or the budget; where the cursor stands then.
    fn pull(
        &self,
        cursor: &mut Cursor,
        name: &Arc<str>,
        end: u64,
        bytes_max: usize,
    ) -> Result<(Gather, u64), BusError> {
        let mut gather = Gather::default();
        let from = monotonic();
        while cursor.next < end && (gather.is_empty() || gather.bytes() < bytes_max) {
            match cursor.consumer.poll(STEP) {
                Some(Ok(message)) => {
                    cursor.next = u64::try_from(message.offset()).unwrap_or(0) + 1;
                    gather.push(name, &message);
                }
                Some(Err(error)) => match self.failed(&cursor.topic, &error) {
                    BusError::Busy(_) if from.elapsed() < self.patience() => {}
                    error => return Err(error),
                },
                None => {
                    if let Some(position) = position(cursor) {
                        cursor.next = cursor.next.max(position);
                    }
                    if from.elapsed() > self.patience() {
                        return Err(BusError::Busy(format!(
                            "`{}`/{} gives no records although it goes to {end}: see the log of the brokers",
                            cursor.topic, cursor.partition
                        )));
                    }
                }
            }
        }
        Ok((gather, cursor.next))
    }
}

fn position(cursor: &Cursor) -> Option<u64> {
    let known = cursor.consumer.position().ok()?;
    let element = known.find_partition(&cursor.topic, i32::from(cursor.partition))?;
    element.offset().to_raw().and_then(|n| u64::try_from(n).ok())
}
