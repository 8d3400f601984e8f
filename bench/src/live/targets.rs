//! Listings that are commanded, and who commands them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::now;
use super::wire::{Connection, Event};

/// The device of the commands.
pub(crate) const DEVICE: &str = "bench-live-device";
/// Prices are this much, and the number of the command: so an event says which command it shows.
pub(crate) const PRICE: u64 = 100_000_000;
/// Connections that commands go over.
const LANES: usize = 16;
/// A connection that nobody used for so long may be closed by the server just now.
const IDLE: Duration = Duration::from_secs(5);
/// Listings of one page.
const PAGE: usize = 200;

/// A listing that is commanded.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) key: String,
    pub(crate) lat: f64,
    pub(crate) lon: f64,
}

/// Listings for sale with a place, as many as wanted, with their versions.
///
/// # Errors
/// When there are not so many.
pub(crate) async fn find(
    address: SocketAddr,
    count: usize,
) -> Result<(Vec<Target>, HashMap<String, u64>)> {
    let mut connection = Connection::open(address).await?;
    let (mut targets, mut versions) = (Vec::new(), HashMap::new());
    let mut after = String::new();
    while targets.len() < count {
        let path = format!("/listings?status=Active&sort=price&limit={PAGE}{after}");
        let page = connection.ask("GET", &path, None).await?.json()?;
        for card in page.get("listings").and_then(Value::as_array).into_iter().flatten() {
            let number = |name: &str| card.get(name).and_then(Value::as_f64);
            let key = card.get("ListingKey").and_then(Value::as_str).unwrap_or_default();
            let (Some(lat), Some(lon)) = (number("Latitude"), number("Longitude")) else {
                continue;
            };
            versions
                .insert(key.to_owned(), card.get("Version").and_then(Value::as_u64).unwrap_or(0));
            targets.push(Target { key: key.to_owned(), lat, lon });
        }
        let next = page.get("next").and_then(Value::as_str);
        ensure!(
            next.is_some() || targets.len() >= count,
            "only {} listings have a place",
            targets.len()
        );
        after = next.map(|next| format!("&after={next}")).unwrap_or_default();
    }
    targets.truncate(count);
    Ok((targets, versions))
}

#[allow(clippy::cast_precision_loss, reason = "some thousand commands")]
fn cents(cents: u64) -> Value {
    json!(cents as f64 / 100.0)
}

/// What is known of the commands so far.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// When each command was sent, by its number.
    pub(crate) sent: Vec<Option<Instant>>,
    /// The version each accepted command made, with its listing.
    pub(crate) accepted: HashMap<u64, (String, u64)>,
    pub(crate) refused: u64,
    /// Commands before this one only warmed everything up.
    pub(crate) counted_from: u64,
    /// How long the answers to commands took, that is, how long until they were durable.
    pub(crate) taken: Vec<Duration>,
    /// Commands that went to a server that died.
    pub(crate) unknown: u64,
    /// The newest version known of each listing.
    pub(crate) versions: HashMap<String, u64>,
}

impl Book {
    /// How many commands count.
    pub(crate) fn counted(&self) -> usize {
        self.sent.len().saturating_sub(usize::try_from(self.counted_from).unwrap_or(usize::MAX))
    }
}

/// Sends commands, and learns what became of them.
#[derive(Clone)]
pub(crate) struct Commander {
    address: SocketAddr,
    pub(crate) book: Arc<Mutex<Book>>,
    /// Connections, with the time of their last answer.
    lanes: Arc<Mutex<Vec<(Connection, Instant)>>>,
    turns: Arc<Semaphore>,
}

impl Commander {
    /// Commands listings whose versions are known.
    pub(crate) fn new(address: SocketAddr, versions: HashMap<String, u64>) -> Self {
        let book = Book { versions, ..Book::default() };
        Self {
            address,
            book: Arc::new(Mutex::new(book)),
            lanes: Arc::default(),
            turns: Arc::new(Semaphore::new(LANES)),
        }
    }

    /// Looks into the book.
    pub(crate) fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends one command in the background; its price says its number.
    pub(crate) fn send(&self, tasks: &mut JoinSet<Result<()>>, key: &str) {
        let (number, version) = self.next(key);
        let (commander, key) = (self.clone(), key.to_owned());
        tasks.spawn(async move {
            commander.carry((number, json!(PRICE + number)), &key, version).await
        });
    }

