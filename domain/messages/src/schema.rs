//! JSON Schema (draft 2020-12) of every value, made from the field registry.

use serde_json::{Map, Value, json};

use crate::change::{self, Action};
use crate::fields::{FIELDS, Field, Kind};
use crate::{notes, topics};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of each topic's values, by topic name.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        (topics::LISTING_RAW, raw()),
        (topics::LISTING_CHANGES, changes()),
        (topics::LISTING_CURRENT, current()),
        (topics::LISTING_EVENTS, events()),
        (topics::MEDIA_WANTED, media_wanted()),
        (topics::COMMAND_RESULTS, command_results()),
    ]
}

/// The schema of a topic's values, or `None` for a topic whose values are not described here.
#[must_use]
pub fn of(topic: &str) -> Option<Value> {
    all().into_iter().find(|(name, _)| *name == topic).map(|(_, schema)| schema)
}

fn raw() -> Value {
    let upsert = object(
        &["op", "asOf", "seq", "file", "line", "row"],
        json!({
            "op": {"const": "upsert"}, "asOf": moment(), "seq": whole(), "file": {"type": "string"}, "line": whole(),
            "row": {"type": "object", "description": "The row as it stands in the file: CSV fields are strings."},
        }),
    );
    let delete = object(
        &["op", "asOf", "seq", "file", "reason"],
        json!({
            "op": {"const": "delete"}, "asOf": moment(), "seq": whole(), "file": {"type": "string"},
            "reason": {"type": "string"},
        }),
    );
    document(
        "listing.raw",
        "A row as its feed gave it, or that the feed holds it no longer.",
        json!({"oneOf": [upsert, delete]}),
    )
}

fn changes() -> Value {
    let mut observe = stamp();
    observe.insert("op".into(), json!({"const": "observe"}));
    observe.insert("listing".into(), reference("listing"));
    observe.insert(
        "notes".into(),
        json!({"type": "array", "maxItems": notes::NOTES_MAX, "items": reference("note")}),
    );
    let observe = object(
        &["op", "asOf", "seq", "pack", "revision", "hash", "listing", "notes"],
        observe.into(),
    );
    let delete = object(
        &["op", "asOf", "seq", "reason"],
        json!({"op": {"const": "delete"}, "asOf": moment(), "seq": whole(), "reason": {"type": "string"}}),
    );
    let mut command = command();
    command.insert("op".into(), json!({"const": "command"}));
    command.insert("by".into(), json!({"type": "string", "description": "Who commanded."}));
    let command = object(&["op", "commandId", "by", "basedOn", "action", "set"], command.into());
    let mut schema = document(
        "listing.changes",
        "What anyone says about a listing: a feed observed it or has it no longer, or a user commanded something.",
        json!({"oneOf": [observe, delete, command]}),
    );
    define(&mut schema, &[("listing", listing(false)), ("note", note())]);
    schema
}

