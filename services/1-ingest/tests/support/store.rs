//! A store and topic in memory, and a feed run on them, with deaths in between.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says on its output what it skipped"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflow::contract::{BadRow, StoreEntry};
use dataflow::{Failure, Reject, Status};
use ingest::sink::{Raw, Sink};
use ingest::{Confirmations, FeedConfig, FeedReader, KeyTemplate, RowPlan};

/// What one or more runs of a feed left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The feed's store.
    pub store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Key, kind, version, value.
    pub sent: Vec<(String, String, u64, String)>,
    /// Code, file, line, original.
    pub dead: Vec<(String, String, String, Vec<u8>)>,
    /// Counters.
    pub tallies: BTreeMap<String, i64>,
}

/// Messages after which a step is full.
const FULL: usize = 100;

struct Step<'a> {
    world: &'a World,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    sent: Vec<(String, String, u64, String)>,
    dead: Vec<(String, String, String, Vec<u8>)>,
    tallies: Vec<(String, i64)>,
}

impl Sink for Step<'_> {
    fn emit(&mut self, raw: Raw<'_>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.sent.push((text(raw.key), raw.kind.to_owned(), raw.version, text(raw.value)));
    }

    fn is_full(&self) -> bool {
        self.sent.len() >= FULL
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        let value = match self.writes.get(key) {
            Some(written) => written.as_ref(),
            None => self.world.store.get(key),
        };
        Ok(value.map(|v| v.as_slice().into()))
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.writes.insert(key.to_vec(), value.map(<[u8]>::to_vec));
    }

    fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure> {
        let all = self.world.store.iter();
        let fits = all.filter(|(k, _)| k.starts_with(prefix) && k.as_slice() > after);
        Ok(fits.take(limit).map(|(k, v)| (k.clone(), v.as_slice().into())).collect())
    }

    fn reject(&mut self, row: &BadRow<'_>, reason: &Reject) {
        let header = |name: &str| {
            let value = row.headers.iter().find(|(n, _)| *n == name).unwrap().1;
            String::from_utf8(value.to_vec()).unwrap()
        };
        let dead =
            (reason.code.to_owned(), header("cv_file"), header("cv_line"), row.original.to_vec());
        self.dead.push(dead);
    }

    fn tally(&mut self, name: &str, n: i64) {
        self.tallies.push((name.to_owned(), n));
    }
}

impl World {
    /// One step; what it did counts when `commit` says so and it did not fail.
    pub fn step(&mut self, feed: &mut FeedReader, commit: bool) -> Result<Status, Failure> {
        self.given(commit, |step| feed.step(step))
    }

    /// The word that a load has ended.
    pub fn end(&mut self, feed: &mut FeedReader) -> Result<(), Failure> {
        self.given(true, |step| feed.ended(step))
    }

    fn given<T>(
        &mut self,
        commit: bool,
        work: impl FnOnce(&mut Step<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut step = Step {
            world: self,
            writes: BTreeMap::new(),
            sent: Vec::new(),
            dead: Vec::new(),
            tallies: Vec::new(),
        };
        let result = work(&mut step);
        let Step { writes, sent, dead, tallies, .. } = step;
        if result.is_ok() && commit {
            for (key, value) in writes {
                match value {
                    Some(value) => drop(self.store.insert(key, value)),
                    None => drop(self.store.remove(&key)),
                }
            }
            self.sent.extend(sent);
            self.dead.extend(dead);
            for (name, n) in tallies {
                *self.tallies.entry(name).or_default() += n;
            }
        }
        result
    }

    /// Runs a feed until it has nothing more to do.
    pub fn run(&mut self, feed: &mut FeedReader) -> Result<(), Failure> {
        for _ in 0..1_000_000 {
            match self.step(feed, true)? {
                Status::Busy => {}
                Status::Idle { .. } => return Ok(()),
                Status::Done => return self.end(feed),
            }
        }
        panic!("the feed does not come to rest");
    }

    /// A load of files.
    pub fn load(&mut self, config: &FeedConfig) -> Result<(), Failure> {
        self.run(&mut feed(config))
    }

    /// Keys that were deleted, in the order they were.
    pub fn deleted(&self) -> Vec<&str> {
        let deletes = self.sent.iter().filter(|m| m.1 == "listing.raw.absent");
        deletes.map(|m| m.0.as_str()).collect()
    }

    /// What is live at the end, as `track` decides it: by key the latest word by as-of and sequence.
    pub fn live(&self) -> BTreeMap<String, String> {
        let mut last: BTreeMap<String, (String, u64, Option<String>)> = BTreeMap::new();
        for (key, kind, _, value) in &self.sent {
            let value: serde_json::Value = serde_json::from_str(value).unwrap();
            let at = (value["asOf"].as_str().unwrap().to_owned(), value["seq"].as_u64().unwrap());
            let row = (kind == "listing.raw.row").then(|| value["row"].to_string());
            let newer = last.get(key).is_none_or(|l| (&l.0, l.1) < (&at.0, at.1));
            if newer {
                last.insert(key.clone(), (at.0, at.1, row));
            }
        }
        last.into_iter().filter_map(|(k, v)| Some((k, v.2?))).collect()
    }

    /// Names of what the store holds.
    pub fn stored(&self) -> BTreeSet<String> {
        self.store.keys().map(|k| String::from_utf8_lossy(k).into_owned()).collect()
    }
}

/// A feed whose key is the column `ROLL_NUMBER`, or `id`.
pub fn feed(config: &FeedConfig) -> FeedReader {
    confirmed_feed(config, &Confirmations::default())
}

/// As [`feed`], with the operator's word.
pub fn confirmed_feed(config: &FeedConfig, confirmations: &Confirmations) -> FeedReader {
    let key = if config.name == "calgary" { "ROLL_NUMBER" } else { "id" };
    let plan = RowPlan {
        pack: config.name.clone(),
        columns: vec![key.to_owned()],
        key: KeyTemplate::column(key),
    };
    FeedReader::new(config.clone(), plan, confirmations.clone())
}

/// Writes a CSV file of ids, each with a value.
pub fn csv(folder: &Path, name: &str, rows: &[(&str, &str)]) -> PathBuf {
    let text: String = rows.iter().map(|(id, value)| format!("{id},{value}\n")).collect();
    write(folder, name, format!("id,value\n{text}").as_bytes())
}

/// Writes a file.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A load of the files of a folder.
pub fn folder(folder: &Path) -> FeedConfig {
    FeedConfig {
        files: ingest::Files::Folder { folder: folder.to_owned(), pattern: "*".to_owned() },
        max_delete_share: 0.5,
        ..FeedConfig::load("f", Vec::new())
    }
}

/// The folder of real data, or `None` where there is none: then the test says so.
pub fn real_data() -> Option<PathBuf> {
    #[allow(clippy::disallowed_methods, reason = "where tests find real data")]
    let named = std::env::var("CONVEYANCE_DATA").ok().map(PathBuf::from);
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = named.unwrap_or_else(default);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no real data at {}", path.display());
    None
}
