//! `faults`: real processes under a tagged load, and everything that can happen to them, judged by the history checker.
//!
//! A run is one or more *rounds*, each on a fresh log: rows go in while processes die, freeze and are stopped;
//! then the rest is let through, and every topic is compared with what went in. Runs with different seeds add up.

mod embedded;
mod judge;
mod load;
mod many;
mod proxy;
mod report;
mod world;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kill::print;
use crate::power::chance::Chance;
use embedded::Embedded;
use judge::Log;
use load::Load;
use many::Many;
use report::Tally;
use world::{Progress, World};

/// Faults on one log before it is judged and a fresh one is made.
const ROUND_FAULTS: u32 = 50;
/// Rows that always wait, so that no fault meets an idle process.
const AHEAD_ROWS: u64 = 2_500;
/// Shortest and longest undisturbed time between two faults.
const CALM_MS: (u64, u64) = (10, 250);
/// Services that do not move for this long never will.
const STUCK: Duration = Duration::from_secs(120);

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What carries the messages.
    #[arg(long, value_enum, default_value_t = Carrier::Sqlite)]
    bus: Carrier,
    /// How many faults.
    #[arg(long, default_value_t = 25)]
    faults: u32,
    /// Decides the load, the faults and their moments; drawn from the clock, and told, when it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Make the program wrong on purpose: the run must find it. Needs a binary that was built for it,
    /// `cargo build -p conveyance --features planted --bin conveyance-planted`.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
    /// Only these kinds of faults.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Keep the folder of the run, for a look at what went wrong.
    #[arg(long)]
    keep: bool,
    /// One JSON object on one line.
    #[arg(long)]
    json: bool,
}

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Carrier {
    /// The embedded bus: everything in one process.
    Sqlite,
    /// Real Kafka: three brokers, several instances of each service.
    Kafka,
}

/// What is made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Plant {
    /// Progress commits before the work.
    CommitFirst,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(seed_of_now);
    eprintln!("seed {seed}");
    let program = match arguments.plant {
        None => "conveyance",
        Some(Plant::CommitFirst) => "conveyance-planted",
    };
    let folder = tempfile::tempdir()?;
    let mut chance = Chance::new(seed);
    let mut tally = Tally::default();
    while tally.faults() < arguments.faults {
        let place = folder.path().join(format!("round-{}", tally.rounds));
        std::fs::create_dir(&place)?;
        let load = Load::begin(&place)?;
        let ended = match arguments.bus {
            Carrier::Sqlite => {
                let world = Embedded::start(&place, program, &load);
                arguments.round(world, load, (&mut chance, &mut tally))
            }
            Carrier::Kafka => {
                let world = Many::start(&place, program, &load);
                arguments.round(world, load, (&mut chance, &mut tally))
            }
        };
        if let Err(error) = ended {
            let kept = folder.keep();
            return Err(error.context(format!("seed {seed}; the folder is {}", kept.display())));
        }
        if !arguments.keep {
            std::fs::remove_dir_all(&place)?;
        }
    }
    if arguments.keep {
        eprintln!("the folder is {}", folder.keep().display());
    }
    let report = tally.report(seed, arguments.plant.is_some());
    print(&report, arguments.json);
    // A run with a plant is good when it is found.
    Ok(report.get("ok") == Some(&Value::Bool(arguments.plant.is_none())))
}

impl Arguments {
    fn round<W: World>(
        &self,
        world: Result<W>,
        load: Load,
        (chance, tally): (&mut Chance, &mut Tally),
    ) -> Result<()> {
        let faults = (self.faults - tally.faults()).min(ROUND_FAULTS);
        Round { world: world?, load, arguments: self, chance, tally }.run(faults)
    }
}

fn seed_of_now() -> u64 {
    dataflow::Clock::now_ms(&dataflow::SystemClock).unsigned_abs()
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

struct Round<'a, W> {
    world: W,
    load: Load,
    arguments: &'a Arguments,
    chance: &'a mut Chance,
    tally: &'a mut Tally,
}

