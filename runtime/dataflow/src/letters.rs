//! What a service remembers of its dead letters, so that one that is sent back late does not undo what came after.
//!
//! For each key with dead letters that may still come back there is a row in the service's own state: how many
//! they are, and the last offset of the key that was applied since. The row goes when the last of them has come
//! back. A redriven record whose offset is below that is `superseded`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::batch::RecordRef;
use crate::bus::{BusError, Member};
use crate::dead;
use crate::failure::Reject;
use crate::overlay::Overlay;
use crate::unit::UnitBuilder;
use crate::varint;

/// Reason code of a redriven record that came too late.
pub const SUPERSEDED: &str = "superseded";
/// What the keys of these rows begin with; no record key of a service should.
const PREFIX: &[u8] = b"\0dead\0";
/// Version of a row; a newer one is refused.
const FORMAT: u8 = 1;
/// Keys of one partition that are known to have no row at once; with more that do, each key is looked up.
const KEYS_MAX: usize = 1 << 20;
/// Rows read at a time when a partition is restored.
const PAGE: usize = 1000;

/// A record that came, with the position it had at first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) topic: &'a str,
    /// With the offset it had at first.
    pub(crate) record: RecordRef<'a>,
    /// Whether it came through the redrive topic.
    pub(crate) redriven: bool,
    /// Whether it is a dead letter that comes back; a replayed record is redriven and none.
    pub(crate) letter: bool,
}

impl<'a> Came<'a> {
    pub(crate) fn of(topic: &'a str, redrive: &str, record: RecordRef<'a>) -> Self {
        if topic != redrive {
            return Self { topic, record, redriven: false, letter: false };
        }
        let first = record.header(dead::TOPIC).and_then(|t| std::str::from_utf8(t).ok());
        let offset = dead::number(record.header(dead::OFFSET)).and_then(|n| u64::try_from(n).ok());
        Self {
            topic: first.unwrap_or(topic),
            record: RecordRef { offset: offset.unwrap_or(record.offset), ..record },
            redriven: true,
            letter: record.header(dead::CODE).is_some(),
        }
    }

    fn row_key(&self) -> Vec<u8> {
        [PREFIX, self.topic.as_bytes(), b"\0", self.record.key].concat()
    }
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Row {
    /// Dead letters that have not come back.
    open: u64,
    /// Last offset applied since the first of them.
    applied: Option<u64>,
}

impl Row {
    fn read(bytes: &[u8]) -> Result<Self, BusError> {
        let wrong = |what: &str| BusError::Fatal(format!("a row about dead letters {what}"));
        let (format, mut rest) = bytes.split_first().ok_or_else(|| wrong(DAMAGED))?;
        if *format > FORMAT {
            return Err(wrong("is newer than this program reads: use the newer conveyance"));
        }
        let mut take = || varint::take(&mut rest).ok_or_else(|| wrong(DAMAGED));
        Ok(Self { open: take()?, applied: take()?.checked_sub(1) })
    }

    fn write(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        varint::put(&mut bytes, self.open);
        varint::put(&mut bytes, self.applied.map_or(0, |at| at.saturating_add(1)));
        bytes
    }
}

const DAMAGED: &str = "is damaged: restore the log from a backup";

/// Which keys of a partition may have a row, by hash.
#[derive(Debug, Default)]
struct Keys {
    hashes: HashSet<u64>,
    any: bool,
}

impl Keys {
    fn insert(&mut self, hash: u64) {
        self.any |= self.hashes.len() >= KEYS_MAX;
        if !self.any {
            self.hashes.insert(hash);
        }
    }
}

/// Where a unit's rows are written, and read back before it is committed.
pub(crate) struct Into<'u> {
    pub(crate) unit: &'u mut UnitBuilder,
    pub(crate) number: u64,
    pub(crate) partition: u16,
}

/// The rows of all partitions that a member has.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    keys: BTreeMap<u16, Keys>,
    overlay: Overlay,
}