/// The members of a command that its sender gives, by name.
#[must_use]
pub fn command() -> Map<String, Value> {
    let id = format!("^[A-Za-z0-9_.-]{{1,{}}}$", change::COMMAND_ID_MAX);
    let about = "Drawn by the device; a repeated command has the same one.";
    let set = json!({
        "type": "object", "maxProperties": change::set::SET_MAX,
        "description": "Fields to set; null takes a field away.",
    });
    [
        ("commandId", json!({"type": "string", "pattern": id, "description": about})),
        ("basedOn", json!({"type": "integer", "minimum": 0, "description": "The version of the listing that the user saw."})),
        ("action", json!({"enum": Action::ALL.map(Action::name)})),
        ("set", set),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// What may become of a command.
pub const OUTCOMES: [&str; 4] = ["accepted", "refused", "superseded", "duplicate"];

/// The members of a result, by name.
#[must_use]
pub fn command_result() -> Value {
    json!({
        "commandId": {"type": "string"},
        "outcome": {"enum": OUTCOMES},
        "code": {"type": "string", "description": "Of a refusal: stale, unknown_listing, impossible, exists."},
        "reason": {"type": "string"},
        "field": {"type": "string", "description": "The field in which the feed has the last word again."},
        "version": whole(),
    })
}

fn command_results() -> Value {
    document(
        "command.results",
        "What became of a user's command.",
        object(&["commandId", "outcome", "version"], command_result()),
    )
}

/// The schema of a field's values; `None` for a name that is not in the registry.
#[must_use]
pub fn field_schema(name: &str) -> Option<Value> {
    crate::fields::field(name).map(kind)
}

fn current() -> Value {
    let properties = json!({
        "ListingKey": listing_key(),
        "version": {"type": "integer", "minimum": 1},
        "deleted": {"type": "boolean"},
        "stamp": object(&["asOf", "seq"], stamp().into()),
        "listing": reference("listing"),
        "commands": {"type": "object", "description": "Users' overrides and the last command ids; only where there are any."},
        "notes": {"type": "array", "items": reference("note")},
        "lastChange": object(&["type"], json!({
            "type": {"enum": EVENT_TYPES}, "field": {"type": "string"}, "before": true, "after": true,
        })),
    });
    let mut schema = document(
        "listing.current",
        "The last version of a listing; a deleted one keeps its stamp, without `listing`.",
        object(&["ListingKey", "version", "deleted", "stamp", "lastChange"], properties),
    );
    define(&mut schema, &[("listing", listing(false)), ("note", note())]);
    schema
}

/// Types of events.
pub const EVENT_TYPES: [&str; 8] =
    ["added", "price", "status", "assessment", "fields", "back_on_market", "deleted", "corrected"];

fn events() -> Value {
    let properties = json!({
        "type": {"enum": EVENT_TYPES},
        "version": {"type": "integer", "minimum": 1},
        "asOf": moment(),
        "whole": {"type": "boolean", "description": "Whether `after` is the whole listing."},
        "before": reference("fields"),
        "after": reference("fields"),
    });
    let mut schema = document(
        "listing.events",
        "What changed. Folding all events of a key in order gives the listing; null takes a field away.",
        object(&["type", "version", "asOf"], properties),
    );
    define(&mut schema, &[("fields", listing(true))]);
    schema
}

fn media_wanted() -> Value {
    let properties = json!({
        "version": {"type": "integer", "minimum": 1},
        "photosChangeTimestamp": moment(),
        "photosCount": whole(),
        "media": {"type": "array", "items": {"type": "string", "format": "uri"}},
    });
    document(
        "media.wanted",
        "Photos that a listing has and that are to be fetched.",
        object(&["version"], properties),
    )
}

fn document(name: &str, description: &str, body: Value) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), DRAFT.into());
    schema.insert("$id".into(), format!("urn:conveyance:{name}:v{}", topics::SCHEMA).into());
    schema.insert("title".into(), name.into());
    schema.insert("description".into(), description.into());
    if let Value::Object(body) = body {
        schema.extend(body);
    }
    schema.into()
}

fn define(schema: &mut Value, definitions: &[(&str, Value)]) {
    let defs: Map<_, _> =
        definitions.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    if let Value::Object(schema) = schema {
        schema.insert("$defs".into(), defs.into());
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn stamp() -> Map<String, Value> {
    let hash = json!({"type": "string", "pattern": "^[0-9a-f]{16}$", "description": "xxh3_64 of the bytes of `listing`."});
    [
        ("asOf", moment()),
        ("seq", whole()),
        ("sourceTimestamp", moment()),
        ("pack", json!({"type": "string"})),
        ("revision", json!({"type": "integer", "minimum": 1})),
        ("hash", hash),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn listing_key() -> Value {
    json!({"type": "string", "pattern": "^[^:]+:.+$", "description": "Feed, colon, key in the source."})
}

fn moment() -> Value {
    json!({"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"})
}

fn whole() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn note() -> Value {
    object(
        &["field", "code", "message"],
        json!({
            "field": {"type": "string"},
            "code": {"type": "string"},
            "message": {"type": "string", "maxLength": notes::MESSAGE_MAX},
        }),
    )
}

/// The listing; `nullable` where null says that a field went away.
fn listing(nullable: bool) -> Value {
    let property = |field: &Field| {
        let schema =
            if nullable { json!({"anyOf": [kind(field), {"type": "null"}]}) } else { kind(field) };
        (field.name.to_owned(), schema)
    };
    let properties: Map<_, _> = FIELDS.iter().map(property).collect();
    json!({"type": "object", "properties": properties})
}

fn kind(field: &Field) -> Value {
    let mut schema = match field.kind {
        Kind::Money => json!({"type": "number", "minimum": 0, "multipleOf": 0.01}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Decimal(_) => json!({"type": "number"}),
        Kind::Text(max) => json!({"type": "string", "maxLength": max}),
        Kind::Date => json!({"type": "string", "format": "date"}),
        Kind::Timestamp => moment(),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Locked(values) => json!({"enum": values}),
        Kind::Open => json!({"type": "string"}),
        Kind::List => json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        Kind::Media => json!({"type": "array", "items": {"type": "object"}}),
    };
    if field.ours
        && let Value::Object(schema) = &mut schema
    {
        schema.insert("description".into(), "Not in the Data Dictionary: our own.".into());
    }
    schema
}
