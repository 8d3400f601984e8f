//! What has to be done so that the topics on the brokers are as the flow table says, and doing it.

use std::collections::BTreeMap;
use std::time::Duration;

use dataflow::Flow;
use dataflow::bus::BusError;
use rdkafka::admin::{AlterConfig, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::check;
use crate::config::KafkaConfig;
use crate::faults::{self, Reports, What};
use crate::settings::{self, TopicSetting};
use crate::topics::{self, WantedTopic};

/// Time between two looks at topics that were just made.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be done about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is missing.
    Make(WantedTopic),
    /// Settings differ.
    Set {
        /// The topic.
        topic: String,
        /// Which, from what, to what.
        settings: Vec<Setting>,
        /// All that the topic has of its own afterwards: Kafka replaces them together.
        all: Vec<(String, String)>,
    },
    /// Nobody but a person can do this, or it must not be done at all.
    Refuse {
        /// The topic.
        topic: String,
        /// Why, with what to do.
        why: String,
        /// Whether services work meanwhile.
        works: bool,
    },
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name of it.
    pub name: String,
    /// What it is.
    pub from: String,
    /// What it should be.
    pub to: String,
}

/// A topic as it is on the brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    partitions: usize,
    /// Partitions that a broker leads at this moment.
    led: usize,
    replication: usize,
    /// All settings, those that the topic only inherits included.
    settings: BTreeMap<String, String>,
    /// Those that are set on the topic itself.
    own: BTreeMap<String, String>,
}

/// Compares the brokers with the flow table.
///
/// # Errors
/// [`BusError`] with what to do when the brokers do not answer, or not to this client.
pub fn plan(config: &KafkaConfig, flow: &Flow) -> Result<Vec<Step>, BusError> {
    let asker = crate::asker(config)?;
    check::reach(config, &asker)?;
    let wanted = topics::wanted(flow, config);
    let mut found = layout(config, &asker)?;
    found.retain(|name, _| wanted.iter().any(|w| w.name == *name));
    add_settings(config, &mut found)?;
    Ok(wanted.iter().flat_map(|w| steps(w, found.get(&w.name))).collect())
}

/// Does what can be done of a plan. What has to be refused is left as it is.
///
/// # Errors
/// [`BusError`] with what to do; what was done until then stays.
pub fn apply(config: &KafkaConfig, steps: &[Step]) -> Result<(), BusError> {
    let make: Vec<_> = steps
        .iter()
        .filter_map(|s| if let Step::Make(t) = s { Some(t.clone()) } else { None })
        .collect();
    if !make.is_empty() {
        topics::make(config, &make)?;
        wait_until_there(config, &make)?;
    }
    set(config, steps)
}

/// Sets what differs, and waits until the brokers say so.
fn set(config: &KafkaConfig, steps: &[Step]) -> Result<(), BusError> {
    let wanted: Vec<_> = steps
        .iter()
        .filter_map(
            |s| if let Step::Set { topic, all, .. } = s { Some((topic, all)) } else { None },
        )
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let changes: Vec<_> = wanted
        .iter()
        .map(|(topic, all)| {
            let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
            all.iter().fold(change, |change, (name, value)| change.set(name, value))
        })
        .collect();
    let (admin, options) = settings::admin(config)?;
    let results = faults::block_on(admin.alter_configs(&changes, &options))
        .map_err(|e| faults::bus_error(config, What::Topics, &e))?;
    for result in results {
        if let Err((resource, code)) = result {
            let name = if let OwnedResourceSpecifier::Topic(name) = resource {
                name
            } else {
                String::new()
            };
            let advice = faults::advice(config, What::Topics, code);
            return Err(BusError::Fatal(format!("topic `{name}` cannot be set: {advice}")));
        }
    }
    until(config, "not every broker tells of the settings", || {
        let named = wanted.iter().map(|(topic, _)| ((*topic).clone(), Found::default()));
        let mut found: BTreeMap<_, _> = named.collect();
        add_settings(config, &mut found)?;
        Ok(wanted.iter().all(|(topic, all)| {
            let now = found.get(*topic).map(|f| &f.settings);
            now.is_some_and(|now| all.iter().all(|(name, value)| now.get(name) == Some(value)))
        }))
    })
}

/// The brokers answer before all of them know a new topic: whoever starts a service next should find it.
fn wait_until_there(config: &KafkaConfig, made: &[WantedTopic]) -> Result<(), BusError> {
    let asker = crate::asker(config)?;
    until(config, "not every partition has a leader", || {
        let found = layout(config, &asker)?;
        let there = |t: &WantedTopic| {
            found.get(&t.name).is_some_and(|f| f.led == usize::from(t.partitions))
        };
        Ok(made.iter().all(there))
    })
}