impl Letters {
    /// Learns which keys of a partition have rows.
    pub(crate) fn restored(
        &mut self,
        member: &mut dyn Member,
        partition: u16,
    ) -> Result<(), BusError> {
        let mut keys = Keys::default();
        let mut after = PREFIX.to_vec();
        while !keys.any {
            let page = member.state_range(partition, PREFIX, &after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            page.iter().for_each(|(key, _)| keys.insert(xxh3_64(key)));
        }
        self.keys.insert(partition, keys);
        Ok(())
    }

    pub(crate) fn released(&mut self, partition: u16) {
        self.keys.remove(&partition);
    }

    pub(crate) fn committed(&mut self, unit: u64) {
        self.overlay.committed(unit);
    }

    /// Forgets what is not committed.
    pub(crate) fn clear(&mut self) {
        self.overlay.clear();
    }

    /// Whether a dead letter that comes back comes too late.
    pub(crate) fn superseded(
        &self,
        member: &mut dyn Member,
        partition: u16,
        came: &Came<'_>,
    ) -> Result<Option<Reject>, BusError> {
        if !came.letter {
            return Ok(None);
        }
        let row = self.row(member, partition, came)?;
        let later = row.and_then(|row| row.applied).filter(|at| *at > came.record.offset);
        Ok(later.map(|at| {
            let message = format!(
                "a later record of this key, at offset {at}, was applied since: nothing is to be done"
            );
            Reject::new(SUPERSEDED, message)
        }))
    }

    /// Notes that a record was applied.
    pub(crate) fn applied(
        &mut self,
        member: &mut dyn Member,
        into: Into<'_>,
        came: &Came<'_>,
    ) -> Result<(), BusError> {
        let Some(mut row) = self.row(member, into.partition, came)? else { return Ok(()) };
        row.applied = row.applied.max(Some(came.record.offset));
        row.open = row.open.saturating_sub(u64::from(came.letter));
        self.write(into, came, row);
        Ok(())
    }

    /// Notes that a record became a dead letter that may come back; a superseded one will not.
    pub(crate) fn refused(
        &mut self,
        member: &mut dyn Member,
        into: Into<'_>,
        (came, code): (&Came<'_>, &str),
    ) -> Result<(), BusError> {
        let row = self.row(member, into.partition, came)?;
        let mut new = row.unwrap_or_default();
        new.open = new.open.saturating_sub(u64::from(came.letter && row.is_some()));
        new.open += u64::from(code != SUPERSEDED);
        if row != Some(new) {
            self.write(into, came, new);
        }
        Ok(())
    }

    fn row(
        &self,
        member: &mut dyn Member,
        partition: u16,
        came: &Came<'_>,
    ) -> Result<Option<Row>, BusError> {
        let Some(keys) = self.keys.get(&partition) else { return Ok(None) };
        if keys.hashes.is_empty() && !keys.any {
            return Ok(None);
        }
        let key = came.row_key();
        if !keys.any && !keys.hashes.contains(&xxh3_64(&key)) {
            return Ok(None);
        }
        let value = match self.overlay.get(&key) {
            Some(value) => value,
            None => stored(member, partition, &key)?,
        };
        value.map(|bytes| Row::read(&bytes)).transpose()
    }

    fn write(&mut self, into: Into<'_>, came: &Came<'_>, row: Row) {
        let key = came.row_key();
        let value: Option<Arc<[u8]>> = (row.open > 0).then(|| row.write().into());
        into.unit.write_at(into.partition, &key, value.as_deref());
        self.keys.entry(into.partition).or_default().insert(xxh3_64(&key));
        self.overlay.put(into.number, &key, value);
    }
}

/// A row of the service's own table; [`Member::state`] reads the backing topic where there is one.
fn stored(
    member: &mut dyn Member,
    partition: u16,
    key: &[u8],
) -> Result<Option<Arc<[u8]>>, BusError> {
    let found = member.state_range(partition, key, b"", 1)?;
    Ok(found.into_iter().find(|(known, _)| known == key).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        for row in [
            Row { open: 1, applied: None },
            Row { open: 0, applied: Some(0) },
            Row { open: 300, applied: Some(1 << 40) },
        ] {
            assert_eq!(Row::read(&row.write()).ok(), Some(row));
        }
        for bytes in [&[][..], &[1], &[1, 0x80], &[FORMAT + 1, 1, 1]] {
            assert!(Row::read(bytes).is_err(), "{bytes:?}");
        }
    }
}
