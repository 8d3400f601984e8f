//! The command line, as clap reads it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use crate::flow::{GATEWAY, INGEST, NORMALIZE, TRACK};
use crate::kafka::KafkaArgs;

/// Streaming ETL for real-estate listings of the US and Canada.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Begin with `conveyance up --demo` and open the address it prints."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process and serve the page.
    #[command(
        after_help = "Example: conveyance up --demo\nExample: conveyance up --feeds feeds.toml --data /var/lib/conveyance"
    )]
    Up(Up),
    /// Run one service as a process of its own, on Kafka; start more of them to share its partitions.
    #[command(
        after_help = "Example: conveyance run track --brokers kafka-1:9092,kafka-2:9092 --state /var/lib/conveyance\nExample: conveyance run ingest --kafka kafka.toml --feeds feeds.toml --input /where/the/files/are"
    )]
    Run(Run),
    /// Make and check the topics of the flow on Kafka.
    #[command(subcommand, after_help = "Example: conveyance topics plan --brokers kafka-1:9092")]
    Topics(Topics),
    /// Look for what is wrong with running services, and say what to do. Exit code 2 when something is.
    #[command(after_help = "Example: conveyance doctor --kafka kafka.toml")]
    Doctor(Doctor),
    /// Read feeds once, to their end, and say what came of each row.
    #[command(
        after_help = "Example: conveyance load --feeds examples/real-data.toml --data ./conveyance-data --json"
    )]
    Load(Load),
    /// Print the flow table: services, topics, and what reads and writes what.
    #[command(after_help = "Example: conveyance flow")]
    Flow {
        /// As JSON, on one line.
        #[arg(long)]
        json: bool,
    },
    /// What is not done yet, for each service and partition, and what is wrong now.
    #[command(after_help = "Example: conveyance lag --data ./conveyance-data")]
    Lag(On),
    /// Messages that could not be used, each with its reason.
    #[command(subcommand, after_help = "Example: conveyance dead-letters list --service normalize")]
    DeadLetters(DeadLetters),
    /// Records of a topic as they are, one JSON object on each line, partition by partition.
    #[command(
        after_help = "Example: conveyance records listing.events --key king-county:7129300520"
    )]
    Records(Records),
    /// Send the archive of raw rows through today's mapping; what comes out different is a `corrected` event.
    #[command(
        after_help = "Example: conveyance replay --feed calgary   (then run `conveyance up` or `load`, if nothing runs)"
    )]
    Replay {
        /// Which data.
        #[command(flatten)]
        on: On,
        /// Only this feed.
        #[arg(long)]
        feed: Option<String>,
    },
    /// Where a listing comes from: raw, mapped, tracked, each with time, place and notes.
    #[command(after_help = "Example: conveyance explain king-county:7129300520")]
    Explain {
        /// Which data.
        #[command(flatten)]
        on: On,
        /// The ListingKey, FEED:KEY.
        key: String,
    },
    /// Recompute and compare: events folded = current = views. Exit code 2 when something differs.
    #[command(after_help = "Example: conveyance check --data ./conveyance-data --json")]
    Check(On),
    /// Look at mapping packs, and confirm large deletes.
    #[command(
        subcommand,
        after_help = "Example: conveyance feeds check packs/calgary.toml assessment-2022.csv"
    )]
    Feeds(FeedsCommand),
    /// Print the AsyncAPI 3 document of the topics.
    #[command(after_help = "Example: conveyance asyncapi > asyncapi.json")]
    Asyncapi,
    /// Print the OpenAPI 3.1 document of the HTTP interface.
    #[command(after_help = "Example: conveyance openapi > openapi.json")]
    Openapi,
}

/// Which data a command works on, and how it answers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Folder {
    /// The data folder [default: conveyance-data].
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a command works on: a data folder, or Kafka.
#[derive(Debug, Clone, Args)]
pub(crate) struct On {
    /// The data folder, and how to answer.
    #[command(flatten)]
    pub(crate) folder: Folder,
    /// Kafka instead.
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
}

impl On {
    /// Whether it is Kafka: it is named, and no data folder is.
    #[must_use]
    pub(crate) fn is_kafka(&self) -> bool {
        self.kafka.named() && self.folder.data.is_none()
    }
}

