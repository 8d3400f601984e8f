//! Full and partial snapshots: what is deleted, what is not, and what waits for a word.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/store.rs"]
mod store;

use std::fs;

use dataflow::Status;
use ingest::{AsOf, AsOfRule, Confirmations, FeedConfig, Mode};
use store::{World, confirmed_feed, csv, folder, write};

fn rows(ids: &str) -> Vec<(String, &'static str)> {
    ids.chars().map(|c| (c.to_string(), "x")).collect()
}

fn snapshot(dir: &std::path::Path, year: u32, ids: &str) {
    let rows = rows(ids);
    let rows: Vec<_> = rows.iter().map(|(id, v)| (id.as_str(), *v)).collect();
    csv(dir, &format!("s-{year}.csv"), &rows);
}

fn live(world: &World) -> String {
    world.live().keys().map(|k| k.trim_start_matches("f:")).collect()
}

/// Loads each list of snapshots as one load, and says what was deleted and what is live.
fn play(loads: &[&[(u32, &str)]], change: impl Fn(&mut FeedConfig)) -> (String, String, World) {
    let mut world = World::default();
    for load in loads {
        let dir = tempfile::tempdir().unwrap();
        for (year, ids) in *load {
            snapshot(dir.path(), *year, ids);
        }
        let mut config = folder(dir.path());
        change(&mut config);
        world.load(&config).unwrap();
    }
    let deleted = world.deleted().iter().map(|k| k.trim_start_matches("f:")).collect();
    (deleted, live(&world), world)
}

#[test]
fn absence_is_deletion_only_where_it_must_be() {
    for (loads, deleted, end) in [
        (&[&[(2020, "abcd"), (2021, "abce")][..]][..], "d", "abce"),
        // In any order of loads the end is the same; what comes late deletes nothing that is newer.
        (&[&[(2021, "abce")], &[(2020, "abcd")]], "d", "abce"),
        (&[&[(2022, "abf")], &[(2020, "abcd")], &[(2021, "abce")]], "cdce", "abf"),
        (&[&[(2020, "abcd")], &[(2022, "abf")], &[(2021, "abce")]], "cdce", "abf"),
        // A listing that comes back.
        (&[&[(2020, "abc"), (2021, "ab"), (2022, "abc")]], "c", "abc"),
        // The same again, and again in one load.
        (&[&[(2020, "abcd"), (2021, "abce")], &[(2020, "abcd"), (2021, "abce")]], "d", "abce"),
        // A replaced file with the same as-of is a newer word.
        (&[&[(2020, "abcd")], &[(2020, "abc")]], "d", "abc"),
        (&[&[(2020, "abc")], &[(2020, "bac")], &[(2020, "ac")], &[(2020, "abc")]], "b", "ac"),
        // A row given twice.
        (&[&[(2020, "aabcd"), (2021, "abbc")]], "d", "abc"),
        (&[&[(2020, "abcdd"), (2021, "abc")]], "d", "abc"),
    ] {
        let got = play(loads, |_| ());
        assert_eq!((got.0.as_str(), got.1.as_str()), (deleted, end), "{loads:?}");
        let chunks = got.2.stored().iter().filter(|k| k.starts_with("keys/")).count();
        assert_eq!(chunks, 1, "old sets of keys are removed: {:?}", got.2.stored());
    }
}

#[test]
fn partial_snapshots_delete_nothing() {
    let partial = |c: &mut FeedConfig| c.mode = Mode::Partial;
    let (deleted, end, world) = play(&[&[(2020, "abcd"), (2021, "e")], &[(2019, "f")]], partial);
    assert_eq!((deleted.as_str(), end.as_str()), ("", "abcdef"));
    assert!(!world.stored().iter().any(|k| k.starts_with("keys/")));
}

#[test]
fn an_unreadable_key_means_that_nothing_is_deleted_until_the_next_whole_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    snapshot(dir.path(), 2020, "abcd");
    write(dir.path(), "s-2021.csv", b"id,value\na,x\nb,x\ne,x\nc\n");
    let config = folder(dir.path());
    let confirmations = Confirmations::default();
    let mut world = World::default();
    world.run(&mut confirmed_feed(&config, &confirmations)).unwrap();
    assert_eq!(world.deleted(), Vec::<&str>::new());
    assert_eq!(world.dead.len(), 1);
    assert_eq!(
        world.dead[0],
        ("wrong_column_count".into(), "s-2021.csv".into(), "5".into(), b"c".to_vec())
    );
    // What only the damaged one had is found to be gone by the next whole one.
    snapshot(dir.path(), 2022, "abcf");
    let mut feed = confirmed_feed(&config, &confirmations);
    world.run(&mut feed).unwrap();
    assert_eq!(world.deleted(), ["f:d", "f:e"]);
    assert_eq!(live(&world), "abcf");
    assert_eq!(world.tallies["read:f"], 8 + 8 + 4);
    assert_eq!(world.tallies["deletes:f"], 2);
}

