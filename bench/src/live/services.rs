//! The program on Kafka: a broker, a market that goes on, and each service as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bus_kafka::{KafkaBus, KafkaConfig};
use dataflow::{Clock, SystemClock};
use simulator::{Driver, Settings};

use super::server::Market;
use crate::kafka::cluster::Cluster;
use crate::kill::history;
use crate::process;

/// The market is the same on every machine.
const SEED: u64 = 2026;
/// Time between two files of the market, as in `conveyance up --demo`.
const STEP: Duration = Duration::from_millis(500);
/// Files kept for a reader that is behind.
const FILES_KEPT: u64 = 5_000;
/// Services beside the gateway, which is started by who asks it.
const SERVICES: [&str; 3] = ["ingest", "normalize", "track"];
/// What a subscriber's box needs; in the table that [`process::write_feeds`] ends with.
const SHOWN: &str = "show = [\"Latitude\", \"Longitude\"]\n";
/// Longest wait for the topics to be made on a broker that has just started.
const TOPICS_MS: u32 = 30_000;

/// Everything but the gateway; killed when it is dropped.
pub(crate) struct Services {
    folder: PathBuf,
    feeds: PathBuf,
    running: Vec<Child>,
    over: Arc<AtomicBool>,
    /// Last of all: what is above must end before the broker does.
    _cluster: Cluster,
}

impl Services {
    /// Starts them below a folder.
    ///
    /// # Errors
    /// When something does not start.
    pub(crate) fn start(folder: &Path, market: Market) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let cluster = Cluster::start(folder, 1, &[])?;
        std::fs::write(folder.join("kafka.toml"), format!("brokers = \"{}\"\n", cluster.address))?;
        let mut config = KafkaConfig::new(&cluster.address, folder.join("state"));
        config.request_timeout_ms = TOPICS_MS;
        KafkaBus::make_topics(&config, &history::flow()?)?;
        let feeds = process::write_feeds(folder, "*.jsonl")?;
        let shown = std::fs::read_to_string(&feeds)? + SHOWN;
        std::fs::write(&feeds, shown)?;
        let over = Arc::default();
        let mut services =
            Self { folder: folder.to_owned(), feeds, running: Vec::new(), over, _cluster: cluster };
        services.trade(market)?;
        for service in SERVICES {
            let mut command = services.command(service)?;
            let child = command.stdout(Stdio::null()).spawn();
            services.running.push(child.with_context(|| format!("cannot start {service}"))?);
        }
        Ok(services)
    }

    /// A service that is not started yet.
    ///
    /// # Errors
    /// When the program was not built.
    pub(crate) fn command(&self, service: &str) -> Result<Command> {
        let mut command = process::command()?;
        command.args(["run", service, "--slot", "0", "--kafka"]);
        command.arg(self.folder.join("kafka.toml"));
        command.arg("--state").arg(self.folder.join("state"));
        command.arg("--feeds").arg(&self.feeds).arg("--input").arg(self.market());
        Ok(command)
    }

    fn market(&self) -> PathBuf {
        self.folder.join("market")
    }

    /// Opens the market, which goes on until this value is dropped.
    fn trade(&self, market: Market) -> Result<()> {
        let settings =
            Settings { rate_per_second: market.rate, ..Settings::new(SEED, market.listings) };
        std::fs::create_dir_all(self.market())?;
        let mut driver = Driver::open(&self.market(), &settings, SystemClock.now_ms())?;
        let over = Arc::clone(&self.over);
        let trade = move || {
            while !over.load(Ordering::Acquire) {
                std::thread::park_timeout(STEP);
                let step = driver.step(SystemClock.now_ms());
                if let Err(error) = step.and_then(|_| driver.feed().keep_newest(FILES_KEPT)) {
                    eprintln!("the market stands still: {error}");
                    return;
                }
            }
        };
        std::thread::Builder::new().name("market".to_owned()).spawn(trade)?;
        Ok(())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        for child in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
