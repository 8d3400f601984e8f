//! What is JSON and what is not.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

/// A text, and its members or a part of the error.
type Case = (&'static str, Result<&'static [(&'static str, &'static str)], &'static str>);

fn members(text: &str) -> Result<Vec<(&str, &str)>, Malformed> {
    let mut found = Vec::new();
    object(text, |name, value| {
        found.push((name, value));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn objects_are_split_or_refused() {
    let cases: &[Case] = &[
        ("{}", Ok(&[])),
        (" { } ", Ok(&[])),
        (r#"{"a":1,"b":"x"}"#, Ok(&[("a", "1"), ("b", "\"x\"")])),
        (r#"{ "a" : [1, {"b":"}"}] , "c":null}"#, Ok(&[("a", r#"[1, {"b":"}"}]"#), ("c", "null")])),
        (r#"{"a":"q\"\\é\u00e9"}"#, Ok(&[("a", r#""q\"\\é\u00e9""#)])),
        ("", Err("begin with {")),
        ("[1]", Err("begin with {")),
        (r#"{"a":1"#, Err("comma or a closing")),
        (r#"{"a":1,}"#, Err("begin with a quote")),
        (r#"{"a" 1}"#, Err("colon")),
        (r#"{"a":}"#, Err("value is missing")),
        (r#"{"a":01}"#, Err("needless zero")),
        (r#"{"a":1.}"#, Err("lacks a digit")),
        (r#"{"a":-}"#, Err("lacks a digit")),
        (r#"{"a":truth}"#, Err("only true")),
        (r#"{"a":"x}"#, Err("no end")),
        ("{\"a\":\"0123456789\n\"}", Err("control character")),
        (r#"{"a":"\x"}"#, Err("escape")),
        (r#"{"a":"\u12g4"}"#, Err("escape")),
        (r#"{"a":1}{"#, Err("text follows")),
    ];
    for (text, expect) in cases {
        match (members(text), expect) {
            (Ok(found), Ok(expect)) => assert_eq!(&found, expect, "{text}"),
            (Err(found), Err(part)) => assert!(found.what.contains(part), "{text}: {found}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

type Members<'a> = Vec<(&'a str, &'a str)>;

/// What one pass over two levels finds: the members of `a`, then those around it.
fn two_levels(text: &str) -> Result<(Members<'_>, Members<'_>), Malformed> {
    let (mut within, mut around) = (Vec::new(), Vec::new());
    let inner = |name, value| {
        within.push((name, value));
        Ok(())
    };
    object_within(text, "a", inner, |name, value| {
        around.push((name, value));
        Ok(())
    })?;
    Ok((within, around))
}

#[test]
fn one_pass_over_two_levels_finds_what_two_passes_do() {
    for text in [
        "{}",
        r#"{"a":{}}"#,
        r#"{"b":1,"a":{"x":1,"y":{"a":[2]}},"c":{"x":3}}"#,
        r#" { "a" : { "x" : "}" , "z":null } , "b" : "\"" } "#,
        r#"{"a":[1],"b":2}"#,
        r#"{"a":null}"#,
        r#"{"a":{"x":1}"#,
        r#"{"a":{"x"}}"#,
        r#"{"a":{"x":1,}}"#,
        r#"{"a":{"x":01}}"#,
        r#"{"a":{}}}"#,
        "[]",
    ] {
        let expect = members(text).map(|around| {
            let a = around.iter().rev().find(|(name, _)| *name == "a").map(|(_, value)| *value);
            (a.and_then(|a| members(a).ok()).unwrap_or_default(), around)
        });
        assert_eq!(two_levels(text), expect, "{text}");
    }
    let deep =
        |levels: usize| format!(r#"{{"a":{}1{}}}"#, r#"{"x":"#.repeat(levels), "}".repeat(levels));
    for levels in [1, 30, 31, 32, 33] {
        let text = deep(levels);
        assert_eq!(two_levels(&text).is_ok(), members(&text).is_ok(), "{levels} levels");
    }
}

#[test]
fn the_beginning_is_read_and_the_rest_is_left() {
    for (text, read, rest) in [
        (r#"{"a":1,"b":2,"c":]"#, "1 2", r#""c":]"#),
        (r#"{"b":[2]}"#, "[2]", ""),
        (r#"{"c":1,"a":2}"#, "", r#""c":1,"a":2}"#),
    ] {
        let mut values = Vec::new();
        let found = leading(text, &["a", "b"], |_, value| {
            values.push(value);
            Ok(())
        });
        assert_eq!((values.join(" ").as_str(), found), (read, Ok(rest)), "{text}");
    }
    for text in ["", "[", "{", "{}", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a":1,}"#, r#"{"a":}"#] {
        assert!(leading(text, &["a"], |_, _| Ok(())).is_err(), "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(members(&nested(usize::from(DEPTH_MAX) - 1)).is_ok());
    assert!(members(&nested(usize::from(DEPTH_MAX))).is_err());
    assert!(members(&nested(500_000)).is_err());
}

#[test]
fn strings_are_read() {
    for text in ["", "plain", "a \"quote\" \\ and\nline", "Montréal", "0123456\"", "01234567\u{1}"]
    {
        let written = serde_json::to_string(text).unwrap();
        assert_eq!(string(&written).as_deref(), Some(text));
    }
    for other in ["1", "null", "\"", "[\"a\"]", ""] {
        assert_eq!(string(other), None, "{other}");
    }
}

/// Texts that are nearly JSON: pieces of it in any order.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\u00e9",
        "\"a\"",
        "\"b\":",
        "0",
        "12",
        "-1.5e3",
        "1e",
        "true",
        "null",
        "fals",
        " ",
        "\n",
        "é",
        "\u{1}",
        "\"0123456789abcdef\"",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| format!("{{\"k\":{}}}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// It accepts what an independent parser accepts, and takes the same slices.
    #[test]
    fn agrees_with_another_parser(text in nearly_json()) {
        let other: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_str(&text);
        let ours = members(&text);
        prop_assert_eq!(ours.is_ok(), other.is_ok(), "{}: {:?}", text, other);
        // Numbers beyond what a binary number can hold have no tree to compare.
        let tree = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if let Some(serde_json::Value::Object(other)) = tree(&text) {
            let mut same = serde_json::Map::new();
            for (name, value) in ours.unwrap_or_default() {
                let name = string(&format!("\"{name}\"")).unwrap().into_owned();
                same.insert(name, tree(value).unwrap());
            }
            prop_assert_eq!(same, other, "{}", text);
        }
    }

    #[test]
    fn runs_end_where_a_plain_loop_ends(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let expect = bytes.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..0x20)).count();
        prop_assert_eq!(plain_run(&bytes), expect);
    }
}
