//! The trace of a recording (`shim/record.c`), and the files as a power cut at any place of it would leave them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::power::chance::Chance;

/// Bytes of a record before what it carries.
const HEAD_BYTES: usize = 21;
/// Disks write a sector whole or not at all. Both sizes are in use.
const SECTOR_BYTES: [u64; 2] = [512, 4096];
/// The folder itself.
const FOLDER: &str = ".";

/// One thing that happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Open(String),
    Write { offset: u64, bytes: std::ops::Range<usize> },
    Truncate(u64),
    Unlink,
    SyncBegin(u64),
    SyncEnd(u64),
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) file: u32,
    pub(crate) op: Op,
}

/// A whole recording.
#[derive(Debug, Default, Clone)]
pub(crate) struct Trace {
    pub(crate) records: Vec<Record>,
    pub(crate) names: BTreeMap<u32, String>,
    bytes: std::sync::Arc<Vec<u8>>,
}

fn take<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at + N)?.try_into().ok()
}

impl Trace {
    /// Reads a trace file. A record that the end of the process cut short is left out.
    ///
    /// # Errors
    /// When the file cannot be read or was not written by the recorder.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
        Self::parse(bytes).with_context(|| format!("{} is no trace", path.display()))
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut trace = Self::default();
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
            let file = u32::from_le_bytes(take(head, 1)?);
            let offset = u64::from_le_bytes(take(head, 5)?);
            let length = usize::try_from(u64::from_le_bytes(take(head, 13)?)).ok()?;
            let from = at + HEAD_BYTES;
            at = from.checked_add(length)?;
            let Some(body) = bytes.get(from..at) else { break };
            let op = match head.first()? {
                1 => {
                    let name = String::from_utf8(body.to_vec()).ok()?;
                    trace.names.insert(file, name.clone());
                    Op::Open(name)
                }
                2 => Op::Write { offset, bytes: from..at },
                3 => Op::Truncate(offset),
                4 => Op::Unlink,
                5 => Op::SyncBegin(offset),
                6 => Op::SyncEnd(offset),
                _ => return None,
            };
            trace.records.push(Record { file, op });
        }
        trace.bytes = std::sync::Arc::new(bytes);
        Some(trace)
    }

    /// The id of a file.
    pub(crate) fn file(&self, name: &str) -> Option<u32> {
        self.names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    /// Places where a sync of that file ended.
    pub(crate) fn sync_ends(&self, name: &str) -> Vec<usize> {
        let id = self.file(name);
        let is = |r: &Record| Some(r.file) == id && matches!(r.op, Op::SyncEnd(_));
        (0..self.records.len()).filter(|at| self.records.get(*at).is_some_and(is)).collect()
    }

    /// The same, but each sync of that file has its effect only when the next one ends.
    #[must_use]
    pub(crate) fn delayed(&self, name: &str) -> Self {
        let mut delayed = self.clone();
        let mut waiting = Op::Open(FOLDER.to_owned());
        for at in self.sync_ends(name) {
            if let Some(record) = delayed.records.get_mut(at) {
                std::mem::swap(&mut record.op, &mut waiting);
            }
        }
        delayed
    }

    /// The same without one record.
    #[must_use]
    pub(crate) fn without(&self, at: usize) -> Self {
        let mut without = self.clone();
        if let Some(record) = without.records.get_mut(at) {
            record.op = Op::Open(FOLDER.to_owned());
        }
        without
    }

    /// Bytes written.
    pub(crate) fn written(&self) -> u64 {
        let bytes = |r: &Record| if let Op::Write { bytes, .. } = &r.op { bytes.len() } else { 0 };
        self.records.iter().map(bytes).sum::<usize>() as u64
    }
}

/// What becomes of the writes to one file that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All are on the disk.
    Kept,
    /// None is.
    Dropped,
    /// Each by chance is, is not, or is in part.
    Chance,
}

impl Fate {
    /// One of the three; every second time the last.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        match chance.below(4) {
            0 => Self::Kept,
            1 => Self::Dropped,
            _ => Self::Chance,
        }
    }
}

/// A file on the disk; `None` when there is none.
type Content = Option<Vec<u8>>;

#[derive(Debug, Default)]
struct OneFile {
    synced: Content,
    /// Places in the trace of what is not synced.
    pending: Vec<usize>,
}

