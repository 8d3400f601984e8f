//! An instance dies inside a transaction, at the worst places, and another one goes on.
//!
//! The dying instance is a process of its own that speaks to the broker as a member of that slot does: the
//! same static member id, the same transactional id, the same offsets with the group's word. It stops being
//! (`abort`) right after the step that the case names.
#![allow(
    clippy::disallowed_methods,
    reason = "measures a promise that is a time; tells the child what it is"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dataflow::bus::Want;
use dataflow::conformance::{PARTITIONS, Seat, feed, flow, output, read_until};
use dataflow::unit::Unit;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::Place;

const STEP: &str = "CONVEYANCE_TEST_DIES_AFTER";
const PREFIX: &str = "CONVEYANCE_TEST_PREFIX";
const PATIENCE: Duration = Duration::from_secs(30);
/// The session timeout, and the time that the promise adds to it.
const WITHIN: Duration = Duration::from_secs(6 + 2);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Dies {
    /// Records are sent, the transaction is open.
    Sending,
    /// Offsets are sent too: a successor that asks for them has to wait for the end of the transaction.
    BeforeCommit,
}

/// Not a test by itself: what the dying process runs.
#[test]
fn the_one_who_dies() {
    let (Ok(step), Ok(prefix)) = (std::env::var(STEP), std::env::var(PREFIX)) else { return };
    let mut place = Place::bare(&flow());
    place.config.prefix = prefix;
    let config = &place.config;
    let name = config.member("work", 0);
    let consumer: BaseConsumer = config
        .client()
        .set("client.id", &name)
        .set("group.id", config.group("work"))
        .set("group.instance.id", &name)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&config.topic("in")]).unwrap();
    let producer: BaseProducer = config
        .client()
        .set("client.id", &name)
        .set("transactional.id", config.transactional_id("work", 0))
        .set("transaction.timeout.ms", "60000")
        .create()
        .unwrap();
    let from = Instant::now();
    let (partition, offset) = loop {
        assert!(from.elapsed() < PATIENCE, "a record");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            break (message.partition(), message.offset());
        }
    };
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let out = config.topic("out");
    producer.send(BaseRecord::to(&out).partition(partition).key("k").payload("torn")).unwrap();
    producer.flush(PATIENCE).unwrap();
    if step == format!("{:?}", Dies::BeforeCommit) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&config.topic("in"), partition, Offset::Offset(offset + 1))
            .unwrap();
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&list, &group, PATIENCE).unwrap();
    }
    println!("dying");
    std::process::abort();
}

fn die(place: &Place, step: Dies) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["takeover::the_one_who_dies", "--exact", "--nocapture"])
        .env(STEP, format!("{step:?}"))
        .env(PREFIX, &place.config.prefix)
        .env("CONVEYANCE_TEST_KAFKA", &place.config.brokers)
        .envs(["SASL", "TLS", "CA"].map(|of| (format!("CONVEYANCE_TEST_KAFKA_{of}"), "unused")))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let dying = output.lines().map_while(Result::ok).any(|line| line.contains("dying"));
    assert!(dying, "it got as far as it should");
    child.wait().unwrap();
}

fn check(step: Dies) {
    let mut place = Place::new(&flow());
    let bus = place.bus();
    feed(&*bus, 1, &["1", "2"]);
    drop(bus);
    die(&place, step);
    let died = Instant::now();
    place.config.slot = Some(1);
    let bus = place.bus();
    let mut heir = Seat::join_alone(&*bus, "work");
    heir.until_records(2);
    heir.commit(Unit {
        progress: vec![heir.progress(1, 2)],
        outputs: vec![output("out", 1, &[("k", Some("whole"))])],
        ..Unit::default()
    });
    // A reader of the outputs is not held up either, and sees nothing of what was torn.
    let want = Want { bytes_max: 1 << 20, durable: true };
    let seen = read_until(&*bus, "out", 1, want, 1);
    let took = died.elapsed();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].2.as_deref(), Some("whole"));
    assert_eq!(heir.owned.len(), usize::from(PARTITIONS));
    eprintln!("{step:?}: taken over after {took:?}");
    assert!(took < WITHIN || crowded(), "{step:?}: taken over after {took:?}");
}

/// Whether this machine is too busy for a time to mean anything.
fn crowded() -> bool {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|l| l.parse().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    load > 2.0 * f64::from(u32::try_from(cores).unwrap_or(1))
}

#[test]
fn died_while_sending() {
    check(Dies::Sending);
}

#[test]
fn died_between_offsets_and_commit() {
    check(Dies::BeforeCommit);
}
