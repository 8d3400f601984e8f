//! `kill`: the real process is killed in the middle of a load, again and again, and must end as if nothing had been.

pub(crate) mod history;
pub(crate) mod input;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dataflow::Flow;
use dataflow::history::Verdict;
use serde_json::{Value, json};

use crate::power::chance::Chance;
use crate::process;
use history::{History, compare};
use input::Input;

/// Time between two looks at a process.
const LOOK: Duration = Duration::from_millis(2);
/// A load that takes this many times the undisturbed one hangs.
const HANGS_AFTER: u32 = 20;
/// Most findings of a kind that are told; all are counted.
const TOLD_MAX: usize = 3;
/// Topics that hold one record for each row *sent*: a second load of the same files reads them again, and rows
/// that are then stale are sent, and dropped, once more.
const SENT: [&str; 3] = ["listing.raw", "listing.changes", "normalize.dead-letters"];
/// The topic of rows that could not be read at all.
const REFUSED: &str = "ingest.dead-letters";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many kills.
    #[arg(long, default_value_t = 10)]
    times: u32,
    /// How many listings.
    #[arg(long, default_value_t = 3_000)]
    listings: u64,
    /// Decides the market and the moments.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// A `feeds.toml` to load instead of the synthetic market.
    #[arg(long, requires = "input")]
    feeds: Option<PathBuf>,
    /// The folder of its files.
    #[arg(long, requires = "feeds")]
    input: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    json: bool,
}

struct Campaign {
    folder: tempfile::TempDir,
    input: Input,
    flow: Flow,
    expected: History,
    /// How long an undisturbed load takes.
    usual: Duration,
}

#[derive(Default)]
struct Tally {
    kills: u32,
    folders: u32,
    recovery: Vec<Duration>,
    verdict: Verdict,
    checks_failed: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let campaign = Campaign::new(arguments)?;
    let mut chance = Chance::new(arguments.seed);
    let mut tally = Tally::default();
    while tally.kills < arguments.times {
        campaign.disturbed(arguments.times, &mut chance, &mut tally)?;
    }
    let report = tally.report(&campaign);
    print(&report, arguments.json);
    Ok(report.get("ok") == Some(&Value::Bool(true)))
}

/// Prints a report.
#[allow(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn print(report: &Value, as_json: bool) {
    if as_json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

impl Campaign {
    fn new(arguments: &Arguments) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let input = match (&arguments.feeds, &arguments.input) {
            (Some(feeds), Some(files)) => Input { feeds: feeds.clone(), files: files.clone() },
            _ => input::write(folder.path(), arguments.seed, arguments.listings)?,
        };
        let flow = history::flow()?;
        let data = folder.path().join("undisturbed");
        let from = now();
        load_whole(&input, &data)?;
        let usual = from.elapsed();
        let failed = check(&data)?;
        if let Some(failed) = failed {
            bail!("even the undisturbed load is wrong: {failed}");
        }
        let expected = History::of(&data, &flow)?;
        Ok(Self { folder, input, flow, expected, usual })
    }

    /// One data folder, loaded under kills until it is complete, then compared.
    fn disturbed(&self, times: u32, chance: &mut Chance, tally: &mut Tally) -> Result<()> {
        let data = self.folder.path().join(format!("disturbed-{}", tally.folders));
        tally.folders += 1;
        let usual_us = u64::try_from(self.usual.as_micros())?;
        let from = now();
        loop {
            let delay = Duration::from_micros(chance.below(usual_us * 2 / 3 + 1));
            let kill_after = (tally.kills < times).then_some(delay);
            match self.life(&data, kill_after, tally)? {
                Life::Killed => tally.kills += 1,
                Life::Ended => break,
            }
            if from.elapsed() > self.usual * HANGS_AFTER + Duration::from_secs(60) {
                bail!("a load under kills makes no progress; its folder is {}", data.display());
            }
        }
        tally.checks_failed.extend(check(&data)?);
        tally.verdict.extend(self.compare(&History::of(&data, &self.flow)?));
        std::fs::remove_dir_all(&data)?;
        Ok(())
    }

    fn compare(&self, found: &History) -> Verdict {
        compare_derived(&self.expected, found)
    }

    /// One life of the process: until it ends, or until it is killed.
    fn life(&self, data: &Path, kill_after: Option<Duration>, tally: &mut Tally) -> Result<Life> {
        let errors = std::fs::File::create(self.folder.path().join("errors"))?;
        let from = now();
        let restarted = data.join("log.db").exists();
        let mut command = process::load(&self.input.feeds, &self.input.files, data)?;
        let mut child = command.stdout(Stdio::null()).stderr(errors).spawn()?;
        let mut watch = Watch::new(data, restarted);
        loop {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    let errors = std::fs::read_to_string(self.folder.path().join("errors"))?;
                    bail!("a load after a kill failed with {status}: {errors}");
                }
                tally.recovery.extend(watch.recovered(from, true));
                return Ok(Life::Ended);
            }
            if kill_after.is_some_and(|after| from.elapsed() >= after) {
                return kill(&mut child);
            }
            tally.recovery.extend(watch.recovered(from, false));
            if from.elapsed() > self.usual * HANGS_AFTER + Duration::from_secs(60) {
                drop(child.kill());
                bail!("a load hangs; its folder is {}", data.display());
            }
            let left = kill_after.map_or(LOOK, |after| after.saturating_sub(from.elapsed()));
            std::thread::park_timeout(LOOK.min(left));
        }
    }
}

