//! Topics, numbered: every topic partition has one number, its *place*, in the log's row ids.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::bus::BusError;
use dataflow::flow::{Form, Kind, Retention, ServiceSpec};
use dataflow::{Flow, TopicSpec};

/// Bits of a row id that hold the offset; the rest hold the place.
const OFFSET_BITS: u32 = 44;
/// One past the greatest place.
pub(crate) const PLACES_MAX: u32 = 1 << (63 - OFFSET_BITS);

/// The row id of an offset in a place.
pub(crate) fn row_id(place: u32, offset: u64) -> i64 {
    ((u64::from(place) << OFFSET_BITS) | offset).cast_signed()
}

/// The offset in a row id.
pub(crate) fn offset_of(id: i64) -> u64 {
    id.cast_unsigned() & ((1 << OFFSET_BITS) - 1)
}

/// The place in a row id.
pub(crate) fn place_of(id: i64) -> u32 {
    u32::try_from(id.cast_unsigned() >> OFFSET_BITS).unwrap_or(u32::MAX)
}

/// One topic of the flow.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    /// Place of its partition 0; also the topic's number.
    pub(crate) first: u32,
    pub(crate) partitions: u16,
    pub(crate) retention: Retention,
}

impl Topic {
    pub(crate) fn compacted(&self) -> bool {
        matches!(self.retention, Retention::Compacted { .. })
    }

    pub(crate) fn places(&self) -> std::ops::Range<u32> {
        self.first..self.first + u32::from(self.partitions)
    }
}

/// A service that reads topics, and where.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub(crate) name: Arc<str>,
    pub(crate) view: bool,
    /// `(topic index, partition, place)`.
    pub(crate) inputs: Vec<(usize, u16, u32)>,
}

/// The flow as the log numbers it.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    pub(crate) topics: Vec<Topic>,
    pub(crate) consumers: Vec<Consumer>,
    by_name: HashMap<Arc<str>, usize>,
    /// One past the greatest place in use.
    pub(crate) places: u32,
}

impl Catalog {
    /// `first` gives the number of each topic of the flow. A topic without one is not in this log.
    pub(crate) fn new(flow: &Flow, first: &HashMap<String, u32>) -> Self {
        let topic = |spec: &TopicSpec| {
            Some(Topic {
                name: spec.name.as_str().into(),
                first: *first.get(&spec.name)?,
                partitions: spec.partitions,
                retention: spec.retention,
            })
        };
        let topics: Vec<Topic> = flow.topics.iter().filter_map(topic).collect();
        let by_name = topics.iter().enumerate().map(|(at, t)| (Arc::clone(&t.name), at)).collect();
        let places = topics.iter().map(|t| t.places().end).max().unwrap_or(0);
        let mut catalog = Self { topics, consumers: Vec::new(), by_name, places };
        let reading = flow.services.iter().filter(|s| s.kind != Kind::Source);
        catalog.consumers = reading.map(|s| catalog.consumer(s)).collect();
        catalog
    }

    fn consumer(&self, service: &ServiceSpec) -> Consumer {
        let view = service.kind == Kind::View;
        let shared_out = service.reads.iter().filter(|(_, f)| view || *f != Form::Broadcast);
        let inputs = shared_out
            .filter_map(|(name, _)| self.by_name.get(name.as_str()))
            .filter_map(|at| self.topics.get(*at).map(|t| (*at, t)))
            .flat_map(|(at, t)| (0..t.partitions).map(move |p| (at, p, t.first + u32::from(p))))
            .collect();
        Consumer { name: service.name.as_str().into(), view, inputs }
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(*self.by_name.get(name)?)
    }

    /// Topic and place of a partition.
    pub(crate) fn place(&self, name: &str, partition: u16) -> Result<(&Topic, u32), BusError> {
        let topic = self.topic(name).ok_or_else(|| {
            BusError::Fatal(format!("there is no topic `{name}`: add it to the flow table"))
        })?;
        if partition >= topic.partitions {
            return Err(BusError::Fatal(format!(
                "topic `{name}` has {} partitions, so there is no partition {partition}",
                topic.partitions
            )));
        }
        Ok((topic, topic.first + u32::from(partition)))
    }
}
