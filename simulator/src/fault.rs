//! Faults on purpose, and the truth about them, so that a test can compare what a system made of the feed with what was so.
//!
//! A fault never takes the place of a good row: a bad line comes just before the good row it spoils, a repeated or stale one just
//! after it. So the end state is the same whether a reader refuses such a row, takes part of it, or repairs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chance::{Chance, Purpose};
use crate::listing::{Listing, Status};
use crate::market::Market;
use crate::windows1252;

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// `LIST_PRICE` is `"call office"`.
    UnreadablePrice,
    /// `LAST_MOD` is a 30th of February.
    ImpossibleDate,
    /// `STATUS_CD` is `"ZZ"`, which the feed's documentation does not have.
    UnknownStatus,
    /// The line stops in the middle.
    BrokenJson,
    /// The line is Windows-1252, so it is not UTF-8; decoded as that, it equals the good row after it.
    Windows1252,
    /// The same line twice.
    Duplicate,
    /// After the good row, an older one: another price and an earlier `LAST_MOD`.
    Stale,
    /// There is no `MLS_NUM`.
    MissingKey,
}

impl FaultKind {
    /// Every kind of fault.
    pub const ALL: [Self; 8] = [
        Self::UnreadablePrice,
        Self::ImpossibleDate,
        Self::UnknownStatus,
        Self::BrokenJson,
        Self::Windows1252,
        Self::Duplicate,
        Self::Stale,
        Self::MissingKey,
    ];

    /// Whether the faulty line stands before the good row (and not after it).
    fn comes_before(self) -> bool {
        !matches!(self, Self::Duplicate | Self::Stale)
    }
}

/// How many rows are accompanied by a faulty line, and by which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// About one row in so many has a fault; 0 for none.
    pub one_in: u32,
    /// The kinds to choose from, evenly; none where empty.
    pub kinds: Vec<FaultKind>,
}

impl FaultPlan {
    /// Every kind of fault, at about one row in `one_in`.
    pub fn all(one_in: u32) -> Self {
        Self { one_in, kinds: FaultKind::ALL.to_vec() }
    }

    /// The fault of this version of this listing, the same whenever it is asked.
    pub fn fault_of(&self, seed: u64, listing: &Listing) -> Option<FaultKind> {
        if self.one_in == 0 || self.kinds.is_empty() {
            return None;
        }
        let mut chance = Chance::new(seed, Purpose::Fault, listing.key ^ (listing.version << 40));
        (chance.small(self.one_in) == 0).then(|| *chance.pick(&self.kinds))
    }
}

/// A faulty line that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The name of the file; empty where the rows did not go to a file.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong.
    pub kind: FaultKind,
    /// The key of the listing it was made from.
    pub key: u64,
}

/// How a listing must look in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The last status.
    pub status: Status,
    /// The last asking price.
    pub list_price: u64,
    /// What it sold for.
    pub close_price: Option<u64>,
    /// The `LAST_MOD` of the last version.
    pub modified_ms: i64,
    /// How many good versions were written; where none of the faulty lines is taken, as many must be known downstream.
    pub versions: u64,
}

/// What was written, as it truly is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// How each listing must look in the end, by key.
    pub listings: BTreeMap<u64, Expected>,
    /// Every faulty line.
    pub faults: Vec<Fault>,
    /// How many lines were written, good and bad.
    pub lines: u64,
}

impl Truth {
    fn observe(&mut self, listing: &Listing) {
        let versions = self.listings.get(&listing.key).map_or(0, |known| known.versions) + 1;
        let expected = Expected {
            status: listing.status,
            list_price: listing.list_price,
            close_price: listing.close_price,
            modified_ms: listing.modified_ms,
            versions,
        };
        self.listings.insert(listing.key, expected);
    }
}

/// Writes rows with their faults, and keeps the truth about them where it is wanted.
#[derive(Debug)]
pub struct RowWriter {
    plan: FaultPlan,
    truth: Option<Truth>,
    file: String,
    line: u64,
}

impl RowWriter {
    /// A writer that keeps the truth about all it writes; its memory grows with the number of listings.
    pub fn with_truth(plan: FaultPlan) -> Self {
        Self { truth: Some(Truth::default()), ..Self::new(plan) }
    }

    /// A writer that keeps no truth.
    pub fn new(plan: FaultPlan) -> Self {
        Self { plan, truth: None, file: String::new(), line: 0 }
    }

    /// The truth so far, where it is kept.
    pub fn truth(&self) -> Option<&Truth> {
        self.truth.as_ref()
    }

    /// Begins a file: lines count from 1 again.
    pub fn begin_file(&mut self, name: &str) {
        self.file.clear();
        self.file.push_str(name);
        self.line = 0;
    }

