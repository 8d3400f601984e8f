//! `live`: from a command on one device to the screens of others. The program is a process of its own, the
//! subscribers are another.

mod check;
mod report;
mod server;
mod services;
mod targets;
mod watcher;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use report::{Measured, report};
use server::{Market, Server};
use targets::{Commander, DEVICE, Target};
use watcher::{Begun, Saw};

/// Connections that are opened at a time: a burst would fill the queue of the listener.
const OPENED_AT_A_TIME: usize = 200;
/// Listings that are commanded, where all subscribers watch the same.
const TARGETS: usize = 100;
/// Longest time for every command to be answered.
const SETTLE: Duration = Duration::from_secs(60);
/// Time for the last events to arrive.
const DRAIN: Duration = Duration::from_secs(2);
/// Half the side of a subscriber's box, in degrees.
const NEAR: f64 = 0.000_5;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which bus: `sqlite` starts one process; `kafka` a broker, and each service as a process of its own.
    #[arg(long, value_parser = ["sqlite", "kafka"], default_value = "sqlite")]
    bus: String,
    /// A gateway that runs already, as 127.0.0.1:7080, in whose market nothing else is commanded.
    #[arg(long)]
    url: Option<SocketAddr>,
    /// How many watch.
    #[arg(long, default_value_t = 20)]
    subscribers: usize,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds of commands before, which do not count; without it none, and 20 on Kafka, whose brokers are slow until
    /// they are compiled.
    #[arg(long)]
    warm_up: Option<u64>,
    /// Commands a second.
    #[arg(long, default_value_t = 50)]
    commands: u32,
    /// Changes a second that the feed makes meanwhile.
    #[arg(long, default_value_t = 1_000.0)]
    feed_rate: f64,
    /// Listings of the market.
    #[arg(long, default_value_t = 20_000)]
    listings: u64,
    /// Begin while the listings are still being loaded.
    #[arg(long)]
    while_loading: bool,
    /// In so many groups, each of which watches a place of its own; each command concerns one group.
    #[arg(long, default_value_t = 1)]
    groups: usize,
    /// Commands a second that concern everyone besides.
    #[arg(long, default_value_t = 0)]
    to_all: u32,
    /// So many more subscribers ask for everything and never read.
    #[arg(long, default_value_t = 0)]
    stuck: usize,
    /// At the end all connections break, and all come back at once.
    #[arg(long)]
    storm: bool,
    /// Judge every subscriber's history, while they drop and come back and the server is killed.
    #[arg(long)]
    check: bool,
    /// With --check: how often clients come back.
    #[arg(long, default_value_t = 10_000)]
    resumes: u64,
    /// With --check: how often the server is killed at most.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// With --check: decides what chance decides.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// With --check: clients that fetch first and subscribe then, which must be found out.
    #[arg(long)]
    broken: bool,
    /// One JSON object on one line.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn warm_up(&self) -> u64 {
        self.warm_up.unwrap_or(if self.bus == "kafka" { 20 } else { 0 })
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    ensure!(
        arguments.bus == "sqlite" || !arguments.check,
        "--check kills and restarts one process: it works with --bus sqlite only"
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(async {
        if !arguments.check {
            return measure(arguments).await;
        }
        let folder = tempfile::tempdir()?;
        check::check(arguments, &folder.path().join("data")).await
    })?;
    crate::kill::print(&report, arguments.json);
    if arguments.broken {
        return Ok(report.get("gaps") != Some(&Value::from(0)));
    }
    Ok(report.get("gaps") == Some(&Value::from(0))
        && report.get("disordered") == Some(&Value::from(0)))
}

async fn measure(arguments: &Arguments) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let server = match arguments.url {
        Some(_) => None,
        None => {
            let market = Market { listings: arguments.listings, rate: arguments.feed_rate };
            let data = folder.path().join("data");
            Some(match arguments.bus.as_str() {
                "kafka" => Server::start_on_kafka(&data, market)?,
                _ => Server::start(&data, market, 0)?,
            })
        }
    };
    let address = arguments.url.or(server.as_ref().map(|s| s.address)).context("an address")?;
    if let Some(server) = &server {
        let all = arguments.listings * 8 / 10;
        let least = if arguments.while_loading { 2_000.min(all) } else { all };
        server.until_listed(least).await?;
    }
    let run = Run::prepare(arguments, address).await?;
    let mut measured = run.go(arguments, server.as_ref()).await?;
    if let Some(server) = &server {
        measured.memory_after = server.memory()?;
    }
    report(&run.commander, measured)
}

/// One run against a server.
struct Run {
    address: SocketAddr,
    targets: Vec<Target>,
    /// The listing that everyone watches besides.
    everyone: Target,
    commander: Commander,
}

impl Run {
    async fn prepare(arguments: &Arguments, address: SocketAddr) -> Result<Self> {
        let count = if arguments.groups > 1 { arguments.groups } else { TARGETS };
        let (mut targets, versions) = targets::find(address, count + 1).await?;
        let everyone = targets.pop().context("a target")?;
        Ok(Self { address, targets, everyone, commander: Commander::new(address, versions) })
    }

    /// Which of the commanded listings subscriber `n` watches.
    fn watches(&self, arguments: &Arguments, n: usize) -> Vec<String> {
        if arguments.groups <= 1 {
            return self.targets.iter().map(|t| t.key.clone()).collect();
        }
        let own = self.targets.get(n % arguments.groups).map(|t| t.key.clone());
        own.into_iter().chain([self.everyone.key.clone()]).collect()
    }

