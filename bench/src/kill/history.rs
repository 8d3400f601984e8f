//! What a log holds, read in process through the bus, and how two of them differ.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bus_sqlite::{Options, SqliteBus};
use dataflow::bus::{Bus, Range, Want};
use dataflow::flow::{Form, Kind, Retention, State};
use dataflow::history::Verdict;
use dataflow::{Flow, RecordRef, ServiceSpec, SystemClock, TopicSpec, dead};
use serde_json::Value;

use crate::process;

/// The service that reads files.
const SOURCE: &str = "ingest";
/// Bytes read at a time.
const READ_BYTES: usize = 4 << 20;

/// One record, by what is compared of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    /// Offset of the input record it comes from.
    pub(crate) origin: u64,
    /// Of value, envelope and headers without times, traces and positions.
    pub(crate) meaning: u64,
    /// Of everything.
    pub(crate) exact: u64,
}

/// A topic partition.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) range: Range,
    pub(crate) compacted: bool,
    pub(crate) entries: Vec<Entry>,
}

/// By topic and partition.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) parts: BTreeMap<(String, u16), Part>,
    /// Rows that the source counts as read.
    pub(crate) read: i64,
}

/// The flow table of the program under test, as far as reading its log needs it.
///
/// # Errors
/// When the program does not print one.
pub(crate) fn flow() -> Result<Flow> {
    let mut command = process::command()?;
    command.args(["flow", "--json"]);
    let value = process::json(command)?;
    let list = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let topics = list("topics").iter().map(topic).collect::<Option<_>>();
    let services = list("services").iter().map(service).collect::<Option<_>>();
    Ok(Flow {
        topics: topics.context("topics of `conveyance flow --json`")?,
        services: services.context("services of `conveyance flow --json`")?,
    })
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn topic(value: &Value) -> Option<TopicSpec> {
    let compacted = value.get("compacted")?.as_bool()?;
    Some(TopicSpec {
        name: text(value, "name")?,
        key: text(value, "key")?,
        partitions: u16::try_from(value.get("partitions")?.as_u64()?).ok()?,
        // A log that is only judged keeps everything.
        retention: if compacted {
            Retention::Compacted { tombstone_days: 36_500 }
        } else {
            Retention::Days(36_500)
        },
    })
}

fn service(value: &Value) -> Option<ServiceSpec> {
    let names = |name: &str| {
        let list = value.get(name)?.as_array()?;
        list.iter().map(|n| n.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let kind = match value.get("kind")?.as_str()? {
        "source" => Kind::Source,
        "transform" => Kind::Transform,
        "effect" => Kind::Effect,
        _ => Kind::View,
    };
    Some(ServiceSpec {
        name: text(value, "name")?,
        kind,
        reads: names("reads")?.into_iter().map(|n| (n, Form::Keyed)).collect(),
        writes: names("writes")?,
        state: match value.get("state")?.as_str()? {
            "own" => State::Own,
            "-" => State::None,
            text => State::BackedBy(text.strip_prefix("in ")?.to_owned()),
        },
        does: String::new(),
    })
}

/// Options to open a log that is judged.
#[must_use]
pub(crate) fn options() -> Options {
    let mut options = Options::new(Arc::new(SystemClock), 1);
    options.cache_bytes = 8 << 20;
    options.schema = messages::topics::SCHEMA;
    options
}

impl History {
    /// Reads a log that no process holds.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(crate) fn of(data: &Path, flow: &Flow) -> Result<Self> {
        Self::read(&*SqliteBus::open_read_only(data, flow, options())?, flow)
    }

    /// Reads an open log.
    ///
    /// # Errors
    /// When it cannot be read: a batch that cannot be decoded is such an error.
    pub(crate) fn read(bus: &dyn Bus, flow: &Flow) -> Result<Self> {
        let mut parts = BTreeMap::new();
        for topic in &flow.topics {
            for partition in 0..topic.partitions {
                // A log that was cut before its topics were made has none of them.
                let Ok(range) = bus.range(&topic.name, partition) else { continue };
                let mut part = Part { range, compacted: topic.compacted(), entries: Vec::new() };
                let mut from = range.start;
                let want = Want { bytes_max: READ_BYTES, durable: false };
                loop {
                    let batches = bus.read(&topic.name, partition, from, want)?;
                    let Some(last) = batches.last() else { break };
                    let next = last.next_offset();
                    let records = batches.iter().flat_map(|b| b.records_from(from));
                    part.entries.extend(records.map(|r| entry(&r)));
                    from = next;
                }
                parts.insert((topic.name.clone(), partition), part);
            }
        }
        let tallies = bus.tallies(SOURCE)?;
        let read = tallies.iter().filter(|(name, _)| name.starts_with("read:"));
        Ok(Self { parts, read: read.map(|(_, n)| n).sum() })
    }

    /// Number of records in topics whose name ends so.
    #[must_use]
    pub(crate) fn count(&self, suffix: &str) -> usize {
        let of = self.parts.iter().filter(|((topic, _), _)| topic.ends_with(suffix));
        of.map(|(_, part)| part.entries.len()).sum()
    }
}

fn entry(record: &RecordRef<'_>) -> Entry {
    let meta = record.meta;
    let mut bytes = record.value.map_or_else(|| vec![0], |v| [&[1], v].concat());
    bytes.extend_from_slice(meta.kind.as_bytes());
    bytes.extend_from_slice(meta.source.as_bytes());
    bytes.extend_from_slice(&meta.schema.to_le_bytes());
    for (name, value) in record.headers() {
        if ![dead::OFFSET, dead::FIRST_MS, dead::LAST_MS].contains(&name) {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(value);
        }
    }
    let meaning = messages::hash(&bytes);
    bytes.extend_from_slice(record.header_block);
    bytes.extend_from_slice(format!("{meta:?}").as_bytes());
    Entry {
        offset: record.offset,
        key: record.key.to_vec(),
        value: record.value.map(<[u8]>::to_vec),
        origin: meta.origin,
        meaning,
        exact: messages::hash(&bytes),
    }
}

type Meanings<'a> = BTreeMap<&'a [u8], Vec<u64>>;

fn meanings(part: &Part) -> Meanings<'_> {
    let mut by_key = Meanings::new();
    for entry in &part.entries {
        by_key.entry(&entry.key).or_default().push(entry.meaning);
    }
    by_key
}

/// Compares each key of each topic with an undisturbed run: what is missing, what is there twice, what stands
/// in another order, and what says something else.
#[must_use]
pub(crate) fn compare(expected: &History, found: &History) -> Verdict {
    let mut verdict = Verdict::default();
    let nothing = Part::default();
    for (id, part) in &expected.parts {
        let other = found.parts.get(id).unwrap_or(&nothing);
        let (wanted, got) = (meanings(part), meanings(other));
        let none = Vec::new();
        let keys: std::collections::BTreeSet<_> =
            wanted.keys().chain(got.keys()).copied().collect();
        for key in keys {
            let wanted = wanted.get(key).unwrap_or(&none);
            let got = got.get(key).unwrap_or(&none);
            let name = || format!("{}/{} {}", id.0, id.1, String::from_utf8_lossy(key));
            judge(wanted, got, part.compacted, (&name, &mut verdict));
        }
    }
    verdict
}

fn judge(
    wanted: &[u64],
    got: &[u64],
    compacted: bool,
    (name, verdict): (&dyn Fn() -> String, &mut Verdict),
) {
    if wanted == got {
        return;
    }
    let count = |list: &[u64]| {
        let mut counts: BTreeMap<u64, i64> = BTreeMap::new();
        list.iter().for_each(|m| *counts.entry(*m).or_default() += 1);
        counts
    };
    let (wanted, got) = (count(wanted), count(got));
    if wanted == got {
        verdict.reordered.push(name());
    } else if compacted && !got.is_empty() && !wanted.is_empty() {
        verdict.differing.push(name());
    }
    for (meaning, n) in &wanted {
        let there = got.get(meaning).copied().unwrap_or(0);
        if there < *n && (!compacted || got.is_empty()) {
            verdict.lost.push(name());
        } else if there > *n {
            verdict.duplicated.push(name());
        }
    }
    for meaning in got.keys().filter(|m| !wanted.contains_key(m)) {
        if !compacted || wanted.is_empty() {
            verdict.invented.push(format!("{} {meaning:x}", name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(compacted: bool, meanings: &[u64]) -> History {
        let entry = |(offset, meaning): (usize, &u64)| Entry {
            offset: offset as u64,
            key: b"k".to_vec(),
            value: None,
            origin: 0,
            meaning: *meaning,
            exact: 0,
        };
        let entries = meanings.iter().enumerate().map(entry).collect();
        let part = Part { compacted, entries, ..Part::default() };
        History { parts: BTreeMap::from([(("t".to_owned(), 0), part)]), read: 0 }
    }

    /// Lost, duplicated, reordered, invented, differing.
    #[test]
    fn each_difference_is_named() {
        let check = |compacted, wanted: &[u64], got: &[u64]| {
            let v = compare(&history(compacted, wanted), &history(compacted, got));
            [&v.lost, &v.duplicated, &v.reordered, &v.invented, &v.differing].map(Vec::len)
        };
        for (compacted, wanted, got, expect) in [
            (false, &[1, 2][..], &[1, 2][..], [0, 0, 0, 0, 0]),
            (false, &[1, 2], &[1], [1, 0, 0, 0, 0]),
            (false, &[1, 2], &[1, 2, 2], [0, 1, 0, 0, 0]),
            (false, &[1, 2], &[2, 1], [0, 0, 1, 0, 0]),
            (false, &[1], &[1, 3], [0, 0, 0, 1, 0]),
            (true, &[1], &[2], [0, 0, 0, 0, 1]),
            (true, &[1], &[], [1, 0, 0, 0, 0]),
            (true, &[], &[1], [0, 0, 0, 1, 0]),
        ] {
            assert_eq!(check(compacted, wanted, got), expect, "{wanted:?} {got:?}");
        }
    }
}