/// Looks until it is so, for as long as a request may take.
fn until(
    config: &KafkaConfig,
    still: &str,
    is_so: impl Fn() -> Result<bool, BusError>,
) -> Result<(), BusError> {
    let began = crate::monotonic();
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    while !is_so()? {
        if began.elapsed() > patience {
            return Err(BusError::Busy(format!(
                "what was asked for is done, but {still} yet: look again with `conveyance topics plan`"
            )));
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

fn layout(
    config: &KafkaConfig,
    asker: &BaseConsumer<Reports>,
) -> Result<BTreeMap<String, Found>, BusError> {
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    let metadata = asker
        .fetch_metadata(None, patience)
        .map_err(|e| faults::bus_error(config, What::Topics, &e))?;
    let there = metadata.topics().iter().filter(|t| t.error().is_none());
    Ok(there
        .map(|t| {
            let replication = t.partitions().iter().map(|p| p.replicas().len()).min();
            let found = Found {
                partitions: t.partitions().len(),
                led: t.partitions().iter().filter(|p| p.leader() >= 0).count(),
                replication: replication.unwrap_or(0),
                ..Found::default()
            };
            (t.name().to_owned(), found)
        })
        .collect())
}

fn add_settings(config: &KafkaConfig, found: &mut BTreeMap<String, Found>) -> Result<(), BusError> {
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    for (name, settings) in settings::of(config, &names)? {
        let Some(topic) = found.get_mut(&name) else { continue };
        for TopicSetting { name, value, own } in settings {
            if own {
                topic.own.insert(name.clone(), value.clone());
            }
            topic.settings.insert(name, value);
        }
    }
    Ok(())
}

/// What one topic needs.
fn steps(wanted: &WantedTopic, found: Option<&Found>) -> Vec<Step> {
    let Some(found) = found else { return vec![Step::Make(wanted.clone())] };
    let refuse = |why: String, works| Step::Refuse { topic: wanted.name.clone(), why, works };
    if found.partitions != usize::from(wanted.partitions) {
        let why = format!(
            "it has {} partitions and the flow table says {}: a changed count would send keys to other partitions and break their order. Change the table back, or begin anew under another prefix",
            found.partitions, wanted.partitions
        );
        return vec![refuse(why, false)];
    }
    let mut steps = Vec::new();
    if found.replication != usize::from(wanted.replication) {
        let why = format!(
            "its partitions have {} copies and {} are wanted: move them with kafka-reassign-partitions.sh, or set replication = {0}",
            found.replication, wanted.replication
        );
        steps.push(refuse(why, true));
    }
    let settings: Vec<_> = wanted
        .settings
        .iter()
        .filter_map(|(name, to)| {
            let from = found.settings.get(*name).cloned().unwrap_or_default();
            differs(name, &from, to).then(|| Setting {
                name: (*name).to_owned(),
                from,
                to: to.clone(),
            })
        })
        .collect();
    if !settings.is_empty() {
        let mut all = found.own.clone();
        all.extend(wanted.settings.iter().map(|(name, to)| ((*name).to_owned(), to.clone())));
        let topic = wanted.name.clone();
        steps.push(Step::Set { topic, settings, all: all.into_iter().collect() });
    }
    steps
}

/// Whether a setting has to be changed. A topic may take larger batches than are sent.
fn differs(name: &str, from: &str, to: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    if name == topics::BATCH_BYTES_MAX { number(from) < number(to) } else { from != to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> WantedTopic {
        WantedTopic {
            name: "a".into(),
            partitions: 8,
            replication: 3,
            settings: vec![("cleanup.policy", "compact".into()), ("retention.ms", "5".into())],
        }
    }

    fn found(partitions: usize, replication: usize, policy: &str) -> Found {
        let settings = [("cleanup.policy", policy), ("retention.ms", "5"), ("other", "1")];
        let settings = settings.map(|(n, v)| (n.to_owned(), v.to_owned()));
        Found {
            partitions,
            led: partitions,
            replication,
            settings: settings.into(),
            own: BTreeMap::from([("other".to_owned(), "1".to_owned())]),
        }
    }

    fn words(steps: &[Step]) -> String {
        let word = |step: &Step| match step {
            Step::Make(topic) => format!("make {}", topic.name),
            Step::Set { settings, .. } => {
                let each = settings.iter().map(|s| format!("{} {}->{}", s.name, s.from, s.to));
                format!("set {}", each.collect::<Vec<_>>().join(", "))
            }
            Step::Refuse { works, .. } => format!("refuse {works}"),
        };
        steps.iter().map(word).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_difference_has_its_step() {
        for (found, expect) in [
            (None, "make a"),
            (Some(found(8, 3, "compact")), ""),
            (Some(found(8, 3, "delete")), "set cleanup.policy delete->compact"),
            (Some(found(4, 3, "delete")), "refuse false"),
            (Some(found(9, 1, "compact")), "refuse false"),
            (Some(found(8, 1, "compact")), "refuse true"),
            (Some(found(8, 1, "delete")), "refuse true; set cleanup.policy delete->compact"),
        ] {
            assert_eq!(words(&steps(&wanted(), found.as_ref())), expect, "{found:?}");
        }
    }

    #[test]
    fn a_topic_may_take_larger_batches() {
        for (name, from, to, expect) in [
            ("max.message.bytes", "2000000", "8388608", true),
            ("max.message.bytes", "8388608", "8388608", false),
            ("max.message.bytes", "16777216", "8388608", false),
            ("retention.ms", "16777216", "8388608", true),
        ] {
            assert_eq!(differs(name, from, to), expect, "{name} {from} {to}");
        }
    }

    #[test]
    fn what_others_set_on_a_topic_stays() {
        let steps = steps(&wanted(), Some(&found(8, 3, "delete")));
        let [Step::Set { all, .. }] = steps.as_slice() else { panic!("{steps:?}") };
        let all: Vec<_> = all.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(all, ["cleanup.policy=compact", "other=1", "retention.ms=5"]);
    }
}
