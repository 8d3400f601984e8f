//! `pipeline`: what the whole way of a listing costs.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{pieces, process};

/// Seed of the market.
const SEED: u64 = 7;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many listings.
    #[arg(long, default_value_t = 100_000)]
    listings: u64,
    /// One JSON object on one line.
    #[arg(long)]
    json: bool,
    /// Where input and data go; a temporary folder otherwise.
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let temporary = tempfile::tempdir()?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    let (input, data) = (folder.join("input"), folder.join("data"));
    std::fs::create_dir_all(&input)?;
    let file = input.join("listings.jsonl");
    let input_bytes = simulator::write_benchmark_file(&file, SEED, arguments.listings)
        .context("writing the input")?;
    let feeds = process::write_feeds(folder, "listings.jsonl")?;

    let mut child = process::load(&feeds, &input, &data)?.spawn()?;
    let usage = process::watch(&mut child)?;
    let mut out = String::new();
    child.stdout.take().context("piped")?.read_to_string(&mut out)?;
    let mut errors = String::new();
    child.stderr.take().context("piped")?.read_to_string(&mut errors)?;
    let load: Value =
        serde_json::from_str(&out).with_context(|| format!("the load failed: {errors}"))?;
    let listings = load.get("listings").and_then(Value::as_u64).unwrap_or(0);
    if listings != arguments.listings {
        bail!("{listings} of {} listings arrived: {load}", arguments.listings);
    }
    let report =
        report(&load, &usage, arguments.listings, input_bytes, process::bytes_below(&data)?)?;
    if arguments.json {
        println_json(&report)
    } else {
        print_human(&report)
    }
    Ok(true)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
fn report(
    load: &Value,
    usage: &process::Usage,
    listings: u64,
    input_bytes: u64,
    disk_bytes: u64,
) -> Result<Value> {
    let n = listings as f64;
    let seconds = load.get("seconds").and_then(Value::as_f64).context("seconds")?;
    let stages: BTreeMap<&str, f64> = usage
        .cpu_by_thread
        .iter()
        .filter(|(_, cpu)| **cpu > 0.0)
        .map(|(name, cpu)| (name.as_str(), round(cpu * 1e6 / n)))
        .collect();
    Ok(json!({
        "listings": listings, "seconds": seconds, "listings_per_s": round(n / seconds),
        "cpu_s_per_million": round(usage.cpu() * 1e6 / n),
        "rss_mb": usage.peak_rss >> 20, "input_mb": input_bytes >> 20, "disk_mb": disk_bytes >> 20,
        "bytes_on_disk": disk_bytes,
        "cpu_us_by_thread": stages,
        "cpu_us_by_piece": pieces::measure(SEED)?,
    }))
}

fn round(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn println_json(report: &Value) {
    println!("{report}");
}

#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn print_human(report: &Value) {
    println!("{report:#}");
}
