//! `kafka`: exactly-once works on a real broker: Conveyance, the bare client and Kafka Streams, one after the other.
//!
//! Same broker, same input, same outputs: everything that comes out is checked against what should have.

mod bare;
pub(crate) mod cluster;
mod commits;
mod latency;
mod measure;
mod ours;
mod peers;
mod restart;
mod topics;
mod works;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bus_kafka::KafkaConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::{Map, Value, json};

use crate::kill::print;
use cluster::Cluster;
use measure::Measured;
use peers::{Peer, Role};
use topics::{PARTITIONS, Size};
use works::Work;

/// The topic of the input.
const INPUT: &str = "in";

/// Seconds for which small transactions warm the broker up before latency is measured.
const WARM_UP_S: u64 = 30;

/// Restarts that are measured, and as many without a local copy.
const RESTARTS: usize = 5;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Keys of the input.
    #[arg(long, default_value_t = 200_000)]
    keys: u64,
    /// Revisions of each key.
    #[arg(long, default_value_t = 5)]
    revisions: u64,
    /// Only these works.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Work::Copy, Work::Transform, Work::State])]
    works: Vec<Work>,
    /// Only these contenders.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::Bare, Peer::Conveyance, Peer::KafkaStreams])]
    peers: Vec<Peer>,
    /// Each contender does each work so often, in turns; the median of each figure is told.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Seconds of the measurement of latency, at 500 records a second; 0 for none.
    #[arg(long, default_value_t = 10)]
    latency_s: u64,
    /// Keys of state with which Conveyance is killed and started again, five times with its local copy and five times
    /// without; 0 for none.
    #[arg(long, default_value_t = 1_000_000)]
    restart_keys: u64,
    /// Milliseconds between two commits of the bare client and of Kafka Streams.
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
    /// One JSON object on one line.
    #[arg(long)]
    json: bool,
}

/// What a contender's process is told; `bench` starts it.
#[derive(Debug, clap::Args)]
pub(crate) struct PeerArguments {
    #[command(flatten)]
    role: Role,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    if arguments.peers.contains(&Peer::KafkaStreams) {
        peers::build_kafka_streams()?;
    }
    let cluster = Cluster::start(folder.path(), 1, &[])?;
    let size = Size { keys: arguments.keys, revisions: arguments.revisions };
    make_topic(&cluster.address, INPUT)?;
    topics::fill(&cluster.address, INPUT, size)?;
    let bench = Bench { arguments, cluster: &cluster, folder: folder.path(), size };
    let mut report = Map::new();
    bench.warm_up()?;
    for work in &arguments.works {
        report.insert(work.name().to_owned(), bench.work(*work)?);
    }
    if arguments.latency_s > 0 {
        report.insert("latency_ms_at_500".to_owned(), bench.latency()?);
    }
    if arguments.restart_keys > 0 && arguments.peers.contains(&Peer::Conveyance) {
        report.insert("restart".to_owned(), bench.restart()?);
    }
    report.insert("records".to_owned(), json!(size.records()));
    print(&Value::Object(report), arguments.json);
    Ok(true)
}

/// Does a contender's work until it is killed.
pub(crate) fn work(arguments: &PeerArguments) -> Result<bool> {
    peers::work(&arguments.role)
}

struct Bench<'a> {
    arguments: &'a Arguments,
    cluster: &'a Cluster,
    folder: &'a Path,
    size: Size,
}