/// The disk while a trace is played: only ever forward.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    trace: &'a Trace,
    at: usize,
    files: BTreeMap<u32, OneFile>,
    /// Where each running sync began.
    syncs: BTreeMap<u64, usize>,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(trace: &'a Trace) -> Self {
        Self { trace, at: 0, files: BTreeMap::new(), syncs: BTreeMap::new() }
    }

    /// Plays the trace up to, not including, record `until`.
    pub(crate) fn play(&mut self, until: usize) {
        while self.at < until.min(self.trace.records.len()) {
            let Some(record) = self.trace.records.get(self.at) else { return };
            match &record.op {
                Op::Open(name) if name == FOLDER => {}
                Op::Open(_) | Op::Write { .. } | Op::Truncate(_) | Op::Unlink => {
                    self.files.entry(record.file).or_default().pending.push(self.at);
                }
                Op::SyncBegin(number) => {
                    self.syncs.insert(*number, self.at);
                }
                Op::SyncEnd(number) => {
                    let began = self.syncs.remove(number).unwrap_or(0);
                    self.settle(record.file, began);
                }
            }
            self.at += 1;
        }
    }

    /// What happened to the file before record `began` is on the disk for good. A sync of the folder makes
    /// names come and go for good.
    fn settle(&mut self, file: u32, began: usize) {
        let folder = self.trace.names.get(&file).is_some_and(|n| n == FOLDER);
        for (id, one) in &mut self.files {
            let count = if folder {
                let name = |at: &usize| {
                    let op = self.trace.records.get(*at).map(|r| &r.op);
                    *at < began && matches!(op, Some(Op::Unlink))
                };
                one.pending.iter().rposition(name).map_or(0, |n| n + 1)
            } else if *id == file {
                one.pending.partition_point(|at| *at < began)
            } else {
                0
            };
            for at in one.pending.drain(..count) {
                apply(self.trace, at, &mut one.synced);
            }
        }
    }

    /// A file as a power cut now would leave it.
    #[must_use]
    pub(crate) fn cut(&self, name: &str, fate: Fate, chance: &mut Chance) -> Content {
        let one = self.trace.file(name).and_then(|id| self.files.get(&id))?;
        let mut content = one.synced.clone();
        if fate == Fate::Dropped {
            return content;
        }
        let drawn = fate == Fate::Chance;
        // What concerns names and lengths reaches the disk in its order: up to here it did.
        let changes = |at: &usize| !matches!(self.op(*at), Some(Op::Write { .. }));
        let places: Vec<usize> = one.pending.iter().copied().filter(changes).collect();
        let kept = if drawn { chance.below(places.len() as u64 + 1) } else { places.len() as u64 };
        let until = places.get(usize::try_from(kept).unwrap_or(0)).copied().unwrap_or(usize::MAX);
        for at in &one.pending {
            match self.op(*at) {
                // A name that is still there means that what was made in its place later is not.
                Some(Op::Unlink) if *at >= until => break,
                Some(Op::Write { offset, bytes }) if drawn => {
                    let bytes = self.trace.bytes.get(bytes.clone()).unwrap_or_default();
                    write(&mut content, *offset, part(*offset, bytes, chance));
                }
                _ if *at >= until => {}
                _ => apply(self.trace, *at, &mut content),
            }
        }
        content
    }

    fn op(&self, at: usize) -> Option<&'a Op> {
        self.trace.records.get(at).map(|r| &r.op)
    }

    /// Names of all files that were ever there.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a String> {
        self.trace.names.values().filter(|n| *n != FOLDER)
    }
}

/// What a disk has of one write: all, nothing, or some first sectors.
fn part<'b>(offset: u64, bytes: &'b [u8], chance: &mut Chance) -> &'b [u8] {
    match chance.below(3) {
        0 => bytes,
        1 => &[],
        _ => {
            let sector = if chance.below(2) == 0 { SECTOR_BYTES[0] } else { SECTOR_BYTES[1] };
            let end = offset + bytes.len() as u64;
            let first = offset / sector;
            let torn = (first + chance.below(end.div_ceil(sector) - first + 1)) * sector;
            let length = usize::try_from(torn.clamp(offset, end) - offset).unwrap_or(0);
            bytes.get(..length).unwrap_or_default()
        }
    }
}

fn apply(trace: &Trace, at: usize, content: &mut Content) {
    match trace.records.get(at).map(|r| &r.op) {
        Some(Op::Open(_)) => drop(content.get_or_insert_default()),
        Some(Op::Write { offset, bytes }) => {
            write(content, *offset, trace.bytes.get(bytes.clone()).unwrap_or_default());
        }
        Some(Op::Truncate(length)) => {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            content.get_or_insert_default().resize(length, 0);
        }
        Some(Op::Unlink) => *content = None,
        _ => {}
    }
}