#[test]
fn the_guard_waits_for_a_confirmation() {
    let dir = tempfile::tempdir().unwrap();
    snapshot(dir.path(), 2020, "abcdefghij");
    let config = FeedConfig { watch_ms: Some(7), ..folder(dir.path()) };
    let confirmations = Confirmations::default();
    let mut world = World::default();
    let mut feed = confirmed_feed(&config, &confirmations);
    world.run(&mut feed).unwrap();
    snapshot(dir.path(), 2021, "abx");
    world.run(&mut feed).unwrap();
    assert_eq!(world.step(&mut feed, true), Ok(Status::Busy));
    world.run(&mut feed).unwrap();
    assert_eq!(live(&world), "abcdefghijx", "rows are taken in, deletes wait");
    let held = confirmations.held();
    assert_eq!((held[0].deletes, held[0].of, held[0].file.as_str()), (8, 10, "s-2021.csv"));
    // Held through a restart, and confirmed by its name only.
    let confirmations = Confirmations::default();
    let mut feed = confirmed_feed(&config, &confirmations);
    world.run(&mut feed).unwrap();
    assert_eq!(confirmations.held(), held);
    assert!(confirmations.confirm("f", "abc").is_err());
    assert!(confirmations.confirm("g", &held[0].snapshot).is_err());
    world.run(&mut feed).unwrap();
    assert_eq!(world.deleted().len(), 0);
    confirmations.confirm("f", &held[0].snapshot).unwrap();
    world.run(&mut feed).unwrap();
    world.run(&mut feed).unwrap();
    assert_eq!(world.deleted().len(), 8);
    assert_eq!(live(&world), "abx");
    assert_eq!(confirmations.held(), []);
}

#[test]
fn a_newer_snapshot_replaces_what_waits() {
    for (next, deleted, end) in [
        // The short file was an accident.
        ("abcdefghiy", "jx", "abcdefghiy"),
        // It was not.
        ("aby", "", "abcdefghijxy"),
    ] {
        let (got, live, world) =
            play(&[&[(2020, "abcdefghij"), (2021, "abx"), (2022, next)]], |_| ());
        assert_eq!((got.as_str(), live.as_str()), (deleted, end));
        let sets: std::collections::BTreeSet<_> = world
            .stored()
            .iter()
            .filter_map(|k| k.strip_prefix("keys/")?.get(..8).map(str::to_owned))
            .collect();
        assert_eq!(sets.len(), if deleted.is_empty() { 2 } else { 1 });
    }
    // An older one does not.
    let dir = tempfile::tempdir().unwrap();
    let confirmations = Confirmations::default();
    let config = folder(dir.path());
    let mut world = World::default();
    snapshot(dir.path(), 2020, "abcdefghij");
    snapshot(dir.path(), 2022, "abx");
    world.run(&mut confirmed_feed(&config, &confirmations)).unwrap();
    snapshot(dir.path(), 2021, "abcdz");
    world.run(&mut confirmed_feed(&config, &confirmations)).unwrap();
    assert_eq!(live(&world), "abcdefghijx");
    let held = confirmations.held();
    confirmations.confirm("f", &held[0].snapshot).unwrap();
    world.run(&mut confirmed_feed(&config, &confirmations)).unwrap();
    assert_eq!(live(&world), "abx");
}

#[test]
fn no_rows_at_all_is_a_short_file() {
    let (deleted, end, _) = play(&[&[(2020, "abc"), (2021, "")]], |_| ());
    assert_eq!((deleted.as_str(), end.as_str()), ("", "abc"));
}

#[test]
fn copies_and_new_names_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    snapshot(dir.path(), 2020, "abcd");
    snapshot(dir.path(), 2021, "abc");
    let config = folder(dir.path());
    let mut world = World::default();
    world.load(&config).unwrap();
    let (deleted, end) = (world.deleted().len(), world.live());
    // Copied, renamed with its date, and without it.
    fs::copy(dir.path().join("s-2020.csv"), dir.path().join("copy of s-2020 (1).csv")).unwrap();
    fs::rename(dir.path().join("s-2021.csv"), dir.path().join("new 2021-01-01.csv")).unwrap();
    fs::rename(dir.path().join("s-2020.csv"), dir.path().join("roll.csv")).unwrap();
    world.load(&config).unwrap();
    assert_eq!((world.deleted().len(), world.live()), (deleted, end));
    assert_eq!(world.tallies["read:f"], 7 + 11, "each row given is read");
    // Watching does not read again what is known.
    let watched = FeedConfig { watch_ms: Some(5), ..config };
    world.load(&watched).unwrap();
    assert_eq!(world.tallies["read:f"], 18);
}

#[test]
fn the_as_of_comes_from_the_name_or_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = csv(dir.path(), "roll.csv", &[("a", "1")]);
    let config = FeedConfig::load("f", vec![path]);
    let mut world = World::default();
    let refused = world.load(&config).unwrap_err().to_string();
    assert!(refused.contains("roll.csv has no date in its name"), "{refused}");
    let as_of = AsOf::parse("2021-02-03").unwrap();
    for rule in [AsOfRule::Fixed(as_of), AsOfRule::Table([("roll.csv".to_owned(), as_of)].into())] {
        let mut world = World::default();
        world.load(&FeedConfig { as_of: rule, ..config.clone() }).unwrap();
        assert_eq!(
            world.sent[0].3,
            r#"{"op":"upsert","asOf":"2021-02-03T00:00:00.000Z","seq":1,"file":"roll.csv","line":2,"row":{"id":"a","value":"1"}}"#
        );
    }
}

#[test]
fn the_words_of_a_delete() {
    let (_, _, world) = play(&[&[(2020, "abc"), (2021, "ab")]], |_| ());
    let (key, kind, _, value) = world.sent.last().unwrap();
    assert_eq!((key.as_str(), kind.as_str()), ("f:c", "listing.raw.absent"));
    assert_eq!(
        value,
        r#"{"op":"delete","asOf":"2021-01-01T00:00:00.000Z","seq":3,"file":"s-2021.csv","reason":"absent from the full snapshot s-2021.csv"}"#
    );
    let (_, _, world) = play(&[&[(2021, "ab")], &[(2020, "abc")]], |_| ());
    let value = &world.sent.last().unwrap().3;
    assert!(
        value.contains("absent from the full snapshot s-2021.csv, which is newer than s-2020.csv"),
        "{value}"
    );
}
