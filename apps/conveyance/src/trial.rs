//! `feeds check PACK FILE`: reads a file as `ingest` does, maps its rows as `normalize` does, and counts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use dataflow::contract::{BadRow, StoreEntry};
use dataflow::{Failure, Reject, Status};
use geography::{Boundaries, PostalCodes};
use ingest::sink::{Raw, Sink};
use ingest::{AsOf, AsOfRule, Confirmations, FeedConfig, FeedReader, Mode};
use mapping::Pack;
use normalize::{Bare, Places};
use serde_json::{Value, json};

use crate::wiring;

/// Most faults that are told; all are counted.
const TOLD_MAX: usize = 20;

/// Takes what a feed would send, and maps it at once.
struct Trial {
    mapper: Bare,
    store: BTreeMap<Vec<u8>, Arc<[u8]>>,
    rows: u64,
    mapped: u64,
    faults: BTreeMap<String, u64>,
    notes: BTreeMap<String, u64>,
    told: Vec<String>,
    example: Option<Value>,
}

impl Trial {
    fn fault(&mut self, reason: &Reject, place: &str) {
        *self.faults.entry(reason.code.to_owned()).or_default() += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(format!("{place}{reason}"));
        }
    }

    fn count_notes(&mut self, change: &Value) {
        for note in change.get("notes").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| note.get(name).and_then(Value::as_str).unwrap_or_default();
            *self.notes.entry(format!("{} {}", part("field"), part("code"))).or_default() += 1;
        }
    }
}

impl Sink for Trial {
    fn emit(&mut self, raw: Raw<'_>) {
        self.rows += 1;
        match self.mapper.change(raw.value, 1) {
            Ok(_) => {
                self.mapped += 1;
                if let Ok(change) = serde_json::from_slice(&self.mapper.buffer) {
                    self.count_notes(&change);
                    self.example.get_or_insert(change);
                }
            }
            Err(reason) => self.fault(&reason, ""),
        }
    }

    fn is_full(&self) -> bool {
        false
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        Ok(self.store.get(key).cloned())
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => drop(self.store.insert(key.to_vec(), value.into())),
            None => drop(self.store.remove(key)),
        }
    }

    fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure> {
        let found = self
            .store
            .iter()
            .filter(|(k, _)| k.starts_with(prefix) && k.as_slice() > after)
            .take(limit);
        Ok(found.map(|(k, v)| (k.clone(), Arc::clone(v))).collect())
    }

    fn reject(&mut self, row: &BadRow<'_>, reason: &Reject) {
        self.rows += 1;
        let header = |name: &str| {
            row.headers
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
        };
        let place = header("line").map(|line| format!("line {line}: ")).unwrap_or_default();
        self.fault(reason, &place);
    }

    fn tally(&mut self, _name: &str, _n: i64) {}
}

/// Tries a pack on a file.
///
/// # Errors
/// When the file cannot be read at all, or lacks what the pack names.
pub(crate) fn run(pack: &Pack, file: &Path) -> Result<Value> {
    let places = Places::new(PostalCodes::read([])?, Boundaries::built_in());
    let mut trial = Trial {
        mapper: Bare::new(pack.clone(), places),
        store: BTreeMap::new(),
        rows: 0,
        mapped: 0,
        faults: BTreeMap::new(),
        notes: BTreeMap::new(),
        told: Vec::new(),
        example: None,
    };
    let config = FeedConfig {
        as_of: AsOfRule::Fixed(AsOf::from_ms(0).unwrap_or_else(|| unreachable!("1970 is a year"))),
        mode: Mode::Partial,
        format: wiring::format(pack),
        ..FeedConfig::load(pack.name(), vec![file.to_owned()])
    };
    let mut reader = FeedReader::new(config, wiring::plan(pack)?, Confirmations::default());
    loop {
        match reader.step(&mut trial) {
            Ok(Status::Done) => break,
            Ok(Status::Busy | Status::Idle { .. }) => {}
            Err(failure) => bail!("{failure}"),
        }
    }
    Ok(json!({
        "ok": trial.faults.is_empty(), "rows": trial.rows, "mapped": trial.mapped, "faults": trial.faults,
        "first_faults": trial.told, "notes": trial.notes, "first_row_as": trial.example,
    }))
}
