//! What the log costs: CPU microseconds for each record, by step and thread (Linux: /proc/self/task).
//!
//! `cargo run --release -p bus-sqlite --example append [records] [level]`. Records are 1.2 KiB of JSON.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement, not a product"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_sqlite::{Options, SqliteBus};
use dataflow::batch::{BatchBuilder, Meta, NewRecord};
use dataflow::bus::{Bus, Event, Member, Want};
use dataflow::flow::{Kind, Retention, ServiceSpec, State, TopicSpec, partition_of};
use dataflow::memory::Rng;
use dataflow::unit::{Output, Unit};
use dataflow::{Flow, SystemClock};

const PARTITIONS: u16 = 8;
const IN_UNIT: u64 = 1_600;
const WORDS: [&str; 48] = [
    "bright",
    "kitchen",
    "renovated",
    "in",
    "2019",
    "with",
    "quartz",
    "counters",
    "and",
    "a",
    "walk-in",
    "pantry",
    "the",
    "primary",
    "suite",
    "overlooks",
    "garden",
    "mature",
    "trees",
    "two-car",
    "garage",
    "close",
    "to",
    "schools",
    "transit",
    "parks",
    "vaulted",
    "ceilings",
    "hardwood",
    "floors",
    "throughout",
    "new",
    "roof",
    "furnace",
    "finished",
    "basement",
    "separate",
    "entrance",
    "low",
    "fees",
    "corner",
    "lot",
    "mountain",
    "views",
    "storage",
    "sunny",
    "deck",
    "laundry",
];
const CITIES: [&str; 6] = ["Calgary", "Seattle", "Buffalo", "Kelowna", "Austin", "Moncton"];

fn listing(rng: &mut Rng, key: &str, price: u64) -> Vec<u8> {
    let mut remarks = String::new();
    while remarks.len() < 560 {
        remarks.push_str(WORDS[rng.below(48) as usize]);
        remarks.push(' ');
    }
    let mut n = |max| rng.below(max);
    let city = CITIES[n(6) as usize];
    format!(
        r#"{{"ListingKey":"{key}","StandardStatus":"Active","PropertyType":"Residential","PropertySubType":"Single Family Residence","ListPrice":{price},"OriginalListPrice":{},"StreetNumber":"{}","StreetName":"{}","StreetSuffix":"Avenue","City":"{city}","StateOrProvince":"AB","PostalCode":"T{}K {}B{}","Latitude":{}.{:06},"Longitude":-{}.{:06},"BedroomsTotal":{},"BathroomsTotalInteger":{},"LivingArea":{},"LivingAreaUnits":"Square Feet","LotSizeSquareFeet":{},"YearBuilt":{},"ListAgentMlsId":"{}","ListOfficeMlsId":"{}","ModificationTimestamp":"2026-0{}-1{}T0{}:{}5:{}1Z","PhotosCount":{},"PublicRemarks":"{remarks}"}}"#,
        price + n(20_000), n(9_999), WORDS[n(48) as usize], n(9), n(9), n(9), 40 + n(12),
        n(1_000_000), 70 + n(50), n(1_000_000), n(7), n(5), 600 + n(4_000), 2_000 + n(20_000),
        1900 + n(125), n(90_000), n(9_000), 1 + n(9), n(9), n(9), n(5), n(5), n(50),
    )
    .into_bytes()
}

fn outputs(topic: &str, records: &[(Vec<u8>, Vec<u8>)]) -> Vec<Output> {
    let mut builders: Vec<BatchBuilder> =
        std::iter::repeat_with(BatchBuilder::default).take(usize::from(PARTITIONS)).collect();
    for (n, (key, value)) in records.iter().enumerate() {
        let meta = Meta {
            id: u128::from(dataflow::memory::Rng::new(n as u64).draw()) << 64,
            trace: u128::from(dataflow::memory::Rng::new(n as u64).draw()),
            kind: "listing.observed",
            source: "feed",
            time_ms: 1_700_000_000_000,
            schema: 1,
            origin: n as u64,
        };
        builders[usize::from(partition_of(key, PARTITIONS))].push(NewRecord {
            key,
            value: Some(value),
            meta,
            headers: &[],
        });
    }
    (0..)
        .zip(builders)
        .filter(|(_, b)| !b.is_empty())
        .map(|(partition, b)| Output {
            topic: topic.into(),
            partition,
            count: b.count(),
            block: b.finish(),
        })
        .collect()
}

fn flow() -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: PARTITIONS,
        retention,
    };
    let days = Retention::Days(7);
    let topics = vec![
        topic("raw", days),
        topic("changes", days),
        topic("events", days),
        topic("current", Retention::Compacted { tombstone_days: 7 }),
    ];
    let load = ServiceSpec {
        name: "load".to_owned(),
        kind: Kind::Source,
        reads: Vec::new(),
        writes: topics.iter().map(|t| t.name.clone()).collect(),
        state: State::BackedBy("current".to_owned()),
        does: String::new(),
    };
    Flow::new(topics, vec![load]).unwrap()
}

/// CPU seconds of this process's threads, by name.
fn cpu() -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let nanos = text("schedstat").split(' ').next().and_then(|n| n.parse::<f64>().ok());
        *all.entry(text("comm").trim().to_owned()).or_default() += nanos.unwrap_or(0.0) / 1e9;
    }
    all
}

