//! How long commits take: each contender writes down the end and the length of every commit, from when nothing more goes
//! into a transaction to the answer, and `bench` reads those that count.
//!
//! They are not compared: transactions differ in size (the others commit every 100 ms), Conveyance sends most of a
//! transaction when it ends, and a thread of its own waits for that, where the others send it as it is filled and then
//! wait for the rest.

use std::fs::File;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bus_kafka::KafkaBus;
use dataflow::Durations;

/// A look at the counters of the bus.
const LOOK: Duration = Duration::from_millis(20);

/// Milliseconds since 1970, for what more than one process says.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn path(state: &Path) -> PathBuf {
    state.join("commits")
}

/// Writes them down. Each line is written at once, so that several threads may do so.
pub(super) struct Recorder(File);

impl Recorder {
    /// In the state folder of a contender.
    pub(super) fn open(state: &Path) -> Result<Self> {
        let file = File::options().append(true).create(true).open(path(state));
        Ok(Self(file.context("the list of commits")?))
    }

    /// One that ends now.
    pub(super) fn note(&self, took: Duration) -> Result<()> {
        let line = format!("{} {}\n", now_ms(), took.as_micros());
        Ok((&self.0).write_all(line.as_bytes())?)
    }

    /// All that the bus counts for a service, as long as the process lives.
    pub(super) fn follow(&self, bus: &KafkaBus, service: &str) -> Result<()> {
        let mut before = Durations::default();
        loop {
            let after = bus.commit_times().all().remove(service).unwrap_or_default();
            let known = before.buckets().map(|(_, n)| n).chain(std::iter::repeat(0));
            for ((took, count), known) in after.buckets().zip(known) {
                (known..count).try_for_each(|_| self.note(took))?;
            }
            before = after;
            std::thread::park_timeout(LOOK);
        }
    }
}

/// Those that ended in this time, in milliseconds since 1970, as far as it has gone.
pub(super) fn between(state: &Path, span: RangeInclusive<u64>) -> Result<Durations> {
    // What just ended is written down a look later.
    std::thread::park_timeout(LOOK * 2);
    let text = std::fs::read_to_string(path(state)).context("the list of commits")?;
    let mut durations = Durations::default();
    // The last line may be one that is being written.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let (at, took) = line.split_once(' ').context("a commit")?;
        if span.contains(&at.parse()?) {
            durations.add(Duration::from_micros(took.parse()?));
        }
    }
    Ok(durations)
}

/// A quantile, in milliseconds.
pub(super) fn ms(durations: &Durations, percent: u64) -> Option<f64> {
    durations.quantile(percent).map(|d| (d.as_secs_f64() * 1e4).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let from = now_ms();
        let recorder = Recorder::open(dir.path()).unwrap();
        recorder.note(Duration::from_millis(12)).unwrap();
        recorder.note(Duration::from_micros(3_500)).unwrap();
        (&recorder.0).write_all(b"17").unwrap();
        let found = between(dir.path(), from..=now_ms()).unwrap();
        assert_eq!((ms(&found, 50), ms(&found, 99)), (Some(3.5), Some(12.0)));
        assert_eq!(between(dir.path(), 0..=from - 1).unwrap(), Durations::default());
    }
}