/// Bytes never written in between are zeros, as in a file with a hole.
fn write(content: &mut Content, offset: u64, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let content = content.get_or_insert_default();
    let from = usize::try_from(offset).expect("a file fits in memory");
    let to = from + bytes.len();
    if content.len() < to {
        content.resize(to, 0);
    }
    if let Some(place) = content.get_mut(from..to) {
        place.copy_from_slice(bytes);
    }
}

/// Writes the files as a cut now would leave them, `fate` telling of each name what becomes of it.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn rebuild(
    disk: &Disk<'_>,
    folder: &Path,
    chance: &mut Chance,
    mut fate: impl FnMut(&str, &mut Chance) -> Fate,
) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for name in disk.names() {
        let fate = fate(name, chance);
        if let Some(content) = disk.cut(name, fate, chance) {
            std::fs::write(folder.join(name), content)?;
        }
    }
    Ok(())
}

/// Proves that nothing was missed: with everything kept, the trace gives the files that are there.
///
/// # Errors
/// The first file that differs.
pub(crate) fn prove_whole(trace: &Trace, folder: &Path) -> Result<()> {
    let mut disk = Disk::new(trace);
    disk.play(usize::MAX);
    for name in disk.names() {
        let rebuilt = disk.cut(name, Fate::Kept, &mut Chance::new(0));
        let there = std::fs::read(folder.join(name)).ok();
        if rebuilt != there {
            let length = |c: &Content| c.as_ref().map(Vec::len);
            bail!(
                "the recorder missed something: {name} has {:?} bytes, the trace gives {:?}",
                length(&there),
                length(&rebuilt)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(records: &[(u8, u64, &[u8])]) -> Vec<u8> {
        let one = |(op, offset, body): &(u8, u64, &[u8])| {
            let length = body.len() as u64;
            [&[*op][..], &7_u32.to_le_bytes(), &offset.to_le_bytes(), &length.to_le_bytes(), body]
                .concat()
        };
        records.iter().flat_map(one).collect()
    }

    fn cut(records: &[(u8, u64, &[u8])], fate: Fate, seed: u64) -> Content {
        let trace = Trace::parse(bytes(records)).unwrap();
        let mut disk = Disk::new(&trace);
        disk.play(usize::MAX);
        disk.cut("f", fate, &mut Chance::new(seed))
    }

    #[test]
    fn what_was_written_before_a_sync_began_is_kept() {
        let records: &[(u8, u64, &[u8])] =
            &[(1, 0, b"f"), (2, 0, b"ab"), (5, 1, b""), (2, 2, b"cd"), (6, 1, b""), (2, 0, b"x")];
        assert_eq!(cut(records, Fate::Dropped, 0).unwrap(), b"ab");
        assert_eq!(cut(records, Fate::Kept, 0).unwrap(), b"xbcd");
        for seed in 0..100 {
            let content = cut(records, Fate::Chance, seed).unwrap();
            assert!([&b"ab"[..], b"xb", b"abcd", b"xbcd"].contains(&&*content), "{content:?}");
        }
    }

    #[test]
    fn what_is_removed_comes_back_only_while_the_removal_is_not_synced() {
        let records: &[(u8, u64, &[u8])] = &[
            (1, 0, b"f"),
            (2, 0, b"ab"),
            (5, 1, b""),
            (6, 1, b""),
            (4, 0, b""),
            (1, 0, b"f"),
            (2, 0, b"z"),
        ];
        assert_eq!(cut(records, Fate::Dropped, 0).unwrap(), b"ab");
        assert_eq!(cut(records, Fate::Kept, 0).unwrap(), b"z");
        let seen: std::collections::BTreeSet<_> =
            (0..100).map(|seed| cut(records, Fate::Chance, seed)).collect();
        for content in &seen {
            let known = [None, Some(b"ab".to_vec()), Some(b"z".to_vec()), Some(Vec::new())];
            assert!(known.contains(content), "{content:?}");
        }
        assert!(seen.len() > 2);
    }

    #[test]
    fn a_torn_write_ends_at_a_sector() {
        let big = vec![1_u8; 10_000];
        for seed in 0..200 {
            let length = part(24, &big, &mut Chance::new(seed)).len() as u64;
            let whole = length == 0 || length == 10_000;
            assert!(whole || (24 + length).is_multiple_of(512), "{length}");
        }
    }

    #[test]
    fn a_record_cut_short_is_left_out() {
        let mut all = bytes(&[(1, 0, b"f"), (2, 0, b"abc")]);
        all.pop();
        assert_eq!(Trace::parse(all).unwrap().records.len(), 1);
        assert!(Trace::parse(vec![0; 30]).is_none());
    }
}
