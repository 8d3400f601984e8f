//! A read model of listings that a test says, served on a real port; and a small client that asks it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataflow::View;
use dataflow::batch::{Batch, BatchBuilder, Meta, NewRecord};
use dataflow::contract::Delivery;
use gateway::{
    Absent, Display, FeedDisplay, FlowState, Gateway, ListingView, Operation, Redrive, serve,
};
use messages::topics::{LISTING_CURRENT, LISTING_EVENTS};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Time of the first record: 2022-01-01.
pub(crate) const START_MS: i64 = 1_640_995_200_000;

/// One record of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) topic: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// The last version of a listing; `Null` for a deleted one.
pub(crate) fn current(key: &str, version: u64, listing: &Value) -> Record {
    let mut value = json!({
        "ListingKey": key, "version": version, "deleted": listing.is_null(),
        "stamp": {"asOf": "2022-01-01T00:00:00.000Z", "seq": 1, "revision": 1, "hash": "0", "pack": "p"},
    });
    if !listing.is_null() {
        value["listing"] = listing.clone();
    }
    value["lastChange"] = json!({"type": "added"});
    record(LISTING_CURRENT, key, &value)
}

/// An event of a listing.
pub(crate) fn event(key: &str, version: u64, kind: &str, before: Value, after: Value) -> Record {
    let value = json!({"type": kind, "version": version, "asOf": "2022-01-01T00:00:00.000Z", "before": before, "after": after});
    record(LISTING_EVENTS, key, &value)
}

pub(crate) fn record(topic: &'static str, key: &str, value: &Value) -> Record {
    let value = Some(value.to_string().into_bytes());
    Record { topic, key: key.as_bytes().to_vec(), value }
}

/// Batches of those records, from `base` on; all in partition 0. Record `n` was read `n` seconds after [`START_MS`].
pub(crate) fn deliveries(records: &[Record], base: [u64; 2]) -> Vec<Delivery> {
    let mut all = Vec::new();
    for (topic, base) in [LISTING_CURRENT, LISTING_EVENTS].into_iter().zip(base) {
        let mut builder = BatchBuilder::default();
        for (n, record) in (base..).zip(records.iter().filter(|r| r.topic == topic)) {
            let meta = Meta {
                id: 0,
                trace: 0,
                kind: topic,
                source: "feed",
                time_ms: START_MS + i64::try_from(n).unwrap() * 1000,
                schema: 1,
                origin: 0,
            };
            let value = record.value.as_deref();
            builder.push(NewRecord { key: &record.key, value, meta, headers: &[] });
        }
        if !builder.is_empty() {
            let batch = Batch::decode(Arc::new(builder.finish()), base, 0).unwrap();
            all.push(Delivery {
                topic: topic.into(),
                partition: 0,
                batch: Arc::new(batch),
                from: base,
            });
        }
    }
    all
}

/// Applies records in calls of `size`.
pub(crate) fn apply(view: &mut ListingView, records: &[Record], size: usize) {
    let mut base = [0, 0];
    for call in records.chunks(size.max(1)) {
        view.apply(&deliveries(call, base), START_MS).unwrap();
        for (topic, base) in [LISTING_CURRENT, LISTING_EVENTS].into_iter().zip(&mut base) {
            *base += call.iter().filter(|r| r.topic == topic).count() as u64;
        }
    }
}

/// `open` is open data, `closed` shows what its flags permit, and `quiet` has no rules of its own.
pub(crate) fn display() -> Display {
    let mut display = Display::default();
    display.feeds.insert("open".into(), FeedDisplay::open_data());
    let closed = FeedDisplay { absent: Absent::Deny, ..FeedDisplay::open_data() };
    display.feeds.insert("closed".into(), closed);
    display
}

pub(crate) fn open(file: &Path) -> ListingView {
    let mut view = ListingView::open(file, display()).unwrap();
    if view.position().unwrap().epoch == 0 {
        view.reset(7).unwrap();
    }
    view
}

/// A program that says back what it was asked.
fn operation() -> Operation {
    Operation {
        flow: Arc::new(|| Arc::new(FlowState { time_ms: 77, ..FlowState::default() })),
        dead_letters: Arc::new(|service, limit| match service {
            Some("none") => Err("no service `none`".to_owned()),
            service => Ok(json!({"service": service, "limit": limit})),
        }),
        redrive: Arc::new(|wanted: &Redrive| {
            let service = wanted.service.as_deref().unwrap_or("every service");
            let what =
                if wanted.all { format!("all of {service}") } else { wanted.positions.join(" ") };
            Ok(json!({"redriven": what}))
        }),
    }
}

/// A served read model.
pub(crate) struct World {
    pub(crate) view: ListingView,
    served: Served,
    _folder: TempDir,
}

/// A gateway on a real port.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl std::ops::Deref for World {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl std::ops::DerefMut for World {
    fn deref_mut(&mut self) -> &mut Served {
        &mut self.served
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let json = self.json();
        let listings = json["listings"].as_array().unwrap_or_else(|| panic!("no list: {json}"));
        listings.iter().map(|l| l["ListingKey"].as_str().unwrap().to_owned()).collect()
    }
}

impl World {
    pub(crate) fn of(records: &[Record]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut view = open(&folder.path().join("views.db"));
        apply(&mut view, records, 100);
        let explain: gateway::Explain = Arc::new(|key| match key {
            "open:1" => Ok(json!({"steps": []})),
            other => Err(format!("no topic holds `{other}`")),
        });
        let gateway = Gateway::new(view.model(), explain).operated_by(operation());
        Self { view, served: Served::new(gateway), _folder: folder }
    }
}

impl Served {
    pub(crate) fn new(gateway: Gateway) -> Self {
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                serve(listener, gateway, async move { drop(stopped.await) }).await
            })
        });
        Self { address, stop: Some(stop), server: Some(server) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    /// Sends `request` as it is, and reads to the end of the connection.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A server that refuses may close before it has read everything: what it said still counts.
        drop(stream.read_to_end(&mut bytes));
        answer(&String::from_utf8(bytes).unwrap())
    }

    /// Stops the server and waits for its end.
    pub(crate) fn stop(&mut self) -> std::io::Result<()> {
        drop(self.stop.take());
        self.server.take().map_or(Ok(()), |server| server.join().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.unwrap_or(0),
        headers: headers.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect(),
        body: body.to_owned(),
    }
}
