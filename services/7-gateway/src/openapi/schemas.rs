//! Schemas of bodies and answers.

use messages::schema::{command, command_result, field_schema};
use serde_json::{Map, Value, json};

use super::schema_ref;
use crate::answer::SUMMARY;

/// All, by name.
pub(super) fn all() -> Value {
    json!({
        "Object": {"type": "object"},
        "Error": error(),
        "Card": card(),
        "Listings": object(&["total", "listings"], json!({
            "total": whole(), "total_capped": {"type": "boolean"},
            "listings": list(schema_ref("Card")), "next": {"type": ["string", "null"]},
        })),
        "Map": object(&["total", "clusters", "pins"], json!({
            "total": whole(),
            "clusters": list(object(&["lon", "lat", "count", "box"], json!({
                "lon": degrees(), "lat": degrees(), "count": whole(), "box": list(degrees()),
            }))),
            "pins": list(object(&["key", "lon", "lat"], json!({
                "key": text(), "lon": degrees(), "lat": degrees(), "price": {"type": "number"},
                "basis": {"type": ["string", "null"]}, "currency": text(), "status": text(),
            }))),
        })),
        "Detail": object(&["listing", "meta"], json!({"listing": fields(), "meta": {"type": "object"}})),
        "History": object(&["events"], json!({"events": list(object(&["type", "version"], json!({
            "type": {"enum": messages::schema::EVENT_TYPES}, "at": moment(), "as_of": {"type": ["string", "null"]},
            "version": whole(), "before": fields(), "after": fields(),
        })))})),
        "Me": object(&["can_command", "operator"], json!({
            "can_command": {"type": "boolean"}, "operator": {"type": "boolean"},
        })),
        "Command": sent(),
        "Taken": object(&["commandId", "listingKey", "position"], json!({
            "commandId": text(), "listingKey": text(),
            "position": object(&["topic", "partition", "offset"], json!({
                "topic": text(), "partition": whole(), "offset": whole(),
            })),
        })),
        "Redrive": object(&[], json!({
            "service": text(), "positions": list(text()), "all": {"type": "boolean"},
        })),
        "Changes": object(&["from", "position", "more", "events"], json!({
            "from": text(), "position": text(), "more": {"type": "boolean"},
            "events": list(json!({"oneOf": [schema_ref("Change"), schema_ref("Gone"), schema_ref("Result")]})),
        })),
        "Change": object(&["listing", "version"], json!({
            "listing": schema_ref("Card"), "version": whole(), "lastChange": last_change(),
        })),
        "Gone": object(&["listingKey", "version", "reason"], json!({
            "listingKey": text(), "version": whole(), "reason": {"enum": ["left", "deleted", "hidden"]},
        })),
        "Result": result(),
    })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn whole() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn degrees() -> Value {
    json!({"type": "number"})
}

fn moment() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn fields() -> Value {
    json!({"type": "object", "description": "RESO fields that may be shown, by name."})
}

fn error() -> Value {
    let inner = object(
        &["code", "message"],
        json!({
            "code": text(), "message": {"type": "string", "description": "What happened and what to do."},
            "field": {"type": "string", "description": "The member of the body that is wrong."},
        }),
    );
    object(&["error"], json!({"error": inner, "position": text()}))
}

fn last_change() -> Value {
    object(
        &["type"],
        json!({
            "type": {"enum": messages::schema::EVENT_TYPES}, "field": text(), "before": true, "after": true,
        }),
    )
}

fn card() -> Value {
    let mut properties = Map::new();
    properties.insert("ListingKey".to_owned(), text());
    properties.insert("Feed".to_owned(), text());
    for name in SUMMARY {
        properties.extend(field_schema(name).map(|schema| (name.to_owned(), schema)));
    }
    properties.insert("Version".to_owned(), whole());
    properties.insert("ChangedAt".to_owned(), moment());
    properties.insert("LastChange".to_owned(), last_change());
    object(&["ListingKey", "Feed", "Version"], properties.into())
}

fn sent() -> Value {
    let mut properties = command();
    properties.insert("listingKey".to_owned(), json!({"type": "string", "description": "Absent for `add`: the key is then hand:COMMANDID."}));
    let mut schema = object(&["commandId", "action"], properties.into());
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

fn result() -> Value {
    let mut properties = command_result();
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("listingKey".to_owned(), text());
    }
    object(&["commandId", "outcome", "listingKey", "version"], properties)
}
