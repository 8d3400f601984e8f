use super::*;
use proptest::prelude::*;

const GOOD: &str = r#"
[geography]
postal_codes = ["geonames/US.zip"]

[[feed]]
name = "rolls"
pack = "../packs/rolls.toml"
files = ["rolls/rolls-*.csv"]
mode = "full"
as_of = "rolls-{year}.csv"

[[feed]]
name = "sales"
pack = "../packs/sales.toml"
files = "sales.csv"
mode = "partial"
as_of = "2015-05-27T01:00:00+01:00"
max_delete_share = 0.5
"#;

#[test]
fn a_good_file() {
    let feeds = Feeds::parse(GOOD).unwrap();
    assert_eq!(feeds.geography.postal_codes, ["geonames/US.zip"]);
    let rolls = feeds.feed("rolls").unwrap();
    assert_eq!((rolls.mode, rolls.max_delete_share.to_string()), (Mode::Full, "0.2".to_owned()));
    assert_eq!(rolls.as_of("rolls-2019.csv").unwrap().to_string(), "2019-01-01T00:00:00.000Z");
    assert!(rolls.has_file("rolls/rolls-2019.csv") && !rolls.has_file("rolls/old/rolls-2019.csv"));
    let sales = feeds.feed("sales").unwrap();
    assert_eq!(sales.as_of("whatever").unwrap().to_string(), "2015-05-27T00:00:00.000Z");
    for name in ["rolls-19.csv", "rolls-2019.csv.bak", "rolls-+019.csv", "x", "rolls-٢٠١٩.csv"]
    {
        assert!(rolls.as_of(name).unwrap_err().to_string().contains(name), "{name}");
    }
}

#[test]
fn every_fault_has_its_line() {
    for (from, to, line, says) in [
        ("mode = \"full\"", "mode = \"whole\"", 9, "`mode` must be"),
        ("pack = \"../packs/rolls.toml\"", "", 5, "`feed.pack` is missing"),
        ("pack = \"../packs/rolls.toml\"", "pakc = \"x\"", 7, "did you mean `pack`?"),
        ("[geography]", "[geografy]", 2, "did you mean `geography`?"),
        ("\"sales\"", "\"rolls\"", 12, "two feeds named `rolls`"),
        ("\"rolls\"", "\"Rolls: all\"", 6, "lower-case letters"),
        ("rolls-{year}", "rolls-{yer}", 10, "`as_of` must be"),
        ("2015-05-27T", "2015-02-30T", 17, "`as_of` must be"),
        ("0.5", "1.5", 12, "between 0 and 1"),
        ("0.5", "\"half\"", 18, "must be a number"),
        ("name = \"rolls\"", "name = rolls", 6, "not TOML"),
        ("files = \"sales.csv\"", "files = [1]", 15, "array of strings"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let findings = Feeds::parse(&text).unwrap_err().findings;
        let found = findings.iter().any(|f| f.line == line && f.message.contains(says));
        assert!(found, "{to}: {findings:?}");
    }
}

#[test]
fn patterns() {
    for (pattern, path, expect) in [
        ("a/*.csv", "a/b.csv", true),
        ("a/*.csv", "a/b.txt", false),
        ("a/*.csv", "b/b.csv", false),
        ("*", "x", true),
        ("*", "x/y", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXc", false),
        ("a*a", "a", false),
        ("**", "x", true),
    ] {
        assert_eq!(matches(pattern, path), expect, "{pattern} {path}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _read = Feeds::parse(&text);
    }

    #[test]
    fn any_broken_file_is_read_or_refused(at in 0usize..400, text in ".{0,5}") {
        let at = GOOD.char_indices().map(|(i, _)| i).nth(at).unwrap_or(0);
        let (before, after) = GOOD.split_at(at);
        let _read = Feeds::parse(&format!("{before}{text}{after}"));
    }

    #[test]
    fn any_pattern_matches_or_not(pattern in "[a*/]{0,12}", path in "[a/]{0,12}") {
        let _matches = matches(&pattern, &path);
    }
}
