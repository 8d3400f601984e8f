//! A broker for the tests, and buses on it with topics of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bus_kafka::{KafkaBus, KafkaConfig};
use dataflow::{Board, Flow, SystemClock};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where the broker is: the one that the environment names, or one that is started for this run.
#[allow(clippy::disallowed_methods, reason = "the set-up of the tests names the broker here")]
pub(crate) fn brokers() -> &'static str {
    static BROKERS: OnceLock<String> = OnceLock::new();
    BROKERS.get_or_init(|| std::env::var("CONVEYANCE_TEST_KAFKA").unwrap_or_else(|_| start()))
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka/broker")
}

/// Starts a cluster that outlives this process: the next start makes a fresh one in its place.
fn start() -> String {
    let run = |argument: &str| {
        let output = Command::new(script()).arg(argument).output().expect("the script runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    run("start");
    run("address")
}

/// A place in the cluster that no other test uses, with a folder for state.
pub(crate) struct Place {
    pub(crate) config: KafkaConfig,
    pub(crate) flow: Flow,
    pub(crate) board: Board,
    _state: tempfile::TempDir,
}

impl Place {
    /// Settings only: no topics are made.
    pub(crate) fn bare(flow: &Flow) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let mut config = KafkaConfig::new(brokers(), state.path());
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        config.prefix = format!("t{}-{number}.", std::process::id());
        config.feed_partitions = 2;
        Self { config, flow: flow.clone(), board: Board::default(), _state: state }
    }

    /// With the topics of the flow.
    pub(crate) fn new(flow: &Flow) -> Self {
        let place = Self::bare(flow);
        KafkaBus::make_topics(&place.config, flow).expect("topics are made");
        place
    }

    /// A bus, as one process has it.
    pub(crate) fn bus(&self) -> Arc<KafkaBus> {
        self.try_bus().expect("a bus")
    }

    pub(crate) fn try_bus(&self) -> Result<Arc<KafkaBus>, dataflow::bus::BusError> {
        let clock = Arc::new(SystemClock);
        KafkaBus::connect(self.config.clone(), &self.flow, clock, self.board.clone())
    }
}