impl Bench<'_> {
    /// A broker that has just started compiles its code for as long as a run takes, and would favour who comes last.
    fn warm_up(&self) -> Result<()> {
        eprintln!("the broker is warmed up");
        self.once(Work::Copy, Peer::Bare, &"warm-up").map(drop)
    }

    /// Each contender in turn.
    fn work(&self, work: Work) -> Result<Value> {
        let mut runs: BTreeMap<Peer, Vec<Measured>> = BTreeMap::new();
        for turn in 0..self.arguments.repeat {
            for peer in self.arguments.peers.iter().filter(|p| p.can(work)) {
                let measured = self
                    .once(work, *peer, &turn)
                    .with_context(|| format!("{} by {}", work.name(), peer.name()))?;
                eprintln!("{} by {}: {}", work.name(), peer.name(), measured.told());
                runs.entry(*peer).or_default().push(measured);
            }
        }
        let medians: BTreeMap<Peer, Measured> =
            runs.iter().filter_map(|(peer, list)| Some((*peer, Measured::median(list)?))).collect();
        Ok(told(work, &medians))
    }

    fn once(&self, work: Work, peer: Peer, turn: &dyn Display) -> Result<Measured> {
        let output = format!("out-{}-{}-{turn}", work.name(), peer.name());
        make_topic(&self.cluster.address, &output)?;
        let task = self.task(peer, work, &output, INPUT);
        let measured = measure::run(self.cluster, &task, self.size.records())?;
        topics::check(&self.cluster.address, &output, work, self.size)?;
        Ok(measured)
    }

    fn task(&self, peer: Peer, work: Work, output: &str, input: &str) -> Role {
        Role {
            peer,
            brokers: self.cluster.address.clone(),
            work,
            input: input.to_owned(),
            output: output.to_owned(),
            group: format!("group-{output}"),
            state: self.folder.join(output),
            commit_ms: self.arguments.commit_ms,
        }
    }

    fn restart(&self) -> Result<Value> {
        let (input, output) = ("restart", "restart-out");
        make_topic(&self.cluster.address, input)?;
        make_topic(&self.cluster.address, output)?;
        let task = self.task(Peer::Conveyance, Work::State, output, input);
        restart::run(self.cluster, &task, self.arguments.restart_keys, RESTARTS)
    }

    fn latency(&self) -> Result<Value> {
        eprintln!("the broker is warmed up for many small transactions");
        let warm_up = Role { commit_ms: 10, ..self.slow(Peer::Bare, "warm-up")? };
        latency::run(&warm_up, Duration::from_secs(WARM_UP_S))?;
        let mut all = Map::new();
        for peer in &self.arguments.peers {
            let time = Duration::from_secs(self.arguments.latency_s);
            let found = latency::run(&self.slow(*peer, peer.name())?, time)?;
            all.insert(peer.name().to_owned(), found);
        }
        Ok(Value::Object(all))
    }

    /// The copy, with topics of its own.
    fn slow(&self, peer: Peer, name: &str) -> Result<Role> {
        let (input, output) = (format!("slow-{name}"), format!("slow-out-{name}"));
        make_topic(&self.cluster.address, &input)?;
        make_topic(&self.cluster.address, &output)?;
        Ok(self.task(peer, Work::Copy, &output, &input))
    }
}

/// Figures of a work, and what the issue asks for: ratios within one run.
fn told(work: Work, medians: &BTreeMap<Peer, Measured>) -> Value {
    let ours = medians.get(&Peer::Conveyance);
    let ratio = |other: Peer, f: fn(&Measured) -> f64| {
        let (ours, other) = (ours?, medians.get(&other)?);
        Some((f(ours) / f(other) * 100.0).round() / 100.0)
    };
    let mut value = Map::new();
    if let Some(ours) = ours {
        value.insert("records_per_s".into(), json!(ours.records_per_s.round()));
        value.insert("cpu_s_per_million".into(), json!(ours.cpu_s_per_million));
    }
    if work == Work::Copy {
        value.insert("ratio_to_bare_client".into(), json!(ratio(Peer::Bare, |m| m.records_per_s)));
        value.insert(
            "cpu_ratio_to_bare_client".into(),
            json!(ratio(Peer::Bare, |m| 1.0 / m.cpu_s_per_million)),
        );
    }
    value.insert(
        "cpu_ratio_to_kafka_streams".into(),
        json!(ratio(Peer::KafkaStreams, |m| 1.0 / m.cpu_s_per_million)),
    );
    for (peer, measured) in medians {
        value.insert(peer.name().to_owned(), measured.value());
    }
    Value::Object(value)
}

/// Makes a topic of [`PARTITIONS`] that takes the batches that Conveyance makes its topics take.
fn make_topic(brokers: &str, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = topics::client(brokers).create()?;
    let largest = KafkaConfig::new(brokers, "").batch_bytes_max.to_string();
    let topic = NewTopic::new(name, i32::from(PARTITIONS), TopicReplication::Fixed(1))
        .set("max.message.bytes", &largest);
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(admin.create_topics(&[topic], &options))?;
    for result in made {
        if let Err((name, code)) = result {
            bail!("topic {name} cannot be made: {code}");
        }
    }
    Ok(())
}