impl<W: World> Round<'_, W> {
    fn run(mut self, faults: u32) -> Result<()> {
        let kinds = self.kinds()?;
        self.calm(Duration::ZERO)?;
        self.recovered(now()).context("at the start")?;
        for _ in 0..faults {
            let (least, most) = CALM_MS;
            let calm = Duration::from_millis(least + self.chance.below(most - least));
            self.calm(calm).context("between two faults")?;
            let at = usize::try_from(self.chance.below(kinds.len() as u64))?;
            let kind = *kinds.get(at).context("no kinds of faults")?;
            let healed =
                self.world.inflict(kind, self.chance).with_context(|| format!("fault {kind}"))?;
            let recovered =
                self.recovered(healed).with_context(|| format!("after the fault {kind}"))?;
            let count = self.tally.add(kind, recovered);
            eprintln!("{count} {kind}: recovered after {:.2} s", recovered.as_secs_f64());
        }
        self.end()
    }

    fn kinds(&self) -> Result<Vec<&'static str>> {
        let only = &self.arguments.only;
        let mut kinds = self.world.kinds();
        kinds.retain(|kind| only.is_empty() || only.iter().any(|name| name == kind));
        if kinds.is_empty() {
            bail!("no such fault here; there are {}", self.world.kinds().join(", "));
        }
        Ok(kinds)
    }

    /// Lets the services work for a while.
    fn calm(&mut self, time: Duration) -> Result<()> {
        let from = now();
        loop {
            let progress = self.world.progress();
            self.feed(progress.as_ref())?;
            if from.elapsed() >= time {
                return Ok(());
            }
            self.world.still_there()?;
            std::thread::park_timeout(self.world.look());
        }
    }

    /// Writes rows until enough of them wait.
    fn feed(&mut self, progress: Option<&Progress>) -> Result<()> {
        let Some(progress) = progress else { return Ok(()) };
        while self.load.written() < progress.rows + AHEAD_ROWS {
            self.load.write(self.chance)?;
        }
        Ok(())
    }

    /// Time from `healed` until everything that has work has moved on from where it was found.
    fn recovered(&mut self, healed: Instant) -> Result<Duration> {
        let from = now();
        let mut found: Option<Progress> = None;
        loop {
            let progress = self.world.progress();
            self.feed(progress.as_ref())?;
            let moved = |p: &Progress| found.as_ref().is_some_and(|found| p.all_moved(found));
            if progress.as_ref().is_some_and(moved) {
                return Ok(healed.elapsed());
            }
            found = found.or_else(|| progress.clone());
            self.world.still_there()?;
            if from.elapsed() > STUCK {
                bail!("nothing moves: {}", progress.map_or("nobody answers".into(), |p| p.told()));
            }
            std::thread::park_timeout(self.world.look());
        }
    }

    /// Lets the rest through, stops, and judges.
    fn end(mut self) -> Result<()> {
        let mut last = (now(), 0);
        loop {
            let progress = self.world.progress();
            if let Some(progress) = &progress {
                if progress.is_done(self.load.written()) {
                    break;
                }
                if progress.sum() > last.1 {
                    last = (now(), progress.sum());
                }
            }
            self.world.still_there()?;
            if last.0.elapsed() > STUCK {
                let told = progress.map_or("nobody answers".into(), |p| p.told());
                bail!("it never ends: of {} rows {told}", self.load.written());
            }
            std::thread::park_timeout(self.world.look());
        }
        let (bus, checks) = self.world.stop()?;
        let flow = self.world.flow()?;
        let verdict = judge::judge(&Log { bus: &*bus, flow: &flow }, &self.load)?;
        self.tally.exits.extend(self.world.exits());
        self.tally.rounds += 1;
        self.tally.rows += self.load.written();
        self.tally.rejected += self.load.rejected();
        self.tally.verdict.extend(verdict);
        self.tally.checks_failed.extend(checks);
        Ok(())
    }
}
