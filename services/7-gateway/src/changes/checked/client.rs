//! A client: keeps what it is told, drops its stream, comes back to any gateway, and checks what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use dataflow::memory::Rng;
use hyper::body::Body as _;
use serde_json::Value;

use super::world::{DEVICE, PRIVATE, World};
use crate::changes::hub::Hub;
use crate::changes::serve::changes;
use crate::query::list_request;

/// How a client joins what it fetched and what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandOff {
    /// The stream first, then the snapshot: right.
    TailFirst,
    /// The snapshot first, then a stream from "now": what comes between the two is lost.
    SnapshotFirst,
    /// Comes back without saying how far it was.
    LosesPosition,
}

type Check = fn(&Value) -> bool;

fn number(listing: &Value, name: &str) -> f64 {
    listing[name].as_f64().unwrap_or(f64::NAN)
}

fn in_box(listing: &Value) -> bool {
    (51.0..=52.0).contains(&number(listing, "Latitude"))
        && (-112.0..=-111.0).contains(&number(listing, "Longitude"))
}

/// What clients watch, and the same said independently.
const FILTERS: [(&str, Check); 4] = [
    ("", |_| true),
    ("box=-112,51,-111,52", in_box),
    ("city=regina,calgary&price_min=300", |l| {
        l["City"] != "Victoria" && number(l, "ListPrice") >= 300.0
    }),
    ("beds_min=3&q=vict", |l| l["City"] == "Victoria" && number(l, "BedroomsTotal") >= 3.0),
];

fn shown(listing: &Value) -> bool {
    listing.is_object()
        && listing["StandardStatus"] != "Withdrawn"
        && listing["InternetEntireListingDisplayYN"] != false
}

/// One client.
pub(super) struct Client {
    number: usize,
    hand_off: HandOff,
    stream: Option<Body>,
    pub(super) resumes: u64,
    last: Option<String>,
    /// What it shows: version of each listing.
    model: BTreeMap<String, u64>,
    /// The newest version it was told of each listing since it last took a snapshot.
    told: BTreeMap<String, u64>,
    results: Vec<u64>,
    results_whole: bool,
    /// The stream said that a snapshot is to be taken.
    wants_snapshot: bool,
    hub: Option<Arc<Hub>>,
}

impl Client {
    pub(super) fn new(number: usize, hand_off: HandOff) -> Self {
        Self {
            number,
            hand_off,
            stream: None,
            resumes: 0,
            last: None,
            model: BTreeMap::new(),
            told: BTreeMap::new(),
            results: Vec::new(),
            results_whole: true,
            wants_snapshot: false,
            hub: None,
        }
    }

    fn filter(&self) -> (&'static str, Check) {
        FILTERS[self.number % FILTERS.len()]
    }

    pub(super) fn drop_stream(&mut self) {
        self.stream = None;
    }

    /// Opens a stream at one of the gateways, which knows everything then or is asked as it is.
    pub(super) async fn open(&mut self, world: &mut World, rng: &mut Rng) -> Result<(), String> {
        let at = usize::from(rng.chance(50));
        // Another gateway than before waits until it knows as much; time does not pass here.
        world.catch_up(at);
        let hub = Arc::clone(&world.gateways[at].hub);
        hub.idle();
        if self.hand_off == HandOff::LosesPosition {
            self.last = None;
        } else if self.hand_off == HandOff::SnapshotFirst {
            self.last = None;
            self.snapshot(&hub)?;
            (0..3).for_each(|_| world.write(rng));
            world.catch_up(at);
        }
        self.open_at(&hub).await
    }

