//! What the Kafka bus promises, on a real broker.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

mod plan;
mod refusals;
mod state;
mod support;
mod tail;
mod takeover;

use std::sync::{Arc, Mutex};

use dataflow::bus::Bus;
use dataflow::conformance::conformance;

use support::Place;

#[test]
fn the_suite_that_every_bus_runs() {
    let places = Mutex::new(Vec::new());
    conformance(|flow| {
        let place = Place::new(flow);
        let bus = place.bus();
        places.lock().unwrap().push(place);
        bus as Arc<dyn Bus>
    });
}
