//! Commands and changes over a real port, on a bus in memory.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use dataflow::batch::{Meta, NewRecord};
use dataflow::bus::Bus;
use dataflow::flow::{Form, Kind, Retention, State, TopicSpec};
use dataflow::memory::{Faults, MemoryBus};
use dataflow::view::ViewRunner;
use dataflow::{Flow, ManualClock, ServiceSpec};
use gateway::{Access, Commands, Gateway, ListingView, LiveView, Right, Token};
use messages::topics::{COMMAND_RESULTS, LISTING_CHANGES, LISTING_CURRENT, LISTING_EVENTS};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Answer, START_MS, Served, display};

const SECRET: &str = "0123456789abcdef01234567";
const EDIT: &str = r#"{"commandId":"device-0123456789.1","listingKey":"open:1","action":"edit","basedOn":1,"set":{"ListPrice":5}}"#;

/// A gateway that takes commands and tells changes.
struct Living {
    bus: MemoryBus,
    runner: ViewRunner,
    served: Served,
    _folder: TempDir,
}

fn flow() -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: 1,
        retention,
    };
    let topics = vec![
        topic(LISTING_CHANGES, Retention::Days(1)),
        topic(LISTING_CURRENT, Retention::Compacted { tombstone_days: 7 }),
        topic(LISTING_EVENTS, Retention::Days(1)),
        topic(COMMAND_RESULTS, Retention::Days(1)),
    ];
    let reads = [LISTING_CURRENT, LISTING_EVENTS, COMMAND_RESULTS];
    let gateway = ServiceSpec {
        name: "gateway".to_owned(),
        kind: Kind::View,
        reads: reads.map(|name| (name.to_owned(), Form::Keyed)).to_vec(),
        writes: vec![LISTING_CHANGES.to_owned()],
        state: State::None,
        does: String::new(),
    };
    Flow::new(topics, vec![gateway]).unwrap()
}

impl Living {
    fn new(access: Access) -> Self {
        let (flow, folder) = (flow(), tempfile::tempdir().unwrap());
        let memory = MemoryBus::new(&flow, 1, Faults::default());
        let bus = Arc::new(memory.clone()) as Arc<dyn Bus>;
        let view = ListingView::open(&folder.path().join("views.db"), display()).unwrap();
        let model = view.model();
        let view = LiveView::new(view, Arc::clone(&bus), &flow, 7).unwrap();
        let live = view.live();
        let clock = Arc::new(ManualClock::at(START_MS));
        let commands = Commands::new(Arc::clone(&bus), &flow, "gateway", clock.clone()).unwrap();
        let (runner, _) = ViewRunner::open(bus, &flow, "gateway", clock, Box::new(view)).unwrap();
        let gateway = Gateway::new(model, Arc::new(|_| Ok(json!({}))))
            .with_live(live)
            .with_commands(commands)
            .with_access(access);
        Self { bus: memory, runner, served: Served::new(gateway), _folder: folder }
    }

    fn write(&mut self, topic: &str, key: &str, value: &Value) {
        let text = value.to_string();
        let meta = Meta {
            id: 1,
            trace: 1,
            kind: "k",
            source: "s",
            time_ms: START_MS,
            schema: 1,
            origin: 0,
        };
        let record =
            NewRecord { key: key.as_bytes(), value: Some(text.as_bytes()), meta, headers: &[] };
        self.bus.append_record(topic, 0, record);
        self.bus.sync();
        while self.runner.step(Duration::ZERO).unwrap() {}
    }

    fn list(&mut self, key: &str, version: u64, listing: &Value) {
        let mut value =
            json!({"ListingKey": key, "version": version, "deleted": listing.is_null()});
        if !listing.is_null() {
            value["listing"] = listing.clone();
        }
        self.write(LISTING_CURRENT, key, &value);
    }

    fn post(&self, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.served.ask(&format!(
            "POST /commands HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn commands(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.bus.each_record(LISTING_CHANGES, |_, record| {
            found.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        });
        found
    }

    fn watch(&self, query: &str, last: Option<&str>) -> Events {
        let mut stream = TcpStream::connect(self.served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /changes{query} HTTP/1.0\r\nhost: localhost\r\n{last}\r\n").unwrap();
        Events(BufReader::new(stream))
    }
}

/// A stream of events; HTTP/1.0 has no chunks in it.
struct Events(BufReader<TcpStream>);

impl Events {
    /// The next event: name, data, id.
    fn next(&mut self) -> (String, Value, Option<String>) {
        let (mut name, mut data, mut id) = (String::new(), Value::Null, None);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => data = serde_json::from_str(text).unwrap(),
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(_) => {}
                None if name.is_empty() => {}
                None => return (name, data, id),
            }
        }
    }
}

