//! Reads every topic of a log and gives it to the history checker, with what went in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use dataflow::bus::{Bus, BusError, Want};
use dataflow::history::{self, Said, Verdict};
use dataflow::{Flow, RecordRef};
use messages::change::scan;
use messages::current::Current;
use messages::event::{Event, EventType, Fold};
use messages::topics::{LISTING_CHANGES, LISTING_CURRENT, LISTING_EVENTS, LISTING_RAW};

use super::load::{Load, MARK, number_of_price};

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 20;
/// Brokers answer within this time, or the run is not judged.
const READY_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
/// Where rows end that cannot be mapped.
const REFUSED: &str = "normalize.dead-letters";
/// Dead letters that nothing here should cause.
const UNEXPECTED: [&str; 2] = ["ingest.dead-letters", "track.dead-letters"];

/// A log to be judged.
pub(super) struct Log<'a> {
    /// Where it is read.
    pub(super) bus: &'a dyn Bus,
    /// Its topics.
    pub(super) flow: &'a Flow,
}

type Rows = Vec<(String, u64)>;
/// Each listing put together from its events, or why that cannot be.
type Folds = BTreeMap<String, Result<Fold, String>>;

/// Compares what is in the log with what went in.
///
/// # Errors
/// When the log cannot be read, or holds what cannot be decoded.
pub(super) fn judge(log: &Log<'_>, load: &Load) -> Result<Verdict> {
    let all: Rows = load.all().map(|(key, seq, _)| (key, seq)).collect();
    let good: Rows = load.all().filter(|(.., bad)| !bad).map(|(key, seq, _)| (key, seq)).collect();
    let dead = dead_letters(log, REFUSED)?;
    let mut verdict = named(LISTING_RAW, history::judge(&all, &whole(log, LISTING_RAW)?, &[]));
    verdict
        .extend(named(LISTING_CHANGES, history::judge(&all, &whole(log, LISTING_CHANGES)?, &dead)));
    let (events, folds) = events(log)?;
    verdict.extend(named(LISTING_EVENTS, history::judge(&good, &events, &[])));
    verdict.extend(state(log, &good, &folds)?);
    for topic in UNEXPECTED {
        let found = dead_letters(log, topic)?;
        verdict.invented.extend(found.iter().map(|(key, seq)| format!("{topic} {key}#{seq}")));
    }
    Ok(verdict)
}

/// The topic in front of each finding.
fn named(topic: &str, mut verdict: Verdict) -> Verdict {
    let Verdict { lost, duplicated, reordered, torn, invented, differing } = &mut verdict;
    for list in [lost, duplicated, reordered, torn, invented, differing] {
        list.iter_mut().for_each(|text| *text = format!("{topic} {text}"));
    }
    verdict
}

/// Asks again where the brokers, which have been through much, are not ready.
fn insist<T>(ask: impl Fn() -> Result<T, BusError>) -> Result<T> {
    let from = super::now();
    loop {
        match ask() {
            Err(BusError::Busy(_)) if from.elapsed() < READY_WITHIN => {
                std::thread::park_timeout(BETWEEN_TRIES);
            }
            answer => return Ok(answer?),
        }
    }
}

fn each(log: &Log<'_>, topic: &str, mut f: impl FnMut(&RecordRef<'_>) -> Result<()>) -> Result<()> {
    let spec = log.flow.topic(topic).with_context(|| format!("no topic `{topic}`"))?;
    for partition in 0..spec.partitions {
        let range = insist(|| log.bus.range(topic, partition))?;
        let mut from = range.start;
        while from < range.end {
            let want = Want { bytes_max: READ_BYTES, durable: false };
            let batches = insist(|| log.bus.read(topic, partition, from, want))?;
            let Some(last) = batches.last() else { break };
            let next = last.next_offset();
            for record in batches.iter().flat_map(|batch| batch.records_from(from)) {
                f(&record).with_context(|| format!("{topic}/{partition} at {}", record.offset))?;
            }
            from = next;
        }
    }
    Ok(())
}

/// A topic with one record for each row.
fn whole(log: &Log<'_>, topic: &str) -> Result<Vec<Said>> {
    let mut said = Vec::new();
    each(log, topic, |record| {
        said.push(Said { key: key_of(record), seq: tag(text_of(record)?)?, part: 0, parts: 1 });
        Ok(())
    })?;
    Ok(said)
}

fn dead_letters(log: &Log<'_>, topic: &str) -> Result<Rows> {
    let mut rows = Rows::new();
    each(log, topic, |record| {
        rows.push((key_of(record), tag(text_of(record)?)?));
        Ok(())
    })?;
    Ok(rows)
}

