//! Addresses and what they answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{Record, World, current, event};

fn listings() -> Vec<Record> {
    let home = |more: Value| {
        let mut listing = json!({
            "City": "Calgary", "Country": "CA", "StateOrProvince": "AB", "PostalCode": "T2N 3G5",
            "PropertyType": "Residential", "StandardStatus": "Active", "BedroomsTotal": 3, "BathroomsTotalInteger": 2,
        });
        more.as_object().unwrap().iter().for_each(|(k, v)| listing[k] = v.clone());
        listing
    };
    vec![
        current(
            "open:1",
            2,
            &home(
                json!({"ListPrice": 520_000, "UnparsedAddress": "1636 Westmount Bv NW", "Latitude": 51.05, "Longitude": -114.1}),
            ),
        ),
        current(
            "open:2",
            1,
            &home(
                json!({"ListPrice": 610_000.5, "UnparsedAddress": "12 Rue de l'Église", "City": "Montréal", "StateOrProvince": "QC", "PostalCode": "H2X 1Y4", "Latitude": 45.5, "Longitude": -73.57}),
            ),
        ),
        current(
            "open:3",
            1,
            &home(
                json!({"ClosePrice": 450_000, "StandardStatus": "Closed", "City": "Seattle", "StateOrProvince": "WA", "Country": "US", "PostalCode": "98101", "BedroomsTotal": 5, "Latitude": 47.6, "Longitude": -122.33}),
            ),
        ),
        current(
            "open:4",
            1,
            &home(
                json!({"TaxAssessedValue": 300_000, "PropertyType": "Land", "BedroomsTotal": null}),
            ),
        ),
        current("open:gone", 2, &Value::Null),
        current("open:withdrawn", 2, &home(json!({"StandardStatus": "Withdrawn"}))),
        event(
            "open:1",
            1,
            "added",
            json!({}),
            json!({"ListPrice": 500_000, "City": "Calgary", "StandardStatus": "Active"}),
        ),
        event("open:1", 2, "price", json!({"ListPrice": 500_000}), json!({"ListPrice": 520_000})),
    ]
}

