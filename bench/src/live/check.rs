//! Every subscriber's history, judged: while commands race them, clients drop and come back at random and the server
//! is killed; now and then everything comes to rest, and each client must show exactly what the server has.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Arguments;
use super::server::{Market, Server};
use super::targets::{Commander, DEVICE, find};
use super::watcher::open;
use super::wire::{Connection, Event, Events};
use crate::power::chance::Chance;

/// Listings that are commanded: so few that all fit one page.
const TARGETS: usize = 100;
/// How long commands and clients race each other before everything comes to rest.
const RACE: Duration = Duration::from_millis(1_200);
/// Time between two commands.
const PACE: Duration = Duration::from_millis(6);
/// Longest time that a client stays before it drops its stream, in milliseconds.
const STAY_MS: u64 = 60;
/// Longest time that everything may take to come to rest.
const REST: Duration = Duration::from_secs(60);

/// What clients watch; the marker is added to each.
const FILTERS: [&str; 4] = [
    "price_min=100000000",
    "price_max=500",
    "box=-170,15,-50,75&price_min=100000000",
    "status=Active&beds_min=2&price_min=100000000",
];

/// What clients are to do now; each number of a rest is a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Race,
    /// Keep the stream that is open: it began while commands raced it.
    Hold,
    Rest(u64),
    End,
}

