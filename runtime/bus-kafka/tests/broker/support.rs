//! A broker for the tests, and buses on it with topics of their own.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use bus_kafka::{KafkaBus, KafkaConfig};
use dataflow::{Board, Flow, SystemClock};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A broker: its listener for all, the one that asks who is there, and the one that asks it over TLS with the file of
/// certificates to trust it by.
struct Broker {
    open: String,
    sasl: String,
    tls: String,
    ca: String,
}

#[allow(clippy::disallowed_methods, reason = "the set-up of the tests names the broker here")]
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        let Ok(open) = std::env::var("CONVEYANCE_TEST_KAFKA") else { return start() };
        let named = |of: &str| {
            let name = format!("CONVEYANCE_TEST_KAFKA_{of}");
            std::env::var(&name).unwrap_or_else(|_| {
                panic!("CONVEYANCE_TEST_KAFKA is set, and {name} is not: set both or neither")
            })
        };
        Broker { open, sasl: named("SASL"), tls: named("TLS"), ca: named("CA") }
    })
}

/// Where the broker is: the one that the environment names, or one that is started for this run.
pub(crate) fn brokers() -> &'static str {
    &broker().open
}

/// The same, for those who say who they are.
pub(crate) fn sasl_brokers() -> &'static str {
    &broker().sasl
}

/// The same, for those who say it over TLS.
pub(crate) fn tls_brokers() -> &'static str {
    &broker().tls
}

/// The certificates to trust it by.
pub(crate) fn ca_file() -> &'static Path {
    Path::new(&broker().ca)
}

/// Starts a broker that outlives this process: the next start makes a fresh one in its place.
fn start() -> Broker {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka/broker");
    let run = |arguments: &[&str]| {
        let output = Command::new(&script).args(arguments).output().expect("the script runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    run(&["start", "--sasl"]);
    Broker {
        open: run(&["address"]),
        sasl: run(&["sasl-address"]),
        tls: run(&["tls-address"]),
        ca: run(&["ca-file"]),
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for one answer of the admin client, which offers only futures.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
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
        config.request_timeout_ms = 30_000;
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
