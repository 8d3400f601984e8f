//! `up --demo`: the synthetic market as upstream, written as a feed that `ingest` reads like any other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use dataflow::{Clock, SystemClock};
use simulator::{Driver, Settings};

/// The market is the same on every machine.
const SEED: u64 = 2026;
/// Change files kept for a reader that is behind; the pace makes this more than an hour.
const FILES_KEPT: u64 = 5_000;
/// Time between two change files.
const STEP: Duration = Duration::from_millis(500);
/// The pack of the market's dialect.
const PACK: &str = include_str!("../../../packs/simulated-mls.toml");
const FEEDS: &str = r#"# Written by `conveyance up --demo`.
[[feed]]
name = "demo"
pack = "simulated-mls.toml"
files = ["*.jsonl"]
mode = "partial"
as_of = "2026-01-01"
show = ["Latitude", "Longitude", "OriginalListPrice", "PlaceMethod", "PlaceUncertaintyMeters"]
"#;

/// Writes the configuration and the inventory into `folder`, and starts the market. Returns the path of its
/// `feeds.toml`; the market lives until `stop` is set.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn start(
    folder: &Path,
    listings: u64,
    rate: f64,
    stop: &Arc<AtomicBool>,
) -> Result<std::path::PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let feeds = folder.join("feeds.toml");
    std::fs::write(&feeds, FEEDS)?;
    std::fs::write(folder.join("simulated-mls.toml"), PACK)?;
    let settings = Settings { rate_per_second: rate, ..Settings::new(SEED, listings) };
    let mut driver = Driver::open(folder, &settings, SystemClock.now_ms())?;
    let stop = Arc::clone(stop);
    let live = move || {
        while !stop.load(Ordering::Acquire) {
            std::thread::park_timeout(STEP);
            let step = driver
                .step(SystemClock.now_ms())
                .and_then(|_| driver.feed().keep_newest(FILES_KEPT));
            if let Err(error) = step {
                eprintln!("the demo market stands still: {error}");
                return;
            }
        }
    };
    std::thread::Builder::new().name("market".to_owned()).spawn(live)?;
    Ok(feeds)
}
