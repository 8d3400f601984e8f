//! The settings that topics have on the brokers.

use std::time::Duration;

use dataflow::Flow;
use dataflow::bus::BusError;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigSource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::config::{BATCH_BYTES_DEFAULT, KafkaConfig};
use crate::faults::{self, What};
use crate::topics::{self, BATCH_BYTES_MAX};

/// One setting of a topic.
pub(crate) struct TopicSetting {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Set on the topic itself, and not inherited.
    pub(crate) own: bool,
}

/// A client that asks for settings and changes them.
pub(crate) fn admin(
    config: &KafkaConfig,
) -> Result<(AdminClient<DefaultClientContext>, AdminOptions), BusError> {
    let admin =
        config.client().create().map_err(|e| faults::bus_error(config, What::Topics, &e))?;
    let patience = Some(Duration::from_millis(u64::from(config.request_timeout_ms)));
    Ok((admin, AdminOptions::new().operation_timeout(patience).request_timeout(patience)))
}

/// All settings of these topics.
pub(crate) fn of(
    config: &KafkaConfig,
    topics: &[&str],
) -> Result<Vec<(String, Vec<TopicSetting>)>, BusError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = topics.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let (admin, options) = admin(config)?;
    let results = faults::block_on(admin.describe_configs(&asked, &options))
        .map_err(|e| faults::bus_error(config, What::Topics, &e))?;
    let described = topics.iter().zip(results).map(|(name, result)| {
        let described = result.map_err(|code| {
            let advice = faults::advice(config, What::Topics, code);
            BusError::Fatal(format!("the settings of topic `{name}` cannot be read: {advice}"))
        })?;
        let settings = described.entries.into_iter().filter_map(|entry| {
            let own = entry.source == ConfigSource::DynamicTopic;
            Some(TopicSetting { name: entry.name, value: entry.value?, own })
        });
        Ok(((*name).to_owned(), settings.collect()))
    });
    described.collect()
}

/// The largest batch that every topic of the flow takes. Who may not ask, or gets no answer, takes it to be Kafka's
/// default.
pub(crate) fn batch_bytes_max(config: &KafkaConfig, flow: &Flow) -> usize {
    let wanted = topics::wanted(flow, config);
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let smallest = of(config, &names).ok().and_then(|all| {
        let settings = all.into_iter().flat_map(|(_, settings)| settings);
        let taken = settings.filter(|s| s.name == BATCH_BYTES_MAX);
        taken.filter_map(|s| s.value.parse().ok()).min()
    });
    smallest.unwrap_or(BATCH_BYTES_DEFAULT).min(config.batch_bytes_max)
}
