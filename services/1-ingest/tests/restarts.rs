//! A feed that dies after or in any step, and whose files change meanwhile, says what it would have said.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/store.rs"]
mod store;

use std::fs;
use std::io::Write;

use dataflow::{Failure, Status};
use ingest::{FeedConfig, FeedReader};
use proptest::prelude::*;
use store::{World, csv, feed, folder, write};

/// Runs until done, with a new feed after each step that `fate` says, uncommitted or not.
fn run_with_deaths(config: &FeedConfig, fate: &[u8]) -> World {
    let mut world = World::default();
    let mut alive: FeedReader = feed(config);
    let mut fate = fate.iter().copied().cycle();
    let mut left = 20_000;
    loop {
        left -= 1;
        assert!(left > 0, "does not come to rest");
        // 0: dies before the step counts; 1: dies after; else lives. What a step only reads is lost with it,
        // so now and then there is a life long enough to end in a step that keeps something.
        let calm = left % 64 < 24;
        let (commit, dies) = match fate.next().unwrap_or(2) {
            0 if !calm => (false, true),
            1 if !calm => (true, true),
            _ => (true, false),
        };
        let status = world.step(&mut alive, commit).unwrap();
        if status == Status::Done && commit {
            world.end(&mut alive).unwrap();
            return world;
        }
        if dies {
            alive = feed(config);
        }
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn rows(ids: &[u16]) -> String {
    let mut text = "id,value\n".to_owned();
    for (n, id) in ids.iter().enumerate() {
        text.push_str(&match n % 50 {
            17 => format!("{id}\n"),
            18 => format!("{id},\"{}\n{n}\"\n", "y".repeat(900)),
            _ => format!("{id},{}\n", "x".repeat(500)),
        });
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn deaths_change_nothing(
        snapshots in prop::collection::vec((prop::collection::vec(0u16..6000, 1..4000), prop::bool::ANY), 1..4),
        damaged in prop::bool::ANY,
        fate in prop::collection::vec(0u8..6, 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (year, (ids, packed)) in (2020..).zip(&snapshots) {
            let mut text = rows(ids);
            if !damaged {
                text = text.replace("17\n", "17,z\n");
            }
            let name = format!("{year}.csv");
            if *packed {
                write(dir.path(), &format!("{name}.gz"), &gzip(&text));
            } else {
                write(dir.path(), &name, text.as_bytes());
            }
        }
        let config = folder(dir.path());
        let mut undisturbed = World::default();
        undisturbed.load(&config).unwrap();
        let disturbed = run_with_deaths(&config, &fate);
        prop_assert_eq!(undisturbed.sent, disturbed.sent);
        prop_assert_eq!(undisturbed.dead, disturbed.dead);
        prop_assert_eq!(undisturbed.tallies, disturbed.tallies);
    }
}

/// Deletes, and keys that join, over several steps with a death after each.
#[test]
fn settling_goes_on_where_it_stopped() {
    // What a step only reads is lost with it, so a feed that dies after every step goes nowhere.
    let often: &[u8] = &[1, 2, 2, 2];
    let unlucky: &[u8] = &[0, 2, 2, 1, 2, 2, 2];
    for (share, fate) in [(1.0, often), (1.0, unlucky), (0.1, often), (0.1, unlucky), (1.0, &[2])] {
        let dir = tempfile::tempdir().unwrap();
        big(dir.path(), "s-2020.csv", 0..20_000, "x");
        big(dir.path(), "s-2021.csv", 15_000..31_000, "x");
        let config = FeedConfig { max_delete_share: share, ..folder(dir.path()) };
        let mut world = run_with_deaths(&config, fate);
        let deleted = if share < 1.0 { 0 } else { 15_000 };
        assert_eq!(world.deleted().len(), deleted, "{share} {fate:?}");
        // What joined the live keys is found again.
        big(dir.path(), "s-2022.csv", 14_000..16_000, "x");
        world.load(&FeedConfig { max_delete_share: 1.0, ..config.clone() }).unwrap();
        let mut once = world.deleted();
        once.sort_unstable();
        once.dedup();
        assert_eq!(
            (once.len(), world.deleted().len()),
            (if deleted == 0 { 29_000 } else { 30_000 }, once.len()),
            "{share} {fate:?}"
        );
        // An older file that comes late: what only it has is said to be gone, over several steps.
        let late = tempfile::tempdir().unwrap();
        big(late.path(), "s-2019.csv", 40_000..50_000, "x");
        let before = world.deleted().len();
        let mut alive = feed(&folder(late.path()));
        for n in 0.. {
            if n % 4 == 3 {
                alive = feed(&folder(late.path()));
            }
            if world.step(&mut alive, true) == Ok(Status::Done) {
                break;
            }
        }
        assert_eq!(world.deleted().len() - before, 10_000);
        assert_eq!(world.live().len(), 2_000);
    }
}

fn big(dir: &std::path::Path, name: &str, ids: std::ops::Range<u32>, value: &str) {
    let ids: Vec<_> = ids.map(|n| n.to_string()).collect();
    let rows: Vec<_> = ids.iter().map(|id| (id.as_str(), value)).collect();
    csv(dir, name, &rows);
}

/// Steps until so many rows are sent.
fn run_to(world: &mut World, feed: &mut FeedReader, rows: usize) {
    while world.sent.len() < rows {
        assert_eq!(world.step(feed, true), Ok(Status::Busy));
    }
}

#[test]
fn a_file_that_is_replaced_starts_anew_and_its_rows_come_after_those_of_the_first() {
    for restart in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        big(dir.path(), "s-2020.csv", 0..10_000, "old");
        let config = folder(dir.path());
        let mut world = World::default();
        let mut alive = feed(&config);
        run_to(&mut world, &mut alive, 4000);
        let before = world.sent.len();
        assert!(before < 10_000);
        if restart {
            // Another size, by another file under the name.
            big(dir.path(), "new", 5..9_000, "newer");
            fs::rename(dir.path().join("new"), dir.path().join("s-2020.csv")).unwrap();
            alive = feed(&config);
        } else {
            // Written over while it is read.
            big(dir.path(), "s-2020.csv", 5..9_000, "newer");
        }
        world.run(&mut alive).unwrap();
        let end = world.live();
        assert_eq!(end.len(), 9_000 - 5, "restart {restart}");
        assert!(end.values().all(|row| row.contains("newer")));
        assert!(world.sent.iter().any(|m| m.3.contains("\"seq\":1000000001,")));
        assert!(world.deleted().contains(&"f:0"), "what only the first one had is gone");
    }
}

#[test]
fn a_file_that_is_moved_while_it_is_read_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    big(dir.path(), "s-2020.csv", 0..10_000, "x");
    let config = folder(dir.path());
    let mut undisturbed = World::default();
    undisturbed.load(&config).unwrap();
    let mut world = World::default();
    run_to(&mut world, &mut feed(&config), 4000);
    fs::rename(dir.path().join("s-2020.csv"), dir.path().join("moved 2020.csv")).unwrap();
    world.load(&config).unwrap();
    assert_eq!(world.sent, undisturbed.sent);
}

#[test]
fn a_truncated_file_stops_the_feed_and_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = |n: u32| {
        (0..n).fold("id,value\n".to_owned(), |t, n| format!("{t}{n},{}\n", n * 7919 % 1000))
    };
    write(dir.path(), "s-2020.csv.gz", &gzip(&text(20_000)));
    let whole = gzip(&text(19_000));
    write(dir.path(), "s-2021.csv.gz", &whole[..whole.len() - 5000]);
    let config = folder(dir.path());
    let mut world = World::default();
    for _ in 0..2 {
        let Err(Failure::Stop { reason }) = world.load(&config) else { panic!("stops") };
        assert!(reason.contains("s-2021.csv.gz ends in the middle"), "{reason}");
    }
    let sent = world.sent.len();
    assert!(sent > 25_000 && sent < 39_000, "rows before stay, and are sent once: {sent}");
    assert_eq!(world.deleted(), Vec::<&str>::new());
    write(dir.path(), "s-2021.csv.gz", &whole);
    world.load(&config).unwrap();
    assert_eq!(world.deleted().len(), 1000);
    assert_eq!(world.live().len(), 19_000);
}

#[test]
fn files_that_are_refused_stop_the_feed() {
    for (bytes, word) in [
        (&b""[..], "is empty"),
        (b"ID,value\n1,2\n", "has no column \"id\", which pack f reads; it has \"ID\""),
        (b"\xff\xfei\0d\0", "UTF-16"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "s-2020.csv", bytes);
        let stop = World::default().load(&folder(dir.path())).unwrap_err().to_string();
        assert!(stop.contains(word) && stop.contains("s-2020.csv"), "{stop}");
    }
    let nowhere = std::path::Path::new("/nowhere/at/all");
    let stop = World::default().load(&folder(nowhere)).unwrap_err().to_string();
    assert!(stop.contains("/nowhere/at/all"), "{stop}");
    let stop = World::default().load(&FeedConfig::load("f", vec![nowhere.to_owned()])).unwrap_err();
    assert!(stop.to_string().contains("/nowhere/at/all"), "{stop}");
    assert!(World::default().load(&FeedConfig::load("f", Vec::new())).is_err());
}

#[test]
fn watching_takes_files_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let config = FeedConfig {
        mode: ingest::Mode::Partial,
        format: ingest::Format::JsonLines,
        watch_ms: Some(40),
        ..folder(dir.path())
    };
    let mut world = World::default();
    let mut alive = feed(&config);
    world.run(&mut alive).unwrap();
    for n in 1..5 {
        write(dir.path(), ".part", format!("{{\"id\":\"{n}\",\"v\":{n}}}\n").as_bytes());
        assert_eq!(world.step(&mut alive, true), Ok(Status::Busy));
        world.run(&mut alive).unwrap();
        assert_eq!(world.sent.len(), n - 1, "a file that is being written is not taken");
        fs::rename(dir.path().join(".part"), dir.path().join(format!("2024-01-0{n}.jsonl")))
            .unwrap();
        if n == 3 {
            alive = feed(&config);
        }
        world.run(&mut alive).unwrap();
        assert_eq!(world.sent.len(), n);
        assert!(world.sent[n - 1].3.ends_with(&format!("\"row\":{{\"id\":\"{n}\",\"v\":{n}}}}}")));
    }
}

#[test]
fn a_load_that_dies_after_its_last_row_reads_nothing_again() {
    let dir = tempfile::tempdir().unwrap();
    big(dir.path(), "s-2020.csv", 0..10, "x");
    big(dir.path(), "s-2022.csv", 0..10, "x");
    let config = folder(dir.path());
    let mut world = World::default();
    for _ in 0..3 {
        let mut alive = feed(&config);
        while world.step(&mut alive, true).unwrap() == Status::Busy {}
        assert_eq!(world.tallies["read:f"], 20, "it was not told that the load had ended");
    }
    let mut alive = feed(&config);
    world.run(&mut alive).unwrap();
    world.load(&config).unwrap();
    assert_eq!(world.tallies["read:f"], 40, "the next load reads all files");
}

#[test]
fn an_interrupted_load_does_not_hide_files_of_the_next() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    big(one.path(), "s-2020.csv", 0..10, "x");
    big(one.path(), "s-2022.csv", 0..10, "x");
    big(two.path(), "s-2019.csv", 0..11, "x");
    let mut world = World::default();
    run_to(&mut world, &mut feed(&folder(one.path())), 10);
    world.load(&folder(two.path())).unwrap();
    assert_eq!(world.tallies["read:f"], 21);
}
