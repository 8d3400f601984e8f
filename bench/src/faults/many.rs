//! Kafka: three brokers, several instances of each service as processes of their own, and what can happen to them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bus_kafka::{KafkaBus, KafkaConfig};
use dataflow::bus::Bus;
use dataflow::{Board, Flow, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use super::load::Load;
use super::now;
use super::proxy::{Orders, Proxy};
use super::world::{Progress, World};
use crate::kafka::cluster::Cluster;
use crate::kill::history;
use crate::power::chance::Chance;
use crate::process;

/// An instance is killed and started again at once, as a supervisor does.
const KILL: &str = "kill";
/// An instance is killed and stays away until the next fault: others take over.
const TAKEOVER: &str = "takeover";
/// An instance is frozen for longer than the session timeout, and goes on as a zombie.
const ZOMBIE: &str = "zombie";
/// An instance is frozen for less than that.
const FREEZE: &str = "freeze";
/// An instance is asked to stop, and started again.
const STOP: &str = "stop";
/// One more instance joins, or one that joined leaves.
const REBALANCE: &str = "rebalance";
/// One broker is killed, and started again.
const BROKER: &str = "broker";
/// All brokers are killed, and started again.
const ALL_BROKERS: &str = "all_brokers";
/// An `EndTxn` is held back, its client cut off; it comes in the midst of what the client does next.
const END_TXN_CUT: &str = "end_txn_cut";
/// An `EndTxn` is held back past its timeout.
const END_TXN_LATE: &str = "end_txn_late";
/// Nothing gets through to any broker for a while.
const NETWORK: &str = "network_cut";

/// Brokers of the cluster.
const BROKERS: u32 = 3;
/// Instances of each service.
const INSTANCES: [(&str, u16); 3] = [("ingest", 2), ("normalize", 2), ("track", 2)];
/// Services that more instances can be added to.
const SCALED: [&str; 2] = ["normalize", "track"];
/// In front of every topic and group.
const PREFIX: &str = "f.";
/// What is between a session timeout (6 s) and this is how long a zombie is frozen.
const ZOMBIE_MS: (u64, u64) = (6_500, 9_000);
/// Longest freeze of an instance that stays in its group.
const FREEZE_MS_MAX: u64 = 3_000;
/// How long a killed broker stays away.
const BROKER_MS: (u64, u64) = (200, 5_000);
/// How long an `EndTxn` is late when its client was cut off.
const CUT_MS: (u64, u64) = (30, 1_500);
/// How late it is when the client waits: longer than the client does.
const LATE_MS: (u64, u64) = (10_500, 12_000);
/// How long nothing gets through.
const SILENT_MS: (u64, u64) = (500, 9_000);
/// An `EndTxn` comes by within this time, or there is none to hold: after brokers restarted, a transaction that was
/// open is given up after its timeout of ten seconds, and one more follows.
const END_TXN_WITHIN: Duration = Duration::from_secs(20);
/// A process that is asked to stop must have stopped after this.
const STOPS_WITHIN: Duration = Duration::from_secs(20);
/// Longest wait for one answer when progress is asked for.
const ASK_MS: u32 = 3_000;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(60);

struct Instance {
    service: &'static str,
    slot: u16,
    /// `None` while it is away.
    child: Option<Child>,
    /// Whether it was added by a rebalance, and goes with the next.
    extra: bool,
}

/// Everything that runs.
pub(super) struct Many {
    program: PathBuf,
    folder: PathBuf,
    feeds: PathBuf,
    input: PathBuf,
    instances: Vec<Instance>,
    orders: Arc<Orders>,
    bus: Arc<KafkaBus>,
    flow: Flow,
    /// Instances that ended by themselves and were started again, with their last words.
    pub(super) exits: Vec<String>,
    /// Last of all: what is above must end before the brokers do.
    cluster: Cluster,
}

impl Many {
    /// Starts brokers and services.
    ///
    /// # Errors
    /// When something does not start.
    pub(super) fn start(folder: &Path, program: &str, load: &Load) -> Result<Self> {
        let program = process::conveyance()?.with_file_name(program);
        let orders = Arc::new(Orders::default());
        let proxies: Vec<Proxy> =
            (0..BROKERS).map(|_| Proxy::bind(&orders)).collect::<Result<_>>()?;
        let ports: Vec<String> =
            proxies.iter().map(|p| Ok(p.port()?.to_string())).collect::<Result<_>>()?;
        let cluster = Cluster::start(folder, BROKERS, &["--advertise", &ports.join(",")])?;
        for (proxy, address) in proxies.into_iter().zip(cluster.address.split(',')) {
            proxy.serve(address.parse()?)?;
        }
        let flow = history::flow()?;
        std::fs::write(
            folder.join("kafka.toml"),
            format!(
                "brokers = \"{}\"\nprefix = \"{PREFIX}\"\nreplication = {BROKERS}\n",
                cluster.address
            ),
        )?;
        let mut config = KafkaConfig::new(&cluster.address, folder.join("state-of-the-judge"));
        (config.prefix, config.request_timeout_ms) = (PREFIX.to_owned(), 30_000);
        config.replication = u16::try_from(BROKERS)?;
        KafkaBus::make_topics(&config, &flow)?;
        config.request_timeout_ms = ASK_MS;
        let bus = KafkaBus::connect(config, &flow, Arc::new(SystemClock), Board::default())?;
        let (feeds, input) = (load.feeds.clone(), load.input.clone());
        let (folder, exits) = (folder.to_owned(), Vec::new());
        let instances = Vec::new();
        let mut many =
            Self { program, folder, feeds, input, instances, orders, bus, flow, exits, cluster };
        for (service, count) in INSTANCES {
            for slot in 0..count {
                many.add(service, slot, false)?;
            }
        }
        Ok(many)
    }

    fn add(&mut self, service: &'static str, slot: u16, extra: bool) -> Result<()> {
        let child = Some(self.spawn(service, slot)?);
        self.instances.push(Instance { service, slot, child, extra });
        Ok(())
    }

    fn errors(&self, service: &str, slot: u16) -> PathBuf {
        self.folder.join(format!("{service}-{slot}.errors"))
    }

    fn spawn(&self, service: &str, slot: u16) -> Result<Child> {
        let errors = self.errors(service, slot);
        let errors = File::options().create(true).append(true).open(errors)?;
        let mut command = Command::new(&self.program);
        command.args(["run", service, "--slot", &slot.to_string(), "--kafka"]);
        command.arg(self.folder.join("kafka.toml"));
        command.arg("--state").arg(self.folder.join("state"));
        command.arg("--feeds").arg(&self.feeds).arg("--input").arg(&self.input);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// One of the instances that run.
    fn choose(&mut self, chance: &mut Chance) -> Result<&mut Instance> {
        let mut running: Vec<_> = self.instances.iter_mut().filter(|i| i.child.is_some()).collect();
        let at = usize::try_from(chance.below(running.len() as u64))?;
        if running.is_empty() {
            bail!("no instance runs");
        }
        Ok(running.swap_remove(at))
    }

    /// Starts what is away.
    fn revive(&mut self) -> Result<()> {
        for at in 0..self.instances.len() {
            let Some(away) = self.instances.get(at).filter(|i| i.child.is_none()) else { continue };
            let child = self.spawn(away.service, away.slot)?;
            if let Some(away) = self.instances.get_mut(at) {
                away.child = Some(child);
            }
        }
        Ok(())
    }

    fn rebalance(&mut self, chance: &mut Chance) -> Result<()> {
        if let Some(at) = self.instances.iter().position(|i| i.extra) {
            let mut leaving = self.instances.remove(at);
            self.exits.extend(leaving.stop()?);
            return Ok(());
        }
        let at = usize::try_from(chance.below(SCALED.len() as u64))?;
        let service = SCALED.get(at).copied().context("no service to add to")?;
        let slot = INSTANCES.iter().find(|(name, _)| *name == service).map_or(0, |(_, n)| *n);
        self.add(service, slot, true)
    }

    fn brokers(&self, numbers: &[u32], chance: &mut Chance) -> Result<()> {
        for number in numbers {
            self.cluster.tell("kill", *number)?;
        }
        between(BROKER_MS, chance);
        // None is ready before most are there.
        std::thread::scope(|scope| {
            let started: Vec<_> = numbers
                .iter()
                .map(|number| scope.spawn(move || self.cluster.tell("restart", *number)))
                .collect();
            started.into_iter().try_for_each(|one| match one.join() {
                Ok(result) => result,
                Err(_) => bail!("a thread panicked"),
            })
        })
    }

    fn end_txn(&self, range: (u64, u64), cut: bool, chance: &mut Chance) -> Result<()> {
        let time = Duration::from_millis(range.0 + chance.below(range.1 - range.0));
        if !self.orders.hold(time, cut, END_TXN_WITHIN) {
            bail!("no transaction ended within {END_TXN_WITHIN:?}: nothing works");
        }
        Ok(())
    }
}

/// Waits for a time between the two.
fn between((least, most): (u64, u64), chance: &mut Chance) {
    let (from, time) = (now(), Duration::from_millis(least + chance.below(most - least)));
    while let Some(left) = time.checked_sub(from.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

impl Instance {
    fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it is away")?;
        kill_process(Pid::from_child(child), signal).context("cannot send a signal")
    }

    fn freeze(&self, range: (u64, u64), chance: &mut Chance) -> Result<()> {
        self.signal(Signal::STOP)?;
        between(range, chance);
        self.signal(Signal::CONT)
    }

    /// How it ended, where that was not in order: one that is only starting may end at the signal itself, and one
    /// that cannot finish in time leaves its work to others.
    fn stop(&mut self) -> Result<Option<String>> {
        self.signal(Signal::TERM)?;
        let (from, mut child) = (now(), self.child.take().context("it is away")?);
        while from.elapsed() < STOPS_WITHIN {
            if let Some(status) = child.try_wait()? {
                let told = format!("{} {}, asked to stop, {status}", self.service, self.slot);
                return Ok((!status.success()).then_some(told));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        child.kill()?;
        bail!("{} {}, asked to stop, goes on for {STOPS_WITHIN:?}", self.service, self.slot)
    }
}

impl World for Many {
    fn kinds(&self) -> Vec<&'static str> {
        vec![
            KILL,
            TAKEOVER,
            ZOMBIE,
            FREEZE,
            STOP,
            REBALANCE,
            BROKER,
            ALL_BROKERS,
            END_TXN_CUT,
            END_TXN_LATE,
            NETWORK,
        ]
    }

    fn look(&self) -> Duration {
        LOOK
    }

    fn inflict(&mut self, kind: &str, chance: &mut Chance) -> Result<Instant> {
        self.revive()?;
        let from = now();
        match kind {
            KILL => {
                self.choose(chance)?.kill()?;
                self.revive()?;
                return Ok(from);
            }
            TAKEOVER => {
                self.choose(chance)?.kill()?;
                return Ok(from);
            }
            ZOMBIE => self.choose(chance)?.freeze(ZOMBIE_MS, chance)?,
            FREEZE => self.choose(chance)?.freeze((0, FREEZE_MS_MAX), chance)?,
            STOP => {
                let told = self.choose(chance)?.stop()?;
                self.exits.extend(told);
                self.revive()?;
            }
            REBALANCE => self.rebalance(chance)?,
            BROKER => {
                let number = u32::try_from(chance.below(u64::from(BROKERS)))? + 1;
                self.brokers(&[number], chance)?;
            }
            ALL_BROKERS => self.brokers(&(1..=BROKERS).collect::<Vec<_>>(), chance)?,
            END_TXN_CUT => self.end_txn(CUT_MS, true, chance)?,
            END_TXN_LATE => self.end_txn(LATE_MS, false, chance)?,
            _ => {
                self.orders.be_silent(true);
                between(SILENT_MS, chance);
                self.orders.be_silent(false);
            }
        }
        Ok(now())
    }

    fn progress(&mut self) -> Option<Progress> {
        let places: std::collections::BTreeMap<_, _> = self
            .bus
            .backlog()
            .ok()?
            .into_iter()
            .map(|b| ((b.service, b.topic, u64::from(b.partition)), (b.next, b.records)))
            .collect();
        let read = self.bus.tallies("ingest").ok()?.into_iter();
        let read: i64 = read.filter(|(name, _)| name.starts_with("read:")).map(|(_, n)| n).sum();
        let mut progress = Progress { rows: 0, places };
        // Offsets count the markers of transactions too; counters do not.
        progress.rows = read.unsigned_abs().saturating_sub(progress.left_of_rows());
        Some(progress)
    }

    /// A process that ended by itself is started again, as a supervisor would, and noted.
    fn still_there(&mut self) -> Result<()> {
        for at in 0..self.instances.len() {
            let Some(instance) = self.instances.get_mut(at) else { continue };
            let Some(child) = &mut instance.child else { continue };
            let Some(status) = child.try_wait()? else { continue };
            let (service, slot) = (instance.service, instance.slot);
            instance.child = None;
            let errors = std::fs::read_to_string(self.errors(service, slot)).unwrap_or_default();
            let last = errors.lines().last().unwrap_or_default();
            self.exits.push(format!("{service} {slot}, {status}: {last}"));
            let child = self.spawn(service, slot)?;
            if let Some(instance) = self.instances.get_mut(at) {
                instance.child = Some(child);
            }
        }
        Ok(())
    }

    fn exits(&mut self) -> Vec<String> {
        std::mem::take(&mut self.exits)
    }

    fn flow(&self) -> Result<Flow> {
        Ok(self.flow.clone())
    }

    fn stop(&mut self) -> Result<(Arc<dyn Bus>, Vec<String>)> {
        self.revive()?;
        for instance in &mut self.instances {
            self.exits.extend(instance.stop()?);
        }
        Ok((Arc::clone(&self.bus) as Arc<dyn Bus>, Vec::new()))
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        self.orders.be_silent(false);
        for instance in &mut self.instances {
            drop(instance.kill());
        }
    }
}
