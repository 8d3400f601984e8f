//! What is checked at the start: reachability, authentication, authorisation, topics. Each refusal says what
//! to do.

use std::time::Duration;

use dataflow::Flow;
use dataflow::bus::BusError;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::KafkaConfig;
use crate::faults::{self, Reports, What};
use crate::topics::{self, WantedTopic};

/// Reaches a broker; the cluster's id.
pub(crate) fn reach(
    config: &KafkaConfig,
    asker: &BaseConsumer<Reports>,
) -> Result<String, BusError> {
    metadata(config, asker)?;
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    asker.client().fetch_cluster_id(patience).ok_or_else(|| {
        BusError::Busy(format!(
            "the brokers at {} do not say which cluster they are: try again",
            config.brokers
        ))
    })
}

/// All topics; where nobody answers, the reason that the client learned in the background.
fn metadata(config: &KafkaConfig, asker: &BaseConsumer<Reports>) -> Result<Metadata, BusError> {
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    asker.fetch_metadata(None, patience).map_err(|error| {
        for _ in 0..16 {
            if let Some(Err(told)) = asker.poll(Duration::from_millis(1)) {
                asker.context().note(&told);
            }
        }
        match asker.context().telling() {
            Some(code) => BusError::Fatal(faults::advice(config, What::Connect, code)),
            None => faults::bus_error(config, What::Connect, &error),
        }
    })
}

/// Identity of the log: the cluster's, and the prefix within it.
pub(crate) fn epoch(config: &KafkaConfig, cluster: &str) -> u64 {
    xxh3_64(format!("{cluster}/{}", config.prefix).as_bytes()).max(1)
}

/// Compares what is there with what the flow needs.
pub(crate) fn topics(
    config: &KafkaConfig,
    flow: &Flow,
    asker: &BaseConsumer<Reports>,
) -> Result<(), BusError> {
    let metadata = metadata(config, asker)?;
    let wanted = topics::wanted(flow, config);
    let found: Vec<_> = metadata
        .topics()
        .iter()
        .filter(|t| t.error().is_none())
        .map(|t| (t.name(), t.partitions().len()))
        .collect();
    differences(&wanted, &found).map_err(BusError::Fatal)
}

fn differences(wanted: &[WantedTopic], found: &[(&str, usize)]) -> Result<(), String> {
    let count = |t: &WantedTopic| found.iter().find(|(name, _)| *name == t.name).map(|(_, n)| *n);
    let missing: Vec<_> =
        wanted.iter().filter(|t| count(t).is_none()).map(|t| t.name.as_str()).collect();
    if !missing.is_empty() {
        return Err(format!(
            "topics are missing: {}. Make them with `conveyance topics apply`, or let this user see them",
            missing.join(", ")
        ));
    }
    for topic in wanted {
        if let Some(partitions) = count(topic).filter(|n| *n != usize::from(topic.partitions)) {
            return Err(format!(
                "topic `{}` has {partitions} partitions and the flow table says {}: this is fixed when a topic is made, since changing it would break the order of keys. Change the table back, or use another prefix",
                topic.name, topic.partitions
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_different_is_said() {
        let topic = |name: &str, partitions| WantedTopic {
            name: name.into(),
            partitions,
            replication: 1,
            settings: Vec::new(),
        };
        let wanted = [topic("a", 2), topic("b", 4)];
        assert_eq!(differences(&wanted, &[("a", 2), ("b", 4), ("other", 1)]), Ok(()));
        let missing = differences(&wanted, &[("a", 2)]).unwrap_err();
        assert!(missing.contains("missing: b") && missing.contains("topics apply"), "{missing}");
        let different = differences(&wanted, &[("a", 2), ("b", 3)]).unwrap_err();
        assert!(different.contains("3 partitions") && different.contains("says 4"), "{different}");
    }
}
