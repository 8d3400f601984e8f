//! The feed as files: numbering and state over restarts and crashes, faults and the truth about them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the finding"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use simulator::{Driver, Error, FaultKind, FaultPlan, FeedWriter, Settings, change_number};

const START_MS: i64 = 1_767_225_600_000;

fn settings() -> Settings {
    Settings { rate_per_second: 100.0, rows_per_file: 80, ..Settings::new(11, 200) }
}

/// Every file of the feed by name, with its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

/// Opens the folder anew before each of `pieces`, and makes that many steps of 100 ms.
fn drive(folder: &Path, pieces: &[i64]) -> BTreeMap<String, Vec<u8>> {
    let mut now_ms = START_MS;
    for steps in pieces {
        let mut driver = Driver::open(folder, &settings(), now_ms).unwrap();
        for _ in 0..*steps {
            now_ms += 100;
            assert_eq!(driver.step(now_ms).unwrap().unwrap().changes, 10);
        }
    }
    files(folder)
}

#[test]
fn a_restart_goes_on_as_if_there_had_been_none() {
    let (once, often) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = drive(once.path(), &[40]);
    assert_eq!(drive(often.path(), &[1, 0, 13, 1, 25]), expected);
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 43);
    assert_eq!(&names[..2], ["changes-000000001.jsonl", "changes-000000002.jsonl"]);
    assert_eq!(
        &names[40..],
        ["inventory-0000.jsonl", "inventory-0001.jsonl", "inventory-0002.jsonl"]
    );
    let lines = |name: &str| expected[name].iter().filter(|byte| **byte == b'\n').count();
    assert_eq!((lines(names[40]), lines(names[42])), (80, 40));
}

#[test]
fn a_restart_behind_snapshots_goes_on_as_well() {
    // Enough changes in one step for several snapshots, seen by the state's own file.
    let (once, often) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |folder: &Path, reopen: bool| {
        let fast = Settings { rate_per_second: 9_000.0, ..settings() };
        let mut driver = Driver::open(folder, &fast, START_MS).unwrap();
        for second in 1..=8 {
            if reopen {
                driver = Driver::open(folder, &fast, START_MS + (second - 1) * 1_000).unwrap();
            }
            assert_eq!(driver.step(START_MS + second * 1_000).unwrap().unwrap().changes, 9_000);
        }
        files(folder)
    };
    assert_eq!(run(once.path(), false), run(often.path(), true));
    let snapshots = fs::read_dir(often.path())
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("market.snapshot-")
        })
        .count();
    assert_eq!(snapshots, 1, "one snapshot is kept");
}

#[test]
fn a_step_whose_file_was_not_written_is_written_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let whole = drive(folder.path(), &[7]);
    fs::remove_file(folder.path().join("changes-000000007.jsonl")).unwrap();
    fs::write(folder.path().join("changes-000000007.jsonl.tmp"), b"half").unwrap();
    Driver::open(folder.path(), &settings(), START_MS + 700).unwrap();
    assert_eq!(files(folder.path()), whole);
}

#[test]
fn an_inventory_that_was_broken_off_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["inventory-0000.jsonl", "inventory-0099.jsonl"] {
        fs::write(folder.path().join(name), b"left behind\n").unwrap();
    }
    Driver::open(folder.path(), &settings(), START_MS).unwrap();
    let names: Vec<String> = files(folder.path()).into_keys().collect();
    assert_eq!(names, ["inventory-0000.jsonl", "inventory-0001.jsonl", "inventory-0002.jsonl"]);
}

#[test]
fn consumed_files_go_and_numbering_goes_on_behind_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    drive(folder.path(), &[9]);
    let numbers =
        || files(folder.path()).keys().filter_map(|name| change_number(name)).collect::<Vec<_>>();
    let mut writer = FeedWriter::new(folder.path(), 10).unwrap();
    assert_eq!(writer.delete_consumed(4).unwrap(), 4);
    assert_eq!(numbers(), [5, 6, 7, 8, 9]);
    assert_eq!(writer.keep_newest(3).unwrap(), 2);
    assert_eq!(numbers(), [7, 8, 9]);
    assert_eq!(writer.delete_consumed(u64::MAX).unwrap(), 2);
    assert_eq!(numbers(), [9], "the newest stays");
    let mut driver = Driver::open(folder.path(), &settings(), START_MS + 900).unwrap();
    driver.step(START_MS + 1_000).unwrap();
    assert_eq!(numbers(), [9, 10]);
}

#[test]
fn a_folder_of_another_market_or_a_damaged_one_is_refused_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    drive(folder.path(), &[1]);
    let other = Driver::open(folder.path(), &Settings::new(12, 200), START_MS).unwrap_err();
    assert!(matches!(other, Error::OtherMarket { held_seed: 11, seed: 12, .. }), "{other}");
    let state = folder.path().join("market.state.json");
    let text = fs::read_to_string(&state).unwrap();
    for (damaged, reason) in [
        (String::new(), "EOF"),
        (text.replace("\"format\":1", "\"format\":2"), "format 2"),
        ("x".repeat(2 << 20), "too large"),
    ] {
        fs::write(&state, damaged).unwrap();
        let error = Driver::open(folder.path(), &settings(), START_MS).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("Delete the folder"), "{error}");
    }
}