/// Compares a finished load with an undisturbed one. Where the files were read in several whole passes, topics
/// that hold rows as sent may hold more, but every row sent was mapped or refused exactly once.
#[must_use]
pub(crate) fn compare_derived(expected: &History, found: &History) -> Verdict {
    let mut verdict = compare(expected, found);
    let passes = passes(expected, found);
    if passes.is_none() {
        let (read, of) = (found.read, expected.read);
        verdict.torn.push(format!("{read} rows are counted as read, of {of}"));
    }
    if passes.is_some_and(|n| n > 1) {
        let sent = |name: &String| {
            name.starts_with(REFUSED) || SENT.iter().any(|topic| name.starts_with(topic))
        };
        verdict.duplicated.retain(|name| !sent(name));
        verdict.reordered.retain(|name| !sent(name));
        verdict.invented.retain(|name| !sent(name));
    }
    verdict.torn.extend(unequal(found));
    verdict
}

/// Keys with another number of rows sent than of rows mapped or refused.
fn unequal(found: &History) -> Vec<String> {
    let mut balance: BTreeMap<&[u8], i64> = BTreeMap::new();
    for ((topic, _), part) in &found.parts {
        let sign = match SENT.iter().position(|name| name == topic) {
            Some(0) => 1,
            Some(_) => -1,
            None => continue,
        };
        for entry in &part.entries {
            *balance.entry(&entry.key).or_default() += sign;
        }
    }
    let wrong = balance.into_iter().filter(|(_, n)| *n != 0);
    wrong
        .map(|(key, n)| format!("{}: {n} rows too many sent", String::from_utf8_lossy(key)))
        .collect()
}

/// How often all files were read, by the counters that commit with the rows. More than once only where a load was
/// killed in the moment between its end and that of its process: the next one is then a second load. `None` when
/// it was no whole number of times.
fn passes(expected: &History, found: &History) -> Option<i64> {
    let passes = found.read.checked_div(expected.read)?;
    (passes * expected.read == found.read).then_some(passes)
}

enum Life {
    Killed,
    Ended,
}

fn kill(child: &mut Child) -> Result<Life> {
    child.kill()?;
    let status = child.wait()?;
    // It may have ended in the moment before.
    Ok(if status.success() { Life::Ended } else { Life::Killed })
}

/// Looks for the first progress of a restarted process beyond what it found.
struct Watch {
    socket: PathBuf,
    first: Option<u64>,
    done: bool,
}

impl Watch {
    fn new(data: &Path, restarted: bool) -> Self {
        Self { socket: data.join("conveyance.sock"), first: None, done: !restarted }
    }

    /// Time since `from` when progress is seen for the first time, or the process has ended well.
    fn recovered(&mut self, from: Instant, ended: bool) -> Option<Duration> {
        if self.done {
            return None;
        }
        let now = if ended { None } else { progress(&self.socket) };
        let first = *self.first.get_or_insert(now.unwrap_or(u64::MAX));
        if now.is_none() && !ended {
            self.first = None;
        }
        self.done = ended || now.is_some_and(|now| now > first);
        self.done.then(|| from.elapsed())
    }
}

/// Sum of all places that services have come to; `None` while nobody answers.
fn progress(socket: &Path) -> Option<u64> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"{\"ask\":\"lag\"}\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    let reply: Value = serde_json::from_str(&line).ok()?;
    let partitions = reply.get("value")?.get("partitions")?.as_array()?;
    Some(partitions.iter().filter_map(|p| p.get("next")?.as_u64()).sum())
}

/// A load that nobody disturbs.
///
/// # Errors
/// When it fails.
pub(crate) fn load_whole(input: &Input, data: &Path) -> Result<Value> {
    process::json(process::load(&input.feeds, &input.files, data)?)
}

/// What `conveyance check` finds wrong; `None` when all is well.
///
/// # Errors
/// When it cannot check.
pub(crate) fn check(data: &Path) -> Result<Option<String>> {
    let mut command = process::command()?;
    command.args(["check", "--json", "--data"]).arg(data);
    let value = process::json(command).context("conveyance check")?;
    Ok((value.get("ok") != Some(&Value::Bool(true))).then(|| value.to_string()))
}

/// Kinds of findings with how many there are, and the first few of each.
#[must_use]
pub(crate) fn findings(verdict: &Verdict) -> BTreeMap<&'static str, Value> {
    let kinds = [
        ("lost", &verdict.lost),
        ("duplicated", &verdict.duplicated),
        ("reordered", &verdict.reordered),
        ("torn", &verdict.torn),
        ("invented", &verdict.invented),
        ("state_differences", &verdict.differing),
    ];
    let told = |list: &Vec<String>| list.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>();
    kinds.into_iter().map(|(name, list)| (name, json!([list.len(), told(list)]))).collect()
}

impl Tally {
    fn report(mut self, campaign: &Campaign) -> Value {
        self.recovery.sort_unstable();
        let at = |share: usize| {
            let place = (self.recovery.len().saturating_sub(1)) * share / 100;
            self.recovery.get(place).map(|d| (d.as_secs_f64() * 1e3).round() / 1e3)
        };
        let verdict = &self.verdict;
        let ok = verdict.is_clean() && self.checks_failed.is_empty();
        json!({
            "kills": self.kills, "ok": ok,
            "lost": verdict.lost.len(),
            "duplicated": verdict.duplicated.len() + verdict.invented.len(),
            "reordered": verdict.reordered.len(),
            "state_differences": verdict.differing.len() + verdict.torn.len() + self.checks_failed.len(),
            "recovery_s": {"p50": at(50), "max": at(100), "restarts_measured": self.recovery.len()},
            "folders": self.folders,
            "undisturbed_s": (campaign.usual.as_secs_f64() * 1e3).round() / 1e3,
            "events": campaign.expected.count("listing.events"),
            "dead_letters": campaign.expected.count(".dead-letters"),
            "first_findings": if ok { Value::Null } else { json!([findings(verdict), self.checks_failed]) },
        })
    }
}