/// Events: the first of a listing is one, each later change is two, which must not part.
fn events(log: &Log<'_>) -> Result<(Vec<Said>, Folds)> {
    let mut said = Vec::new();
    let mut folds: Folds = BTreeMap::new();
    each(log, LISTING_EVENTS, |record| {
        let value = record.value.context("an event without a value")?;
        let event = Event::parse(value).map_err(|e| anyhow!("{e}"))?;
        let (seq, part, parts) = match event.kind {
            EventType::Added => (tag(event.after)?, 0, 1),
            EventType::Price => (price_number(event.after)?, 0, 2),
            EventType::Fields => (tag(event.after)?, 1, 2),
            other => return Err(anyhow!("a {} event, which no row causes", other.name())),
        };
        let key = key_of(record);
        let fold = folds.entry(key.clone()).or_insert_with(|| Ok(Fold::default()));
        if let Ok(open) = fold
            && let Err(error) = open.add(value)
        {
            *fold = Err(error.to_string());
        }
        said.push(Said { key, seq, part, parts });
        Ok(())
    })?;
    Ok((said, folds))
}

/// The state of each listing: which row it shows last, and how many changes it counts.
fn state(log: &Log<'_>, good: &Rows, folds: &Folds) -> Result<Verdict> {
    let mut expected: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
    for (key, seq) in good {
        let (last, changes) = expected.entry(key.clone().into_bytes()).or_default();
        (*last, *changes) = (*seq, *changes + 1);
    }
    let mut found = BTreeMap::new();
    let mut verdict = Verdict::default();
    each(log, LISTING_CURRENT, |record| {
        let current = Current::parse(record.value.context("a listing was removed")?)
            .map_err(|e| anyhow!("{e}"))?;
        let listing = current.listing.context("a listing was deleted")?;
        let seq = tag(listing)?;
        if price_number(listing)? != seq {
            verdict.torn.push(format!("{LISTING_CURRENT} {}: two rows in one", key_of(record)));
        }
        found.insert(record.key.to_vec(), (seq, current.version));
        Ok(())
    })?;
    verdict.extend(history::compare(LISTING_CURRENT, &expected, &found));
    for (key, fold) in folds {
        let count = expected.get(key.as_bytes()).map_or(0, |(_, changes)| *changes);
        match fold {
            Err(error) => verdict.differing.push(format!("{LISTING_EVENTS} {key}: {error}")),
            Ok(fold) if fold.version() != count => {
                let version = fold.version();
                verdict
                    .differing
                    .push(format!("{LISTING_EVENTS} {key}: {version} changes of {count}"));
            }
            Ok(_) => {}
        }
    }
    verdict.extend(tallies(log, good, &expected)?);
    Ok(verdict)
}

/// Counters that commit with the work: each change exactly once.
fn tallies(log: &Log<'_>, good: &Rows, keys: &BTreeMap<Vec<u8>, (u64, u64)>) -> Result<Verdict> {
    let (changes, keys) = (i64::try_from(good.len())?, i64::try_from(keys.len())?);
    let expect =
        [("event:added", keys), ("event:price", changes - keys), ("event:fields", changes - keys)];
    let expected: BTreeMap<Vec<u8>, i64> =
        expect.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.into(), n)).collect();
    let counted = insist(|| log.bus.tallies("track"))?
        .into_iter()
        .filter(|(name, _)| name.starts_with("event:"));
    let found = counted.map(|(name, n)| (name.into_bytes(), n)).collect();
    Ok(history::compare("tally", &expected, &found))
}

fn key_of(record: &RecordRef<'_>) -> String {
    String::from_utf8_lossy(record.key).into_owned()
}

fn text_of<'a>(record: &RecordRef<'a>) -> Result<&'a str> {
    Ok(std::str::from_utf8(record.value.context("no value")?)?)
}

/// The number of the row that a text shows.
fn tag(text: &str) -> Result<u64> {
    let (_, rest) = text.split_once(MARK).with_context(|| format!("no tag in {text}"))?;
    let (number, _) =
        rest.split_once('.').with_context(|| format!("no end of the tag in {text}"))?;
    Ok(number.parse()?)
}

/// The number that the price of an object says.
fn price_number(object: &str) -> Result<u64> {
    let mut price = None;
    scan::object(object, |name, value| {
        if name == "ListPrice" {
            price = value.parse().ok().and_then(number_of_price);
        }
        Ok(())
    })
    .map_err(|e| anyhow!("{e}"))?;
    price.with_context(|| format!("no price in {object}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_by_two_fields() {
        assert_eq!(tag("{\"PublicRemarks\":\"tag 17.\"}").unwrap(), 17);
        assert_eq!(price_number("{\"City\":\"x\",\"ListPrice\":100017}").unwrap(), 17);
        for (text, tagged, priced) in [
            ("{}", false, false),
            ("{\"a\":\"tag 1\"}", false, false),
            ("{\"ListPrice\":5}", false, false),
        ] {
            assert_eq!(tag(text).is_ok(), tagged, "{text}");
            assert_eq!(price_number(text).is_ok(), priced, "{text}");
        }
    }
}
