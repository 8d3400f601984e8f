//! Bad input: rows become dead letters with file and line, files stop their feed and no other, nothing is silent.

use std::io::Write;
use std::path::Path;

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

/// Loads `bytes` as one feed and a good file as another. Returns counts of the feed, what was said, dead letters.
fn tried(bytes: &[u8]) -> (serde_json::Value, String, serde_json::Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    std::fs::create_dir_all(&input).expect("a folder");
    std::fs::write(folder.path().join("tiny.toml"), PACK).expect("a file");
    std::fs::write(input.join("bad.csv"), bytes).expect("a file");
    std::fs::write(
        input.join("good.csv"),
        format!("{HEADER}1,100,A,51.05,-114.07,2024-01-01,fine\n"),
    )
    .expect("a file");
    let feed = |name: &str| {
        format!(
            "[[feed]]\nname = \"{name}\"\npack = \"tiny.toml\"\nfiles = [\"{name}.csv\"]\nmode = \"full\"\nas_of = \"2024-02-01\"\n"
        )
    };
    std::fs::write(folder.path().join("feeds.toml"), feed("bad") + &feed("good")).expect("a file");
    let (summary, errors) = load(&folder.path().join("feeds.toml"), &input, &data);
    assert_eq!(summary["feeds"]["good"]["sent"], 1, "the other feed goes on: {errors}");
    let dead = json(&[&"dead-letters", &"list", &"--data", &data, &"--json"]);
    let counts = summary["feeds"]["bad"].clone();
    let ended: i64 = ["sent", "unchanged", "dead_letters"]
        .iter()
        .map(|n| counts[n].as_i64().expect("a count"))
        .sum();
    assert_eq!(counts["read"], ended, "a row went missing: {summary} {errors}");
    (counts, errors, dead)
}

fn rows(rows: &str) -> Vec<u8> {
    format!("{HEADER}{rows}").into_bytes()
}

/// `(sent, dead letters, text that must stand in the dead letter)`.
#[track_caller]
fn row_fault(bytes: &[u8], sent: i64, dead: i64, says: &str) {
    let (counts, errors, letters) = tried(bytes);
    assert_eq!(
        (counts["sent"].as_i64(), counts["dead_letters"].as_i64()),
        (Some(sent), Some(dead)),
        "{errors} {letters}"
    );
    assert!(letters.to_string().contains(says), "`{says}` is not in {letters}");
    if dead > 0 {
        assert!(letters.to_string().contains("bad.csv"), "the file is not named: {letters}");
    }
}

#[track_caller]
fn file_fault(bytes: &[u8], says: &str) {
    let (_, errors, _) = tried(bytes);
    assert!(errors.contains(says), "`{says}` is not in: {errors}");
    assert!(errors.contains("bad"), "the feed is not named: {errors}");
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
    row_fault(&rows("1,lots,A,51,-114,2024-01-02,x\n"), 1, 0, "");
    row_fault(&rows("1,5,ZZ,51,-114,2024-01-02,x\n"), 1, 0, "");
    row_fault(&rows("1,5,A,10,20,2024-01-02,x\n"), 1, 0, "");
    row_fault(&rows("1,5,A,51,-114,2024-01-02,\"two\nlines\"\n"), 1, 0, "");
    row_fault(&[b"\xef\xbb\xbf".to_vec(), rows("1,5,A,51,-114,2024-01-02,x\n")].concat(), 1, 0, "");
    row_fault(&[rows("1,5,A,51,-114,2024-01-02,"), b"Montr\xe9al\n".to_vec()].concat(), 1, 0, "");
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
    file_fault(b"", "empty");
    file_fault(b"ID,COST,STATUS,LAT,LON,WHEN,REMARKS\n1,5,A,51,-114,2024-01-02,x\n", "PRICE");
    file_fault(b"ID,COST,STATUS,LAT,LON,WHEN,REMARKS\n1,5,A,51,-114,2024-01-02,x\n", "COST");
    file_fault(b"\xff\xfeI\0D\0", "UTF-16");
}

#[test]
fn a_cut_gzip_keeps_its_rows_and_deletes_nothing() {
    let mut whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    let many: String =
        (0..2_000).map(|n| format!("{n},5,A,51,-114,2024-01-02,row {n}\n")).collect();
    whole.write_all(&rows(&many)).expect("memory");
    let whole = whole.finish().expect("memory");
    let (counts, errors, _) = tried(whole.get(..whole.len() / 2).expect("half"));
    assert_eq!(counts["deleted"], 0);
    assert!(errors.contains("gzip") || errors.contains("cut"), "{errors}");
}

#[test]
fn a_wrong_path_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, errors) = load(&folder.path().join("nowhere.toml"), Path::new("."), folder.path());
    assert!(errors.contains("nowhere.toml") && errors.contains("check the path"), "{errors}");
}