#[test]
fn nothing_is_due_nothing_is_written_and_the_pace_can_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut driver = Driver::open(folder.path(), &settings(), START_MS).unwrap();
    assert_eq!(driver.step(START_MS).unwrap(), None);
    assert_eq!(driver.step(START_MS - 5_000).unwrap(), None);
    driver.set_rate(0.0, START_MS);
    assert_eq!(driver.step(START_MS + 60_000).unwrap(), None);
    driver.set_rate(2.0, START_MS + 60_000);
    assert_eq!(driver.step(START_MS + 61_000).unwrap().unwrap().changes, 2);
    assert_eq!(driver.market().changes(), 2);
}

/// Reads a feed as a strict reader does: bad lines are refused, older rows dropped, the rest applied in order.
fn read_strictly(files: &BTreeMap<String, Vec<u8>>) -> (BTreeMap<u64, (Value, u64)>, u64) {
    let mut listings: BTreeMap<u64, (Value, u64)> = BTreeMap::new();
    let mut refused = 0;
    // Inventory first, as its name does not sort so.
    let (changes, inventory): (Vec<_>, Vec<_>) =
        files.iter().partition(|(name, _)| name.starts_with("changes"));
    for (_, content) in inventory.into_iter().chain(changes) {
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Some((key, row)) = accepted(line) else {
                refused += 1;
                continue;
            };
            match listings.get_mut(&key) {
                Some((known, versions))
                    if known["LAST_MOD"].as_str() < row["LAST_MOD"].as_str() =>
                {
                    (*known, *versions) = (row, *versions + 1);
                }
                Some(_) => {}
                None => drop(listings.insert(key, (row, 1))),
            }
        }
    }
    (listings, refused)
}

fn accepted(line: &[u8]) -> Option<(u64, Value)> {
    let row: Value = serde_json::from_slice(line).ok()?;
    let key = row.get("MLS_NUM")?.as_str()?.parse().ok()?;
    let good = price(&row).is_some()
        && row["STATUS_CD"] != "ZZ"
        && !row["LAST_MOD"].as_str()?.contains("-02-30");
    good.then_some((key, row))
}

fn price(row: &Value) -> Option<u64> {
    row["LIST_PRICE"].as_u64().or_else(|| row["LIST_PRICE"].as_str()?.replace(',', "").parse().ok())
}

#[test]
fn the_truth_is_what_a_strict_reader_ends_with() {
    for plan in [
        FaultPlan::default(),
        FaultPlan::all(4),
        FaultPlan { one_in: 1, kinds: vec![FaultKind::Stale] },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { faults: plan.clone(), keep_truth: true, ..settings() };
        let mut driver = Driver::open(folder.path(), &settings, START_MS).unwrap();
        for step in 1..=60 {
            driver.step(START_MS + step * 250).unwrap();
        }
        let files = files(folder.path());
        let truth = driver.truth().unwrap();
        let lines: usize = files
            .values()
            .map(|content| content.iter().filter(|byte| **byte == b'\n').count())
            .sum();
        assert_eq!(truth.lines, lines as u64);
        let (listings, refused) = read_strictly(&files);
        let harmless = [FaultKind::Duplicate, FaultKind::Stale];
        let bad = truth.faults.iter().filter(|fault| !harmless.contains(&fault.kind)).count();
        assert_eq!(refused, bad as u64);
        assert_eq!(listings.len(), truth.listings.len());
        for (key, expected) in &truth.listings {
            let (row, versions) = &listings[key];
            assert_eq!(row["STATUS_CD"], expected.status.code(), "{key}");
            assert_eq!(price(row), Some(expected.list_price), "{key}");
            assert_eq!(row["CLOSE_PRICE"].as_u64(), expected.close_price, "{key}");
            assert_eq!(*versions, expected.versions, "{key}");
        }
        let kinds: Vec<FaultKind> = FaultKind::ALL
            .into_iter()
            .filter(|kind| truth.faults.iter().any(|fault| fault.kind == *kind))
            .collect();
        assert_eq!(kinds, plan.kinds, "every kind of the plan occurs, and no other");
        check_positions(&files, truth);
    }
}

/// The line that the truth names is the faulty one: for two kinds that a line shows by itself.
fn check_positions(files: &BTreeMap<String, Vec<u8>>, truth: &simulator::Truth) {
    for fault in &truth.faults {
        let at = usize::try_from(fault.line).unwrap() - 1;
        let line = files[&fault.file].split(|byte| *byte == b'\n').nth(at).unwrap();
        match fault.kind {
            FaultKind::BrokenJson => assert!(serde_json::from_slice::<Value>(line).is_err()),
            FaultKind::UnknownStatus => assert!(line.windows(4).any(|window| window == b"\"ZZ\"")),
            _ => {}
        }
    }
}
