//! Cases as files: what is said about one listing, line by line, and what comes of it.
//!
//! A line that begins with `>` is said; the lines below it are what must come out. Said are
//! `observe DAY/SEQ [source=DAY] [revision=N] LISTING`, `delete DAY/SEQ`, and
//! `ACTION ID BASED-ON SET` for a command. `key KEY` names the listing. `TRACK_WRITE_CASES=1` writes what
//! comes out into the files; read the difference before you keep it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails must panic"
)]

#[path = "support/history.rs"]
mod history;

use std::fmt::Write;
use std::path::Path;

use history::{Run, command, delete, observe};
use track::Decision;

#[test]
fn cases_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6, "the case files are missing");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let found = played(&text);
        if std::env::var_os("TRACK_WRITE_CASES").is_some() {
            std::fs::write(&file, &found).unwrap();
            continue;
        }
        assert!(text == found, "{} came out as\n{found}", file.display());
    }
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let right = "> observe 1/1 {\"City\":\"a\"}\noutcome Sent version 1\n";
    assert!(played(right).starts_with(right));
    let wrong = "> observe 1/1 {\"City\":\"a\"}\noutcome Stale version 1\n";
    assert!(!played(wrong).starts_with(wrong));
}

/// The file as it would be if all in it were right.
fn played(text: &str) -> String {
    let mut run = Run::new(track::apply);
    let mut out = String::new();
    for line in text.lines() {
        if let Some(key) = line.strip_prefix("key ") {
            key.clone_into(&mut run.key);
        }
        if let Some(said) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            tell(&run.say(&message(said)), &mut out);
        } else if line.is_empty() || line.starts_with(['#', 'k']) {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

fn tell(decision: &Decision, out: &mut String) {
    writeln!(out, "outcome {:?} version {}", decision.outcome, decision.version).unwrap();
    let lines = decision
        .events
        .iter()
        .map(|(_, value)| ("event", value))
        .chain(decision.media.iter().map(|value| ("media", value)))
        .chain(decision.answers.iter().map(|answer| ("answer", &answer.value)))
        .chain(decision.current.iter().map(|value| ("current", value)));
    for (what, value) in lines {
        writeln!(out, "{what} {}", String::from_utf8_lossy(value)).unwrap();
    }
}

fn message(said: &str) -> Vec<u8> {
    let (head, body) = said.split_at(said.find('{').unwrap_or(said.len()));
    let words: Vec<_> = head.split_whitespace().collect();
    let place = |text: &str| {
        let (day, seq) = text.split_once('/').unwrap();
        (day.parse().unwrap(), seq.parse().unwrap())
    };
    let option = |name: &str| {
        let value = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.parse().unwrap())
    };
    match words.as_slice() {
        ["observe", at, ..] => {
            let (day, seq) = place(at);
            observe(day, seq, option("source"), option("revision").unwrap_or(1), body)
        }
        ["delete", at] => {
            let (day, seq) = place(at);
            delete(day, seq)
        }
        [action, id, based_on] => command(
            id,
            based_on.parse().unwrap(),
            action,
            if body.is_empty() { "{}" } else { body },
        ),
        _ => panic!("cannot say {said}"),
    }
}
