//! Feeds inside the runtime: topics, kinds, counters and dead letters, with every fault of the runtime.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/store.rs"]
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dataflow::bus::Bus;
use dataflow::flow::{Kind, Retention, State};
use dataflow::testflow::{FaultPlan, Seen, TestFlow, seen};
use dataflow::{Flow, ServiceSpec, TopicSpec};
use ingest::{Confirmations, Feed, FeedConfig, KeyTemplate, RowPlan};
use messages::topics::LISTING_RAW;
use store::write;

fn flow() -> Flow {
    let topic = TopicSpec {
        name: LISTING_RAW.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: 4,
        retention: Retention::Days(7),
    };
    let service = ServiceSpec {
        name: "ingest".to_owned(),
        kind: Kind::Source,
        reads: Vec::new(),
        writes: vec![LISTING_RAW.to_owned()],
        state: State::Own,
        does: String::new(),
    };
    Flow::new(vec![topic], vec![service]).unwrap()
}

/// Three snapshots of a feed: one row in each is bad in the middle one.
fn snapshots(folder: &Path, from: u32) {
    for (year, lost) in [(2020, 0), (2021, 300), (2022, 700)] {
        let rows = (from..from + 3000).filter(|n| n % 1000 >= lost);
        let mut text = rows.fold("id,value\n".to_owned(), |t, n| format!("{t}{n},{year}\n"));
        if year == 2021 {
            text.push_str("one field\n");
        }
        write(folder, &format!("{year}.csv"), text.as_bytes());
    }
}

type Topics = (BTreeMap<String, Vec<Seen>>, BTreeMap<String, Vec<Seen>>, BTreeMap<String, i64>);

fn run(
    folders: &[(&str, &Path)],
    seed: u64,
    plan: FaultPlan,
    disturbed: u64,
) -> (Topics, Vec<String>) {
    let lanes = folders.iter().map(|(name, folder)| {
        let config =
            FeedConfig { max_delete_share: 0.9, name: (*name).to_owned(), ..store::folder(folder) };
        let make: dataflow::testflow::SourceFactory = Arc::new(move || {
            let plan = RowPlan {
                pack: "p".to_owned(),
                columns: vec!["value".to_owned()],
                key: KeyTemplate::column("id"),
            };
            Box::new(Feed::new(config.clone(), plan, Confirmations::default()))
        });
        ((*name).to_owned(), make)
    });
    let mut test = TestFlow::new(&flow(), seed, plan).sources("ingest", lanes.collect());
    test.run(disturbed).unwrap();
    let tallies = test.bus.tallies("ingest").unwrap().into_iter().collect();
    let conditions = test.board.conditions().into_iter().map(|(place, _)| place).collect();
    ((seen(&test.bus, LISTING_RAW), seen(&test.bus, "ingest.dead-letters"), tallies), conditions)
}

#[test]
fn faults_change_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    snapshots(one.path(), 0);
    snapshots(two.path(), 500);
    let folders = [("one", one.path()), ("two", two.path())];
    let (expect, _) = run(&folders, 1, FaultPlan::default(), 0);
    let rows = 3000 + 2100 + 1 + 900;
    assert_eq!(expect.2["read:one"], rows);
    assert_eq!(expect.2["dead_letters:one"], 1);
    assert_eq!(expect.2["deletes:two"], 2100);
    assert_eq!(expect.0["one:5"].len(), 2);
    assert_eq!(expect.0["one:5"][1].kind, "listing.raw.absent");
    assert_eq!(expect.0["one:5"][1].source, "one");
    assert_eq!(expect.1.len(), 2);
    for seed in 2..14 {
        let (got, _) = run(&folders, seed, FaultPlan::everything(), 300);
        // A one-shot load that dies after its end is a second load, which says the same again.
        for (key, records) in &expect.0 {
            let mut got = got.0[key].clone();
            got.truncate(records.len());
            assert_eq!(&got, records, "seed {seed}");
        }
        assert_eq!(got.2["deletes:one"], expect.2["deletes:one"], "seed {seed}");
        assert_eq!(got.2["read:one"] % rows, 0, "seed {seed}: each load is whole");
    }
}

#[test]
fn a_fault_of_a_file_stops_its_feed_and_no_other() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    snapshots(one.path(), 0);
    write(two.path(), "2020.csv", b"id,VALUE\n1,2\n");
    let folders = [("one", one.path()), ("two", two.path())];
    let plan = FaultPlan::default();
    let lanes = run(&folders, 1, plan, 3000);
    assert_eq!(lanes.0.2["read:one"], 6001);
    assert_eq!(lanes.1, ["ingest two"]);
}
