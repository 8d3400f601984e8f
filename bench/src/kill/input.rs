//! The input of fault campaigns: an inventory and files of changes over it, with every kind of fault among the rows.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use simulator::{BENCHMARK_START_MS, Driver, FaultPlan, Settings};

use crate::process;

/// Files of changes after the inventory.
const CHANGE_FILES: u64 = 6;
/// One row in so many is accompanied by a faulty one.
const FAULTS_ONE_IN: u32 = 40;
/// Time between two files of changes.
const STEP_MS: i64 = 60_000;

/// Where a campaign's input is.
pub(crate) struct Input {
    pub(crate) feeds: PathBuf,
    pub(crate) files: PathBuf,
}

/// Writes a market of `listings`, half of which change afterwards.
///
/// # Errors
/// When the files cannot be written.
pub(crate) fn write(folder: &Path, seed: u64, listings: u64) -> Result<Input> {
    let market = folder.join("market");
    let files = folder.join("input");
    std::fs::create_dir_all(&files)?;
    let mut settings = Settings::new(seed, listings);
    settings.faults = FaultPlan::all(FAULTS_ONE_IN);
    settings.rows_per_file = (listings / 3).max(1);
    let changes = u32::try_from((listings / 2 / CHANGE_FILES).clamp(1, 5_000))?;
    settings.rate_per_second = f64::from(changes) * 1_000.0 / f64::from(i32::try_from(STEP_MS)?);
    let mut driver = Driver::open(&market, &settings, BENCHMARK_START_MS).context("the market")?;
    for step in 1..=CHANGE_FILES {
        driver.step(BENCHMARK_START_MS + STEP_MS * i64::try_from(step)?).context("the market")?;
    }
    for entry in std::fs::read_dir(&market)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".jsonl") {
            // Files are read in the order of their names, and the inventory comes first.
            let order = if name.starts_with("inventory") { "a" } else { "b" };
            std::fs::copy(entry.path(), files.join(format!("{order}-{name}")))?;
        }
    }
    let feeds = process::write_feeds(folder, "*.jsonl")?;
    Ok(Input { feeds, files })
}
