//! Microseconds for each row of about 1.2 KB and 40 columns, on one core, without a bus behind:
//! `cargo run --release -p ingest --example speed`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement reads the clock, prints, and may fail loudly"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use dataflow::contract::{BadRow, StoreEntry};
use dataflow::{Failure, Reject, Status};
use ingest::sink::{Raw, Sink};
use ingest::{Confirmations, FeedConfig, FeedReader, Format, KeyTemplate, Mode, RowPlan};

const ROWS: u32 = 200_000;

#[derive(Default)]
struct Nowhere {
    store: BTreeMap<Vec<u8>, Arc<[u8]>>,
    sent: u64,
    bytes: usize,
}

impl Sink for Nowhere {
    fn emit(&mut self, raw: Raw<'_>) {
        self.sent += 1;
        self.bytes += raw.value.len();
    }

    fn is_full(&self) -> bool {
        false
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        Ok(self.store.get(key).cloned())
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => drop(self.store.insert(key.to_vec(), value.into())),
            None => drop(self.store.remove(key)),
        }
    }

    fn range(&mut self, _: &[u8], _: &[u8], _: usize) -> Result<Vec<StoreEntry>, Failure> {
        Ok(Vec::new())
    }

    fn reject(&mut self, _: &BadRow<'_>, _: &Reject) {}

    fn tally(&mut self, _: &str, _: i64) {}
}

fn csv(quoted: bool) -> String {
    let mut text = String::new();
    for column in 0..40 {
        write!(text, "{}COLUMN_{column}", if column == 0 { "" } else { "," }).unwrap();
    }
    for row in 0..ROWS {
        write!(text, "\n{row}").unwrap();
        for column in 1..40 {
            let quote = if quoted && column % 8 == 0 { "\"" } else { "" };
            write!(text, ",{quote}value {column} of the row{quote}").unwrap();
        }
    }
    text
}

fn json() -> String {
    let mut text = String::new();
    for row in 0..ROWS {
        write!(text, "{{\"COLUMN_0\":\"{row}\"").unwrap();
        for column in 1..40 {
            write!(text, ",\"Field{column}\":\"value {column} of row\"").unwrap();
        }
        text.push_str("}\n");
    }
    text
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let csv_format = FeedConfig::load("f", Vec::new()).format;
    let half: String = csv(false).lines().step_by(2).fold(String::new(), |text, l| text + l + "\n");
    for (name, text, format, mode) in [
        ("CSV, partial", csv(false), csv_format, Mode::Partial),
        ("CSV with quotes, partial", csv(true), csv_format, Mode::Partial),
        ("JSON Lines, partial", json(), Format::JsonLines, Mode::Partial),
        ("CSV, full, half of it gone", csv(false), csv_format, Mode::Full),
    ] {
        let path = dir.path().join("2020.csv");
        std::fs::write(&path, &text).unwrap();
        let mut files = vec![path];
        if mode == Mode::Full {
            files.push(dir.path().join("2021.csv"));
            std::fs::write(dir.path().join("2021.csv"), &half).unwrap();
        }
        let config =
            FeedConfig { format, mode, max_delete_share: 1.0, ..FeedConfig::load("f", files) };
        let key = KeyTemplate::column("COLUMN_0");
        let plan = RowPlan { pack: "p".to_owned(), columns: Vec::new(), key };
        let mut feed = FeedReader::new(config, plan, Confirmations::default());
        let mut sink = Nowhere::default();
        let started = Instant::now();
        let mut longest = std::time::Duration::ZERO;
        loop {
            let step = Instant::now();
            let status = feed.step(&mut sink).unwrap();
            longest = longest.max(step.elapsed());
            if status == Status::Done {
                break;
            }
        }
        let each = started.elapsed() / u32::try_from(sink.sent).unwrap();
        println!(
            "{name}: {each:?} a message of {} bytes; longest step {longest:?}",
            sink.bytes as u64 / sink.sent
        );
    }
}