    /// Writes a listing, and the faulty line that its version has, if any.
    pub fn write(&mut self, market: &Market, listing: &Listing, out: &mut Vec<u8>) {
        let fault = self.plan.fault_of(market.config().seed, listing);
        if let Some(kind) = fault.filter(|kind| kind.comes_before()) {
            self.write_fault(kind, market, listing, out);
        }
        market.write_line(listing, out);
        self.line += 1;
        if let Some(truth) = &mut self.truth {
            truth.lines += 1;
            truth.observe(listing);
        }
        if let Some(kind) = fault.filter(|kind| !kind.comes_before()) {
            self.write_fault(kind, market, listing, out);
        }
    }

    fn write_fault(
        &mut self,
        kind: FaultKind,
        market: &Market,
        listing: &Listing,
        out: &mut Vec<u8>,
    ) {
        let mut line = Vec::new();
        market.write_line(&spoiled_listing(kind, listing), &mut line);
        out.extend_from_slice(&spoiled_line(kind, &line));
        self.line += 1;
        if let Some(truth) = &mut self.truth {
            truth.lines += 1;
            truth.faults.push(Fault {
                file: self.file.clone(),
                line: self.line,
                kind,
                key: listing.key,
            });
        }
    }
}

fn spoiled_listing(kind: FaultKind, listing: &Listing) -> Listing {
    match kind {
        FaultKind::Stale => Listing {
            list_price: listing.list_price + 7_000,
            modified_ms: listing.modified_ms - 3_600_000,
            ..*listing
        },
        _ => *listing,
    }
}

fn spoiled_line(kind: FaultKind, line: &[u8]) -> Vec<u8> {
    match kind {
        FaultKind::UnreadablePrice => with_value(line, "LIST_PRICE", "\"call office\""),
        FaultKind::ImpossibleDate => with_value(line, "LAST_MOD", "\"2026-02-30T25:61:00.000Z\""),
        FaultKind::UnknownStatus => with_value(line, "STATUS_CD", "\"ZZ\""),
        FaultKind::BrokenJson => {
            let mut cut = line.get(..line.len() * 3 / 5).unwrap_or_default().to_vec();
            cut.push(b'\n');
            cut
        }
        FaultKind::Windows1252 => windows1252::encode(line),
        FaultKind::Duplicate | FaultKind::Stale => line.to_vec(),
        FaultKind::MissingKey => {
            let rest = find(line, b",").and_then(|comma| line.get(comma + 1..)).unwrap_or_default();
            [b"{", rest].concat()
        }
    }
}

/// The line with another value for one of its fields that is neither the first nor the last.
fn with_value(line: &[u8], field: &str, value: &str) -> Vec<u8> {
    let name = format!("\"{field}\":");
    let begin = find(line, name.as_bytes()).expect("a row has all its fields") + name.len();
    let (before, rest) = line.split_at(begin);
    let end = find(rest, b",\"").expect("another field follows");
    let (_, after) = rest.split_at(end);
    [before, value.as_bytes(), after].concat()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, spoiled_line, spoiled_listing};
    use crate::market::{Market, MarketConfig};
    use serde_json::Value;

    #[test]
    fn each_fault_spoils_what_it_says_and_nothing_else() {
        let market =
            Market::new(MarketConfig { seed: 4, listings: 50, start_ms: 1_767_225_600_000 });
        for listing in market.initial() {
            let mut good = Vec::new();
            market.write_line(&listing, &mut good);
            let parsed: Value = serde_json::from_slice(&good).unwrap();
            for kind in FaultKind::ALL {
                let mut base = Vec::new();
                market.write_line(&spoiled_listing(kind, &listing), &mut base);
                let bad = spoiled_line(kind, &base);
                assert_eq!(
                    bad.iter().filter(|byte| **byte == b'\n').count(),
                    1,
                    "{kind:?} stays one line"
                );
                let expected: &[&str] = match kind {
                    FaultKind::UnreadablePrice => &["LIST_PRICE"],
                    FaultKind::ImpossibleDate => &["LAST_MOD"],
                    FaultKind::UnknownStatus => &["STATUS_CD"],
                    FaultKind::Stale => &["LIST_PRICE", "LAST_MOD"],
                    FaultKind::MissingKey => &["MLS_NUM"],
                    FaultKind::Duplicate => &[],
                    FaultKind::BrokenJson => {
                        assert!(serde_json::from_slice::<Value>(&bad).is_err());
                        continue;
                    }
                    FaultKind::Windows1252 => {
                        assert!(std::str::from_utf8(&bad).is_err(), "it must not be UTF-8");
                        continue;
                    }
                };
                let spoiled: Value = serde_json::from_slice(&bad).unwrap();
                let differing: Vec<&String> = parsed
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(name, value)| spoiled.get(name) != Some(value))
                    .map(|(name, _)| name)
                    .collect();
                assert_eq!(differing, expected, "{kind:?}");
            }
        }
    }
}