impl Folder {
    /// The data folder.
    #[must_use]
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| "conveyance-data".into())
    }

    /// Prints an answer in the form that was asked for.
    pub(crate) fn print(&self, value: &Value, human: fn(&Value)) {
        if self.json {
            crate::print::line(value);
        } else {
            human(value);
        }
    }
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// A synthetic market as the feed: no download, no licence.
    #[arg(long, required_unless_present = "feeds", conflicts_with = "feeds")]
    pub(crate) demo: bool,
    /// Your feeds.
    #[arg(long)]
    pub(crate) feeds: Option<PathBuf>,
    /// The data folder; made when it is not there.
    #[arg(long, default_value = "conveyance-data")]
    pub(crate) data: PathBuf,
    /// The folder that file patterns in feeds.toml are relative to.
    #[arg(long, env = "CONVEYANCE_DATA", default_value = "../shared/data")]
    pub(crate) input: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:7080")]
    pub(crate) listen: SocketAddr,
    /// Who may command and who is the operator: a TOML file of [[token]] with name, secret and may = ["command", "operator"].
    /// Without it, who asks on this machine may do both, and nobody else anything.
    #[arg(long)]
    pub(crate) tokens: Option<PathBuf>,
    /// Listings of the synthetic market.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) listings: u64,
    /// Changes a second of the synthetic market.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) rate: f64,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Which service.
    #[arg(value_parser = [INGEST, NORMALIZE, TRACK, GATEWAY])]
    pub(crate) service: String,
    /// Which Kafka.
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    /// Your feeds: `ingest` reads them, `normalize` takes their packs, `gateway` what may be shown.
    #[arg(long, env = "CONVEYANCE_FEEDS")]
    pub(crate) feeds: Option<PathBuf>,
    /// The folder that file names in feeds.toml are relative to.
    #[arg(long, env = "CONVEYANCE_DATA", default_value = "../shared/data")]
    pub(crate) input: PathBuf,
    /// `ingest`: read every file once and end, instead of looking for new ones.
    #[arg(long)]
    pub(crate) once: bool,
    /// Where /livez, /readyz and /metrics are; with port 0 on a free one, which is printed.
    #[arg(long, env = "CONVEYANCE_HEALTH", default_value = "127.0.0.1:0")]
    pub(crate) health: SocketAddr,
    /// `gateway`: where to serve the page and the API.
    #[arg(long, env = "CONVEYANCE_LISTEN", default_value = "127.0.0.1:7080")]
    pub(crate) listen: SocketAddr,
    /// `gateway`: who may command, and who is operator; needed to listen beyond this machine.
    #[arg(long, env = "CONVEYANCE_TOKENS")]
    pub(crate) tokens: Option<PathBuf>,
}

/// `topics`.
#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Say what `apply` would do. Exit code 2 when there is something to do, or something in the way.
    #[command(after_help = "Example: conveyance topics plan --kafka kafka.toml")]
    Plan(OnKafka),
    /// Make what is missing and set what differs; refuses what would break the order of keys.
    #[command(after_help = "Example: conveyance topics apply --kafka kafka.toml")]
    Apply(OnKafka),
}

/// Which Kafka, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct OnKafka {
    /// Which Kafka.
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    /// One JSON object on one line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Which data.
    #[command(flatten)]
    pub(crate) on: On,
    /// Seconds between the two looks: what does not move in between stands still.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub(crate) wait: u64,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The feeds.
    #[arg(long)]
    pub(crate) feeds: PathBuf,
    /// Which data, and how to answer.
    #[command(flatten)]
    pub(crate) folder: Folder,
    /// The folder that file patterns in feeds.toml are relative to.
    #[arg(long, env = "CONVEYANCE_DATA", default_value = "../shared/data")]
    pub(crate) input: PathBuf,
}

/// `dead-letters`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// The newest, with reasons counted.
    List {
        /// Which data.
        #[command(flatten)]
        on: On,
        /// Only of this service.
        #[arg(long)]
        service: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One of them, whole.
    Show {
        /// Which data.
        #[command(flatten)]
        on: On,
        /// As listed: service/partition/offset.
        id: String,
    },
    /// Send them back to the service that refused them.
    Redrive {
        /// Which data.
        #[command(flatten)]
        on: On,
        /// As listed.
        ids: Vec<String>,
        /// All that were not sent back yet.
        #[arg(long)]
        all: bool,
        /// Only of this service.
        #[arg(long)]
        service: Option<String>,
    },
}

/// Arguments of `records`.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The topic.
    pub(crate) topic: String,
    /// Which data.
    #[command(flatten)]
    pub(crate) on: On,
    /// Only of this key.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Only this partition.
    #[arg(long)]
    pub(crate) partition: Option<u16>,
    /// The first offset of it.
    #[arg(long, default_value_t = 0, requires = "partition")]
    pub(crate) from: u64,
    /// At most so many.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) limit: u64,
}

/// `feeds`.
#[derive(Debug, Subcommand)]
pub(crate) enum FeedsCommand {
    /// Lint a mapping pack, and try it on a file.
    Check {
        /// The pack.
        pack: PathBuf,
        /// A file of the feed.
        file: Option<PathBuf>,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Say that the deletes of a snapshot, held because there are so many, are right.
    Confirm {
        /// Which data; on Kafka the folder of `run ingest` below its --state, which ends in -own.
        #[command(flatten)]
        folder: Folder,
        /// The feed.
        feed: String,
        /// The snapshot, as the report names it.
        snapshot: String,
    },
}