#[test]
fn a_command_is_in_the_log_before_it_is_answered() {
    let living = Living::new(Access::default());
    let headers = "host: localhost\r\ncontent-type: application/json\r\n";
    for n in 1..3 {
        let answer = living.post(headers, EDIT);
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert_eq!(answer.json()["position"]["offset"], n - 1);
        assert_eq!(living.commands().len(), n);
    }
    assert!(living.commands()[0].contains(r#""by":"local""#));
    let other = |headers: &str, body: &str| {
        let answer = living.post(headers, body);
        let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        (answer.status, code)
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(other("host: localhost\r\n", EDIT), is(415, "not_json"));
    assert_eq!(
        other(&format!("{headers}origin: http://evil.test\r\n"), EDIT),
        is(403, "cross_site")
    );
    assert_eq!(
        other(&format!("{headers}sec-fetch-site: cross-site\r\n"), EDIT),
        is(403, "cross_site")
    );
    assert_eq!(other(&headers.replace("localhost", "evil.test"), EDIT), is(403, "local_only"));
    assert_eq!(other(headers, &EDIT.replace('5', "-5")), is(400, "bad_value"));
    let long = EDIT.replace("\"set\"", &format!("{}\"set\"", " ".repeat(70_000)));
    assert_eq!(other(headers, &long), is(413, "body_too_long"));
    assert_eq!(living.commands().len(), 2, "nothing that was refused is in the log");
}

#[test]
fn tokens_say_who_may_command() {
    let token =
        Token { name: "anna".to_owned(), secret: SECRET.to_owned(), rights: vec![Right::Command] };
    let living = Living::new(Access::of(vec![token]).unwrap());
    let headers = "host: listings.test\r\ncontent-type: application/json\r\n";
    assert_eq!(living.post(headers, EDIT).status, 401);
    let wrong = format!("{headers}authorization: Bearer {SECRET}0\r\n");
    assert_eq!(living.post(&wrong, EDIT).status, 401);
    let right = format!("{headers}authorization: Bearer {SECRET}\r\n");
    assert_eq!(living.post(&right, EDIT).status, 202);
    assert!(living.commands()[0].contains(r#""by":"anna""#));
    let me = living.served.ask(&format!(
        "GET /me HTTP/1.1\r\nconnection: close\r\nhost: h\r\nauthorization: Bearer {SECRET}\r\n\r\n"
    ));
    assert_eq!(me.json(), json!({"can_command": true, "operator": false}));
}

#[test]
fn changes_come_as_they_happen_and_go_on_where_a_client_was() {
    let mut living = Living::new(Access::default());
    let price = |price: u64| json!({"City": "Calgary", "ListPrice": price});
    let mut events = living.watch("?price_max=100&device=device-0123456789", None);
    assert_eq!(events.next().0, "live");
    living.list("open:1", 1, &price(50));
    let (name, data, id) = events.next();
    assert_eq!(
        (name.as_str(), &data["listing"]["ListPrice"], &data["version"]),
        ("change", &json!(50), &json!(1))
    );
    drop(events);
    living.list("open:1", 2, &price(500));
    living.list("open:2", 1, &price(60));
    living.list("closed:1", 1, &price(60));
    let result = json!({"commandId": "device-0123456789.1", "outcome": "accepted", "version": 2});
    living.write(COMMAND_RESULTS, "open:1", &result);
    living.write(
        COMMAND_RESULTS,
        "open:1",
        &json!({"commandId": "another-0123456789.1", "outcome": "accepted", "version": 2}),
    );
    let mut events = living.watch("?price_max=100&device=device-0123456789", id.as_deref());
    assert_eq!(events.next().0, "resumed");
    let (name, data, _) = events.next();
    assert_eq!(
        (name.as_str(), &data),
        ("gone", &json!({"listingKey": "open:1", "version": 2, "reason": "left"}))
    );
    let (name, data, _) = events.next();
    assert_eq!((name.as_str(), &data["listing"]["ListingKey"]), ("change", &json!("open:2")));
    let (name, data, last) = events.next();
    assert_eq!((name.as_str(), &data["listingKey"]), ("result", &json!("open:1")));
    // What may not be shown was passed over: the next that comes is this.
    living.list("open:2", 2, &Value::Null);
    let (name, data, _) = events.next();
    assert_eq!((name.as_str(), &data["reason"]), ("gone", &json!("deleted")));
    // The same as pages.
    let page =
        living.served.get(&format!("/changes?price_max=100&since={}&limit=1", id.unwrap())).json();
    assert_eq!(
        (page["events"][0]["type"].as_str(), page["more"].as_bool()),
        (Some("gone"), Some(true))
    );
    let rest = living.served.get(&format!("/changes?price_max=100&since={}", last.unwrap())).json();
    assert_eq!(rest["events"].as_array().unwrap().len(), 1, "{rest}");
}

#[test]
fn what_cannot_be_resumed_is_a_gap() {
    let living = Living::new(Access::default());
    let now = living.served.get("/listings");
    let position = now.header("conveyance-position").unwrap().to_owned();
    let mut parts: Vec<_> = position.split('.').collect();
    assert_eq!(living.watch("", Some(&position)).next().0, "resumed");
    let ahead = format!("{position}zz");
    parts[1] = "1";
    let elsewhere = parts.join(".");
    let short: String = position.chars().take(position.len() - 2).collect();
    for wrong in ["nonsense", &elsewhere, &ahead, &short] {
        let (name, data, id) = living.watch("", Some(wrong)).next();
        assert_eq!(name, "gap", "{wrong}");
        assert_eq!(data["position"].as_str(), id.as_deref());
        assert_eq!(living.served.get(&format!("/changes?since={wrong}")).status, 410);
    }
    for (query, code) in [
        ("?device=short", "bad_device"),
        ("?listings=some", "bad_listings"),
        ("?limit=0", "bad_limit"),
        ("?box=1", "bad_box"),
        ("?sort=price", "unknown_parameter"),
    ] {
        let answer = living.served.get(&format!("/changes{query}"));
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (400, Some(code)),
            "{query}"
        );
    }
}
