//! The living feed: a market, its folder, and a pace. Time comes from the caller; a restart goes on where it stopped.
//!
//! Order of writing: first the state, with the step that is about to be made, then the file of that step. A crash between the
//! two leaves a step without its file; the next start sees that and writes it, with the same bytes.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::fault::{FaultPlan, RowWriter, Truth};
use crate::feed::FeedWriter;
use crate::market::{Market, MarketConfig};
use crate::state::{Saved, StateFolder, Step};

/// The most changes that one step makes; what is due beyond it is skipped, as after a pause.
pub const CHANGES_PER_STEP_MAX: u64 = 10_000;

/// The fastest pace; faster than any reader, and far from overflow.
const RATE_MAX: f64 = 10_000_000.0;

/// The settings of a living feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How many listings the inventory holds; at least 1.
    pub listings: u64,
    /// Changes a second; from 0 (stands still) up.
    pub rate_per_second: f64,
    /// How many listings one file of the inventory holds at most.
    pub rows_per_file: u64,
    /// Faults on purpose.
    pub faults: FaultPlan,
    /// Whether to keep the truth about all that is written; see [`Driver::truth`]. Needs memory for every key.
    pub keep_truth: bool,
}

impl Settings {
    /// A feed without faults, 20 changes a second, 50,000 listings a file.
    pub fn new(seed: u64, listings: u64) -> Self {
        Self {
            seed,
            listings: listings.max(1),
            rate_per_second: 20.0,
            rows_per_file: 50_000,
            faults: FaultPlan::default(),
            keep_truth: false,
        }
    }
}

/// What one step wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many changes.
    pub changes: u64,
    /// The file that holds them.
    pub file: PathBuf,
}

/// Drives a market and writes its feed.
#[derive(Debug)]
pub struct Driver {
    market: Market,
    feed: FeedWriter,
    rows: RowWriter,
    state: StateFolder,
    saved: Saved,
    pace: Pace,
}

/// How many changes are due: counted from an anchor, so that rounding never adds up.
#[derive(Clone, Copy, Debug)]
struct Pace {
    rate_per_second: f64,
    anchor_ms: i64,
    made: u64,
}

impl Pace {
    fn new(rate_per_second: f64, anchor_ms: i64) -> Self {
        // A pace that is no number stands still: NaN fails every comparison.
        let rate_per_second =
            if rate_per_second > 0.0 { rate_per_second.min(RATE_MAX) } else { 0.0 };
        Self { rate_per_second, anchor_ms, made: 0 }
    }

    fn due(&mut self, now_ms: i64) -> u64 {
        let passed_ms = now_ms.saturating_sub(self.anchor_ms);
        let Ok(passed_ms) = u32::try_from(passed_ms) else {
            // The clock went back, or stood for weeks: count from here.
            *self = Self::new(self.rate_per_second, now_ms);
            return 0;
        };
        let due =
            whole(f64::from(passed_ms) * self.rate_per_second / 1_000.0).saturating_sub(self.made);
        if due > CHANGES_PER_STEP_MAX || passed_ms > 3_600_000 {
            *self = Self::new(self.rate_per_second, now_ms);
        } else {
            self.made += due;
        }
        due.min(CHANGES_PER_STEP_MAX)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range before the cast"
)]
fn whole(value: f64) -> u64 {
    value.clamp(0.0, 9.0e15) as u64
}

impl Driver {
    /// Opens the folder of a feed. An empty one gets the inventory as of `now_ms`; in one that has a market, it goes on.
    ///
    /// # Errors
    /// `Error::Io`; `Error::OtherMarket` where the folder's market has another seed or size; `Error::UnreadableState`
    /// where the state is damaged or written by a newer program.
    pub fn open(folder: &Path, settings: &Settings, now_ms: i64) -> Result<Self, Error> {
        let mut feed = FeedWriter::new(folder, settings.rows_per_file)?;
        let plan = settings.faults.clone();
        let mut rows =
            if settings.keep_truth { RowWriter::with_truth(plan) } else { RowWriter::new(plan) };
        let mut state = StateFolder::new(folder);
        let pace = Pace::new(settings.rate_per_second, now_ms);
        if let Some((saved, living)) = state.load(settings.seed, settings.listings)? {
            let mut driver = Self {
                market: Market::resume(saved.market, living),
                feed,
                rows,
                state,
                saved,
                pace,
            };
            driver.replay()?;
            return Ok(driver);
        }
        let config = MarketConfig {
            seed: settings.seed,
            listings: settings.listings.max(1),
            start_ms: now_ms,
        };
        let market = Market::new(config);
        feed.write_inventory(&market, &mut rows)?;
        let saved = Saved::new(config);
        state.save(&saved)?;
        Ok(Self { market, feed, rows, state, saved, pace })
    }