/// Runs a step and prints what it cost each thread, for each record.
fn step(name: &str, records: u64, run: impl FnOnce()) {
    let (before, begun) = (cpu(), Instant::now());
    run();
    let (after, wall) = (cpu(), begun.elapsed());
    print!("{name:28} {:7.0}/s wall |", records as f64 / wall.as_secs_f64());
    for (thread, seconds) in &after {
        let used = seconds - before.get(thread).copied().unwrap_or(0.0);
        print!(" {thread} {:.2}", used * 1e6 / records as f64);
    }
    println!(" us");
}

struct Load {
    member: Box<dyn Member>,
    next: u64,
    answered: u64,
}

impl Load {
    fn submit(&mut self, outputs: Vec<Output>) {
        self.next += 1;
        self.member.submit(Unit { id: self.next, outputs, ..Unit::default() }).unwrap();
        while self.next - self.answered >= 4 {
            self.poll();
        }
    }

    fn poll(&mut self) {
        for event in self.member.poll(Duration::from_secs(1), 0).unwrap() {
            if let Event::Outcome { unit, .. } = event {
                self.answered = unit;
            }
        }
    }

    fn append(&mut self, topics: &[&str], all: &[Vec<(Vec<u8>, Vec<u8>)>]) {
        for records in all {
            for topic in topics {
                self.submit(outputs(topic, records));
            }
        }
        while self.answered < self.next {
            self.poll();
        }
    }
}

fn main() {
    let number = |at: usize| std::env::args().nth(at).and_then(|n| n.parse::<u64>().ok());
    let records = number(1).unwrap_or(200_000);
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut options = Options::new(Arc::new(SystemClock), 7);
    if let Some(level) = std::env::args().nth(2).and_then(|n| n.parse().ok()) {
        options.compression = level;
    }
    let bus = SqliteBus::open(dir.path(), &flow(), options).unwrap();
    let mut rng = Rng::new(1);
    let key = |n: u64| format!("feed:A{:08}", 10_000 + n * 7).into_bytes();
    let mut chunk = |from: u64| -> Vec<(Vec<u8>, Vec<u8>)> {
        (from..(from + IN_UNIT).min(records))
            .map(|n| (key(n), listing(&mut rng, std::str::from_utf8(&key(n)).unwrap(), n * 7)))
            .collect()
    };
    let all: Vec<_> = (0..records).step_by(IN_UNIT as usize).map(&mut chunk).collect();
    let bytes: usize = all.iter().flatten().map(|(_, v)| v.len()).sum();
    println!("{records} records of {} bytes", bytes / records as usize);
    let spec = flow();
    let member = bus.join(spec.service("load").unwrap()).unwrap();
    let mut load = Load { member, next: 0, answered: 0 };
    step("build blocks only", records, || {
        all.iter().for_each(|records| drop(outputs("raw", records)));
    });
    step("one topic", records, || load.append(&["raw"], &all));
    step("two topics more", records, || load.append(&["changes", "events"], &all));
    step("compacted, new keys", records, || load.append(&["current"], &all));
    step("compacted, known keys", records, || load.append(&["current"], &all));
    step("sync", records, || bus.sync().unwrap());
    step("state read, in order", records, || {
        for (key, _) in all.iter().flatten() {
            assert!(load.member.state(partition_of(key, PARTITIONS), key).unwrap().is_some());
        }
    });
    let mut order: Vec<&Vec<u8>> = all.iter().flatten().map(|(k, _)| k).collect();
    order.sort_by_key(|k| xxhash_rust::xxh3::xxh3_64(k));
    order.truncate(50_000);
    step("state read, scattered", order.len() as u64, || {
        for key in &order {
            assert!(load.member.state(partition_of(key, PARTITIONS), key).unwrap().is_some());
        }
    });
    for topic in ["raw", "current"] {
        step(&format!("read {topic}"), records, || read(&bus, topic));
    }
    drop(load);
    durable_appends(&bus);
    step("close", records, || bus.close().unwrap());
    let size = std::fs::metadata(dir.path().join("log.db")).unwrap().len();
    println!("file {} MB", size >> 20);
}

/// How long someone waits for an answer when nothing else is going on.
fn durable_appends(bus: &SqliteBus) {
    let mut waited: Vec<Duration> = (0..300u32)
        .map(|n| {
            let outputs = outputs("changes", &[(vec![n as u8], vec![b'x'; 300])]);
            let begun = Instant::now();
            bus.append("tool", Unit { outputs, ..Unit::default() }).unwrap();
            begun.elapsed()
        })
        .collect();
    waited.sort();
    let at = |share: usize| waited.get(waited.len() * share / 100).copied().unwrap_or_default();
    println!("durable append, alone: p50 {:?}, p99 {:?}", at(50), at(99));
}

fn read(bus: &SqliteBus, topic: &str) {
    for partition in 0..PARTITIONS {
        let mut next = 0;
        while let Some(last) = bus
            .read(topic, partition, next, Want { bytes_max: 1 << 20, durable: true })
            .unwrap()
            .last()
        {
            next = last.next_offset();
        }
    }
}
