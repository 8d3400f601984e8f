//! The OpenAPI document is what the golden file says, and names every address there is.
//! `UPDATE_GOLDEN=1 cargo test -p gateway --test openapi` rewrites it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use serde_json::Value;

const SOURCES: [&str; 2] = [include_str!("../src/http.rs"), include_str!("../src/operation.rs")];

fn document() -> Value {
    gateway::openapi("0.1.0")
}

#[test]
fn the_document_is_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/openapi.json");
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    #[allow(clippy::disallowed_methods, reason = "the way to rewrite golden files")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == text,
        "{path} drifted: run UPDATE_GOLDEN=1 cargo test -p gateway --test openapi, and read the difference"
    );
}

#[test]
fn every_address_is_in_it() {
    let written: String = SOURCES.concat().split_whitespace().collect();
    let routed: BTreeSet<_> =
        written.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let document = document();
    let named: BTreeSet<_> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, routed);
}

#[test]
fn references_lead_somewhere() {
    fn each(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|v| each(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| each(v, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    each(&document, &mut found);
    assert!(found.len() > 30);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