    /// Makes the changes that are due at `now_ms` and writes them as one file; `None` where none is due.
    ///
    /// # Errors
    /// `Error::Io`. The step is then made but perhaps not written: open the folder again to go on.
    pub fn step(&mut self, now_ms: i64) -> Result<Option<Written>, Error> {
        let changes = self.pace.due(now_ms);
        if changes == 0 {
            return Ok(None);
        }
        self.save_snapshot_when_due()?;
        let number = self.feed.last_number().max(self.saved.last_number()) + 1;
        let step = Step { now_ms, changes, number };
        self.saved.steps.push(step);
        self.state.save(&self.saved)?;
        let file = self.write_step(step)?;
        Ok(Some(Written { changes, file }))
    }

    /// Changes the pace from `now_ms` on.
    pub fn set_rate(&mut self, rate_per_second: f64, now_ms: i64) {
        self.pace = Pace::new(rate_per_second, now_ms);
    }

    /// The market as it is now.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// The folder's writer, to delete what is consumed.
    pub fn feed(&mut self) -> &mut FeedWriter {
        &mut self.feed
    }

    /// The truth about all that this driver wrote, where the settings ask for it. It is not kept over a restart.
    pub fn truth(&self) -> Option<&Truth> {
        self.rows.truth()
    }

    fn write_step(&mut self, step: Step) -> Result<PathBuf, Error> {
        let name = FeedWriter::change_file_name(step.number);
        self.rows.begin_file(&name);
        let mut lines = Vec::new();
        for _ in 0..step.changes {
            let listing = self.market.next_change(step.now_ms);
            self.rows.write(&self.market, &listing, &mut lines);
        }
        self.feed.write_changes(step.number, &lines)
    }

    /// Makes the steps since the snapshot again, and writes the file of the last one where a crash prevented it.
    fn replay(&mut self) -> Result<(), Error> {
        let steps = self.saved.steps.clone();
        let Some((last, earlier)) = steps.split_last() else { return Ok(()) };
        for step in earlier {
            self.make_again(*step);
        }
        if last.number > self.feed.last_number() {
            self.write_step(*last)?;
        } else {
            self.make_again(*last);
        }
        Ok(())
    }

    fn make_again(&mut self, step: Step) {
        for _ in 0..step.changes {
            self.market.next_change(step.now_ms);
        }
    }

    fn save_snapshot_when_due(&mut self) -> Result<(), Error> {
        if self.saved.snapshot_is_due(self.market.config().listings) {
            self.state.save_snapshot(&mut self.saved, self.market.living())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANGES_PER_STEP_MAX, Pace};

    #[test]
    fn the_pace_is_kept_to_the_change() {
        for (rate, step_ms, steps, expected) in [
            (20.0, 50, 200, 200),
            (20.0, 7, 1_000, 140),
            (0.5, 1_000, 10, 5),
            (0.0, 1_000, 10, 0),
            (3.0, 333, 10, 9),
        ] {
            let mut pace = Pace::new(rate, 0);
            let made: u64 = (1..=steps).map(|step| pace.due(step * step_ms)).sum();
            assert_eq!(made, expected, "{rate} a second, every {step_ms} ms");
        }
    }

    #[test]
    fn a_pause_a_clock_that_goes_back_and_nonsense_do_not_flood() {
        let mut pace = Pace::new(1_000.0, 0);
        assert_eq!(pace.due(86_400_000), CHANGES_PER_STEP_MAX);
        assert_eq!(pace.due(86_400_010), 10);
        assert_eq!(pace.due(5), 0);
        assert_eq!(pace.due(15), 10);
        assert_eq!(Pace::new(f64::NAN, 0).due(1_000), 0);
        assert_eq!(Pace::new(-3.0, 0).due(1_000), 0);
        assert_eq!(Pace::new(f64::INFINITY, 0).due(1_000), CHANGES_PER_STEP_MAX);
    }
}
