//! A log, two gateways on it, and what is true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataflow::batch::{Meta, NewRecord};
use dataflow::bus::Bus;
use dataflow::flow::{Form, Kind, Retention, State, TopicSpec, partition_of};
use dataflow::memory::{Faults, MemoryBus, Rng};
use dataflow::view::ViewRunner;
use dataflow::{Flow, ManualClock, ServiceSpec};
use messages::topics::{COMMAND_RESULTS, LISTING_CURRENT, LISTING_EVENTS};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bus::Compacting;
use crate::changes::hub::Hub;
use crate::display::{Display, FeedDisplay};
use crate::live::LiveView;
use crate::view::ListingView;

const PARTITIONS: u16 = 3;
const KEYS: u64 = 10;
/// Keys that begin so are of listings that may never be shown.
pub(super) const PRIVATE: &str = "open:private";
const PRIVATE_KEYS: u64 = 3;
pub(super) const DEVICE: &str = "device-0123456789";

/// One gateway.
pub(super) struct Gateway {
    runner: Option<ViewRunner>,
    pub(super) hub: Arc<Hub>,
}

/// The world.
pub(super) struct World {
    bus: Arc<Compacting>,
    flow: Flow,
    folder: TempDir,
    pub(super) gateways: Vec<Gateway>,
    /// Version and value of each listing; `Null` for a deleted one.
    pub(super) truth: BTreeMap<String, (u64, Value)>,
    pub(super) results: u64,
    instances: u32,
}

fn flow() -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: PARTITIONS,
        retention,
    };
    let topics = vec![
        topic(LISTING_CURRENT, Retention::Compacted { tombstone_days: 7 }),
        topic(LISTING_EVENTS, Retention::Days(1)),
        topic(COMMAND_RESULTS, Retention::Days(1)),
    ];
    let reads = [LISTING_CURRENT, LISTING_EVENTS, COMMAND_RESULTS];
    let service = ServiceSpec {
        name: "gateway".to_owned(),
        kind: Kind::View,
        reads: reads.map(|name| (name.to_owned(), Form::Keyed)).to_vec(),
        writes: vec![],
        state: State::None,
        does: String::new(),
    };
    Flow::new(topics, vec![service]).unwrap()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let flow = flow();
        let inner = MemoryBus::new(&flow, seed, Faults::default());
        let bus = Arc::new(Compacting { inner, compacts: AtomicBool::new(false) });
        let mut world = Self {
            bus,
            flow,
            folder: tempfile::tempdir().unwrap(),
            gateways: Vec::new(),
            truth: BTreeMap::new(),
            results: 0,
            instances: 0,
        };
        for n in 0..2 {
            let gateway = world.gateway(n);
            world.gateways.push(gateway);
        }
        world
    }

    fn gateway(&mut self, n: usize) -> Gateway {
        self.instances += 1;
        let mut display = Display::default();
        display.feeds.insert("open".to_owned(), FeedDisplay::open_data());
        let file = self.folder.path().join(format!("{n}.db"));
        let view = ListingView::open(&file, display).unwrap();
        let bus = Arc::clone(&self.bus) as Arc<dyn Bus>;
        let view = LiveView::new(view, Arc::clone(&bus), &self.flow, self.instances).unwrap();
        let hub = view.live().0;
        let clock = Arc::new(ManualClock::at(0));
        let (runner, _) =
            ViewRunner::open(bus, &self.flow, "gateway", clock, Box::new(view)).unwrap();
        Gateway { runner: Some(runner), hub }
    }

    /// Something happens to a listing, or a command is answered.
    pub(super) fn write(&mut self, rng: &mut Rng) {
        if rng.chance(10) {
            let value = json!({"commandId": format!("{DEVICE}.{}", self.results), "outcome": "accepted", "version": 1});
            self.results += 1;
            // One listing's, so that all of them are in one order.
            self.append(COMMAND_RESULTS, "open:0", &value);
        } else {
            let (key, mut listing) = match rng.chance(15) {
                true => (format!("{PRIVATE}{}", rng.below(PRIVATE_KEYS)), listing(rng)),
                false => (format!("open:{}", rng.below(KEYS)), listing(rng)),
            };
            if key.starts_with(PRIVATE) && listing.is_object() {
                listing["InternetEntireListingDisplayYN"] = json!(false);
            }
            let mut version = self.truth.get(&key).map_or(0, |(version, _)| *version) + 1;
            // Its feed says the same again, later.
            if version > 1 && rng.chance(15) {
                version -= 1;
                listing = self.truth.get(&key).map_or(Value::Null, |(_, known)| known.clone());
            }
            let mut value =
                json!({"ListingKey": key, "version": version, "deleted": listing.is_null()});
            if !listing.is_null() {
                value["listing"] = listing.clone();
            }
            self.append(LISTING_CURRENT, &key, &value);
            self.truth.insert(key, (version, listing));
        }
        if rng.chance(50) {
            self.bus.inner.sync();
        }
    }

    fn append(&self, topic: &str, key: &str, value: &Value) {
        let text = value.to_string();
        let meta =
            Meta { id: 1, trace: 1, kind: "k", source: "s", time_ms: 0, schema: 1, origin: 0 };
        let record =
            NewRecord { key: key.as_bytes(), value: Some(text.as_bytes()), meta, headers: &[] };
        self.bus.inner.append_record(topic, partition_of(key.as_bytes(), PARTITIONS), record);
    }

    /// One of the views goes on, or falls behind.
    pub(super) fn step(&mut self, rng: &mut Rng) {
        self.bus.compacts.store(rng.chance(30), Ordering::SeqCst);
        let at = usize::from(rng.chance(40));
        if let Some(runner) = &mut self.gateways[at].runner
            && !runner.step(Duration::ZERO).unwrap()
        {
            self.gateways[at].hub.idle();
        }
    }

    /// A gateway dies and another takes its place, on the same file.
    pub(super) fn restart(&mut self, rng: &mut Rng) {
        let at = usize::from(rng.chance(50));
        self.gateways[at].runner = None;
        self.gateways[at] = self.gateway(at);
    }

    /// A gateway knows everything that is in the log.
    pub(super) fn catch_up(&mut self, at: usize) {
        self.bus.inner.sync();
        let gateway = &mut self.gateways[at];
        let runner = gateway.runner.as_mut().unwrap();
        while runner.step(Duration::ZERO).unwrap() {}
        gateway.hub.idle();
    }

    /// Everything is done.
    pub(super) fn settle(&mut self) {
        (0..self.gateways.len()).for_each(|at| self.catch_up(at));
    }
}

fn listing(rng: &mut Rng) -> Value {
    if rng.chance(15) {
        return Value::Null;
    }
    let status = if rng.chance(20) { "Withdrawn" } else { "Active" };
    let city = ["Calgary", "Régina", "Victoria"][usize::try_from(rng.below(3)).unwrap()];
    let mut listing = json!({
        "City": city, "Country": "CA", "StandardStatus": status,
        "ListPrice": rng.below(10) * 100, "BedroomsTotal": rng.below(5),
    });
    if rng.chance(80) {
        listing["Latitude"] = json!(50 + rng.below(4));
        listing["Longitude"] = json!(-110 - i64::try_from(rng.below(4)).unwrap());
    }
    if rng.chance(10) {
        listing["InternetEntireListingDisplayYN"] = json!(false);
    }
    listing
}
