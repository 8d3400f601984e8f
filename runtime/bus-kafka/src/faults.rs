//! What goes wrong with Kafka, in words that say what to do, and what happens next.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use dataflow::bus::BusError;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::config::{KafkaConfig, Security};
use crate::lock;

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'a> {
    /// Reaching the cluster.
    Connect,
    /// Making or looking at topics.
    Topics,
    /// Reading a topic.
    Read(&'a str),
    /// Being a member of a group.
    Group(&'a str),
    /// Writing in a transaction.
    Transaction(&'a str),
    /// Fetching committed offsets.
    Offsets(&'a str),
}

impl std::fmt::Display for What<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect => write!(f, "connecting to Kafka"),
            Self::Topics => write!(f, "looking at topics"),
            Self::Read(topic) => write!(f, "reading topic `{topic}`"),
            Self::Group(group) => write!(f, "taking part in group `{group}`"),
            Self::Transaction(id) => write!(f, "writing as `{id}`"),
            Self::Offsets(group) => write!(f, "fetching the offsets of group `{group}`"),
        }
    }
}

/// A code with what to do about it.
pub(crate) fn advice(config: &KafkaConfig, what: What<'_>, code: Code) -> String {
    let brokers = &config.brokers;
    let user = config.security.sasl.as_ref().map_or("this client", |s| s.user.as_str());
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::NetworkException => format!(
            "no broker answers at {brokers} while {what}: check that Kafka runs there, that the address is right, \
             and that it is the listener for {}, which follows from [tls], [sasl] and --security",
            config.security.protocol()
        ),
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::IllegalSASLState => format!(
            "the brokers at {brokers} do not accept `{user}`: check name, password and SASL mechanism ({code})"
        ),
        Code::SSL => format!(
            "no trusted TLS connection to {brokers}: {} that theirs is for this address and that the listener speaks TLS",
            trust(&config.security)
        ),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => format!(
            "`{user}` may not go on with {what}: grant it with kafka-acls.sh ({code})"
        ),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            format!("a topic is missing while {what}: make it with `conveyance topics apply`")
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => format!(
            "the brokers refuse a record or a batch as too large while {what}: raise `max.message.bytes` of the topic, or start again if somebody lowered it"
        ),
        Code::InvalidReplicationFactor => format!(
            "the cluster at {brokers} has too few brokers for {} copies: start more, or lower the replication",
            config.replication
        ),
        Code::InvalidSessionTimeout => {
            "the brokers do not allow this session timeout: keep it between their group.min.session.timeout.ms and group.max.session.timeout.ms".to_owned()
        }
        Code::Fenced | Code::FencedInstanceId | Code::ProducerFenced | Code::InvalidProducerEpoch => {
            format!("another instance has taken this slot while {what}: give every instance a slot of its own")
        }
        other => format!("{other} while {what}; see the log of the brokers at {brokers}"),
    }
}

/// Where the certificates that are trusted are named.
const CA_FILE: &str = "`ca_file` in [tls], or --ca-file";

fn trust(security: &Security) -> String {
    match &security.ca_file {
        Some(file) => format!(
            "check that {} ({CA_FILE}) holds the certificate that signed theirs,",
            file.display()
        ),
        None => format!(
            "name a file with the certificate that signed theirs ({CA_FILE}) unless the system trusts it; check"
        ),
    }
}

/// The files that a client is made with, of which one may be the reason that it cannot be made.
fn files(security: &Security) -> String {
    let client = security.client.iter().flat_map(|c| {
        [(&c.certificate_file, "`certificate_file` in [tls]"), (&c.key_file, "`key_file` in [tls]")]
    });
    let named = security.ca_file.iter().map(|file| (file, CA_FILE)).chain(client);
    let named: Vec<_> = named.map(|(file, by)| format!("{} ({by})", file.display())).collect();
    if named.is_empty() || !security.tls {
        return String::new();
    }
    format!("; check that each is there and PEM: {}", named.join(", "))
}

/// The same for an error of the client.
pub(crate) fn text(config: &KafkaConfig, what: What<'_>, error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, why, key, value) => {
            format!("setting {key}={value} is not possible: {why}")
        }
        KafkaError::ClientCreation(why) => {
            format!("no Kafka client can be made: {why}{}", files(&config.security))
        }
        other => match other.rdkafka_error_code() {
            Some(code) => advice(config, what, code),
            None => format!("{other} while {what}"),
        },
    }
}

/// The same as an error of the bus: what passes is [`BusError::Busy`], the rest is fatal.
pub(crate) fn bus_error(config: &KafkaConfig, what: What<'_>, error: &KafkaError) -> BusError {
    let text = text(config, what, error);
    if error.rdkafka_error_code().is_some_and(passes) {
        BusError::Busy(text)
    } else {
        BusError::Fatal(text)
    }
}

/// Whether an error is one of a broker that is away, starting or moving: waiting helps.
pub(crate) fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::MessageTimedOut
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::ConcurrentTransactions
            | Code::UnstableOffsetCommit
            | Code::RebalanceInProgress
            | Code::WaitingForCoordinator
            | Code::TimedOutQueue
            | Code::KafkaStorageError
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            // The group went on without this member, which joins again.
            | Code::PollExceeded
            // One of the brokers that were all asked did not answer.
            | Code::Partial
            // Topics were there when this process connected: brokers that start do not know them yet.
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            // A connection that the client itself took down, as it does after the brokers' addresses changed.
            | Code::DestroyBroker
    )
}

/// Remembers what the client reported in the background: an attempt that timed out knows no reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Reported>>);

#[derive(Debug, Default)]
struct Reported {
    count: u64,
    telling: Option<Code>,
}

impl Reports {
    /// How many errors were reported so far.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.0).count
    }

    /// The last error that says more than that nobody answers.
    pub(crate) fn telling(&self) -> Option<Code> {
        lock(&self.0).telling
    }

    pub(crate) fn note(&self, error: &KafkaError) {
        let mut reported = lock(&self.0);
        reported.count += 1;
        if let Some(code) = error.rdkafka_error_code().filter(|code| !passes(*code)) {
            reported.telling = Some(code);
        }
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, _reason: &str) {
        self.note(&error);
    }

    fn log(&self, _level: rdkafka::config::RDKafkaLogLevel, _fac: &str, _message: &str) {}
}

impl rdkafka::consumer::ConsumerContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    /// Only failures are reported; the client itself refuses to commit after one.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.note(error);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for one answer of the admin client, which offers only futures.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
