//! Settings of the Kafka bus: one plain struct, filled by whoever reads the configuration.

use std::path::PathBuf;

use rdkafka::ClientConfig;

/// Largest batch of records that Kafka's topics take where nobody says otherwise, in bytes; the largest record fits.
pub const BATCH_BYTES_DEFAULT: usize = 1_048_588;

/// Settings; [`KafkaConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port,host:port`.
    pub brokers: String,
    /// Put before the name of every topic, group and transactional id, so that several flows share a cluster.
    pub prefix: String,
    /// Encryption and authentication.
    pub security: Security,
    /// Slot of this instance in the group of a service: its static member id and its transactional id.
    /// `None` claims the lowest one that is free.
    pub slot: Option<u16>,
    /// Folder for the local copies of state. They hold no truth: a lost one is restored from Kafka.
    pub state_dir: PathBuf,
    /// A member that is silent for this long is replaced.
    pub session_timeout_ms: u32,
    /// A transaction that is open for this long is ended by the broker.
    pub transaction_timeout_ms: u32,
    /// Least time from the beginning of one small commit of a member to that of the next, which also comes no sooner than
    /// 5 ms after the last has ended.
    pub commit_interval_min_ms: u64,
    /// Most time between the first record of a transaction and its commit, which a busy member works up to. Records wait
    /// as long for a full batch (`linger.ms`).
    pub commit_interval_max_ms: u64,
    /// Bytes of records that one member holds fetched and not given to its service.
    pub fetch_bytes: usize,
    /// Bytes of records that one member holds handed in and not acknowledged by the brokers.
    pub in_flight_bytes: usize,
    /// Largest record that is sent, compressed or not; the brokers' `message.max.bytes` must allow it.
    pub record_bytes_max: usize,
    /// Largest batch of records, which topics are made to take (`max.message.bytes`). Where one of the flow takes
    /// less, [`crate::KafkaBus::connect`] lowers it to that.
    ///
    /// What a transaction holds of a partition should fit, as it mostly does: the client sends the batches of a partition
    /// one after the other, and spins while one that is full waits.
    pub batch_bytes_max: usize,
    /// Copies of each partition that topics are made with.
    pub replication: u16,
    /// Partitions of the topic through which sources share out their feeds; fixed once made.
    pub feed_partitions: u16,
    /// A partition with work that does not move for this long is reported, and its consumer made anew.
    pub stall_ms: u64,
    /// How long a question to the brokers may take before it counts as unanswered.
    pub request_timeout_ms: u32,
}

impl KafkaConfig {
    /// The defaults for these brokers, with state below `state_dir`.
    #[must_use]
    pub fn new(brokers: &str, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            brokers: brokers.to_owned(),
            prefix: String::new(),
            security: Security::default(),
            slot: None,
            state_dir: state_dir.into(),
            session_timeout_ms: 6_000,
            transaction_timeout_ms: 10_000,
            commit_interval_min_ms: 10,
            commit_interval_max_ms: 50,
            fetch_bytes: 8 << 20,
            in_flight_bytes: 32 << 20,
            record_bytes_max: 1_000_000,
            batch_bytes_max: 8 << 20,
            replication: 1,
            feed_partitions: 16,
            stall_ms: 60_000,
            request_timeout_ms: 10_000,
        }
    }

    /// The name of a topic of the flow on the brokers.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The consumer group of a service.
    #[must_use]
    pub fn group(&self, service: &str) -> String {
        format!("{}{service}", self.prefix)
    }

    /// What the records of a batch may take before they are compressed, framing included.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_bytes_max - self.batch_bytes_max / 20
    }

    /// The static member id and client id of a slot of a service.
    #[must_use]
    pub fn member(&self, service: &str, slot: u16) -> String {
        format!("{}{service}-{slot}", self.prefix)
    }

    /// The transactional id of a slot of a service.
    #[must_use]
    pub fn transactional_id(&self, service: &str, slot: u16) -> String {
        self.member(service, slot)
    }

    /// What every client has in common; for tools that make one of their own.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            // The defaults (10 s) cost a restart of a broker a rebalance.
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "200")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("topic.metadata.refresh.fast.interval.ms", "50")
            .set("allow.auto.create.topics", "false");
        self.security.apply(&mut config);
        config
    }
}

/// Encryption and authentication towards the brokers.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificates that the brokers' are checked against (PEM); `None` trusts what the system trusts.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate and key (PEM), where brokers ask for one.
    pub client: Option<ClientCertificate>,
    /// Name and password.
    pub sasl: Option<Sasl>,
}

/// A certificate of this client.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Certificate, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// Name and password, and how they are proven.
#[derive(Clone)]
pub struct Sasl {
    /// How.
    pub mechanism: Mechanism,
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// As it is: only over TLS.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// The mechanism of that name, as Kafka writes it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|m| m.name().eq_ignore_ascii_case(name))
    }

    /// Its name in Kafka's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    /// Kafka's name for this combination.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match (self.tls, self.sasl.is_some()) {
            (false, false) => "PLAINTEXT",
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            (true, true) => "SASL_SSL",
        }
    }

    fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol());
        if let Some(ca) = self.ca_file.as_ref().filter(|_| self.tls) {
            config.set("ssl.ca.location", ca.display().to_string());
        }
        if let Some(client) = self.client.as_ref().filter(|_| self.tls) {
            config.set("ssl.certificate.location", client.certificate_file.display().to_string());
            config.set("ssl.key.location", client.key_file.display().to_string());
        }
        if let Some(sasl) = &self.sasl {
            config.set("sasl.mechanism", sasl.mechanism.name());
            config.set("sasl.username", &sasl.user);
            config.set("sasl.password", &sasl.password);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_is_one_of_four() {
        let sasl = || {
            Some(Sasl { mechanism: Mechanism::Plain, user: "u".into(), password: "secret".into() })
        };
        for (tls, sasl, wanted) in [
            (false, None, "PLAINTEXT"),
            (true, None, "SSL"),
            (false, sasl(), "SASL_PLAINTEXT"),
            (true, sasl(), "SASL_SSL"),
        ] {
            let security = Security { tls, sasl, ..Security::default() };
            assert_eq!(security.protocol(), wanted);
            assert!(!format!("{security:?}").contains("secret"), "a password is never printed");
        }
    }

    #[test]
    fn mechanisms_go_by_kafkas_names() {
        for (name, wanted) in [
            ("PLAIN", Some(Mechanism::Plain)),
            ("scram-sha-256", Some(Mechanism::ScramSha256)),
            ("SCRAM-SHA-512", Some(Mechanism::ScramSha512)),
            ("GSSAPI", None),
        ] {
            assert_eq!(Mechanism::parse(name), wanted);
        }
    }

    #[test]
    fn names_carry_the_prefix() {
        let mut config = KafkaConfig::new("h:1", "state");
        config.prefix = "eu.".to_owned();
        assert_eq!(config.topic("listing.raw"), "eu.listing.raw");
        assert_eq!(config.group("track"), "eu.track");
        assert_eq!(config.member("track", 3), "eu.track-3");
    }
}
