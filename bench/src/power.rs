//! `power`: the writes and syncs of a real load are recorded, and the power is cut at random places of the record.
//!
//! A disk that loses its power has all that was synced; of the rest it has what it likes, in any order, and of a
//! single write perhaps only the first sectors. Each cut is rebuilt so, opened by the program's own code, judged
//! against the run that was recorded, and now and then loaded to its end by the real program.

pub(crate) mod chance;
mod judge;
mod record;
mod trace;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use dataflow::Flow;
use serde_json::{Value, json};

use crate::kill::history::History;
use crate::kill::input::{self, Input};
use crate::kill::{check, compare_derived, findings, history, load_whole, print};
use crate::process;
use chance::Chance;
use judge::{About, Ends, Finding, Measure, view_position};
use record::{Disturb, Recorder, Recording};
use trace::{Disk, Fate, Op, Trace, rebuild};

/// Most rejected cuts that are told; all are counted.
const TOLD_MAX: usize = 5;
/// How much longer a sync takes in the recording that is killed: on a slow disk more is waiting to be synced, and
/// there is time to show it.
const SLOW_SYNC_MS: u64 = 100;
/// Kills tried until one leaves unsynced work that the next process shows at once.
const KILLS_MAX: u64 = 10;
/// Most cuts with which a planted fault is sought.
const PLANT_CUTS: usize = 40;
const LOG_WAL: &str = "log.db-wal";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many power cuts.
    #[arg(long, default_value_t = 60)]
    cuts: usize,
    /// How many listings.
    #[arg(long, default_value_t = 1_500)]
    listings: u64,
    /// Decides the market, the places of the cuts and what the disk keeps.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// After each so many cuts the real program loads the folder to its end; 0 for never.
    #[arg(long, default_value_t = 20)]
    rerun_every: usize,
    /// Only the planted faults.
    #[arg(long)]
    planted: bool,
    /// One JSON object on one line.
    #[arg(long)]
    json: bool,
}

struct Campaign {
    folder: tempfile::TempDir,
    /// Where cuts are rebuilt: in memory where there is such a place, since it is written again and again.
    place: tempfile::TempDir,
    input: Input,
    flow: Flow,
    expected: History,
}

/// What a cut left, and what is wrong with it.
struct Cut {
    at: usize,
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let campaign = Campaign::new(arguments)?;
    let mut chance = Chance::new(arguments.seed);
    let recorder = Recorder::build(campaign.folder.path())?;
    let input = &campaign.input;
    let plain = recorder.load(input, "plain", Disturb::default())?;
    let slow = recorder.load(input, "slow", slow())?;
    let log_writes = writes(&slow.trace, LOG_WAL);
    let mut killed = campaign.kill_at(&recorder, (log_writes, "killed-0"), None, &mut chance)?;

    let mut rejected = Vec::new();
    if !arguments.planted {
        let first = arguments.cuts.div_ceil(2);
        for (recording, cuts) in [(&plain, first), (&killed, arguments.cuts - first)] {
            rejected.extend(campaign.cuts(
                recording,
                (cuts, arguments.rerun_every),
                &mut chance,
            )?);
        }
    }
    let ahead = campaign.view_ahead(&slow)?;
    let mut no_sync = campaign.no_sync_at_open(&killed)?;
    for tried in 1..KILLS_MAX {
        if no_sync != Planted::Missed {
            break;
        }
        let name = format!("killed-{tried}");
        killed = campaign.kill_at(&recorder, (log_writes, &name), None, &mut chance)?;
        no_sync = campaign.no_sync_at_open(&killed)?;
    }
    let wrong = campaign.wrong_programs(&recorder, log_writes, &mut chance)?;
    let caught = [ahead, no_sync] == [Planted::Caught; 2]
        && wrong.as_ref().is_none_or(|all| *all == [Planted::Caught; 2]);
    let report = json!({
        "cuts": if arguments.planted { 0 } else { arguments.cuts },
        "ok": rejected.is_empty() && caught,
        "rejected_cuts": rejected.len(),
        "rejected": rejected.iter().take(TOLD_MAX).map(Cut::told).collect::<Vec<_>>(),
        "planted": {"view_ahead_of_the_sync": ahead.told(), "no_sync_at_open": no_sync.told()},
        "wrong_programs": wrong.map(|[ahead, no_sync]| {
            json!({"view_ahead_of_the_sync": ahead.told(), "no_sync_at_open": no_sync.told()})
        }),
        "trace": {"records": plain.trace.records.len(), "bytes": plain.trace.written(), "log_syncs": plain.trace.sync_ends(LOG_WAL).len()},
    });
    print(&report, arguments.json);
    Ok(report.get("ok") == Some(&Value::Bool(true)))
}

fn slow() -> Disturb {
    Disturb { sync_ms: SLOW_SYNC_MS, ..Disturb::default() }
}

