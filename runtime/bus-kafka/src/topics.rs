//! The topics that a flow needs on the brokers: those of its table, and those that this bus keeps for itself.

use std::time::Duration;

use dataflow::Flow;
use dataflow::flow::{Form, Kind, Retention, ServiceSpec};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;

use crate::config::KafkaConfig;
use crate::faults::{self, What};
use crate::monotonic;
use dataflow::bus::BusError;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A busy cluster takes its time to make many partitions.
const MADE_WITHIN: Duration = Duration::from_secs(90);
/// Topic for the counters of tools, which are no service of the flow.
pub(crate) const TOOLS: &str = "tools.tallies";

/// Kafka's name for the largest batch of records that a topic takes.
pub(crate) const BATCH_BYTES_MAX: &str = "max.message.bytes";

/// One topic as it should be on the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedTopic {
    /// Name on the brokers, prefix included.
    pub name: String,
    /// Partitions; fixed when the topic is made.
    pub partitions: u16,
    /// Copies of each partition.
    pub replication: u16,
    /// Kafka's settings of the topic, by name.
    pub settings: Vec<(&'static str, String)>,
}

/// The topic that holds the rows of a service's own, one record for each key.
#[must_use]
pub fn changelog(service: &str) -> String {
    format!("{service}.changelog")
}

/// The topic that holds the counters of a service.
#[must_use]
pub fn tallies(service: &str) -> String {
    format!("{service}.tallies")
}

/// The topic whose partitions decide which instance of a source owns which feeds.
#[must_use]
pub fn feeds(service: &str) -> String {
    format!("{service}.feeds")
}

/// Partitions that the instances of a service share out among themselves.
#[must_use]
pub fn partitions(flow: &Flow, service: &ServiceSpec, config: &KafkaConfig) -> u16 {
    if service.kind == Kind::Source {
        return config.feed_partitions;
    }
    let keyed = service.reads.iter().filter(|(_, form)| *form == Form::Keyed);
    keyed.filter_map(|(name, _)| flow.topic(name)).map(|t| t.partitions).next().unwrap_or(1)
}

/// Every topic that this flow needs, in the order of the table, then what the bus keeps for itself.
#[must_use]
pub fn wanted(flow: &Flow, config: &KafkaConfig) -> Vec<WantedTopic> {
    let topic = |name: &str, partitions, mut settings: Vec<_>| {
        settings.push((BATCH_BYTES_MAX, config.batch_bytes_max.to_string()));
        WantedTopic {
            name: config.topic(name),
            partitions,
            replication: config.replication,
            settings,
        }
    };
    let mut all: Vec<_> =
        flow.topics.iter().map(|t| topic(&t.name, t.partitions, settings(t.retention))).collect();
    for service in flow.services.iter().filter(|s| s.kind != Kind::View) {
        let count = partitions(flow, service, config);
        all.push(topic(&changelog(&service.name), count, compacted(7)));
        all.push(topic(&tallies(&service.name), count, compacted(7)));
        if service.kind == Kind::Source {
            all.push(topic(&feeds(&service.name), count, settings(Retention::Days(1))));
        }
    }
    all.push(topic(TOOLS, 1, compacted(7)));
    all
}

fn settings(retention: Retention) -> Vec<(&'static str, String)> {
    match retention {
        Retention::Days(days) => vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", (u64::from(days) * DAY_MS).to_string()),
        ],
        // A superseded record may go once it is old enough, the last of its key never.
        Retention::LastOfEachKey { days } => vec![
            ("cleanup.policy", "compact".to_owned()),
            ("min.compaction.lag.ms", (u64::from(days) * DAY_MS).to_string()),
        ],
        Retention::Compacted { tombstone_days } => compacted(tombstone_days),
    }
}

fn compacted(tombstone_days: u32) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "compact".to_owned()),
        ("delete.retention.ms", (u64::from(tombstone_days) * DAY_MS).to_string()),
        ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        // What is in the active segment is never compacted: a restore would read all of it.
        ("segment.bytes", (128u64 << 20).to_string()),
    ]
}

/// Makes the given topics; one that is there already is left as it is.
///
/// # Errors
/// [`BusError::Fatal`] with what to do.
pub fn make(config: &KafkaConfig, topics: &[WantedTopic]) -> Result<(), BusError> {
    let failed = |e| faults::bus_error(config, What::Topics, &e);
    let admin: AdminClient<DefaultClientContext> = config.client().create().map_err(failed)?;
    let new = topics.iter().map(|t| {
        let new = NewTopic::new(
            &t.name,
            i32::from(t.partitions),
            TopicReplication::Fixed(i32::from(t.replication)),
        );
        t.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    let new: Vec<_> = new.collect();
    let timeout = MADE_WITHIN;
    let options =
        AdminOptions::new().operation_timeout(Some(timeout)).request_timeout(Some(timeout));
    let results = faults::block_on(admin.create_topics(&new, &options)).map_err(failed)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(BusError::Fatal(format!(
                    "topic `{name}` cannot be made: {}",
                    faults::advice(config, What::Topics, code)
                )));
            }
        }
    }
    wait_until_there(config, topics, &admin)
}

/// A topic that was made takes a moment to be known to every broker.
fn wait_until_there(
    config: &KafkaConfig,
    topics: &[WantedTopic],
    admin: &AdminClient<DefaultClientContext>,
) -> Result<(), BusError> {
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    let from = monotonic();
    loop {
        let metadata = admin
            .inner()
            .fetch_metadata(None, patience)
            .map_err(|e| faults::bus_error(config, What::Topics, &e))?;
        let led = |t: &MetadataTopic| {
            t.error().is_none() && t.partitions().iter().all(|p| p.leader() >= 0)
        };
        let there =
            |w: &WantedTopic| metadata.topics().iter().any(|t| t.name() == w.name && led(t));
        if topics.iter().all(there) {
            return Ok(());
        }
        if from.elapsed() > MADE_WITHIN {
            return Err(BusError::Busy(
                "the topics were made, but not every broker knows them yet: try again".to_owned(),
            ));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_needs_its_topics_and_what_the_bus_keeps() {
        let mut config = KafkaConfig::new("h:1", "state");
        config.prefix = "x.".to_owned();
        config.replication = 3;
        let flow = dataflow::conformance::flow();
        let all = wanted(&flow, &config);
        let names: Vec<_> = all.iter().map(|t| (t.name.as_str(), t.partitions)).collect();
        for topic in [
            ("x.in", 4),
            ("x.work.dead-letters", 4),
            ("x.work.redrive", 4),
            ("x.work.changelog", 4),
            ("x.keep.tallies", 4),
            ("x.feed.changelog", 16),
            ("x.feed.feeds", 16),
            ("x.tools.tallies", 1),
        ] {
            assert!(names.contains(&topic), "{topic:?} in {names:?}");
        }
        assert!(all.iter().all(|t| t.replication == 3));
        let last = all.iter().find(|t| t.name == "x.last").unwrap();
        assert!(last.settings.contains(&("cleanup.policy", "compact".to_owned())));
    }
}
