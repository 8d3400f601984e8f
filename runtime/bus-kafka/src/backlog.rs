//! What services have not done, exactly where it is little: offsets alone would count markers as work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataflow::bus::{Backlog, BusError, Lag};
use dataflow::flow::{Kind, ServiceSpec};
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::bus::Shared;
use crate::faults::{self, What};
use crate::lock;

/// So many bytes are read to count what is not done; beyond that the distance of offsets is told.
const COUNT_BYTES: usize = 256 << 10;

/// Where a service stands in each partition of its inputs; `None` where it never committed.
fn places(
    shared: &Shared,
    service: &ServiceSpec,
) -> Result<BTreeMap<(String, u16), Option<u64>>, BusError> {
    let mut places = BTreeMap::new();
    let topics = service.reads.iter().filter_map(|(name, _)| shared.flow.topic(name));
    for topic in topics {
        places.extend((0..topic.partitions).map(|p| ((topic.name.clone(), p), None)));
    }
    if service.kind == Kind::View {
        let holds = lock(&shared.holds);
        for ((topic, partition), place) in &mut places {
            let at = (Arc::from(topic.as_str()), *partition);
            *place = holds.get(&service.name).and_then(|places| places.get(&at)).copied();
        }
        // A view that has not said where it is has nothing to report.
        places.retain(|_, place| place.is_some());
        return Ok(places);
    }
    let config = &shared.config;
    let group = config.group(&service.name);
    let failed = |e| faults::bus_error(config, What::Offsets(&group), &e);
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places.keys() {
        list.add_partition(&config.topic(topic), i32::from(*partition));
    }
    if list.count() == 0 {
        return Ok(places);
    }
    let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
    let asker = shared.readers.stranger(&group)?;
    let known = asker.committed_offsets(list, patience).map_err(failed)?;
    for ((topic, partition), place) in &mut places {
        let element = known.find_partition(&config.topic(topic), i32::from(*partition));
        let offset = element.and_then(|e| e.offset().to_raw());
        *place = offset.and_then(|n| u64::try_from(n).ok());
    }
    Ok(places)
}

/// What one service has not done.
pub(crate) fn of(shared: &Shared, service: &ServiceSpec) -> Result<Vec<Backlog>, BusError> {
    look(shared, service, COUNT_BYTES)
}

/// The same, reading so much to count; of one byte, it is the first record alone.
fn look(
    shared: &Shared,
    service: &ServiceSpec,
    bytes_max: usize,
) -> Result<Vec<Backlog>, BusError> {
    let mut all = Vec::new();
    for ((topic, partition), place) in places(shared, service)? {
        let name: Arc<str> = topic.as_str().into();
        let physical = shared.config.topic(&topic);
        let range = shared.readers.range(&physical, partition)?;
        let next = place.unwrap_or(range.start).max(range.start);
        let mut records = range.end.saturating_sub(next);
        let mut oldest_ms = None;
        if records > 0 {
            let read = shared.readers.read((&physical, &name), partition, next, bytes_max)?;
            oldest_ms = read.iter().find(|b| !b.is_empty()).map(|b| b.appended_ms);
            let counted: usize = read.iter().map(|b| b.records_from(next).count()).sum();
            if read.last().is_some_and(|b| b.next_offset() >= range.end) {
                records = counted as u64;
            }
        }
        all.push(Backlog {
            service: service.name.clone(),
            topic,
            partition,
            next,
            records,
            oldest_ms,
        });
    }
    Ok(all)
}

/// What these have not done, counted by offsets; nothing where nobody can say just now.
pub(crate) fn lag(shared: &Shared, services: &[String]) -> Lag {
    let asked = shared.flow.services.iter().filter(|s| services.contains(&s.name));
    let all = asked.filter_map(|service| look(shared, service, 1).ok()).flatten();
    all.map(|b| Lag { records: b.records, oldest_ms: b.oldest_ms }).fold(Lag::default(), Lag::and)
}
