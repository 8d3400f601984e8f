//! Bad input: rows become dead letters with file and line, files stop their feed and no other, nothing is silent.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::{json, load};

const PACK: &str = r#"
name = "tiny"
[source]
format = "csv"
key = "{ID}"
timestamp = { column = "WHEN", form = "%Y-%m-%d" }
[constants]
City = "Calgary"
StateOrProvince = "AB"
Country = "CA"
[fields]
ListPrice = "PRICE"
StandardStatus = { column = "STATUS", lookup = "status" }
Latitude = "LAT"
Longitude = "LON"
PublicRemarks = "REMARKS"
[lookups.status]
A = "Active"
"#;
const HEADER: &str = "ID,PRICE,STATUS,LAT,LON,WHEN,REMARKS\n";

const LINES_PACK: &str = r#"
name = "tiny"
[source]
format = "jsonl"
key = "{ID}"
[constants]
Country = "CA"
StateOrProvince = "AB"
[fields]
ListPrice = "PRICE"
CloseDate = "CLOSE"
"#;

/// What became of a file.
struct Tried {
    /// Counts of its feed.
    counts: Value,
    /// What was said on standard error.
    errors: String,
    /// Dead letters.
    letters: Value,
    /// What `explain` says of the listings that were asked for.
    explained: Vec<Value>,
}

/// Loads `bytes` as one feed and a good file as another.
fn tried(bytes: &[u8]) -> Tried {
    tried_as(("csv", PACK), bytes, &[])
}

fn tried_as((ending, pack): (&str, &str), bytes: &[u8], explain: &[&str]) -> Tried {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    std::fs::create_dir_all(&input).expect("a folder");
    std::fs::write(folder.path().join("bad.toml"), pack).expect("a file");
    std::fs::write(folder.path().join("good.toml"), PACK).expect("a file");
    std::fs::write(input.join(format!("bad.{ending}")), bytes).expect("a file");
    std::fs::write(
        input.join("good.csv"),
        format!("{HEADER}1,100,A,51.05,-114.07,2024-01-01,fine\n"),
    )
    .expect("a file");
    let feed = |name: &str, ending: &str| {
        format!(
            "[[feed]]\nname = \"{name}\"\npack = \"{name}.toml\"\nfiles = [\"{name}.{ending}\"]\nmode = \"full\"\nas_of = \"2024-02-01\"\n"
        )
    };
    let feeds = folder.path().join("feeds.toml");
    std::fs::write(&feeds, feed("bad", ending) + &feed("good", "csv")).expect("a file");
    let (summary, errors) = load(&feeds, &input, &data);
    assert_eq!(summary["feeds"]["good"]["sent"], 1, "the other feed goes on: {errors}");
    let letters = json(&[&"dead-letters", &"list", &"--data", &data, &"--json"]);
    let counts = summary["feeds"]["bad"].clone();
    let ended: i64 = ["sent", "unchanged", "dead_letters"]
        .iter()
        .map(|n| counts[n].as_i64().expect("a count"))
        .sum();
    assert_eq!(counts["read"], ended, "a row went missing: {summary} {errors}");
    let explained = explain
        .iter()
        .map(|key| json(&[&"explain", &format!("bad:{key}"), &"--data", &data, &"--json"]))
        .collect();
    Tried { counts, errors, letters, explained }
}

fn rows(rows: &str) -> Vec<u8> {
    format!("{HEADER}{rows}").into_bytes()
}

/// `(sent, dead letters, text that must stand in the dead letter)`.
#[track_caller]
fn row_fault(bytes: &[u8], sent: i64, dead: i64, says: &str) {
    let Tried { counts, errors, letters, .. } = tried(bytes);
    assert_eq!(
        (counts["sent"].as_i64(), counts["dead_letters"].as_i64()),
        (Some(sent), Some(dead)),
        "{errors} {letters}"
    );
    assert!(letters.to_string().contains(says), "`{says}` is not in {letters}");
    if dead > 0 {
        assert!(letters.to_string().contains("bad.csv"), "the file is not named: {letters}");
        let letter = &letters["dead_letters"][0];
        let message = letter["message"].as_str().unwrap_or_default();
        let named = letter["line"].is_string() || message.starts_with("bad.csv:");
        assert!(named, "the line is not named: {letters}");
    }
}