    /// What subscriber `n` asks for.
    fn path(&self, arguments: &Arguments, n: usize) -> String {
        if arguments.groups <= 1 {
            let keys: Vec<_> = self.targets.iter().map(|t| t.key.as_str()).collect();
            return format!("/changes?listing={}", keys.join(","));
        }
        let Some(t) = self.targets.get(n % arguments.groups) else { return String::new() };
        let (west, east) = (t.lon - NEAR, t.lon + NEAR);
        let (south, north) = (t.lat - NEAR, t.lat + NEAR);
        format!("/changes?box={west},{south},{east},{north}&listing={}", self.everyone.key)
    }

    async fn go(&self, arguments: &Arguments, server: Option<&Server>) -> Result<Measured> {
        let memory_before = server.map_or(Ok(0), Server::memory)?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks: JoinSet<Result<Saw>> = JoinSet::new();
        let begun = self.subscribe(arguments, &mut tasks, (&stopped, &[]));
        self.until(&begun, arguments.subscribers, &mut tasks).await?;
        let memory_subscribed = server.map_or(Ok(0), Server::memory)?;
        let stuck = self.stuck(arguments.stuck).await?;
        let learner = self.learner(stopped.clone());
        // The learner's stream is open by then.
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.command(arguments, arguments.warm_up()).await?;
        self.commander.count_from_here();
        let began = now();
        self.command(arguments, arguments.seconds).await?;
        let commanded = began.elapsed();
        self.commander.settle(SETTLE).await?;
        tokio::time::sleep(DRAIN).await;
        stop.send(true)?;
        drop(stuck);
        let mut saw = Vec::new();
        while let Some(one) = tasks.join_next().await {
            saw.push(one??);
        }
        let storm = if arguments.storm { Some(self.storm(arguments, &saw).await?) } else { None };
        drop(learner);
        Ok(Measured { saw, commanded, storm, memory_before, memory_subscribed, memory_after: 0 })
    }

    /// Opens all streams, each of which counts itself when it has begun.
    fn subscribe(
        &self,
        arguments: &Arguments,
        tasks: &mut JoinSet<Result<Saw>>,
        (stopped, positions): (&watch::Receiver<bool>, &[Option<String>]),
    ) -> Begun {
        let begun = Begun::default();
        let turns = Arc::new(Semaphore::new(OPENED_AT_A_TIME));
        for n in 0..arguments.subscribers {
            let (address, path) = (self.address, self.path(arguments, n));
            let (begun, turns, mut stopped) = (begun.clone(), Arc::clone(&turns), stopped.clone());
            let last = positions.get(n).cloned().flatten();
            let watches = self.watches(arguments, n);
            tasks.spawn(async move {
                let turn = turns.acquire().await?;
                let (events, first) = watcher::open(address, &path, last.as_deref()).await?;
                drop(turn);
                begun.add();
                let mut saw = Saw { watches, position: first.id.or(last), ..Saw::default() };
                watcher::follow(events, &mut saw, &mut stopped).await?;
                Ok(saw)
            });
        }
        begun
    }

    async fn until(
        &self,
        begun: &Begun,
        all: usize,
        tasks: &mut JoinSet<Result<Saw>>,
    ) -> Result<()> {
        while begun.count() < all {
            tokio::select! {
                ended = tasks.join_next() => {
                    ended.context("no stream is left")???;
                    anyhow::bail!("a stream ended by itself");
                }
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        Ok(())
    }

    /// Streams that nobody reads.
    async fn stuck(&self, count: usize) -> Result<Vec<wire::Events>> {
        let mut stuck = Vec::new();
        for _ in 0..count {
            stuck.push(watcher::open(self.address, "/changes", None).await?.0);
        }
        Ok(stuck)
    }

    /// Follows what becomes of the commands, until it is dropped.
    fn learner(&self, mut stopped: watch::Receiver<bool>) -> JoinSet<Result<()>> {
        let mut tasks = JoinSet::new();
        let keys: Vec<_> = self.targets.iter().take(99).map(|t| t.key.clone()).collect();
        let path =
            format!("/changes?device={DEVICE}&listing={},{}", self.everyone.key, keys.join(","));
        let (commander, address) = (self.commander.clone(), self.address);
        tasks.spawn(async move {
            let (mut events, _) = watcher::open(address, &path, None).await?;
            loop {
                tokio::select! {
                    event = events.next() => match event? {
                        Some(event) => commander.learn(&event)?,
                        None => return Ok(()),
                    },
                    _ = stopped.changed() => return Ok(()),
                }
            }
        });
        tasks
    }

    /// Sends commands at their pace.
    async fn command(&self, arguments: &Arguments, seconds: u64) -> Result<()> {
        let mut tasks = JoinSet::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / arguments.commands.max(1));
        let every = arguments.commands.checked_div(arguments.to_all);
        let every = every.map_or(u64::MAX, |n| u64::from(n).max(1));
        let total = seconds * u64::from(arguments.commands);
        for n in 0..total {
            ticks.tick().await;
            if n % every == every / 2 {
                self.commander.send(&mut tasks, &self.everyone.key);
            }
            let at = usize::try_from(n)? % self.targets.len().max(1);
            if let Some(target) = self.targets.get(at) {
                self.commander.send(&mut tasks, &target.key);
            }
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    /// All come back at once, each with its last position; how long until all are live again.
    async fn storm(&self, arguments: &Arguments, saw: &[Saw]) -> Result<Duration> {
        let positions: Vec<_> = saw.iter().map(|saw| saw.position.clone()).collect();
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let from = now();
        let begun = self.subscribe(arguments, &mut tasks, (&stopped, &positions));
        self.until(&begun, arguments.subscribers, &mut tasks).await?;
        let took = from.elapsed();
        stop.send(true)?;
        while let Some(one) = tasks.join_next().await {
            one??;
        }
        Ok(took)
    }
}
