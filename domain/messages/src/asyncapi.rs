//! The AsyncAPI 3.0 document of a flow: what stands on each topic, who writes it and who reads it.

use serde_json::{Map, Value, json};

use crate::schema;

/// A topic, as the flow table has it.
#[derive(Debug, Clone, Copy)]
pub struct Topic<'a> {
    /// Name.
    pub name: &'a str,
    /// What its key is, in words.
    pub key: &'a str,
    /// Number of partitions.
    pub partitions: u16,
    /// Whether only the last record of each key stays.
    pub compacted: bool,
    /// Services that write it.
    pub written_by: &'a [&'a str],
    /// Services that read it.
    pub read_by: &'a [&'a str],
}

/// The document for these topics, by a program of that version. A topic whose values have no schema is described
/// as bytes.
#[must_use]
pub fn asyncapi(version: &str, topics: &[Topic<'_>]) -> Value {
    let channels: Map<_, _> = topics.iter().map(|t| (t.name.to_owned(), channel(t))).collect();
    let operations: Map<_, _> = topics.iter().flat_map(operations).collect();
    let messages: Map<_, _> = topics.iter().map(|t| (t.name.to_owned(), message(t))).collect();
    let mut schemas: Map<_, _> =
        topics.iter().filter_map(|t| schema::of(t.name).map(|s| (t.name.to_owned(), s))).collect();
    schemas.insert("envelope".to_owned(), envelope());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Conveyance",
            "version": version,
            "description": "Listings of homes as messages: RESO Data Dictionary 2.0 fields in JSON.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

fn channel(topic: &Topic<'_>) -> Value {
    let policy = if topic.compacted { "compact" } else { "delete" };
    let messages: Map<_, _> =
        [(topic.name.to_owned(), json!({"$ref": format!("#/components/messages/{}", topic.name)}))]
            .into_iter()
            .collect();
    json!({
        "address": topic.name,
        "description": format!("Keyed by {}.", topic.key),
        "messages": messages,
        "bindings": {"kafka": {
            "topic": topic.name,
            "partitions": topic.partitions,
            "topicConfiguration": {"cleanup.policy": [policy]},
            "bindingVersion": "0.5.0",
        }},
    })
}

fn message(topic: &Topic<'_>) -> Value {
    let payload = match schema::of(topic.name) {
        Some(_) => json!({"$ref": format!("#/components/schemas/{}", topic.name)}),
        None => json!({}),
    };
    json!({
        "name": topic.name,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/envelope"},
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    })
}

fn operations(topic: &Topic<'_>) -> Vec<(String, Value)> {
    let operation = |action: &str| json!({"action": action, "channel": {"$ref": format!("#/channels/{}", topic.name)}});
    let sends =
        topic.written_by.iter().map(|s| (format!("{s}.sends.{}", topic.name), operation("send")));
    let receives = topic
        .read_by
        .iter()
        .map(|s| (format!("{s}.receives.{}", topic.name), operation("receive")));
    sends.chain(receives).collect()
}

fn envelope() -> Value {
    json!({
        "type": "object",
        "description": "CloudEvents attributes and W3C trace context, as record headers.",
        "required": ["ce_id", "ce_type", "ce_source", "ce_time"],
        "properties": {
            "ce_id": {"type": "string", "description": "Derives from source, key, version and service."},
            "ce_type": {"type": "string"},
            "ce_source": {"type": "string", "description": "The feed, or the device of a user."},
            "ce_time": {"type": "string", "format": "date-time"},
            "traceparent": {"type": "string"},
        },
    })
}
