//! Dead letters, from the refusal to the end.

use std::path::Path;

use serde_json::{Value, json as value};

use crate::{json, load};

const HEADER: &str = "ID,STATUS\n";

fn pack(lookup: &str) -> String {
    format!(
        r#"
name = "tiny"
[source]
format = "csv"
key = "{{ID}}"
[constants]
Country = "CA"
StateOrProvince = "AB"
[fields]
StandardStatus = {{ column = "STATUS", lookup = "status", unknown = "reject" }}
[lookups.status]
{lookup}
"#
    )
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

#[test]
fn a_letter_sent_back_is_applied_or_superseded_and_counts_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, input, data) =
        (folder.path(), folder.path().join("input"), folder.path().join("data"));
    std::fs::create_dir(&input).expect("a folder");
    let feeds = "[[feed]]\nname = \"f\"\npack = \"tiny.toml\"\nfiles = [\"f-*.csv\"]\nmode = \"partial\"\nas_of = \"f-{year}.csv\"\n";
    write(home, &[("tiny.toml", &pack("A = \"Active\"")), ("feeds.toml", feeds)]);
    write(&input, &[("f-2021.csv", &format!("{HEADER}1,Z\n2,Z\n"))]);
    write(&input, &[("f-2022.csv", &format!("{HEADER}1,A\n"))]);
    let feeds = home.join("feeds.toml");
    let (summary, errors) = load(&feeds, &input, &data);
    let counts = |summary: &Value| {
        ["read", "sent", "dead_letters"].map(|n| summary["feeds"]["f"][n].as_i64())
    };
    assert_eq!(counts(&summary), [Some(3), Some(1), Some(2)], "{errors}");

    write(home, &[("tiny.toml", &pack("A = \"Active\"\nZ = \"Closed\""))]);
    let redrive = || json(&[&"dead-letters", &"redrive", &"--all", &"--data", &data, &"--json"]);
    assert_eq!(redrive()["redriven"], 2);
    for old in ["f-2021.csv", "f-2022.csv"] {
        std::fs::remove_file(input.join(old)).expect("it is there");
    }
    write(&input, &[("f-2023.csv", &format!("{HEADER}3,A\n"))]);
    let (summary, errors) = load(&feeds, &input, &data);
    // Its own row, and the letter that came back, which is no dead letter any more.
    assert_eq!(counts(&summary), [Some(1), Some(2), Some(-1)], "{errors}");
    assert_eq!(summary["listings"], 3);

    let letters = json(&[&"dead-letters", &"list", &"--data", &data, &"--json"]);
    let reasons = value!({"normalize superseded": 1, "normalize unknown_lookup": 2});
    assert_eq!(letters["by_reason"], reasons, "{letters}");
    let explained = json(&[&"explain", &"f:1", &"--data", &data, &"--json"]).to_string();
    assert!(!explained.contains("Closed"), "the older word did not come back: {explained}");
    let again = redrive();
    let ends = ["redriven", "already_redriven", "superseded"].map(|n| again[n].as_i64());
    assert_eq!(ends, [Some(0), Some(2), Some(1)], "{again}");
}
