//! A whole feed reads a file of any bytes, gzip among them, and comes to an end: done or stopped. Whatever it sent
//! and refused adds up to what it read, and a second load of the file sends the same again.
#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dataflow::contract::{BadRow, StoreEntry};
use dataflow::{Failure, Reject, Status};
use ingest::sink::{Raw, Sink};
use ingest::{AsOfRule, Confirmations, Encoding, FeedConfig, FeedReader, Format, KeyTemplate, Limits, Mode, RowPlan};

#[derive(Default)]
struct Memory {
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    sent: u64,
    refused: u64,
    read: i64,
}

impl Sink for Memory {
    fn emit(&mut self, raw: Raw<'_>) {
        let text = std::str::from_utf8(raw.value).expect("a message is UTF-8");
        assert!(messages::json::value(text).is_ok(), "a message is JSON: {text}");
        messages::raw::Raw::parse(raw.value).expect("what ingest writes, normalize reads");
        self.sent += u64::from(raw.kind == messages::topics::KIND_RAW_ROW);
    }

    fn is_full(&self) -> bool {
        false
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        Ok(self.store.get(key).map(|v| v.as_slice().into()))
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => drop(self.store.insert(key.to_vec(), value.to_vec())),
            None => drop(self.store.remove(key)),
        }
    }

    fn range(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<StoreEntry>, Failure> {
        let fits = self.store.iter().filter(|(k, _)| k.starts_with(prefix) && k.as_slice() > after);
        Ok(fits.take(limit).map(|(k, v)| (k.clone(), v.as_slice().into())).collect())
    }

    fn reject(&mut self, _: &BadRow<'_>, _: &Reject) {
        self.refused += 1;
    }

    fn tally(&mut self, name: &str, n: i64) {
        if name.starts_with("read:") {
            self.read += n;
        }
    }
}

/// Loads the file once, until the feed is done or stops.
fn load(config: &FeedConfig, memory: &mut Memory) -> bool {
    let plan = RowPlan { pack: "fuzz".to_owned(), columns: Vec::new(), key: KeyTemplate::column("a") };
    let mut feed = FeedReader::new(config.clone(), plan, Confirmations::default());
    for _ in 0..100_000 {
        match feed.step(memory) {
            Ok(Status::Busy) => {}
            Ok(Status::Idle { .. } | Status::Done) => {
                feed.ended(memory).expect("the store can be read");
                return true;
            }
            Err(_) => return false,
        }
    }
    panic!("the feed does not come to rest");
}

thread_local! {
    static PLACE: (tempfile::TempDir, PathBuf) = {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        (folder, file)
    };
}

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    PLACE.with(|(_, file)| {
        std::fs::write(file, bytes).expect("the folder can be written");
        let encodings = [Encoding::Auto, Encoding::Utf8, Encoding::Windows1252];
        let encoding = encodings[usize::from(choice >> 2) % 3];
        let csv = Format::Csv { delimiter: [b',', b'\t', b';'][usize::from(choice >> 4) % 3], encoding };
        let config = FeedConfig {
            format: if choice & 1 == 0 { csv } else { Format::JsonLines },
            mode: if choice & 2 == 0 { Mode::Full } else { Mode::Partial },
            as_of: AsOfRule::Fixed(ingest::AsOf::parse("2024-01-01").expect("a date")),
            limits: Limits { row_bytes: 1 << 10, ..Limits::default() },
            ..FeedConfig::load("f", vec![file.clone()])
        };
        let mut memory = Memory::default();
        let done = load(&config, &mut memory);
        assert_eq!(u64::try_from(memory.read), Ok(memory.sent + memory.refused), "a row went missing");
        if done {
            let (sent, refused) = (memory.sent, memory.refused);
            assert!(load(&config, &mut memory), "the second load");
            assert_eq!((memory.sent, memory.refused), (sent * 2, refused * 2), "the second load differs");
        }
    });
});