    async fn open_at(&mut self, hub: &Arc<Hub>) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        if let Some(last) = &self.last {
            headers.insert("last-event-id", last.parse().unwrap());
            self.resumes += 1;
        }
        let query = format!("device={DEVICE}&{}", self.filter().0);
        let response = changes(Arc::clone(hub), &query, &headers).await;
        if response.status() != 200 {
            return Err(format!("refused: {}", response.status()));
        }
        self.stream = Some(response.into_body());
        self.hub = Some(Arc::clone(hub));
        // The first event says how it begins.
        self.read(1).await
    }

    /// Reads up to so many frames of what is there.
    pub(super) async fn read(&mut self, frames: u64) -> Result<(), String> {
        for _ in 0..frames {
            if !self.read_one().await? {
                return Ok(());
            }
            if std::mem::take(&mut self.wants_snapshot) && self.hand_off != HandOff::SnapshotFirst {
                let hub = self.hub.clone().ok_or("no gateway")?;
                if self.hand_off == HandOff::LosesPosition && !self.model.is_empty() {
                    continue;
                }
                self.snapshot(&hub)?;
            }
        }
        Ok(())
    }

    /// Reads one frame; `false` when there is none now.
    async fn read_one(&mut self) -> Result<bool, String> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        let mut polls = 0;
        let frame = std::future::poll_fn(|cx| {
            polls += 1;
            match std::pin::Pin::new(&mut *stream).poll_frame(cx) {
                // A long look through the ring asks to be polled again.
                std::task::Poll::Pending if polls < 20 => {
                    cx.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
                std::task::Poll::Pending => std::task::Poll::Ready(None),
                std::task::Poll::Ready(frame) => std::task::Poll::Ready(Some(frame)),
            }
        })
        .await;
        match frame {
            None => Ok(false),
            Some(None) => {
                self.stream = None;
                Ok(false)
            }
            Some(Some(frame)) => {
                let bytes = frame.map_err(|e| e.to_string())?.into_data().unwrap();
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                for event in text.split("\n\n").filter(|e| !e.is_empty()) {
                    self.take(event)?;
                }
                Ok(true)
            }
        }
    }

    fn take(&mut self, event: &str) -> Result<(), String> {
        let field =
            |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let Some(name) = field("event") else { return Ok(()) };
        let data: Value = serde_json::from_str(field("data").unwrap_or_default()).unwrap();
        // A position of no process in particular: what the client saw there is not known, and may be told again.
        let anew = field("id").is_some_and(|id| id.split('.').nth(2) == Some("0"));
        match name {
            "live" | "gap" => {
                self.wants_snapshot = true;
                self.results_whole &= name == "live" && self.results.is_empty();
            }
            "change" => self.change(&data, anew)?,
            "gone" => self.gone(&data)?,
            "result" => self.result(&data)?,
            _ => {}
        }
        if let Some(id) = field("id") {
            self.last = Some(id.to_owned());
        }
        Ok(())
    }

    fn change(&mut self, data: &Value, anew: bool) -> Result<(), String> {
        let key = data["listing"]["ListingKey"].as_str().unwrap().to_owned();
        let version = data["version"].as_u64().unwrap();
        let told = self.told.entry(key.clone()).or_default();
        if *told > version || (*told == version && !anew) {
            return Err(format!("client {}: {key} {version} after {told}", self.number));
        }
        *told = version;
        let known = self.model.entry(key).or_default();
        *known = (*known).max(version);
        Ok(())
    }

    fn gone(&mut self, data: &Value) -> Result<(), String> {
        let key = data["listingKey"].as_str().unwrap().to_owned();
        let version = data["version"].as_u64().unwrap();
        if key.starts_with(PRIVATE) {
            return Err(format!("client {}: {key} was never to be seen by anyone", self.number));
        }
        let told = self.told.entry(key.clone()).or_default();
        if *told > version {
            return Err(format!("client {}: {key} gone at {version} after {told}", self.number));
        }
        *told = version;
        if self.model.get(&key).is_some_and(|known| *known <= version) {
            self.model.remove(&key);
        }
        Ok(())
    }

    fn result(&mut self, data: &Value) -> Result<(), String> {
        let id = data["commandId"].as_str().unwrap();
        let number: u64 = id.rsplit('.').next().unwrap().parse().unwrap();
        if self.results.last().is_some_and(|last| *last >= number) {
            return Err(format!(
                "client {}: result {number} after {:?}",
                self.number, self.results
            ));
        }
        self.results.push(number);
        Ok(())
    }

    /// Fetches what matches now.
    fn snapshot(&mut self, hub: &Hub) -> Result<(), String> {
        let request = list_request(&format!("limit=200&{}", self.filter().0)).unwrap();
        let list = hub.maker.model.list(&request).map_err(|e| e.message)?;
        self.model.clear();
        for card in list["listings"].as_array().unwrap() {
            let key = card["ListingKey"].as_str().unwrap().to_owned();
            self.model.insert(key, card["Version"].as_u64().unwrap());
        }
        Ok(())
    }

    /// Reads to the end, and compares with what is true.
    pub(super) async fn finish(&mut self, world: &World) -> Result<(), String> {
        // What a gateway that died had sent may still be read; then the stream ends.
        while self.read_one().await? {}
        let lives = |hub: &Arc<Hub>| world.gateways.iter().any(|g| Arc::ptr_eq(&g.hub, hub));
        if !self.hub.as_ref().is_some_and(lives) {
            self.stream = None;
        }
        loop {
            if self.stream.is_none() {
                let hub = Arc::clone(&world.gateways[0].hub);
                hub.idle();
                if self.hand_off == HandOff::SnapshotFirst && self.last.is_none() {
                    self.snapshot(&hub)?;
                }
                self.open_at(&hub).await?;
            }
            while self.read_one().await? {}
            if std::mem::take(&mut self.wants_snapshot) && self.hand_off == HandOff::TailFirst {
                let hub = self.hub.clone().ok_or("no gateway")?;
                self.snapshot(&hub)?;
            }
            if self.stream.is_some() {
                break;
            }
        }
        let check = self.filter().1;
        let truth = world.truth.iter().filter(|(_, (_, listing))| shown(listing) && check(listing));
        let truth: BTreeMap<_, _> =
            truth.map(|(key, (version, _))| (key.clone(), *version)).collect();
        if self.model != truth {
            return Err(format!(
                "client {} shows {:?}, true is {truth:?}",
                self.number, self.model
            ));
        }
        let all = self.results.first().map_or(0, |first| world.results - first);
        if self.results_whole && self.results.len() as u64 != all {
            return Err(format!(
                "client {} got results {:?} of {}",
                self.number, self.results, world.results
            ));
        }
        Ok(())
    }
}
