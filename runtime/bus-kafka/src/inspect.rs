//! What the brokers know of the groups and of open transactions: for who looks after a flow.

use std::collections::BTreeMap;
use std::time::Duration;

use dataflow::Flow;
use dataflow::bus::BusError;
use dataflow::flow::Kind;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupMemberInfo;

use crate::config::KafkaConfig;
use crate::ends::ends;
use crate::faults::{self, Reports, What};
use crate::topics;

/// Most partitions of one topic that are read out of an assignment.
const PARTITIONS_MAX: usize = 10_000;

/// The instances of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instances {
    /// The service.
    pub service: String,
    /// What Kafka calls the state of its group: `Stable`, `PreparingRebalance`, `Empty`.
    pub state: String,
    /// Partitions that are there to be shared out.
    pub partitions: u16,
    /// Each instance by its client id, with the partitions that it owns.
    pub members: Vec<(String, Vec<u16>)>,
}

/// A partition with records that readers may not see yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Topic of the flow.
    pub topic: String,
    /// Partition.
    pub partition: u16,
    /// Where readers wait.
    pub stable: u64,
    /// Records (and markers) behind it.
    pub waiting: u64,
}

/// Who works on what, for each service that shares out partitions.
///
/// # Errors
/// [`BusError`] with what to do.
pub fn instances(config: &KafkaConfig, flow: &Flow) -> Result<Vec<Instances>, BusError> {
    let asker = crate::asker(config)?;
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    let mut all = Vec::new();
    for service in flow.services.iter().filter(|s| s.kind != Kind::View) {
        let name = config.group(&service.name);
        let list = asker
            .fetch_group_list(Some(&name), patience)
            .map_err(|e| faults::bus_error(config, What::Group(&name), &e))?;
        let group = list.groups().iter().find(|g| g.name() == name);
        let members = group.map(|g| g.members()).unwrap_or_default().iter().map(member);
        all.push(Instances {
            service: service.name.clone(),
            state: group.map_or("Empty", |g| g.state()).to_owned(),
            partitions: topics::partitions(flow, service, config),
            members: members.collect(),
        });
    }
    Ok(all)
}

fn member(member: &GroupMemberInfo) -> (String, Vec<u16>) {
    let owned = member.assignment().and_then(assigned).unwrap_or_default();
    (member.client_id().to_owned(), owned)
}

/// The partitions in an assignment as Kafka's consumers write it: version, topics, partitions of each.
fn assigned(mut bytes: &[u8]) -> Option<Vec<u16>> {
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (head, rest) = bytes.split_at_checked(count)?;
        *bytes = rest;
        Some(head)
    }
    fn number(bytes: &mut &[u8]) -> Option<usize> {
        let four: [u8; 4] = take(bytes, 4)?.try_into().ok()?;
        usize::try_from(i32::from_be_bytes(four)).ok()
    }
    let rest = &mut bytes;
    take(rest, 2)?;
    let mut all = Vec::new();
    for _ in 0..number(rest)?.min(PARTITIONS_MAX) {
        let length: [u8; 2] = take(rest, 2)?.try_into().ok()?;
        take(rest, usize::from(u16::from_be_bytes(length)))?;
        for _ in 0..number(rest)?.min(PARTITIONS_MAX) {
            all.push(u16::try_from(number(rest)?).ok()?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// Partitions of the flow's topics in which a transaction is open at this moment. One that is still open at
/// the same place some seconds later is stuck.
///
/// # Errors
/// [`BusError`] with what to do.
pub fn open_transactions(
    config: &KafkaConfig,
    flow: &Flow,
) -> Result<Vec<OpenTransaction>, BusError> {
    let stable = all_ends(config, flow, "read_committed")?;
    let high = all_ends(config, flow, "read_uncommitted")?;
    let open = stable.into_iter().filter_map(|((topic, partition), stable)| {
        let waiting = high.get(&(topic.clone(), partition))?.checked_sub(stable)?;
        (waiting > 0).then_some(OpenTransaction { topic, partition, stable, waiting })
    });
    Ok(open.collect())
}

fn all_ends(
    config: &KafkaConfig,
    flow: &Flow,
    isolation: &str,
) -> Result<BTreeMap<(String, u16), u64>, BusError> {
    let asker: BaseConsumer<Reports> = config
        .client()
        .set("group.id", format!("{}conveyance-doctor", config.prefix))
        .set("isolation.level", isolation)
        .create_with_context(Reports::default())
        .map_err(|e| faults::bus_error(config, What::Connect, &e))?;
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    let mut all = BTreeMap::new();
    for topic in &flow.topics {
        let name = config.topic(&topic.name);
        for partition in 0..topic.partitions {
            let (_, end) = ends(&asker, &name, partition, patience)
                .map_err(|e| faults::bus_error(config, What::Read(&name), &e))?;
            all.insert((topic.name.clone(), partition), end);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
        for (name, partitions) in topics {
            bytes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
            partitions.iter().for_each(|p| bytes.extend(p.to_be_bytes()));
        }
        bytes.extend([0, 0, 0, 0]); // user data
        bytes
    }

    #[test]
    fn assignments_are_read_and_nonsense_is_not() {
        let two = assignment(&[("a", &[3, 1]), ("b", &[1])]);
        for (bytes, expect) in [
            (two.clone(), Some(vec![1, 3])),
            (assignment(&[]), Some(vec![])),
            (vec![], None),
            (two[..two.len() - 8].to_vec(), None),
            (vec![0, 1, 255, 255, 255, 255], None),
            (vec![0, 1, 127, 255, 255, 255], None),
        ] {
            assert_eq!(assigned(&bytes), expect, "{bytes:?}");
        }
    }
}
