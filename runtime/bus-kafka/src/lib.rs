//! The bus on Apache Kafka, for more than one machine: exactly once by transactions.
//!
//! Floor: Kafka 4.0, whose brokers verify each partition's transaction.

pub mod config;

pub use config::{KafkaConfig, Mechanism, Sasl, Security};
