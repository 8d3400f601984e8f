//! What a driver keeps in its folder: a snapshot of the living places, seldom, and the steps made since, always.
//!
//! `market.state.json` is small and rewritten with each step. It names the snapshot it stands on; a snapshot is written under a
//! new name before the state that names it, and the old one is deleted after, so every crash leaves a pair that fits.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::feed::{remove_files, write_whole};
use crate::market::{Living, MarketConfig};

/// The format of both files. A program reads its own format only.
const FORMAT: u32 = 1;
/// A snapshot is made after so many steps, or so many changes, or as many changes as there are listings: so what is written
/// for each change stays the same, however large the market is.
const STEPS_PER_SNAPSHOT_MAX: usize = 1_000;
const CHANGES_PER_SNAPSHOT_MIN: u64 = 20_000;
/// A state file larger than this is not ours.
const STATE_BYTES_MAX: u64 = 1 << 20;

/// Changes that were made at one moment and went to one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) now_ms: i64,
    pub(crate) changes: u64,
    /// The number of the file of changes.
    pub(crate) number: u64,
}

/// The content of `market.state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    pub(crate) market: MarketConfig,
    /// How many changes the snapshot stands for; 0 for none.
    snapshot: u64,
    /// The number of the last file of changes before the snapshot.
    snapshot_number: u64,
    pub(crate) steps: Vec<Step>,
}

impl Saved {
    pub(crate) fn new(market: MarketConfig) -> Self {
        Self { format: FORMAT, market, snapshot: 0, snapshot_number: 0, steps: Vec::new() }
    }

    /// The number of the last file of changes that was begun.
    pub(crate) fn last_number(&self) -> u64 {
        self.steps.last().map_or(self.snapshot_number, |step| step.number)
    }

    pub(crate) fn snapshot_is_due(&self, listings: u64) -> bool {
        let changes: u64 = self.steps.iter().map(|step| step.changes).sum();
        changes >= CHANGES_PER_SNAPSHOT_MIN.max(listings)
            || (self.steps.len() >= STEPS_PER_SNAPSHOT_MAX
                && changes >= self.snapshot.min(listings) / 8)
            || self.steps.len() >= STEPS_PER_SNAPSHOT_MAX * 8
    }
}

/// Reads and writes the state in the folder of a feed.
#[derive(Debug)]
pub(crate) struct StateFolder {
    folder: PathBuf,
}

impl StateFolder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// The state of the folder, or `None` where no market began there.
    pub(crate) fn load(
        &mut self,
        seed: u64,
        listings: u64,
    ) -> Result<Option<(Saved, Living)>, Error> {
        let path = self.state_path();
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::at(&path)(error)),
        };
        if size > STATE_BYTES_MAX {
            return Err(unreadable(&path, "it is too large"));
        }
        let bytes = fs::read(&path).map_err(Error::at(&path))?;
        let saved: Saved =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, error))?;
        if saved.format != FORMAT {
            return Err(unreadable(
                &path,
                format!("it has format {}, this program reads {FORMAT}", saved.format),
            ));
        }
        if (saved.market.seed, saved.market.listings) != (seed, listings.max(1)) {
            return Err(Error::OtherMarket {
                path: self.folder.clone(),
                held_seed: saved.market.seed,
                held_listings: saved.market.listings,
                seed,
                listings,
            });
        }
        let living = self.load_snapshot(saved.snapshot)?;
        Ok(Some((saved, living)))
    }

    pub(crate) fn save(&mut self, saved: &Saved) -> Result<(), Error> {
        let bytes = serde_json::to_vec(saved).expect("numbers and lists are JSON");
        write_whole(&self.state_path(), |file| file.write_all(&bytes))
    }

    /// Writes the living places, then the state that stands on them, then deletes what the state no longer needs.
    pub(crate) fn save_snapshot(
        &mut self,
        saved: &mut Saved,
        living: &Living,
    ) -> Result<(), Error> {
        let path = self.snapshot_path(living.changes);
        write_whole(&path, |file| {
            let mut file = BufWriter::new(file);
            serde_json::to_writer(&mut file, living)?;
            file.flush()
        })?;
        saved.snapshot_number = saved.last_number();
        saved.snapshot = living.changes;
        saved.steps.clear();
        self.save(saved)?;
        let kept = snapshot_name(living.changes);
        remove_files(&self.folder, |name| name.starts_with("market.snapshot-") && name != kept)?;
        Ok(())
    }

    fn load_snapshot(&self, changes: u64) -> Result<Living, Error> {
        if changes == 0 {
            return Ok(Living::default());
        }
        let path = self.snapshot_path(changes);
        let bytes = fs::read(&path).map_err(Error::at(&path))?;
        let living: Living =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, error))?;
        if living.changes != changes {
            return Err(unreadable(&path, "its number of changes is not that of its name"));
        }
        Ok(living)
    }

    fn state_path(&self) -> PathBuf {
        self.folder.join("market.state.json")
    }

    fn snapshot_path(&self, changes: u64) -> PathBuf {
        self.folder.join(snapshot_name(changes))
    }
}

fn snapshot_name(changes: u64) -> String {
    format!("market.snapshot-{changes}.json")
}

fn unreadable(path: &Path, reason: impl ToString) -> Error {
    Error::UnreadableState { path: path.to_path_buf(), reason: reason.to_string() }
}
