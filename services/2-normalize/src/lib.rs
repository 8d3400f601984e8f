//! listing.raw -> listing.changes: mapping pack, standard address, place.
//!
//! The work is [`mapping::Mapper`]; this is the thin coat that decodes, calls and emits. It remembers nothing, so a
//! replay of the same rows says the same.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Emit, Failure, Input, Out, Reject, Transform};
use mapping::{BAD_ROW, Fault, Mapper, Pack};
use messages::observed::{Observed, write_delete};
use messages::raw::{Op, Raw, RawError};
use messages::topics::{KIND_ABSENT, KIND_OBSERVED, LISTING_CHANGES, SCHEMA};

pub use mapping::Places;

/// Header of a replayed row: its mapping revision, a decimal number. Rows without it have revision 1.
pub const REVISION_HEADER: &str = "cv_revision";
/// Reason code of a row whose feed has no pack.
pub const UNKNOWN_FEED: &str = "unknown_feed";
/// Reason code of a value that `ingest` did not write.
pub const BAD_RAW: &str = "bad_raw";

/// The service.
pub struct Normalize {
    packs: Arc<HashMap<String, Pack>>,
    places: Places,
    mappers: HashMap<String, Bare>,
}

impl Normalize {
    /// The service with the pack of each feed, and places for all.
    #[must_use]
    pub fn new(packs: Arc<HashMap<String, Pack>>, places: Places) -> Self {
        Self { packs, places, mappers: HashMap::new() }
    }

    fn mapper(&mut self, feed: &str) -> Result<&mut Bare, Reject> {
        if !self.mappers.contains_key(feed) {
            let pack = self.packs.get(feed).ok_or_else(|| {
                Reject::new(
                    UNKNOWN_FEED,
                    format!(
                        "no mapping pack for feed `{feed}`: add it to feeds.toml, then redrive"
                    ),
                )
            })?;
            self.mappers.insert(feed.to_owned(), Bare::new(pack.clone(), self.places.clone()));
        }
        Ok(self.mappers.get_mut(feed).expect("it was put there"))
    }
}

impl Transform for Normalize {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let record = input.record;
        if record.meta.schema > SCHEMA {
            return Err(Failure::stop(format!(
                "a row of schema {} is newer than this program, which knows {SCHEMA}: upgrade it",
                record.meta.schema
            )));
        }
        let value = record.value.ok_or_else(|| Reject::new(BAD_RAW, "a row must have a value"))?;
        let revision = record
            .header(REVISION_HEADER)
            .and_then(|v| std::str::from_utf8(v).ok()?.parse().ok())
            .unwrap_or(1);
        let mapper = self.mapper(record.meta.source)?;
        let (version, kind) = mapper.change(value, revision)?;
        out.emit(
            LISTING_CHANGES,
            Emit { key: record.key, value: Some(&mapper.buffer), kind, version, schema: SCHEMA },
        );
        Ok(())
    }
}

/// The work on one feed's rows, without the runtime. The change is left in a buffer that is used again.
pub struct Bare {
    pack: Arc<Pack>,
    mapper: Mapper,
    /// The last change.
    pub buffer: Vec<u8>,
}

impl Bare {
    /// For the rows of one feed.
    #[must_use]
    pub fn new(pack: Pack, places: Places) -> Self {
        let pack = Arc::new(pack);
        Self { mapper: Mapper::new(Arc::clone(&pack), places), pack, buffer: Vec::new() }
    }

    /// Turns a value of `listing.raw` into one of `listing.changes`; returns its version and kind.
    ///
    /// # Errors
    /// [`Reject`] when the row cannot be used, naming column and value, and file and line.
    pub fn change(&mut self, value: &[u8], revision: u32) -> Result<(u64, &'static str), Reject> {
        let bad = |e: RawError| Reject::new(BAD_RAW, e.to_string());
        let done = self.mapped(&Raw::parse_head(value).map_err(bad)?, revision);
        if done.as_ref().is_err_and(|reject| reject.code == BAD_ROW) {
            // The row was taken unread: what is wrong may be wrong with the value around it.
            return self.mapped(&Raw::parse(value).map_err(bad)?, revision);
        }
        done
    }

    fn mapped(&mut self, raw: &Raw<'_>, revision: u32) -> Result<(u64, &'static str), Reject> {
        self.buffer.clear();
        let version = messages::version_of(&raw.as_of, raw.seq, revision);
        match &raw.op {
            Op::Delete { reason } => {
                write_delete(&mut self.buffer, &raw.as_of, raw.seq, reason);
                Ok((version, KIND_ABSENT))
            }
            Op::Upsert { line, row } => {
                let mapped =
                    self.mapper.map(row).map_err(|fault| refusal(&fault, &raw.file, *line))?;
                let observed = Observed {
                    as_of: &raw.as_of,
                    seq: raw.seq,
                    source_timestamp: mapped.source_timestamp,
                    pack: self.pack.name(),
                    revision,
                    hash: mapped.hash,
                    listing: mapped.listing,
                    notes: mapped.notes,
                };
                observed.write(&mut self.buffer);
                Ok((version, KIND_OBSERVED))
            }
        }
    }
}

fn refusal(fault: &Fault, file: &str, line: u64) -> Reject {
    Reject::new(fault.code, format!("{file}:{line}: {}", fault.message))
}