    /// As `send`, to a server that may be dead; the price is a large one, or one that no home and no rent has. No
    /// two are the same: a command that changes nothing makes no new version.
    pub(crate) fn try_send(&self, tasks: &mut JoinSet<Result<()>>, key: &str, large: bool) {
        let (number, version) = self.next(key);
        let (commander, key) = (self.clone(), key.to_owned());
        tasks.spawn(async move {
            let price = if large { json!(PRICE + number) } else { cents(number + 100) };
            if commander.carry((number, price), &key, version).await.is_err() {
                // It may have counted or not; nobody waits for it.
                commander.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
                commander.book(|book| book.unknown += 1);
            }
            Ok(())
        });
    }

    fn next(&self, key: &str) -> (u64, u64) {
        self.book(|book| {
            book.sent.push(None);
            (book.sent.len() as u64 - 1, book.versions.get(key).copied().unwrap_or(0))
        })
    }

    /// What was sent so far was to warm everything up.
    pub(crate) fn count_from_here(&self) {
        self.book(|book| {
            book.counted_from = book.sent.len() as u64;
            book.taken.clear();
        });
    }

    /// Waits until every command that was taken has its answer.
    pub(crate) async fn settle(&self, patience: Duration) -> Result<()> {
        let done = async {
            let mut still = 0;
            let mut before = u64::MAX;
            // Answers of commands whose fate is unknown may come too: wait until none comes any more.
            while still < 10 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let (told, all) = self.book(|book| {
                    let told = book.accepted.len() as u64 + book.refused;
                    (told, (book.sent.len() as u64).saturating_sub(book.unknown))
                });
                still = if told == before && told >= all { still + 1 } else { 0 };
                before = told;
            }
        };
        tokio::time::timeout(patience, done)
            .await
            .context("commands that were taken have no answer")
    }

    /// Changes a listing, and waits until that is known; the version it has then.
    pub(crate) async fn mark(&self, key: &str, patience: Duration) -> Result<u64> {
        let from = self.book(|book| book.versions.get(key).copied().unwrap_or(0));
        // Connections to a server that died are of no use.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut tasks = JoinSet::new();
        self.send(&mut tasks, key);
        tasks.join_next().await.context("a task")???;
        let done = async {
            loop {
                let version = self.book(|book| book.versions.get(key).copied().unwrap_or(0));
                if version > from {
                    return version;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, done).await.context("the marker was not changed")
    }

    async fn carry(&self, (number, price): (u64, Value), key: &str, version: u64) -> Result<()> {
        let _turn = self.turns.acquire().await?;
        let kept = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lane = match kept {
            Some((lane, used)) if used.elapsed() < IDLE => lane,
            _ => Connection::open(self.address).await?,
        };
        let body = json!({
            "commandId": format!("{DEVICE}.{number}"), "listingKey": key, "action": "edit",
            "basedOn": version, "set": {"ListPrice": price},
        });
        let at = now();
        self.book(|book| {
            if let Some(sent) = book.sent.get_mut(usize::try_from(number).unwrap_or(usize::MAX)) {
                *sent = Some(at);
            }
        });
        let answer = lane.ask("POST", "/commands", Some(&body.to_string())).await?;
        ensure!(answer.status == 202, "{}", String::from_utf8_lossy(&answer.body));
        self.book(|book| book.taken.push(at.elapsed()));
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push((lane, now()));
        Ok(())
    }

    /// Takes an event of the device's own stream.
    ///
    /// # Errors
    /// When it is not as it should be.
    pub(crate) fn learn(&self, event: &Event) -> Result<()> {
        if event.name == "result" {
            let data = event.json()?;
            let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
            let version = data.get("version").and_then(Value::as_u64).context("no version")?;
            let number: u64 = text("commandId").rsplit('.').next().unwrap_or_default().parse()?;
            self.book(|book| {
                if text("outcome") == "accepted" {
                    book.accepted.insert(number, (text("listingKey").to_owned(), version));
                } else {
                    book.refused += 1;
                }
                let known = book.versions.entry(text("listingKey").to_owned()).or_default();
                *known = (*known).max(version);
            });
        } else if event.name == "change" {
            let data = event.json()?;
            let key =
                data.pointer("/listing/ListingKey").and_then(Value::as_str).unwrap_or_default();
            let version = data.get("version").and_then(Value::as_u64).unwrap_or(0);
            self.book(|book| {
                let known = book.versions.entry(key.to_owned()).or_default();
                *known = (*known).max(version);
            });
        }
        Ok(())
    }
}
