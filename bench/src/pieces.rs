//! What single pieces cost on one core, called directly on the same rows as the whole pipeline.

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::{Context, Result};
use dataflow::BatchBuilder;
use dataflow::batch::{Meta, NewRecord};
use geography::{Boundaries, PostalCodes};
use messages::change::Change;
use messages::current::Current;

/// Rows measured.
const ROWS: usize = 20_000;

/// CPU microseconds for each listing, by piece.
///
/// # Errors
/// When a row of the synthetic market does not map, which is a bug.
pub(crate) fn measure(seed: u64) -> Result<BTreeMap<&'static str, f64>> {
    let mut file = Vec::new();
    simulator::write_benchmark_rows(&mut file, seed, ROWS as u64)?;
    let lines: Vec<&[u8]> = file.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
    let pack = mapping::Pack::parse(include_str!("../../packs/simulated-mls.toml"))
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut pieces = BTreeMap::new();

    let parsed: Vec<serde_json::Value> =
        lines.iter().map(|l| serde_json::from_slice(l)).collect::<Result<_, _>>()?;
    let addresses: Vec<&str> = parsed.iter().filter_map(|v| v.get("ADDRESS")?.as_str()).collect();
    pieces.insert("address", each(&addresses, |a| address::standardize(a, address::Country::Us)));

    let raws: Vec<Vec<u8>> = lines.iter().zip(0u64..).map(|(line, n)| raw(line, n)).collect();
    pieces.insert("parse raw", each(&raws, |r| messages::raw::Raw::parse(r).map(drop).ok()));
    let places = normalize::Places::new(PostalCodes::read([])?, Boundaries::built_in());
    let mut mapper = normalize::Bare::new(pack, places);
    pieces.insert("map (with address)", each(&raws, |r| mapper.change(r, 1).ok()));
    let changes: Vec<Vec<u8>> = raws
        .iter()
        .map(|r| mapper.change(r, 1).map(|_| mapper.buffer.clone()))
        .collect::<Result<_, _>>()
        .context("a synthetic row does not map")?;

    pieces.insert("parse change", each(&changes, |c| Change::parse(c).map(drop).ok()));
    let decided = |c: &Vec<u8>| {
        let change = Change::parse(c).ok()?;
        track::apply("market:1", None, &change).ok()
    };
    pieces.insert("decide and serialise (new)", each(&changes, |c| decided(c)));
    let currents: Vec<Vec<u8>> = changes.iter().filter_map(|c| decided(c)?.current).collect();
    pieces.insert("parse state", each(&currents, |c| Current::parse(c).map(drop).ok()));

    let mut builder = BatchBuilder::default();
    let meta = Meta {
        id: 1,
        trace: 2,
        kind: "listing.current",
        source: "market",
        time_ms: 0,
        schema: 1,
        origin: 0,
    };
    pieces.insert(
        "append to a batch",
        each(&currents, |c| {
            builder.push(NewRecord { key: b"market:123456", value: Some(c), meta, headers: &[] })
        }),
    );
    Ok(pieces)
}

fn raw(line: &[u8], n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let origin =
        messages::raw::Origin { as_of: "2026-01-01T00:00:00.000Z", seq: n, file: "listings.jsonl" };
    messages::raw::write_object(&mut out, &origin, n, line);
    out
}

/// Microseconds for each item, the least of three rounds: what disturbs a round only adds.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#[allow(clippy::cast_precision_loss, reason = "a few thousand items")]
fn each<T, R>(items: &[T], mut f: impl FnMut(&T) -> R) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let began = std::time::Instant::now();
        items.iter().for_each(|item| drop(black_box(f(item))));
        best = best.min(began.elapsed().as_secs_f64() * 1e6 / items.len().max(1) as f64);
    }
    (best * 100.0).round() / 100.0
}
