//! Dead letters: listed, shown, and redriven to the service that refused them and to no other.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dataflow::batch::{BatchBuilder, NewRecord};
use dataflow::bus::Want;
use dataflow::dead;
use dataflow::flow::{Kind, ServiceSpec};
use dataflow::letters::SUPERSEDED;
use dataflow::unit::{Output, Unit};
use dataflow::{Batch, RecordRef};
use serde_json::{Map, Value, json};

use super::{Tools, json_or_text, time_text};

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 20;
/// Most dead letters redriven in one unit.
const UNIT_RECORDS: usize = 500;
/// The name under which it is remembered what was redriven.
pub(crate) const MARKS: &str = "redrive";
/// Headers in which `ingest` says where a row stood.
const PLACE_HEADERS: [(&str, &str); 2] = [("file", "cv_file"), ("line", "cv_line")];

struct Letter<'a> {
    service: &'a str,
    partition: u16,
    record: RecordRef<'a>,
}

impl Letter<'_> {
    fn id(&self) -> String {
        format!("{}/{}/{}", self.service, self.partition, self.record.offset)
    }

    fn text(&self, header: &str) -> String {
        self.record
            .header(header)
            .map(|v| String::from_utf8_lossy(v).into_owned())
            .unwrap_or_default()
    }

    fn summary(&self, redriven: bool) -> Map<String, Value> {
        let mut row = Map::new();
        row.insert("id".into(), self.id().into());
        row.insert("key".into(), String::from_utf8_lossy(self.record.key).into());
        for (name, header) in
            [("code", dead::CODE), ("message", dead::MESSAGE), ("service", dead::SERVICE)]
        {
            row.insert(name.into(), self.text(header).into());
        }
        row.insert(
            "time".into(),
            time_text(dead::number(self.record.header(dead::LAST_MS)).unwrap_or(0)).into(),
        );
        row.insert("feed".into(), self.record.meta.source.into());
        for (name, header) in PLACE_HEADERS {
            if let Some(value) = self.record.header(header) {
                row.insert(name.into(), String::from_utf8_lossy(value).into());
            }
        }
        row.insert("redriven".into(), redriven.into());
        row
    }
}

/// Services that can have dead letters.
fn services<'a>(tools: &'a Tools, only: Option<&'a str>) -> Result<Vec<&'a ServiceSpec>> {
    let all: Vec<_> = tools.flow.services.iter().filter(|s| s.kind != Kind::View).collect();
    match only {
        None => Ok(all),
        Some(name) => {
            let names: Vec<_> = all.iter().map(|s| s.name.as_str()).collect();
            let found = all
                .iter()
                .find(|s| s.name == name)
                .with_context(|| format!("no service `{name}`: one of {}", names.join(", ")))?;
            Ok(vec![found])
        }
    }
}

fn each(
    tools: &Tools,
    service: &ServiceSpec,
    mut f: impl FnMut(&Letter<'_>) -> Result<()>,
) -> Result<()> {
    let topic = service.dead_letters();
    let partitions = tools.flow.topic(&topic).map_or(0, |t| t.partitions);
    for partition in 0..partitions {
        // Those that come while this looks are not seen: one that is sent back and refused again comes back.
        let range = tools.bus.range(&topic, partition)?;
        let mut from = range.start;
        while from < range.end {
            let batches: Vec<Arc<Batch>> = tools.bus.read(
                &topic,
                partition,
                from,
                Want { bytes_max: READ_BYTES, durable: false },
            )?;
            let Some(last) = batches.last() else { break };
            let next = last.next_offset();
            let records = batches.iter().flat_map(|b| b.records_from(from));
            for record in records.take_while(|r| r.offset < range.end) {
                f(&Letter { service: &service.name, partition, record })?;
            }
            from = next;
        }
    }
    Ok(())
}

/// What was redriven, by id.
fn marks(tools: &Tools) -> Result<std::collections::HashSet<String>> {
    let tallies = tools.bus.tallies(MARKS)?;
    Ok(tallies.into_iter().map(|(id, _)| id).collect())
}

pub(super) fn list(tools: &Tools, service: Option<&str>, limit: usize) -> Result<Value> {
    let redriven = marks(tools)?;
    let mut by_reason = std::collections::BTreeMap::<String, u64>::new();
    let (mut rows, mut total) = (std::collections::VecDeque::new(), 0u64);
    for service in services(tools, service)? {
        each(tools, service, |letter| {
            total += 1;
            *by_reason
                .entry(format!("{} {}", letter.service, letter.text(dead::CODE)))
                .or_default() += 1;
            rows.push_front(Value::Object(letter.summary(redriven.contains(&letter.id()))));
            rows.truncate(limit);
            Ok(())
        })?;
    }
    Ok(json!({"total": total, "by_reason": by_reason, "dead_letters": rows}))
}

pub(super) fn show(tools: &Tools, id: &str) -> Result<Value> {
    let mut found = None;
    let redriven = marks(tools)?;
    let (service, _, _) = parse_id(id)?;
    for service in services(tools, Some(service))? {
        each(tools, service, |letter| {
            if letter.id() == id {
                let mut row = letter.summary(redriven.contains(id));
                let headers: Map<String, Value> = letter
                    .record
                    .headers()
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), String::from_utf8_lossy(v).into()))
                    .collect();
                row.insert("headers".into(), headers.into());
                row.insert("value".into(), letter.record.value.map_or(Value::Null, json_or_text));
                found = Some(Value::Object(row));
            }
            Ok(())
        })?;
    }
    found.with_context(|| {
        format!("no dead letter {id}: `conveyance dead-letters list` shows what there is")
    })
}