#[test]
fn lists_hold_what_was_asked_for() {
    let world = World::of(&listings());
    for (query, expect) in [
        ("", "open:4 open:3 open:2 open:1"),
        ("?limit=2", "open:4 open:3"),
        ("?sort=price", "open:4 open:3 open:1 open:2"),
        ("?sort=-price", "open:2 open:1 open:3 open:4"),
        ("?sort=beds&limit=1", "open:3"),
        ("?country=CA&sort=price", "open:4 open:1 open:2"),
        ("?state=qc", "open:2"),
        ("?city=montreal", "open:2"),
        ("?city=Montr%C3%A9al,Seattle&sort=price", "open:3 open:2"),
        ("?status=closed", "open:3"),
        ("?type=Land", "open:4"),
        ("?feed=elsewhere", ""),
        ("?price_min=500000&price_max=610000&sort=price", "open:1"),
        ("?beds_min=4", "open:3"),
        ("?baths_min=3", ""),
        ("?box=-115,51,-114,52", "open:1"),
        ("?box=-114.1,51.05,-114.1,51.05", "open:1"),
        ("?q=westm", "open:1"),
        ("?q=1636+calgary", "open:1"),
        ("?q=eglise", "open:2"),
        ("?q=t2n3g5&sort=price", "open:4 open:1"),
        ("?q=open:3", "open:3"),
        ("?q=3&status=Closed", "open:3"),
        ("?q=nowhere", ""),
        ("?q=gone", ""),
        ("?q=withdrawn", ""),
    ] {
        let answer = world.get(&format!("/listings{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        assert_eq!(answer.keys().join(" "), expect, "{query}");
    }
    let first = &world.get("/listings?q=open:1").json()["listings"][0];
    let expect = json!({
        "ListingKey": "open:1", "Feed": "open", "StandardStatus": "Active", "ListPrice": 520_000,
        "PropertyType": "Residential", "BedroomsTotal": 3, "BathroomsTotalInteger": 2,
        "UnparsedAddress": "1636 Westmount Bv NW", "City": "Calgary", "StateOrProvince": "AB", "PostalCode": "T2N 3G5",
        "Country": "CA", "Latitude": 51.05, "Longitude": -114.1, "Version": 2,
        "ChangedAt": "2022-01-01T00:00:00.000Z", "LastChange": {"type": "added"},
    });
    for (name, value) in expect.as_object().unwrap() {
        assert_eq!(&first[name], value, "{name}");
    }
}

#[test]
fn mistakes_are_answered_with_what_to_do() {
    let world = World::of(&listings());
    for (path, status, code) in [
        ("/listings?box=1,2,3", 400, "bad_box"),
        ("/listings?limit=500", 400, "bad_limit"),
        ("/listings?status=Sold", 400, "bad_status"),
        ("/listings?city=a&city=b", 400, "doubled_parameter"),
        ("/listings?colour=red", 400, "unknown_parameter"),
        ("/listings?after=nonsense", 400, "bad_cursor"),
        ("/map?zoom=99", 400, "bad_zoom"),
        ("/map?limit=5", 400, "unknown_parameter"),
        ("/listings/open:5", 404, "unknown_listing"),
        ("/listings/nonsense", 404, "unknown_listing"),
        ("/listings/open:%ff", 400, ""),
        ("/listings/open:withdrawn", 404, "unknown_listing"),
        ("/listings/open:gone", 410, "deleted_listing"),
        ("/listings/open:gone/history", 410, "deleted_listing"),
        ("/listings/open:5/history", 404, "unknown_listing"),
        ("/listings/open:5/explain", 404, "unknown_listing"),
        ("/nowhere", 404, "unknown_path"),
        ("/../../etc/passwd", 404, "unknown_path"),
        ("/assets/..%2f..%2fCargo.toml", 404, "unknown_path"),
    ] {
        let answer = world.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        if !code.is_empty() {
            let error = &answer.json()["error"];
            assert_eq!(error["code"], code, "{path}");
            assert!(error["message"].as_str().unwrap().len() > 20, "{path}: {error}");
        }
    }
    let long = world.get(&format!("/listings?q={}", "x".repeat(5000)));
    assert_eq!((long.status, long.json()["error"]["code"].as_str()), (414, Some("query_too_long")));
}

#[test]
fn only_small_requests_without_body_are_read() {
    let world = World::of(&listings());
    let head = "host: localhost\r\nconnection: close\r\n";
    for (request, status) in [
        (format!("POST /listings HTTP/1.1\r\n{head}content-length: 0\r\n\r\n"), 405),
        (format!("DELETE /nowhere HTTP/1.1\r\n{head}\r\n"), 405),
        (format!("GET /stats HTTP/1.1\r\n{head}content-length: 5\r\n\r\nhello"), 413),
        (format!("GET /stats HTTP/1.1\r\n{head}transfer-encoding: chunked\r\n\r\n"), 413),
        (format!("GET /stats HTTP/1.1\r\n{head}x: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("GET /stats HTTP/1.1\r\n{head}{}\r\n", "x: 1\r\n".repeat(100)), 431),
        (format!("HEAD /stats HTTP/1.1\r\n{head}\r\n"), 200),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let answer = world.ask(&request);
        assert_eq!(
            answer.status,
            status,
            "{} -> {answer:?}",
            request.lines().next().unwrap_or_default()
        );
    }
}

#[test]
fn every_answer_carries_the_security_headers() {
    let world = World::of(&listings());
    for path in [
        "/",
        "/stats",
        "/listings?box=1",
        "/nowhere",
        "/livez",
        "/readyz",
        "/listing/open:1",
        "/flow",
    ] {
        let answer = world.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self';"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("referrer-policy").is_some(), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn the_page_stands_at_its_own_addresses() {
    let world = World::of(&[]);
    for path in ["/", "/flow", "/listing/open:1", "/listing/open:a%2Fb"] {
        let answer = world.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(answer.body.to_lowercase().contains("<!doctype html>"), "{path}");
        if let Some(tag) = answer.header("etag") {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nif-none-match: {tag}\r\n\r\n"
            );
            assert_eq!(world.ask(&request).status, 304, "{path}");
        }
    }
}

#[test]
fn one_listing_with_its_history() {
    let world = World::of(&listings());
    let one = world.get("/listings/open:1").json();
    assert_eq!(one["listing"]["ListPrice"], 520_000);
    assert_eq!(one["meta"]["Feed"], "open");
    assert_eq!(one["meta"]["Version"], 2);
    assert_eq!(one["meta"]["AsOf"], "2022-01-01T00:00:00.000Z");
    let events = world.get("/listings/open:1/history").json()["events"].clone();
    let kinds: Vec<_> = events.as_array().unwrap().iter().map(|e| e["type"].clone()).collect();
    assert_eq!(kinds, ["added", "price"]);
    assert_eq!(events[0]["after"], json!({"ListPrice": 500_000, "StandardStatus": "Active"}));
    assert_eq!(events[1]["before"], json!({"ListPrice": 500_000}));
    assert_eq!(events[1]["version"], 2);
}

#[test]
fn totals_count_what_is_shown() {
    let world = World::of(&listings());
    let stats = world.get("/stats").json();
    assert_eq!((&stats["listings"], &stats["with_place"]), (&json!(4), &json!(3)));
    assert_eq!(stats["by_country"], json!({"CA": 3, "US": 1}));
    assert_eq!(stats["by_status"], json!({"Active": 3, "Closed": 1}));
    assert_eq!(stats["events"], json!({"added": 1, "price": 1}));
    assert_eq!(stats["skipped"], 0);
}

#[test]
fn the_map_has_pins_near_and_clusters_far() {
    let world = World::of(&listings());
    let map = world.get("/map").json();
    assert_eq!((&map["total"], map["pins"].as_array().unwrap().len()), (&json!(3), 3));
    assert_eq!(map["pins"][0]["key"], "open:1");
    assert_eq!(
        (&map["pins"][0]["price"], &map["pins"][0]["currency"]),
        (&json!(520_000), &json!("CAD"))
    );
    let many: Vec<_> = (0..700)
        .map(|n| {
            let (lat, lon) = (40.0 + f64::from(n % 7), -100.0 + f64::from(n % 5));
            current(&format!("open:{n}"), 1, &json!({"Latitude": lat, "Longitude": lon}))
        })
        .collect();
    let world = World::of(&many);
    for zoom in [0, 3, 7, 22] {
        let map = world.get(&format!("/map?zoom={zoom}")).json();
        let (pins, clusters) =
            (map["pins"].as_array().unwrap(), map["clusters"].as_array().unwrap());
        let counted: u64 = clusters.iter().map(|c| c["count"].as_u64().unwrap()).sum();
        assert_eq!(counted + pins.len() as u64, 700, "zoom {zoom}");
        assert!(clusters.iter().all(|c| {
            let side = |at: usize| c["box"][at].as_f64().unwrap();
            let (lon, lat) = (c["lon"].as_f64().unwrap(), c["lat"].as_f64().unwrap());
            (side(0)..=side(2)).contains(&lon) && (side(1)..=side(3)).contains(&lat)
        }));
    }
    assert_eq!(
        world.get("/map?box=-100.5,39.5,-99.5,40.5").json()["pins"].as_array().unwrap().len(),
        20
    );
}

#[test]
fn pages_hold_each_listing_once() {
    let records: Vec<_> = (0..230u32)
        .map(|n| {
            current(&format!("open:{n}"), 1, &json!({"ListPrice": n % 5, "BedroomsTotal": n % 3}))
        })
        .collect();
    let world = World::of(&records);
    for sort in ["changed", "price", "-price", "beds"] {
        let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = world.get(&format!("/listings?sort={sort}&limit=37{after}"));
            assert_eq!(answer.json()["total"], 230);
            seen.extend(answer.keys());
            pages += 1;
            match answer.json()["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len(), pages), (230, 230, 7), "{sort}");
    }
}

#[test]
fn only_the_operator_gets_explanations() {
    let world = World::of(&listings());
    let ask = |headers: &str| {
        world
            .ask(&format!(
                "GET /listings/open:1/explain HTTP/1.1\r\nconnection: close\r\n{headers}\r\n"
            ))
            .status
    };
    assert_eq!(ask("host: localhost:80\r\n"), 200);
    assert_eq!(ask("host: [::1]:80\r\n"), 200);
    assert_eq!(ask("host: evil.example\r\n"), 403);
    assert_eq!(ask("host: localhost\r\nx-forwarded-for: 192.0.2.1\r\n"), 403);
}

#[test]
fn the_server_stops_when_told() {
    let mut world = World::of(&[]);
    assert_eq!(world.get("/livez").status, 200);
    assert!(world.stop().is_ok());
    assert!(std::net::TcpStream::connect(world.address).is_err());
}

#[test]
fn changes_are_seen_at_once() {
    use dataflow::View;
    let mut world = World::of(&[current(
        "open:1",
        1,
        &json!({"City": "Calgary", "Latitude": 51, "Longitude": -114}),
    )]);
    for (n, listing, shown) in [
        (1, json!({"City": "Regina", "Latitude": 50, "Longitude": -104}), 1),
        (2, Value::Null, 0),
        (3, json!({"City": "Regina"}), 1),
    ] {
        let deliveries = crate::world::deliveries(&[current("open:1", n + 1, &listing)], [n, 0]);
        world.view.apply(&deliveries, 0).unwrap();
        assert_eq!(world.get("/listings?city=Calgary").json()["total"], 0);
        assert_eq!(world.get("/listings?city=Regina").json()["total"], shown, "{listing}");
        assert_eq!(world.get("/stats").json()["listings"], shown, "{listing}");
        assert_eq!(world.get("/map").json()["total"], u64::from(listing.get("Latitude").is_some()));
    }
}
