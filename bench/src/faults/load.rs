//! The tagged load: every row says which of its listing's rows it is, in two fields that must never part.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::power::chance::Chance;
use crate::process;

/// Listings of a round.
const KEYS: u64 = 400;
/// Rows of a file.
const FILE_ROWS: u64 = 500;
/// One row in so many lacks what the mapping requires, and must end as a dead letter.
const REJECTED_ONE_IN: u64 = 37;
/// `ListPrice` of row 0 of each listing.
const PRICE: u64 = 100_000;
/// Milliseconds between two modification times of a listing.
const STEP_S: u64 = 1;
/// In front of the number, in the remarks.
pub(super) const MARK: &str = "tag ";

/// Rows written so far.
pub(super) struct Load {
    /// The feeds file.
    pub(super) feeds: PathBuf,
    /// Where files appear.
    pub(super) input: PathBuf,
    /// For each key: number of each row in order, and whether it must be rejected.
    rows: BTreeMap<u64, Vec<bool>>,
    files: u64,
    written: u64,
}

impl Load {
    /// Makes the folders.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let input = folder.join("input");
        std::fs::create_dir(&input)?;
        let feeds = process::write_feeds(folder, "*.jsonl")?;
        Ok(Self { feeds, input, rows: BTreeMap::new(), files: 0, written: 0 })
    }

    /// Rows written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Of them, those that cannot be mapped.
    pub(super) fn rejected(&self) -> u64 {
        self.rows.values().flatten().filter(|rejected| **rejected).count() as u64
    }

    /// One more file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, chance: &mut Chance) -> Result<()> {
        let mut text = String::new();
        for _ in 0..FILE_ROWS {
            let key = chance.below(KEYS);
            let rejected = chance.below(REJECTED_ONE_IN) == 0;
            let list = self.rows.entry(key).or_default();
            row(&mut text, key, list.len() as u64, rejected)?;
            list.push(rejected);
        }
        self.written += FILE_ROWS;
        self.files += 1;
        // It appears whole: a file that grows would be read again.
        let unfinished = self.input.join("unfinished");
        std::fs::write(&unfinished, text)?;
        std::fs::rename(unfinished, self.input.join(format!("{:08}.jsonl", self.files)))?;
        Ok(())
    }

    /// Every row: key, number, whether it must be rejected.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, u64, bool)> {
        self.rows.iter().flat_map(|(key, list)| {
            list.iter().zip(0..).map(|(rejected, seq)| (name(*key), seq, *rejected))
        })
    }
}

/// The key of a listing on the topics.
fn name(key: u64) -> String {
    format!("market:K{key:05}")
}

/// The number that a price stands for.
pub(super) fn number_of_price(price: u64) -> Option<u64> {
    price.checked_sub(PRICE)
}

fn row(text: &mut String, key: u64, seq: u64, rejected: bool) -> Result<()> {
    let price = if rejected { String::new() } else { (PRICE + seq).to_string() };
    let at = seq * STEP_S;
    let (hours, minutes, seconds) = (at / 3600, at / 60 % 60, at % 60);
    writeln!(
        text,
        "{{\"MLS_NUM\":\"K{key:05}\",\"STATUS_CD\":\"A\",\"PROP_TYPE\":\"SFR\",\"LIST_PRICE\":\"{price}\",\
         \"LAST_MOD\":\"2026-01-01T{hours:02}:{minutes:02}:{seconds:02}Z\",\"CITY\":\"Seattle\",\"ST\":\"WA\",\
         \"BEDS\":\"3\",\"REMARKS\":\"{MARK}{seq}.\"}}"
    )?;
    Ok(())
}