#[derive(Debug, Default)]
struct Counts {
    resumes: AtomicU64,
    gaps: AtomicU64,
    fresh: AtomicU64,
    judged: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Counts {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// One client.
struct Client {
    number: usize,
    address: SocketAddr,
    marker: String,
    broken: bool,
    counts: Arc<Counts>,
    last: Option<String>,
    /// What it shows.
    model: BTreeMap<String, u64>,
    /// The newest version it was told of each listing since its last snapshot.
    told: BTreeMap<String, u64>,
    /// The newest version of the marker that it saw.
    marked: u64,
}

/// Runs the check.
///
/// # Errors
/// When the server does not come up, or nothing moves any more.
pub(crate) async fn check(arguments: &Arguments, data: &Path) -> Result<Value> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let market = Market { listings: arguments.listings, rate: 0.0 };
    let mut server = Server::start(data, market, port)?;
    server.until_listed(arguments.listings * 8 / 10).await?;
    let (mut targets, versions) = find(server.address, TARGETS + 1).await?;
    let marker = targets.pop().context("a marker")?.key;
    let commander = Commander::new(server.address, versions);
    let counts = Arc::new(Counts::default());
    let (say, hear) = watch::channel(Now::Race);
    let mut clients = JoinSet::new();
    for number in 0..arguments.subscribers {
        let client = Client {
            number,
            address: server.address,
            marker: marker.clone(),
            broken: arguments.broken,
            counts: Arc::clone(&counts),
            last: None,
            model: BTreeMap::new(),
            told: BTreeMap::new(),
            marked: 0,
        };
        clients.spawn(client.run(hear.clone()));
    }
    let learner = learn(commander.clone(), server.address, marker.clone());
    let mut chance = Chance::new(arguments.seed);
    let (mut rests, mut kills) = (0, 0);
    while counts.resumes.load(Ordering::Acquire) < arguments.resumes {
        say.send(Now::Race)?;
        let keys: Vec<_> = targets.iter().map(|t| t.key.as_str()).collect();
        let kill = arguments.kills > kills && chance.below(3) == 0;
        race(&commander, &keys, &mut chance, kill.then_some(&mut server)).await?;
        if kill {
            kills += 1;
            drop(server);
            server = Server::start(data, market, port)?;
        }
        say.send(Now::Hold)?;
        commander.settle(REST).await?;
        let mark = commander.mark(&marker, REST).await?;
        rests += 1;
        say.send(Now::Rest(mark))?;
        all_judged(&mut clients, &counts, rests * arguments.subscribers as u64).await?;
        if arguments.broken
            && !counts.wrong.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
        {
            break;
        }
    }
    say.send(Now::End)?;
    drop(learner);
    let wrong = std::mem::take(&mut *counts.wrong.lock().unwrap_or_else(PoisonError::into_inner));
    let read = |n: &AtomicU64| n.load(Ordering::Acquire);
    Ok(json!({
        "subscribers": arguments.subscribers, "resumes": read(&counts.resumes), "kills": kills,
        "gap_answers": read(&counts.gaps), "fresh_starts": read(&counts.fresh),
        "comparisons": read(&counts.judged), "commands": commander.book(|book| book.sent.len()),
        "gaps": wrong.len(), "disordered": wrong.iter().filter(|w| w.contains(" after ")).count(),
        "first_findings": wrong.iter().take(3).collect::<Vec<_>>(),
    }))
}

/// Waits until so many comparisons were made.
async fn all_judged(clients: &mut JoinSet<Result<()>>, counts: &Counts, wanted: u64) -> Result<()> {
    tokio::time::timeout(REST, async {
        while counts.judged.load(Ordering::Acquire) < wanted {
            if let Some(ended) = clients.try_join_next() {
                ended??;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    })
    .await
    .context("some clients never saw the marker")?
}

/// Commands race the clients; in the middle of it the server may be killed.
async fn race(
    commander: &Commander,
    keys: &[&str],
    chance: &mut Chance,
    mut kill: Option<&mut Server>,
) -> Result<()> {
    let count = u64::try_from(RACE.as_millis() / PACE.as_millis())?;
    let kill_at = chance.below(count);
    let mut tasks = JoinSet::new();
    for n in 0..count {
        if n == kill_at
            && let Some(server) = kill.take()
        {
            server.kill()?;
            break;
        }
        let at = usize::try_from(chance.below(keys.len() as u64))?;
        let Some(key) = keys.get(at) else { continue };
        commander.try_send(&mut tasks, key, chance.below(2) == 0);
        tokio::time::sleep(PACE).await;
        while let Some(done) = tasks.try_join_next() {
            done??;
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Learns what becomes of commands, also over restarts.
fn learn(commander: Commander, address: SocketAddr, marker: String) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut last: Option<String> = None;
        loop {
            let path = format!("/changes?device={DEVICE}&listing={marker}&feed=demo");
            if let Ok((mut events, _)) = open(address, &path, last.as_deref()).await {
                while let Ok(Some(event)) = events.next().await {
                    drop(commander.learn(&event));
                    last = event.id.or(last);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tasks
}

impl Client {
    fn filter(&self) -> &'static str {
        FILTERS.get(self.number % FILTERS.len()).copied().unwrap_or_default()
    }

    async fn run(mut self, mut hear: watch::Receiver<Now>) -> Result<()> {
        let mut chance = Chance::new(self.number as u64);
        let (mut judged, mut open) = (0, None);
        loop {
            let now = *hear.borrow_and_update();
            match now {
                Now::End => return Ok(()),
                Now::Rest(mark) if mark > judged => {
                    self.rest(mark, open.take()).await;
                    judged = mark;
                }
                Now::Hold | Now::Rest(_) => drop(hear.changed().await),
                Now::Race => open = self.stay(&mut chance, &mut hear).await?,
            }
        }
    }

    /// Opens a stream, reads for a while, drops it; where it is to come to rest meanwhile, it keeps the stream.
    async fn stay(
        &mut self,
        chance: &mut Chance,
        hear: &mut watch::Receiver<Now>,
    ) -> Result<Option<Events>> {
        let Ok(mut events) = self.open().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            return Ok(None);
        };
        let stay = tokio::time::sleep(Duration::from_millis(chance.below(STAY_MS) + 1));
        tokio::pin!(stay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Ok(Some(event)) => self.take(&event).await?,
                    // The server was killed, or ended the stream.
                    Ok(None) | Err(_) => return Ok(None),
                },
                () = &mut stay => return Ok(None),
                _ = hear.changed() => return Ok(Some(events)),
            }
        }
    }

    async fn open(&mut self) -> Result<Events> {
        let path = format!("/changes?{}&listing={}", self.filter(), self.marker);
        if self.broken {
            // The wrong way round: what changes between the snapshot and the stream is never told.
            self.last = None;
            self.snapshot().await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (events, first) = open(self.address, &path, self.last.as_deref()).await?;
        let count = match first.name.as_str() {
            "resumed" => &self.counts.resumes,
            "gap" => &self.counts.gaps,
            _ if self.broken => &self.counts.resumes,
            _ => &self.counts.fresh,
        };
        count.fetch_add(1, Ordering::AcqRel);
        if first.name != "resumed" && !self.broken {
            self.snapshot().await?;
        }
        self.last = first.id.or(self.last.take());
        Ok(events)
    }

    async fn snapshot(&mut self) -> Result<()> {
        self.model = list(self.address, self.filter()).await?;
        self.model.remove(&self.marker);
        self.told.clear();
        Ok(())
    }

    async fn take(&mut self, event: &Event) -> Result<()> {
        let data = if event.data.is_empty() { Value::Null } else { event.json()? };
        let version = data.get("version").and_then(Value::as_u64).unwrap_or(0);
        let name = if event.name == "change" { "/listing/ListingKey" } else { "/listingKey" };
        let key = data.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if event.name == "change" || event.name == "gone" {
            let told = self.told.entry(key.clone()).or_default();
            if *told > version || *told == version && event.name == "change" {
                self.counts.wrong(format!("client {}: {key} {version} after {told}", self.number));
            }
            *told = version;
            if key == self.marker {
                self.marked = self.marked.max(version);
            } else if event.name == "change" {
                let known = self.model.entry(key).or_default();
                *known = (*known).max(version);
            } else if self.model.get(&key).is_some_and(|known| *known <= version) {
                self.model.remove(&key);
            }
        }
        if event.id.is_some() {
            self.last.clone_from(&event.id);
        }
        Ok(())
    }

    /// Reads until the marker is seen, and compares.
    async fn rest(&mut self, mark: u64, mut kept: Option<Events>) {
        while self.marked < mark {
            let opened = match kept.take() {
                Some(events) => Ok(events),
                None => self.open().await,
            };
            let Ok(mut events) = opened else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            if self.broken && self.marked < mark {
                // Who never says how far it was may not be told of the marker: it reads for a while.
                let read = async {
                    while let Ok(Some(event)) = events.next().await {
                        drop(self.take(&event).await);
                    }
                };
                drop(tokio::time::timeout(Duration::from_millis(500), read).await);
                self.marked = mark;
            }
            while self.marked < mark
                && let Ok(Some(event)) = events.next().await
            {
                drop(self.take(&event).await);
            }
        }
        self.compare().await;
        self.counts.judged.fetch_add(1, Ordering::AcqRel);
    }

    async fn compare(&mut self) {
        let mut truth = match list(self.address, self.filter()).await {
            Ok(truth) => truth,
            Err(error) => return self.counts.wrong(format!("nothing to compare with: {error:#}")),
        };
        truth.remove(&self.marker);
        if self.model != truth {
            let missing = truth.iter().find(|(key, version)| self.model.get(*key) != Some(version));
            let more = self.model.iter().find(|(key, _)| !truth.contains_key(*key));
            self.counts.wrong(format!(
                "client {} ({}): missing {missing:?}, too much {more:?}",
                self.number,
                self.filter()
            ));
            self.model = truth;
        }
    }
}

/// What matches a filter now.
async fn list(address: SocketAddr, filter: &str) -> Result<BTreeMap<String, u64>> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.ask("GET", &format!("/listings?{filter}&limit=200"), None).await?;
    ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
    ensure!(answer.header("conveyance-position").is_some(), "an answer without its position");
    let page = answer.json()?;
    if page.get("next").and_then(Value::as_str).is_some() {
        bail!("more listings match than a page holds");
    }
    let cards = page.get("listings").and_then(Value::as_array).into_iter().flatten();
    let read = |card: &Value| {
        let key = card.get("ListingKey")?.as_str()?.to_owned();
        Some((key, card.get("Version")?.as_u64()?))
    };
    Ok(cards.filter_map(read).collect())
}
