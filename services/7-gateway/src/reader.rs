//! Reads of single listings from the view's file.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};

use crate::codec::Decoder;
use crate::query::Refusal;
use crate::search::Deadline;
use crate::store::{StoreError, open_reader};
use crate::text::matches;

/// Most events of one listing that are shown; the newest count.
const EVENTS_MAX: usize = 1_000;

/// A connection to the view's file, with what it needs to read values.
pub(crate) struct Reader {
    pub(crate) sql: Connection,
    decoder: Decoder,
}

/// A listing as it is stored.
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) changed_ms: i64,
}

impl Reader {
    pub(crate) fn open(file: &Path) -> Result<Self, Refusal> {
        let decoder = Decoder::new().map_err(StoreError::from)?;
        Ok(Self { sql: open_reader(file)?, decoder })
    }

    pub(crate) fn key(&self, id: u32) -> Result<Option<String>, Refusal> {
        let mut statement = self.sql.prepare_cached("SELECT key FROM listing WHERE id = ?1")?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?)
    }

    pub(crate) fn document(&mut self, id: u32) -> Result<Option<(String, Document)>, Refusal> {
        let found: Option<(String, i64, Vec<u8>)> = self
            .sql
            .prepare_cached(
                "SELECT key, changed_ms, current FROM listing JOIN value USING (id) WHERE id = ?1",
            )?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((key, changed_ms, stored)) = found else { return Ok(None) };
        let value = self.decode(&stored)?;
        Ok(Some((key, Document { value, changed_ms })))
    }

    fn decode(&mut self, stored: &[u8]) -> Result<Value, Refusal> {
        if let Some(number) = self.decoder.missing(stored) {
            let bytes: Vec<u8> = self.sql.query_row(
                "SELECT bytes FROM dictionary WHERE number = ?1",
                [number],
                |row| row.get(0),
            )?;
            self.decoder.add(number, &bytes).map_err(StoreError::from)?;
        }
        let text = self.decoder.decode(stored).map_err(StoreError::from)?;
        serde_json::from_slice(&text).map_err(|e| StoreError::Value(e.to_string()).into())
    }

    /// Those of `ids` whose text holds what was typed, or whose key it is.
    pub(crate) fn matching(
        &self,
        ids: &[(u32, bool)],
        text: &str,
        typed: &str,
        deadline: Deadline<'_>,
    ) -> Result<Vec<u32>, Refusal> {
        let mut statement = self
            .sql
            .prepare_cached("SELECT key, address_words, place_words FROM listing WHERE id = ?1")?;
        let mut kept = Vec::new();
        for (n, (id, address)) in ids.iter().enumerate() {
            if n % 1024 == 0 {
                deadline.check()?;
            }
            let fits = statement.query_row([id], |row| {
                let key = row.get_ref(0)?.as_str().unwrap_or_default();
                let words =
                    if *address { row.get_ref(1)?.as_str().unwrap_or_default() } else { "" };
                let named =
                    key == typed || key.split_once(':').is_some_and(|(_, bare)| bare == typed);
                Ok(named || matches(text, [words, row.get_ref(2)?.as_str().unwrap_or_default()]))
            });
            if fits? {
                kept.push(*id);
            }
        }
        Ok(kept)
    }

    pub(crate) fn events(&mut self, id: u32) -> Result<Vec<(String, i64, i64, Value)>, Refusal> {
        let limit = i64::try_from(EVENTS_MAX).unwrap_or(i64::MAX);
        let rows: Vec<(String, i64, i64, Vec<u8>)> = {
            let mut statement = self.sql.prepare_cached("SELECT type, version, read_ms, event FROM history WHERE listing = ?1 ORDER BY at DESC LIMIT ?2")?;
            let rows = statement.query_map(rusqlite::params![id, limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        let read = rows
            .into_iter()
            .rev()
            .map(|(kind, version, ms, stored)| Ok((kind, version, ms, self.decode(&stored)?)));
        read.collect()
    }

    pub(crate) fn counters(&self) -> Result<Map<String, Value>, Refusal> {
        let mut statement = self.sql.prepare_cached("SELECT name, n FROM counter ORDER BY name")?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, json!(row.get::<_, i64>(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
