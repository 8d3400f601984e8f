//! Schemas and the AsyncAPI document are what the golden files say. `UPDATE_GOLDEN=1 cargo test -p messages` rewrites them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::PathBuf;

use messages::{Topic, asyncapi, schema, topics};
use serde_json::Value;

fn check(name: &str, value: &Value) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    #[allow(clippy::disallowed_methods, reason = "the way to rewrite golden files")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} drifted from the types: run `UPDATE_GOLDEN=1 cargo test -p messages`, and read the difference",
        path.display()
    );
}

#[test]
fn schemas() {
    for (topic, value) in schema::all() {
        check(&format!("{topic}.schema.json"), &value);
    }
}

#[test]
fn the_asyncapi_document() {
    let topic = |name, compacted, written_by, read_by| Topic {
        name,
        key: "ListingKey",
        partitions: topics::LISTING_PARTITIONS,
        compacted,
        written_by,
        read_by,
    };
    let flow = [
        topic(topics::LISTING_RAW, false, &["ingest"][..], &["normalize"][..]),
        topic(topics::LISTING_CHANGES, false, &["normalize", "gateway"], &["track"]),
        topic(topics::LISTING_CURRENT, true, &["track"], &["gateway"]),
        topic(topics::LISTING_EVENTS, false, &["track"], &["gateway"]),
        topic(topics::MEDIA_WANTED, false, &["track"], &[]),
        topic(topics::COMMAND_RESULTS, false, &["track"], &["gateway"]),
    ];
    let document = asyncapi("0.1.0", &flow);
    check("asyncapi.json", &document);
    for reference in references(&document) {
        let pointer = reference.trim_start_matches('#');
        // A schema's own definitions are relative to its document, not to the AsyncAPI document.
        assert!(
            pointer.starts_with("/$defs/") || document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
