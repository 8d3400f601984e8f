//! What a run comes to.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::targets::Commander;
use super::watcher::Saw;

/// What was measured.
pub(crate) struct Measured {
    pub(crate) saw: Vec<Saw>,
    pub(crate) commanded: Duration,
    pub(crate) storm: Option<Duration>,
    pub(crate) memory_before: u64,
    pub(crate) memory_subscribed: u64,
    pub(crate) memory_after: u64,
}

/// The report.
///
/// # Errors
/// Never in practice: numbers are small.
pub(crate) fn report(commander: &Commander, measured: Measured) -> Result<Value> {
    let (delays, gaps, missing) = commander.book(|book| {
        let mut delays = Vec::new();
        let counted = |(number, _): &(&u64, _)| **number >= book.counted_from;
        let seen = measured.saw.iter().flat_map(|saw| &saw.commands);
        for (number, at) in seen.filter(counted) {
            let sent =
                usize::try_from(*number).ok().and_then(|n| book.sent.get(n).copied().flatten());
            delays.extend(sent.map(|sent| at.saturating_duration_since(sent)));
        }
        let mut last: HashMap<&str, u64> = HashMap::new();
        for (key, version) in book.accepted.values() {
            let known = last.entry(key).or_default();
            *known = (*known).max(*version);
        }
        let (gaps, missing) = gaps(&measured, &last);
        (delays, gaps, missing)
    });
    let delays = Sorted::new(delays);
    let taken = Sorted::new(commander.book(|book| std::mem::take(&mut book.taken)));
    let ms = |share: usize| delays.ms(share);
    let subscribers = measured.saw.len();
    let grown = measured.memory_subscribed.saturating_sub(measured.memory_before);
    let disordered: u64 = measured.saw.iter().map(|saw| saw.disordered).sum();
    let (sent, accepted, refused) =
        commander.book(|book| (book.counted(), book.accepted.len(), book.refused));
    Ok(json!({
        "subscribers": subscribers,
        "p50_ms": ms(500), "p90_ms": ms(900), "p99_ms": ms(990), "p999_ms": ms(999), "max_ms": ms(1000),
        "taken_p50_ms": taken.ms(500), "taken_p99_ms": taken.ms(990),
        "deliveries": delays.0.len(), "gaps": gaps, "first_gap": missing, "disordered": disordered,
        "commands": sent, "accepted": accepted, "refused": refused,
        "commands_per_s": (f64::from(u32::try_from(sent)?) / measured.commanded.as_secs_f64()).round(),
        "kb_per_subscriber": kb(grown, subscribers),
        "kb_per_subscriber_after": kb(measured.memory_after.saturating_sub(measured.memory_before), subscribers),
        "rss_mb": measured.memory_after >> 20,
        "storm_s": measured.storm.map(|d| (d.as_secs_f64() * 1e2).round() / 1e2),
    }))
}

/// Times, the shortest first.
struct Sorted(Vec<Duration>);

impl Sorted {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// In milliseconds, what so many thousandths do not exceed.
    fn ms(&self, share: usize) -> Option<f64> {
        let place = self.0.len().saturating_sub(1) * share / 1000;
        self.0.get(place).map(|time| (time.as_secs_f64() * 1e4).round() / 10.0)
    }
}

#[allow(clippy::cast_precision_loss, reason = "memory in bytes has fewer than 52 bits")]
fn kb(bytes: u64, subscribers: usize) -> f64 {
    (bytes as f64 / 1024.0 / subscribers.max(1) as f64 * 10.0).round() / 10.0
}

/// Listings whose last accepted version a subscriber that watches them did not see.
fn gaps(measured: &Measured, last: &HashMap<&str, u64>) -> (u64, Option<String>) {
    let (mut gaps, mut first) = (0, None);
    for (n, saw) in measured.saw.iter().enumerate() {
        for key in &saw.watches {
            let Some(version) = last.get(key.as_str()) else { continue };
            let known = saw.versions.get(key).copied();
            if known.unwrap_or(0) < *version && !saw.gone.contains(key) {
                gaps += 1;
                first.get_or_insert_with(|| {
                    format!("subscriber {n}: {key} at {known:?}, not {version}")
                });
            }
        }
    }
    (gaps, first)
}
