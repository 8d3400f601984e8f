//! What must not leave does not leave, by any address.

use messages::fields::{FIELDS, Field, Kind, Public};
use serde_json::{Map, Value, json};

use crate::world::{World, current, event};

/// A value by which a field can be recognised wherever it turns up.
fn mark(field: &Field) -> Value {
    let at = FIELDS.iter().position(|f| f.name == field.name).unwrap();
    match field.kind {
        Kind::Money | Kind::Integer | Kind::Decimal(_) => match field.name {
            "Latitude" => json!(41.270_411),
            "Longitude" => json!(-96.270_422),
            _ => json!(7_654_000 + at),
        },
        Kind::Boolean => json!(true),
        Kind::List => json!([format!("mark{at}x")]),
        Kind::Media => json!([{"MediaURL": format!("mark{at}x")}]),
        Kind::Text(_) | Kind::Date | Kind::Timestamp | Kind::Locked(_) | Kind::Open => {
            match field.name {
                "StandardStatus" => json!("Active"),
                "Country" => json!("US"),
                _ => json!(format!("mark{at}x")),
            }
        }
    }
}

/// The text that a mark is recognised by; `None` for values that others have as well.
fn trace(field: &Field) -> Option<String> {
    match mark(field) {
        Value::Number(n) => Some(n.to_string()),
        Value::Array(items) => Some(
            items[0]
                .as_str()
                .map_or_else(|| items[0]["MediaURL"].as_str().unwrap().to_owned(), str::to_owned),
        ),
        Value::String(text) => text.starts_with("mark").then_some(text),
        _ => None,
    }
}

fn full(address: bool) -> Value {
    let mut listing: Map<_, _> = FIELDS.iter().map(|f| (f.name.to_owned(), mark(f))).collect();
    listing.insert("InternetAddressDisplayYN".into(), address.into());
    listing.insert("NotInTheRegistry".into(), "mark999x".into());
    listing.into()
}

/// Everything that the world says of a listing to someone who is not the operator.
fn everything(world: &World, key: &str) -> String {
    let own = key.split_once(':').unwrap().1;
    [
        "/listings",
        "/map?zoom=9",
        "/stats",
        &format!("/listings/{key}"),
        &format!("/listings/{key}/history"),
        &format!("/listings?q={own}"),
    ]
    .map(|path| {
        let answer = world.get(path);
        assert!(answer.status == 200, "{path}: {}", answer.body);
        answer.body
    })
    .concat()
}

fn world(key: &str, listing: &Value) -> World {
    let mut changed = current(key, 2, listing);
    let mut value: Value = serde_json::from_slice(changed.value.as_ref().unwrap()).unwrap();
    value["lastChange"] = json!({"type": "fields", "field": "PrivateRemarks", "before": listing["PrivateRemarks"], "after": listing["OwnerName"]});
    changed.value = Some(value.to_string().into_bytes());
    let events = ["added", "fields", "corrected", "back_on_market"];
    let events = events.map(|kind| event(key, 2, kind, listing.clone(), listing.clone()));
    World::of(&[&[changed][..], &events].concat())
}

#[test]
fn each_field_of_the_registry_leaves_only_as_it_may() {
    for (key, address, configured) in [
        ("open:k", true, true),
        ("open:k", false, true),
        ("quiet:k", true, false),
        ("quiet:k", false, false),
    ] {
        let said = everything(&world(key, &full(address)), key);
        assert!(!said.contains("mark999x"), "a field that is not in the registry left");
        for field in FIELDS {
            let Some(trace) = trace(field) else { continue };
            let may = match field.public {
                Public::Always => true,
                Public::Configured => configured,
                Public::Never => false,
            } && (address || !field.tells_address());
            assert_eq!(
                said.contains(&trace),
                may,
                "{key}, address {address}: {} ({trace})",
                field.name
            );
        }
    }
}

#[test]
fn a_hidden_address_is_neither_found_nor_on_the_map() {
    let listing = json!({
        "InternetEntireListingDisplayYN": true, "InternetAddressDisplayYN": false, "City": "Omaha",
        "UnparsedAddress": "77 Secret Lane", "Latitude": 41.2, "Longitude": -96.2, "StandardStatus": "Active",
    });
    let world = World::of(&[current("open:1", 1, &listing)]);
    for (path, total) in [
        ("/listings", 1),
        ("/listings?q=omaha", 1),
        ("/listings?q=secret", 0),
        ("/listings?q=77+omaha", 0),
        ("/listings?box=-97,41,-96,42", 0),
        ("/map", 0),
    ] {
        assert_eq!(world.get(path).json()["total"], total, "{path}");
    }
    assert_eq!(world.get("/stats").json()["with_place"], 0);
}

#[test]
fn a_hidden_listing_is_nowhere() {
    for listing in [
        json!({"InternetEntireListingDisplayYN": false, "City": "Omaha", "Latitude": 41.2, "Longitude": -96.2}),
        json!({"InternetEntireListingDisplayYN": "yes", "City": "Omaha"}),
        json!({"StandardStatus": "Expired", "City": "Omaha"}),
    ] {
        let world = World::of(&[
            current("open:1", 1, &listing),
            event("open:1", 1, "added", json!({}), listing.clone()),
        ]);
        for path in ["/listings", "/listings?q=omaha", "/listings?q=open:1", "/map"] {
            assert_eq!(world.get(path).json()["total"], 0, "{path} {listing}");
        }
        assert_eq!(world.get("/listings/open:1").status, 404);
        assert_eq!(world.get("/listings/open:1/history").status, 404);
        assert_eq!(world.get("/stats").json()["by_feed"], json!({}));
    }
}

#[test]
fn a_feed_without_rules_shows_nothing_by_itself() {
    let flags = json!({"City": "Omaha", "InternetEntireListingDisplayYN": true});
    let world = World::of(&[
        current("quiet:1", 1, &json!({"City": "Omaha"})),
        current("quiet:2", 1, &flags),
        current("closed:1", 1, &json!({"City": "Omaha"})),
    ]);
    assert_eq!(world.get("/listings").keys(), ["quiet:2"]);
}
