//! The contenders, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::bare::{self, Copying};
use super::ours;
use super::works::Work;

/// Where the program on Kafka Streams is.
const KAFKA_STREAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/kafka-streams");
/// Where it is built.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/peers/kafka-streams");
/// Threads of each contender.
const THREADS: u32 = 2;
/// Heap of the Java program.
const HEAP: &str = "-Xmx1g";

/// A contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Peer {
    /// The client library, and nothing else.
    Bare,
    /// `dataflow` on `bus-kafka`.
    Conveyance,
    /// Kafka Streams with `exactly_once_v2`.
    KafkaStreams,
}

impl Peer {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare-client",
            Self::Conveyance => "conveyance",
            Self::KafkaStreams => "kafka-streams",
        }
    }

    /// The bare client only copies.
    pub(super) fn can(self, work: Work) -> bool {
        self != Self::Bare || work == Work::Copy
    }
}

/// Who does which work on which input.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Role {
    #[arg(long, value_enum)]
    pub(super) peer: Peer,
    #[arg(long, value_enum)]
    pub(super) work: Work,
    #[arg(long)]
    pub(super) brokers: String,
    #[arg(long)]
    pub(super) input: String,
    #[arg(long)]
    pub(super) output: String,
    #[arg(long)]
    pub(super) group: String,
    #[arg(long)]
    pub(super) state: PathBuf,
    #[arg(long)]
    pub(super) commit_ms: u64,
}

/// Builds the program on Kafka Streams.
pub(super) fn build_kafka_streams() -> Result<()> {
    let needs = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/needs");
    // What this program prints is JSON, and Maven says at least that colours end, also where there are none.
    let aside = std::io::stderr;
    let there = Command::new(needs).args(["java", "mvn"]).stdout(aside()).status()?.success();
    let mut mvn = Command::new("mvn");
    mvn.args(["-q", "-B", "package"]).current_dir(KAFKA_STREAMS).stdout(aside());
    if !there || !mvn.status().context("mvn")?.success() {
        bail!("the program on Kafka Streams cannot be built: see above; --peers leaves it out");
    }
    Ok(())
}

impl Role {
    /// Starts a process for it.
    pub(super) fn start(&self) -> Result<Running> {
        std::fs::create_dir_all(&self.state)?;
        let log = std::fs::File::create(self.state.join("log"))?;
        let mut command = match self.peer {
            Peer::KafkaStreams => kafka_streams(self),
            Peer::Bare => own(self)?,
            Peer::Conveyance => {
                ours::prepare(self)?;
                own(self)?
            }
        };
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let child = child.with_context(|| format!("cannot start {}", self.peer.name()))?;
        Ok(Running { child, log: self.state.join("log") })
    }
}

fn kafka_streams(task: &Role) -> Command {
    let mut command = Command::new("java");
    command.args([HEAP, "-cp"]).arg(format!("{BUILT}/peer.jar:{BUILT}/lib/*"));
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "peer.Peer", &task.brokers]);
    command.args([task.work.name(), &task.input, &task.output, &task.group]).arg(&task.state);
    command.args([THREADS.to_string(), task.commit_ms.to_string()]);
    command
}

fn own(task: &Role) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let name = if task.peer == Peer::Bare { "bare" } else { "conveyance" };
    command.args(["kafka-peer", "--peer", name, "--work", task.work.name()]);
    command.args(["--brokers", &task.brokers, "--input", &task.input, "--output", &task.output]);
    command.args(["--group", &task.group, "--state"]).arg(&task.state);
    command.args(["--commit-ms", &task.commit_ms.to_string()]);
    Ok(command)
}

/// A contender at work; killed with this value.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it ended: it never should.
    pub(super) fn still_there(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended, {status}: {}", tail(&self.log)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Does a task in this process until it is killed.
pub(super) fn work(role: &Role) -> Result<bool> {
    if role.peer == Peer::Conveyance {
        ours::work(role, THREADS)?;
        return Ok(true);
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let copying = copying(role);
            std::thread::spawn(move || bare::copy(&copying, thread))
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => bail!("a thread panicked"),
        }
    }
    Ok(true)
}

fn copying(role: &Role) -> Copying {
    Copying {
        brokers: role.brokers.clone(),
        input: role.input.clone(),
        output: role.output.clone(),
        group: role.group.clone(),
        commit: Duration::from_millis(role.commit_ms),
        threads: THREADS,
        state: role.state.clone(),
    }
}
