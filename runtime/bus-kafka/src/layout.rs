//! Where a service's things are on the brokers.

use std::sync::Arc;

use dataflow::bus::BusError;
use dataflow::flow::{Flow, Form, Kind, ServiceSpec, State, partition_of};

use crate::config::KafkaConfig;
use crate::store::Table;
use crate::topics;

/// One topic that a service reads by partition.
#[derive(Debug, Clone)]
pub(crate) struct InputTopic {
    pub(crate) name: Arc<str>,
    pub(crate) topic: String,
}

/// The topics of one service.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) service: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) group: String,
    pub(crate) partitions: u16,
    /// The first decides who owns which partition; the others follow it.
    pub(crate) inputs: Vec<InputTopic>,
    /// The output that is the state: its name in the flow and on the brokers.
    pub(crate) backing: Option<(String, String)>,
    /// The rows of its own, which every service may have.
    pub(crate) changelog: String,
    pub(crate) tallies: String,
}

impl Layout {
    pub(crate) fn of(
        flow: &Flow,
        service: &ServiceSpec,
        config: &KafkaConfig,
    ) -> Result<Self, BusError> {
        if service.kind == Kind::View {
            return Err(BusError::Fatal(format!(
                "service `{}` is a view: it reads every partition and joins no group",
                service.name
            )));
        }
        if let Some((name, _)) = service.reads.iter().find(|(_, form)| *form == Form::Broadcast) {
            return Err(BusError::Fatal(format!(
                "service `{}` reads `{name}` as a broadcast, which this bus cannot do: make it keyed",
                service.name
            )));
        }
        let feeds = topics::feeds(&service.name);
        let names: Vec<&str> = if service.kind == Kind::Source {
            vec![&feeds]
        } else {
            service.reads.iter().map(|(name, _)| name.as_str()).collect()
        };
        let inputs = names
            .into_iter()
            .map(|name| InputTopic { name: name.into(), topic: config.topic(name) })
            .collect();
        let backing = match &service.state {
            State::BackedBy(topic) => Some((topic.clone(), config.topic(topic))),
            State::None | State::Own => None,
        };
        Ok(Self {
            service: service.name.as_str().into(),
            kind: service.kind,
            group: config.group(&service.name),
            partitions: topics::partitions(flow, service, config),
            inputs,
            backing,
            changelog: config.topic(&topics::changelog(&service.name)),
            tallies: config.topic(&topics::tallies(&service.name)),
        })
    }

    /// The topic of a table of the local copy.
    pub(crate) fn topic_of(&self, table: Table) -> Option<&str> {
        match table {
            Table::Backing => self.backing.as_ref().map(|(_, topic)| topic.as_str()),
            Table::Own => Some(&self.changelog),
            Table::Tallies => Some(&self.tallies),
        }
    }

    /// Where the state of a key is.
    pub(crate) fn state_table(&self) -> Table {
        if self.backing.is_some() { Table::Backing } else { Table::Own }
    }

    /// The partition that a key of the state lives in: a source's by its feed.
    pub(crate) fn home(&self, partition: u16, key: &[u8]) -> u16 {
        if self.kind == Kind::Source { self.partition_of_lane(lane_of(key)) } else { partition }
    }

    /// The partition that decides who owns a feed.
    pub(crate) fn partition_of_lane(&self, lane: &[u8]) -> u16 {
        partition_of(lane, self.partitions)
    }
}

/// The feed that a key of a source's state belongs to; empty for a key of none.
fn lane_of(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|b| *b == 0);
    end.and_then(|end| key.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feeds_keys_live_together() {
        let config = KafkaConfig::new("h:1", "state");
        let flow = dataflow::conformance::flow();
        let layout = Layout::of(&flow, flow.service("feed").unwrap(), &config).unwrap();
        let home = layout.partition_of_lane(b"calgary");
        assert_eq!(layout.home(0, b"calgary\0checkpoint"), home);
        assert_eq!(layout.home(0, b"calgary\0keys\0x"), home);
        let work = Layout::of(&flow, flow.service("work").unwrap(), &config).unwrap();
        assert_eq!(work.home(3, b"calgary\0x"), 3);
        assert_eq!(work.inputs.len(), 2, "its redrive topic follows");
    }
}