fn writes(trace: &Trace, name: &str) -> u64 {
    let id = trace.file(name);
    let is = |r: &&trace::Record| Some(r.file) == id && matches!(r.op, Op::Write { .. });
    trace.records.iter().filter(is).count() as u64
}

/// Whether a planted fault was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    Caught,
    Missed,
    /// The same cuts were rejected without the fault as well.
    Unsound,
}

impl Planted {
    fn told(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Missed => "missed",
            Self::Unsound => "rejected without the fault as well",
        }
    }
}

impl Cut {
    fn told(&self) -> Value {
        let first = self.findings.iter().take(3);
        let texts: Vec<_> = first.map(|f| format!("{:?}: {}", f.about, f.text)).collect();
        json!({"at": self.at, "findings": self.findings.len(), "first": texts})
    }
}

impl Campaign {
    fn new(arguments: &Arguments) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let memory = Path::new("/dev/shm");
        let place =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }?;
        let input = input::write(folder.path(), arguments.seed, arguments.listings)?;
        let flow = history::flow()?;
        let data = folder.path().join("undisturbed");
        load_whole(&input, &data)?;
        if let Some(failed) = check(&data)? {
            bail!("even the undisturbed load is wrong: {failed}");
        }
        let expected = History::of(&data, &flow)?;
        Ok(Self { folder, place, input, flow, expected })
    }

    fn kill_at(
        &self,
        recorder: &Recorder,
        (writes, name): (u64, &str),
        planted: Option<(PathBuf, &'static str)>,
        chance: &mut Chance,
    ) -> Result<Recording> {
        // Late enough that the view has something to show.
        let kill_at = writes / 2 + chance.below(writes * 2 / 5 + 1) + 1;
        let disturb = Disturb { kill_at, wrong: planted, ..slow() };
        recorder.killed_load(&self.input, name, disturb)
    }

    /// Programs that really have the two faults, recorded and cut as the right one is; `None` where they were not
    /// built.
    fn wrong_programs(
        &self,
        recorder: &Recorder,
        log_writes: u64,
        chance: &mut Chance,
    ) -> Result<Option<[Planted; 2]>> {
        let Some(program) = process::wrong_syncs()? else { return Ok(None) };
        let planted = |fault| Some((program.clone(), fault));
        let found = |recording: &Recording, places: &[usize]| -> Result<Planted> {
            let ahead = self.ahead_at(recording, &recording.trace, places)?;
            Ok(if ahead { Planted::Caught } else { Planted::Missed })
        };
        let disturb = Disturb { wrong: planted("view-ahead-of-the-sync"), ..slow() };
        let ahead = recorder.load(&self.input, "wrong-ahead", disturb)?;
        let ahead = found(&ahead, &spread(&ahead.trace.sync_ends(LOG_WAL), PLANT_CUTS))?;
        let mut no_sync = Planted::Missed;
        for tried in 0..KILLS_MAX {
            if no_sync != Planted::Missed {
                break;
            }
            let name = format!("wrong-no-sync-{tried}");
            let fault = planted("no-sync-at-open");
            let killed = self.kill_at(recorder, (log_writes, &name), fault, chance)?;
            let reopened = killed.reopened.unwrap_or(0);
            let ends = killed.trace.sync_ends(LOG_WAL).into_iter();
            let first = ends.filter(|at| *at > reopened).min();
            let places: Vec<usize> = (reopened..=first.unwrap_or(reopened)).collect();
            no_sync = found(&killed, &spread(&places, PLANT_CUTS))?;
        }
        Ok(Some([ahead, no_sync]))
    }

    fn measure<'a>(&'a self, whole: &'a History) -> Measure<'a> {
        Measure { flow: &self.flow, whole, synced: Ends::new() }
    }

    /// Cuts a recording at random places; those that are rejected.
    fn cuts(
        &self,
        recording: &Recording,
        (cuts, rerun_every): (usize, usize),
        chance: &mut Chance,
    ) -> Result<Vec<Cut>> {
        let whole = History::of(&recording.data, &self.flow)?;
        let mut measure = self.measure(&whole);
        let length = recording.trace.records.len() as u64;
        let mut places: Vec<u64> = (0..cuts).map(|_| chance.below(length + 1)).collect();
        places.sort_unstable();
        let mut disk = Disk::new(&recording.trace);
        let mut rejected = Vec::new();
        for (n, at) in places.into_iter().enumerate() {
            let at = usize::try_from(at)?;
            disk.play(at);
            let (mut again, mut dropped) = (chance.clone(), false);
            let draw = |name: &str, chance: &mut Chance| {
                let fate = Fate::draw(chance);
                dropped |= name.starts_with("log.db") && fate == Fate::Dropped;
                fate
            };
            let folder = self.place.path().join("cut");
            rebuild(&disk, &folder, chance, draw)?;
            let (mut findings, _) = measure.judge(&folder, &self.claimed(&disk)?);
            if rerun_every > 0 && n % rerun_every == rerun_every / 2 {
                rebuild(&disk, &folder, &mut again, |_, chance| Fate::draw(chance))?;
                findings.extend(self.rerun(&folder)?);
            }
            if !findings.is_empty() {
                rejected.push(Cut { at, findings });
            }
            measure.synced = self.synced(&disk, &measure)?;
        }
        Ok(rejected)
    }

    /// How far the view had come: what it could have shown to someone.
    fn claimed(&self, disk: &Disk<'_>) -> Result<Ends> {
        let folder = self.place.path().join("claimed");
        let kept = |_: &str, _: &mut Chance| Fate::Kept;
        rebuild(disk, &folder, &mut Chance::new(0), kept)?;
        view_position(&folder.join("views.db"))
    }

    /// What is in the log for good: nothing of this may be missing after a later cut.
    fn synced(&self, disk: &Disk<'_>, measure: &Measure<'_>) -> Result<Ends> {
        let folder = self.place.path().join("synced");
        rebuild(disk, &folder, &mut Chance::new(0), |_, _| Fate::Dropped)?;
        let (_, ends) = measure.judge(&folder, &Ends::new());
        Ok(ends)
    }

    /// The real program goes on from what is left, and must end as if nothing had been.
    fn rerun(&self, folder: &Path) -> Result<Option<Finding>> {
        let wrong = |text| Some(Finding { about: About::Lost, text });
        if let Err(error) = load_whole(&self.input, folder) {
            return Ok(wrong(format!("the load after the cut failed: {error:#}")));
        }
        if let Some(failed) = check(folder)? {
            return Ok(wrong(format!("check after the cut: {failed}")));
        }
        let verdict = compare_derived(&self.expected, &History::of(folder, &self.flow)?);
        let clean = verdict.is_clean();
        Ok(if clean { None } else { wrong(format!("after the cut: {:?}", findings(&verdict))) })
    }

    /// A view that reads what is committed, and not what is synced, is ahead by at most one sync. On the disk that
    /// is the same as each sync of the log having its effect only when the next one ends: so it is planted.
    fn view_ahead(&self, recording: &Recording) -> Result<Planted> {
        let planted = recording.trace.delayed(LOG_WAL);
        let all = recording.trace.sync_ends(LOG_WAL);
        // The view writes some while after the sync; most is open just before the next sync ends.
        let places = spread(&all, PLANT_CUTS);
        self.planted(recording, &planted, &places)
    }

    /// The first sync of the process that opens the log after a kill is taken away.
    fn no_sync_at_open(&self, recording: &Recording) -> Result<Planted> {
        let Some(reopened) = recording.reopened else { return Ok(Planted::Missed) };
        let mut ends = recording.trace.sync_ends(LOG_WAL).into_iter().filter(|at| *at > reopened);
        let (Some(first), Some(next)) = (ends.next(), ends.next()) else {
            return Ok(Planted::Missed);
        };
        let places: Vec<usize> = (first + 1..=next).collect();
        self.planted(recording, &recording.trace.without(first), &spread(&places, PLANT_CUTS))
    }

    /// Whether cuts at those places are rejected, as the view being ahead, with the fault and only with it.
    fn planted(&self, recording: &Recording, planted: &Trace, places: &[usize]) -> Result<Planted> {
        let without = self.ahead_at(recording, &recording.trace, places)?;
        Ok(match (without, self.ahead_at(recording, planted, places)?) {
            (true, _) => Planted::Unsound,
            (false, true) => Planted::Caught,
            (false, false) => Planted::Missed,
        })
    }

    /// Whether at one of those places a cut that keeps the view and drops what the log had not synced is
    /// rejected, as the view being ahead.
    fn ahead_at(&self, recording: &Recording, trace: &Trace, places: &[usize]) -> Result<bool> {
        let whole = History::of(&recording.data, &self.flow)?;
        let measure = self.measure(&whole);
        let mut disk = Disk::new(trace);
        for at in places {
            disk.play(*at);
            let folder = self.place.path().join("planted");
            let fate = |name: &str, _: &mut Chance| {
                if name.starts_with("views.db") { Fate::Kept } else { Fate::Dropped }
            };
            rebuild(&disk, &folder, &mut Chance::new(0), fate)?;
            let (findings, _) = measure.judge(&folder, &self.claimed(&disk)?);
            if findings.iter().any(|f| f.about == About::ViewAhead) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// At most `most` of the places, evenly, the last among them.
fn spread(places: &[usize], most: usize) -> Vec<usize> {
    let step = places.len().div_ceil(most).max(1);
    let mut some: Vec<usize> = places.iter().rev().step_by(step).copied().collect();
    some.reverse();
    some
}
