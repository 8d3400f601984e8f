//! `load`: reads feeds once and says what came of each row. `feeds check`: tries a pack on a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use dataflow::bus::Bus;
use dataflow::{Clock, SystemClock};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::cli::Load;
use crate::engine::{Engine, VIEWS};
use crate::flow::{INGEST, NORMALIZE, TRACK};
use crate::wiring::{Reading, Wiring};
use crate::{log, print, socket};

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);

type Tallies = BTreeMap<String, i64>;

/// Runs a load. Exit code 1 when a feed could not be read to its end.
///
/// # Errors
/// What is in the way, with what to do.
pub(crate) fn load(args: &Load) -> Result<ExitCode> {
    let wiring = Wiring::read(&args.feeds, &args.input, Reading::Once)?;
    let clock = SystemClock;
    let data = args.folder.data();
    let began_ms = clock.now_ms();
    // What was counted before anything runs: taken later, the first rows would not be of this load.
    let bus = log::open(&data, &crate::flow::table())?;
    let before = tallies(&*bus)?;
    let engine = Engine::start_on(bus, &data, &wiring)?;
    socket::serve(engine.tools(&data))?;
    wait_until_done(&engine, &before)?;
    let seconds = (clock.now_ms() - began_ms) as f64 / 1000.0;
    let names: Vec<&str> = wiring.feeds.iter().map(|(config, _)| config.name.as_str()).collect();
    let summary = summary(
        &names,
        &before,
        &tallies(&*engine.bus)?,
        gateway::count_listings(&data.join(VIEWS))?,
        seconds,
    );
    let (held, stuck) = (engine.held_feeds(), engine.board.holds());
    let conditions = engine.board.conditions();
    let notices = engine.confirmations.notices();
    let waiting = engine.confirmations.held();
    engine.stop()?;
    args.folder.print(&summary, print::load);
    for (place, condition) in conditions.iter().chain(&notices) {
        eprintln!("{place}: {condition}");
    }
    for deletes in waiting {
        eprintln!("{deletes}");
    }
    if stuck {
        bail!("not done to the end: a partition is held, see above; then load again, it goes on");
    }
    if !held.is_empty() {
        bail!("not read to the end: {}", held.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn wait_until_done(engine: &Engine, before: &Tallies) -> Result<()> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {human_pos} rows read, {msg} [{elapsed}]")
    {
        bar.set_style(style);
    }
    let mut seen = 0;
    // What a held partition has not done, nobody does: waiting for it would never end.
    while engine.fatal().is_none() && !engine.board.holds() && !engine.finished()? {
        seen = engine.bus.wait(seen, LOOK);
        if !bar.is_hidden() {
            let now = tallies(&*engine.bus)?;
            bar.set_position(sum(&now, before, "read:").unsigned_abs());
            bar.set_message(format!("{} listings changed", sum(&now, before, "sent:")));
            bar.tick();
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn tallies(bus: &dyn Bus) -> Result<Tallies> {
    let mut all = Tallies::new();
    for service in [INGEST, NORMALIZE, TRACK] {
        for (name, n) in bus.tallies(service)? {
            *all.entry(name).or_default() += n;
        }
    }
    Ok(all)
}

fn sum(after: &Tallies, before: &Tallies, prefix: &str) -> i64 {
    let total = |t: &Tallies| {
        t.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum::<i64>()
    };
    total(after) - total(before)
}

/// Counts of this load: what the exactly-once counters grew by.
fn summary(
    feeds: &[&str],
    before: &Tallies,
    after: &Tallies,
    listings: u64,
    seconds: f64,
) -> Value {
    let grew = |name: String| {
        after.get(&name).copied().unwrap_or(0) - before.get(&name).copied().unwrap_or(0)
    };
    let mut by_feed = Map::new();
    for feed in feeds {
        let counts = ["read", "sent", "unchanged", "deleted", "dead_letters"]
            .map(|what| (what.to_owned(), json!(grew(format!("{what}:{feed}")))));
        by_feed.insert((*feed).to_owned(), Value::Object(counts.into_iter().collect()));
    }
    let events = after
        .keys()
        .filter_map(|name| name.strip_prefix("event:"))
        .map(|kind| (kind.to_owned(), grew(format!("event:{kind}"))));
    let events: Map<_, _> =
        events.filter(|(_, n)| *n != 0).map(|(kind, n)| (kind, json!(n))).collect();
    json!({"feeds": by_feed, "listings": listings, "events": events, "seconds": seconds})
}

/// Lints a pack and tries it on a file. Returns whether all is well.
///
/// # Errors
/// When something cannot be read at all.
pub(crate) fn check_pack(pack: &Path, file: Option<&Path>, as_json: bool) -> Result<bool> {
    let report = crate::wiring::try_pack(pack, file)?;
    if as_json {
        print::line(&report);
    } else {
        print::value(&report);
    }
    Ok(report.get("ok").and_then(Value::as_bool) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_counts_only_itself() {
        let before = Tallies::from([("read:a".into(), 10), ("event:added".into(), 10)]);
        let after = Tallies::from([
            ("read:a".into(), 15),
            ("sent:a".into(), 3),
            ("unchanged:a".into(), 2),
            ("event:added".into(), 10),
            ("event:price".into(), 3),
        ]);
        let value = summary(&["a"], &before, &after, 10, 0.5);
        assert_eq!(
            value["feeds"]["a"],
            json!({"read": 5, "sent": 3, "unchanged": 2, "deleted": 0, "dead_letters": 0})
        );
        assert_eq!(value["events"], json!({"price": 3}));
    }
}