/// A row that is used: what `explain` must say of it.
#[track_caller]
fn used(bytes: &[u8], says: &[&str]) {
    let Tried { counts, errors, explained, .. } = tried_as(("csv", PACK), bytes, &["1"]);
    assert_eq!((&counts["sent"], &counts["dead_letters"]), (&1.into(), &0.into()), "{errors}");
    let text = explained[0].to_string();
    for part in says {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
}

#[track_caller]
fn file_fault(bytes: &[u8], says: &[&str]) {
    let Tried { errors, .. } = tried(bytes);
    for part in says.iter().chain(&["bad"]) {
        assert!(errors.contains(part), "`{part}` is not in: {errors}");
    }
}

#[test]
fn rows_that_cannot_be_used_become_dead_letters() {
    row_fault(
        &rows("1,5,A,51,-114,2024-01-32,x\n2,5,A,51,-114,2024-01-02,x\n"),
        1,
        1,
        "impossible_date",
    );
    row_fault(&rows(",5,A,51,-114,2024-01-02,x\n2,5,A,51,-114,2024-01-02,x\n"), 1, 1, "key");
    row_fault(&rows("1,5,A,51,-114\n2,5,A,51,-114,2024-01-02,x\n"), 1, 1, "7");
    row_fault(&rows("1,5,A,51,-114,2024-01-02,a\0b\n2,5,A,51,-114,2024-01-02,x\n"), 1, 1, "NUL");
}

#[test]
fn what_can_be_used_is_used_with_a_note() {
    used(&rows("1,lots,A,51,-114,2024-01-02,x\n"), &["unreadable_number", "`lots`"]);
    used(&rows("1,5,ZZ,51,-114,2024-01-02,x\n"), &["unknown_lookup", "`ZZ`"]);
    used(&rows("1,5,A,10,20,2024-01-02,x\n"), &["coordinates_outside_country", "latitude 10"]);
    used(&rows("1,5,A,51,-114,2024-01-02,\"two\nlines\"\n"), &["two\\nlines"]);
    let marked = [b"\xef\xbb\xbf".to_vec(), rows("1,5,A,51,-114,2024-01-02,x\n")].concat();
    used(&marked, &["\"ID\":\"1\""]);
    let windows = [rows("1,5,A,51,-114,2024-01-02,"), b"Montr\xe9al \x80 5\n".to_vec()].concat();
    used(&windows, &["Montr\u{e9}al \u{20ac} 5"]);
}

#[test]
fn bytes_that_are_no_text_are_one_dead_letter() {
    let damaged = [
        rows("1,5,A,51,-114,2024-01-02,"),
        b"\xc3\xa9 and \xe9\n2,5,A,51,-114,2024-01-02,x\n".to_vec(),
    ];
    row_fault(&damaged.concat(), 1, 1, "UTF-8");
    let undefined =
        [rows("1,5,A,51,-114,2024-01-02,"), b"\x81\n2,5,A,51,-114,2024-01-02,x\n".to_vec()];
    row_fault(&undefined.concat(), 1, 1, "bad.csv");
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_line() {
    let open = "1,5,A,51,-114,2024-01-02,\"open\n2,5,A,51,-114,2024-01-02,x\n";
    row_fault(&rows(open), 1, 1, "open_quote");
}

#[test]
fn lines_that_are_no_listing_become_dead_letters() {
    let deep = format!("{{\"ID\":\"7\",\"a\":{}{}}}\n", "[".repeat(5_000), "]".repeat(5_000));
    let lines = [
        b"{\"ID\":\"1\",\"PRICE\":5,\"CLOSE\":\"2024-02-30\"}\n{\"ID\":\"2\",\"PRICE\":\n[1]\n"
            .to_vec(),
        b"{\"ID\":\"3\",\"PRICE\":1e999}\n".to_vec(),
        deep.into_bytes(),
        b"{\"PRICE\":1}\n\xff{\"ID\":\"8\"}\n{\"ID\":\"9\",\"PRICE\":7}".to_vec(),
    ];
    let Tried { counts, letters, explained, .. } =
        tried_as(("jsonl", LINES_PACK), &lines.concat(), &["1", "3"]);
    assert_eq!((&counts["read"], &counts["sent"]), (&8.into(), &3.into()), "{letters}");
    let mut found: Vec<_> = letters["dead_letters"].as_array().expect("a list").iter().collect();
    found.sort_by_key(|letter| letter["line"].as_str().map(str::to_owned));
    let found: Vec<_> = found.iter().map(|l| (l["line"].as_str(), l["code"].as_str())).collect();
    let bad = |line, code| (Some(line), Some(code));
    assert_eq!(
        found,
        [
            bad("2", "bad_json"),
            bad("3", "bad_json"),
            bad("5", "bad_json"),
            bad("6", "no_key"),
            bad("7", "not_utf8")
        ]
    );
    for (listing, code) in explained.iter().zip(["impossible_date", "unreadable_number"]) {
        assert!(listing.to_string().contains(code), "`{code}` is not in {listing}");
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_dead_letter() {
    let mut bytes = rows("1,5,A,51,-114,2024-01-02,x\n2,5,A,51,-114,2024-01-02,");
    bytes.resize(bytes.len() + (100 << 20), b'x');
    bytes.extend_from_slice(b"\n3,5,A,51,-114,2024-01-02,x\n");
    row_fault(&bytes, 2, 1, "line");
}

#[test]
fn files_that_cannot_be_used_stop_their_feed_alone() {
    file_fault(b"", &["empty"]);
    let renamed = b"ID,COST,STATUS,LAT,LON,WHEN,REMARKS\n1,5,A,51,-114,2024-01-02,x\n";
    file_fault(renamed, &["PRICE", "COST", "bad.csv"]);
    file_fault(b"\xff\xfeI\0D\0", &["UTF-16"]);
    file_fault(b"\x1f\x8bno gzip after all", &["gzip"]);
    file_fault(&[b"\0".repeat(300), rows("1,5,A,51,-114,2024-01-02,x\n")].concat(), &["bad.csv"]);
}

#[test]
fn a_cut_gzip_keeps_its_rows_and_deletes_nothing() {
    let mut whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    let many: String =
        (0..2_000).map(|n| format!("{n},5,A,51,-114,2024-01-02,row {n}\n")).collect();
    whole.write_all(&rows(&many)).expect("memory");
    let whole = whole.finish().expect("memory");
    let Tried { counts, errors, .. } = tried(whole.get(..whole.len() / 2).expect("half"));
    assert_eq!(counts["deleted"], 0);
    assert!(counts["sent"].as_i64().is_some_and(|n| n > 500), "{counts}");
    assert!(errors.contains("gzip") || errors.contains("cut"), "{errors}");
}

#[test]
fn a_wrong_path_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, errors) = load(&folder.path().join("nowhere.toml"), Path::new("."), folder.path());
    assert!(errors.contains("nowhere.toml") && errors.contains("check the path"), "{errors}");
}
