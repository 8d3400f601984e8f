//! The suite that every bus runs, on this one, with several sets of options that change what serves a read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends the test"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use bus_sqlite::{Options, SqliteBus};
use dataflow::bus::Bus;
use dataflow::conformance::{ROWS_OF_EVERY_SERVICE, conformance};
use dataflow::{Flow, ManualClock};

/// Runs the suite; folders live until it is over.
fn check(change: impl Fn(&mut Options)) {
    let dirs = Mutex::new(Vec::new());
    conformance(|flow: &Flow| {
        let dir = tempfile::tempdir().unwrap();
        let bus = open(dir.path(), flow, &change);
        dirs.lock().unwrap().push(dir);
        bus
    });
}

fn open(dir: &Path, flow: &Flow, change: impl Fn(&mut Options)) -> Arc<dyn Bus> {
    let mut options = Options::new(Arc::new(ManualClock::at(1_700_000_000_000)), 7);
    change(&mut options);
    SqliteBus::open(dir, flow, options).unwrap()
}

#[test]
fn every_service_has_rows_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (_, case) = ROWS_OF_EVERY_SERVICE;
    case(&*open(dir.path(), &dataflow::conformance::flow(), |_| {}));
}

#[test]
fn as_it_is() {
    check(|_| {});
}

#[test]
fn with_nothing_in_memory() {
    check(|options| options.tail_bytes = 0);
}

#[test]
fn with_a_tiny_write_ahead_log_and_tiny_transactions() {
    check(|options| {
        options.wal_soft_bytes = 1;
        options.transaction_bytes = 1;
        options.dictionary_samples = 1;
    });
}
