//! What an operator asks for, over a real port.

use serde_json::json;

use crate::world::World;

#[test]
fn the_flow_and_its_figures_are_told() {
    let world = World::of(&[]);
    let state = world.get("/flow/state");
    assert_eq!((state.status, &state.json()["time_ms"]), (200, &json!(77)));
    assert_eq!(state.header("cache-control"), Some("no-store"));
    let metrics = world.get("/metrics");
    assert!(
        metrics.header("content-type").is_some_and(|t| t.starts_with("text/plain; version=0.0.4"))
    );
    assert!(metrics.body.contains("\nconveyance_conditions 0\n"), "{}", metrics.body);
    assert!(metrics.body.contains("\nconveyance_http_requests 1\n"), "{}", metrics.body);
}

#[test]
fn dead_letters_are_the_operators() {
    let world = World::of(&[]);
    let listed = world.get("/dead-letters?service=track&limit=3");
    assert_eq!(listed.json(), json!({"service": "track", "limit": 3}));
    for (query, status, code) in [
        ("?service=none", 400, "refused"),
        ("?limit=x", 400, "bad_limit"),
        ("?order=none", 400, "unknown_parameter"),
    ] {
        let answer = world.get(&format!("/dead-letters{query}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{query}"
        );
    }
    for path in ["/dead-letters", "/metrics"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nconnection: close\r\nhost: evil.example\r\n\r\n");
        assert_eq!(world.ask(&request).status, 403, "{path}");
    }
}

#[test]
fn sending_back_is_for_the_operators_own_page() {
    let world = World::of(&[]);
    let post = |headers: &str, body: &str| {
        let length = body.len();
        let answer = world.ask(&format!(
            "POST /dead-letters/redrive HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ));
        let json = answer.json();
        let code = json["error"]["code"].as_str().unwrap_or_default().to_owned();
        (answer.status, code, json)
    };
    let json_type = "host: localhost\r\ncontent-type: application/json\r\n";
    let (status, _, answer) = post(json_type, r#"{"service":"track","all":true}"#);
    assert_eq!((status, answer), (200, json!({"redriven": "all of track"})));
    let (status, _, answer) = post(json_type, r#"{"positions":["track/0/1"]}"#);
    assert_eq!((status, answer), (200, json!({"redriven": "track/0/1"})));

    let all = r#"{"all":true}"#;
    let long = format!(r#"{{"positions":["{}"]}}"#, "x".repeat(70_000));
    for (headers, body, status, code) in [
        ("host: localhost\r\ncontent-type: text/plain\r\n", all, 415, "not_json"),
        ("host: localhost\r\n", all, 415, "not_json"),
        (&*format!("{json_type}sec-fetch-site: cross-site\r\n"), all, 403, "cross_site"),
        (&*format!("{json_type}sec-fetch-site: same-site\r\n"), all, 403, "cross_site"),
        (&*format!("{json_type}sec-fetch-site: same-origin\r\n"), all, 200, ""),
        ("host: evil.example\r\ncontent-type: application/json\r\n", all, 403, "operator_only"),
        (&*format!("{json_type}x-forwarded-for: 192.0.2.1\r\n"), all, 403, "operator_only"),
        (json_type, "{}", 400, "bad_body"),
        (json_type, "all", 400, "bad_body"),
        (json_type, &*long, 413, "body_too_long"),
    ] {
        let (got, error, _) = post(headers, body);
        assert_eq!(
            (got, error.as_str()),
            (status, code),
            "{headers} {}",
            body.get(..40).unwrap_or(body)
        );
    }
    assert_eq!(world.get("/dead-letters/redrive").status, 405);
}