fn parse_id(id: &str) -> Result<(&str, u16, u64)> {
    let mut parts = id.split('/');
    let parsed =
        (|| Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)))();
    parsed.with_context(|| {
        format!("`{id}` is no dead letter's id: write it as listed, service/partition/offset")
    })
}

pub(super) fn redrive(tools: &Tools, ids: &[String], service: Option<&str>) -> Result<Value> {
    for id in ids {
        parse_id(id)?;
    }
    let redriven = marks(tools)?;
    let (mut sent, mut already, mut sources, mut superseded) = (0u64, 0u64, 0u64, 0u64);
    for service in services(tools, service)? {
        let mut wanted: Vec<(u16, String, Vec<u8>)> = Vec::new();
        let takes_back = tools.flow.topic(&service.redrive()).is_some();
        each(tools, service, |letter| {
            let id = letter.id();
            if !(ids.is_empty() || ids.contains(&id)) {
                return Ok(());
            }
            match (takes_back, redriven.contains(&id)) {
                (false, _) => sources += 1,
                (true, true) => already += 1,
                (true, false) if letter.text(dead::CODE) == SUPERSEDED => superseded += 1,
                (true, false) => wanted.push((letter.partition, id, single(&letter.record))),
            }
            if wanted.len() >= UNIT_RECORDS {
                sent += send(tools, service, &std::mem::take(&mut wanted))?;
            }
            Ok(())
        })?;
        sent += send(tools, service, &wanted)?;
    }
    if !ids.is_empty() && sent + already + sources + superseded == 0 {
        bail!("no such dead letter: `conveyance dead-letters list` shows what there is");
    }
    let note = (sources > 0).then_some(
        "rows that `ingest` refused cannot be sent back: mend the file, and it is read again",
    );
    Ok(
        json!({"redriven": sent, "already_redriven": already, "superseded": superseded, "not_redrivable": sources, "note": note}),
    )
}

/// The record as it is, headers included: they carry its original position.
fn single(record: &RecordRef<'_>) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    builder.push(NewRecord {
        key: record.key,
        value: record.value,
        meta: record.meta,
        headers: &record.headers(),
    });
    builder.finish()
}

/// Sending them and marking them redriven is one unit. Returns how many they are.
fn send(tools: &Tools, service: &ServiceSpec, letters: &[(u16, String, Vec<u8>)]) -> Result<u64> {
    if letters.is_empty() {
        return Ok(0);
    }
    let topic: Arc<str> = service.redrive().into();
    let outputs = letters.iter().map(|(partition, _, block)| Output {
        topic: Arc::clone(&topic),
        partition: *partition,
        count: 1,
        block: block.clone(),
    });
    let unit = Unit {
        outputs: outputs.collect(),
        tallies: letters.iter().map(|(_, id, _)| (id.clone(), 1)).collect(),
        ..Unit::default()
    };
    tools.bus.append(MARKS, unit)?;
    Ok(letters.len() as u64)
}
