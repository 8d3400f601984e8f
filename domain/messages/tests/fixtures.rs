//! Values as released versions wrote them. They must decode for ever: lines are added to these files, never changed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;

use messages::raw::{Op, Raw};
use messages::{schema, topics};
use serde_json::Value;

fn lines(topic: &str) -> Vec<String> {
    let path = format!("{}/fixtures/v1/{topic}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let lines: Vec<_> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{topic} has fixtures");
    lines
}

#[test]
fn raw_rows_decode() {
    let lines = lines(topics::LISTING_RAW);
    let raws: Vec<_> = lines.iter().map(|line| Raw::parse(line.as_bytes()).unwrap()).collect();
    let ops: Vec<_> = raws
        .iter()
        .map(|raw| match &raw.op {
            Op::Upsert { line, row } => {
                format!("{line} {}", messages::json::members(row).map(Result::unwrap).count())
            }
            Op::Delete { reason } => reason.to_string(),
        })
        .collect();
    assert_eq!(ops, ["2 4", "1 5", "absent from the full snapshot rolls-2023.csv"]);
    assert_eq!(raws.iter().map(|raw| raw.seq).collect::<Vec<_>>(), [0, u64::MAX, 12]);
}

#[test]
fn every_fixture_is_what_its_schema_says() {
    for (topic, schema) in schema::all() {
        for line in lines(topic) {
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(fault(&value, &schema, &schema), None, "{topic}: {line}");
        }
    }
}

#[test]
fn a_value_that_is_not_what_its_schema_says_is_found() {
    let schema = schema::of(topics::LISTING_CHANGES).unwrap();
    let good = &lines(topics::LISTING_CHANGES)[0];
    for (from, to) in [
        ("\"observe\"", "\"observed\""),
        ("\"seq\":0", "\"seq\":-1"),
        ("\"BedroomsTotal\":3", "\"BedroomsTotal\":\"3\""),
        ("\"AB\"", "\"XX\""),
        ("\"notes\":[]", "\"notes\":[{}]"),
        ("\"pack\":\"rolls\",", ""),
    ] {
        assert!(good.contains(from), "{from}");
        let bad: Value = serde_json::from_str(&good.replace(from, to)).unwrap();
        assert!(fault(&bad, &schema, &schema).is_some(), "{from} -> {to}");
    }
}

/// As much of JSON Schema as our schemas use, `pattern`, `format` and `multipleOf` left out.
fn fault(value: &Value, schema: &Value, root: &Value) -> Option<String> {
    let Value::Object(rules) = schema else { return None };
    rules.iter().find_map(|(rule, expect)| {
        broken(rule, expect, value, rules, root).then(|| format!("{rule}: {value}"))
    })
}

fn broken(
    rule: &str,
    expect: &Value,
    value: &Value,
    rules: &serde_json::Map<String, Value>,
    root: &Value,
) -> bool {
    let fits = |schema: &Value| fault(value, schema, root).is_none();
    let list = |expect: &Value| expect.as_array().cloned().unwrap_or_default();
    match rule {
        "$ref" => !fits(root.pointer(expect.as_str().unwrap().trim_start_matches('#')).unwrap()),
        "const" => value != expect,
        "enum" => !list(expect).contains(value),
        "oneOf" => list(expect).iter().filter(|s| fits(s)).count() != 1,
        "anyOf" => !list(expect).iter().any(fits),
        "type" => !is_type(value, expect.as_str().unwrap()),
        "minimum" => value.as_f64().is_some_and(|v| v < expect.as_f64().unwrap()),
        "maxLength" => {
            value.as_str().is_some_and(|v| v.chars().count() as u64 > expect.as_u64().unwrap())
        }
        "required" => list(expect).iter().any(|name| value.get(name.as_str().unwrap()).is_none()),
        "items" => value
            .as_array()
            .is_some_and(|items| items.iter().any(|i| fault(i, expect, root).is_some())),
        "properties" => {
            let mut properties = expect.as_object().unwrap().iter();
            properties.any(|(name, schema)| {
                value.get(name).is_some_and(|v| fault(v, schema, root).is_some())
            })
        }
        "$schema" | "$id" | "$defs" | "title" | "description" | "pattern" | "format"
        | "multipleOf" | "maxItems" | "uniqueItems" => false,
        _ => panic!("the test does not know the rule {rule} in {rules:?}"),
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => panic!("the test does not know the type {name}"),
    }
}
