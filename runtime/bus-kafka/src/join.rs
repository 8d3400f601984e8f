//! Taking a seat in the group of a service.

use std::time::Duration;

use dataflow::bus::BusError;
use dataflow::flow::ServiceSpec;
use rdkafka::consumer::Consumer;

use crate::bus::Shared;
use crate::config::KafkaConfig;
use crate::faults::{self, What};
use crate::group::GroupContext;
use crate::layout::Layout;
use crate::member::KafkaMember;
use crate::seat::{GroupConsumer, Parts, Seat};
use crate::slot;
use crate::store::Store;

/// How often a group is asked for its members that cannot answer, and the time between.
const TRIES_MAX: u32 = 50;
const PATIENCE: Duration = Duration::from_millis(100);

/// The consumer of a slot, subscribed.
pub(crate) fn consumer(
    config: &KafkaConfig,
    layout: &Layout,
    slot: u16,
) -> Result<GroupConsumer, BusError> {
    let failed = |e| faults::bus_error(config, What::Group(&layout.group), &e);
    let name = config.member(&layout.service, slot);
    let kilobytes = (config.fetch_bytes / 1024).max(64);
    let consumer: GroupConsumer = config
        .client()
        .set("client.id", &name)
        .set("group.id", &layout.group)
        .set("group.instance.id", &name)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", config.session_timeout_ms.to_string())
        // A member learns by its heartbeat that the group shares out anew, and all of it waits for the last one.
        .set("heartbeat.interval.ms", (config.session_timeout_ms / 12).max(100).to_string())
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        // The default of a second makes a full queue a pause of a second.
        .set("fetch.queue.backoff.ms", "2")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.message.max.bytes", "2097152")
        .set("queued.max.messages.kbytes", kilobytes.to_string())
        .create_with_context(GroupContext::default())
        .map_err(failed)?;
    let first = layout.inputs.first().map(|i| i.topic.as_str()).unwrap_or_default();
    consumer.subscribe(&[first]).map_err(failed)?;
    Ok(consumer)
}

/// Who is in the group now, to claim a slot that nobody has.
fn members(shared: &Shared, layout: &Layout) -> Result<Vec<String>, BusError> {
    let asker = shared.readers.stranger(&layout.group)?;
    let mut tries = 0;
    loop {
        match slot::group(&asker, &shared.config, &layout.group) {
            Err(BusError::Busy(_)) if tries < TRIES_MAX => {
                tries += 1;
                std::thread::park_timeout(PATIENCE);
            }
            answer => return Ok(answer?.members),
        }
    }
}

/// Joins as one more instance.
pub(crate) fn join(shared: &Shared, service: &ServiceSpec) -> Result<KafkaMember, BusError> {
    let config = &shared.config;
    let layout = Layout::of(&shared.flow, service, config)?;
    let members = match config.slot {
        Some(_) => Vec::new(),
        None => members(shared, &layout)?,
    };
    let slot = slot::claim(config, &layout, &members)?;
    let store = Store::open(&slot.dir, shared.epoch)?;
    let consumer = consumer(config, &layout, slot.number)?;
    shared.commit_times.begin(&layout.service);
    let seat = Seat::new(Parts {
        config: config.clone(),
        layout,
        slot: slot.number,
        store,
        clock: std::sync::Arc::clone(&shared.clock),
        board: shared.board.clone(),
        news: std::sync::Arc::clone(&shared.news),
        commit_times: shared.commit_times.clone(),
        consumer,
    });
    KafkaMember::start(seat, slot)
}
