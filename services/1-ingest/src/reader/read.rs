//! Reading a file: opened where it was left, row by row, to its end.

use std::fs::File;

use dataflow::contract::BadRow;
use dataflow::{Failure, Reject, Status};
use messages::topics::KIND_RAW_ROW;

use super::{FeedReader, Memory};
use crate::decode::{Decoder, Item, Shape};
use crate::fault::FileFault;
use crate::files::Stamp;
use crate::message::{RowHead, version};
use crate::sink::{Raw, Sink};
use crate::state::{GENERATION, Phase, Position, Reading, Settling, Work, push_key};
use crate::window::Window;

/// A step ends when it has sent enough, or read so many bytes,
const STEP_BYTES_IN: u64 = 8 << 20;
/// or so many rows.
const STEP_ROWS: u64 = 4096;

/// The file being read.
pub(super) struct Open {
    decoder: Decoder,
    /// For what the file system says of it at the end.
    file: File,
    stamp: Stamp,
    head: RowHead,
    there: bool,
}

/// What a piece of reading came to.
#[derive(Default)]
pub(super) struct Piece {
    rows: u64,
    keys: u64,
    blank: u64,
    windows_1252: u64,
    ended: bool,
    fault: Option<FileFault>,
}
impl FeedReader {
    pub(super) fn read(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
    ) -> Result<Status, Failure> {
        let Work::Read(reading) = &memory.state.work else { return Ok(Status::Busy) };
        let mut reading = reading.clone();
        if !self.open(memory, sink, &reading)? {
            return Ok(Status::Busy);
        }
        let Some(mut open) = memory.open.take() else { return Ok(Status::Busy) };
        let piece = self.read_rows(memory, &mut open, &mut reading, sink)?;
        if let Some(fault) = piece.fault.as_ref().filter(|_| piece.rows == 0) {
            return Err(fault.clone().into());
        }
        self.count(sink, &piece);
        if let Some(keys) = &mut reading.keys {
            keys.append(sink, &memory.chunk, piece.keys);
        }
        reading.place = Some(open.decoder.place());
        memory.state.work = Work::Read(reading);
        let unchanged = open.file.metadata().is_ok_and(|m| Stamp::from(&m) == open.stamp);
        match (piece.ended, unchanged) {
            (false, _) => memory.open = Some(open),
            (true, true) => self.finish(memory, sink),
            // Written to while it was read: looked at again before its end counts.
            (true, false) => {}
        }
        memory.state.save(sink);
        Ok(Status::Busy)
    }

    /// Opens the file that is being read and goes to where reading stopped. Returns whether it is there.
    fn open(
        &self,
        memory: &mut Memory,
        sink: &mut impl Sink,
        reading: &Reading,
    ) -> Result<bool, Failure> {
        if memory.open.is_none() {
            let stamp = match memory.identifier.identify(&reading.path) {
                Ok(None) => return Ok(false),
                Ok(Some((stamp, identity))) if identity == reading.snapshot.identity => stamp,
                Ok(Some(_)) | Err(_) => {
                    memory.state.parked = Some(reading.clone());
                    memory.state.work = Work::Look;
                    (memory.queue, memory.listing) = (None, None);
                    memory.state.save(sink);
                    return Ok(false);
                }
            };
            memory.open = Some(self.open_file(reading, stamp)?);
        }
        let Some(open) = &mut memory.open else { return Ok(false) };
        if let (false, Some(place)) = (open.there, reading.place) {
            open.there = open.decoder.go_to(place)?;
        }
        Ok(open.there)
    }

    fn open_file(&self, reading: &Reading, stamp: Stamp) -> Result<Open, FileFault> {
        let name = &reading.snapshot.file;
        let failed =
            |e: std::io::Error| FileFault::new(format!("{} cannot be read: {e}", reading.path));
        let file = File::open(&reading.path).map_err(failed)?;
        let window = file
            .try_clone()
            .and_then(|copy| Window::open(copy, name, reading.snapshot.identity.size))
            .map_err(failed)?;
        let shape = Shape {
            format: self.config.format,
            row_bytes_max: self.config.limits.row_bytes,
            plan: self.plan.clone(),
        };
        let decoder = Decoder::open(window, shape, name)?;
        Ok(Open {
            decoder,
            file,
            stamp,
            head: RowHead::new(&reading.snapshot),
            there: reading.place.is_none(),
        })
    }

    fn read_rows(
        &self,
        memory: &mut Memory,
        open: &mut Open,
        reading: &mut Reading,
        sink: &mut impl Sink,
    ) -> Result<Piece, Failure> {
        let mut piece = Piece::default();
        let from = open.decoder.place().offset;
        memory.chunk.clear();
        while piece.rows < STEP_ROWS
            && !sink.is_full()
            && open.decoder.place().offset - from < STEP_BYTES_IN
        {
            match open.decoder.next() {
                Ok(Item::End) => {
                    piece.ended = true;
                    break;
                }
                Ok(Item::Blank) => piece.blank += 1,
                Ok(Item::Skipped) => {}
                Ok(Item::Row) => self.row(memory, open, reading, (&mut piece, sink))?,
                Ok(Item::Bad(reject)) => {
                    next_row(reading)?;
                    piece.rows += 1;
                    self.bad_row(open, reading, sink, &reject);
                    open.decoder.advance();
                }
                Err(fault) => {
                    piece.fault = Some(fault);
                    break;
                }
            }
        }
        Ok(piece)
    }

    fn row(
        &self,
        memory: &mut Memory,
        open: &mut Open,
        reading: &mut Reading,
        (piece, sink): (&mut Piece, &mut impl Sink),
    ) -> Result<(), Failure> {
        let seq = next_row(reading)?;
        piece.rows += 1;
        let (value, key) = (&mut memory.value, &mut memory.key);
        value.clear();
        key.clear();
        key.extend_from_slice(&self.key_prefix);
        open.head.write(value, seq, open.decoder.line());
        match open.decoder.row(value, key) {
            Ok(()) => {
                value.push(b'}');
                let version = version(reading.snapshot.as_of, seq);
                sink.emit(Raw { key, value, kind: KIND_RAW_ROW, version });
                piece.windows_1252 += u64::from(open.decoder.was_windows_1252());
                if reading.keys.is_some() {
                    push_key(
                        &mut memory.chunk,
                        key.get(self.key_prefix.len()..).unwrap_or_default(),
                    );
                    piece.keys += 1;
                }
            }
            Err(reject) => {
                self.bad_row(open, reading, sink, &reject);
            }
        }
        open.decoder.advance();
        Ok(())
    }

    fn bad_row(&self, open: &Open, reading: &mut Reading, sink: &mut impl Sink, reject: &Reject) {
        reading.unreadable += 1;
        let file = &reading.snapshot.file;
        let line = open.decoder.line().to_string();
        let key = format!("{}:{file}:{line}", self.config.name);
        let headers = [("cv_file", file.as_bytes()), ("cv_line", line.as_bytes())];
        let row =
            BadRow { key: key.as_bytes(), original: open.decoder.original(), headers: &headers };
        sink.reject(&row, reject);
    }

    fn count(&self, sink: &mut impl Sink, piece: &Piece) {
        for (name, n) in [
            ("read", piece.rows),
            ("blank_rows", piece.blank),
            ("windows_1252", piece.windows_1252),
        ] {
            if n > 0 {
                let n = i64::try_from(n).unwrap_or(i64::MAX);
                sink.tally(&format!("{name}:{}", self.config.name), n);
            }
        }
    }

    /// The end of a file was reached, and it is still what it was.
    fn finish(&self, memory: &mut Memory, sink: &mut impl Sink) {
        let Work::Read(reading) = std::mem::replace(&mut memory.state.work, Work::Look) else {
            return;
        };
        memory.known.complete(sink, reading.known);
        memory.state.position = self.rereads().then(|| Position {
            round: reading.round,
            as_of: reading.snapshot.as_of,
            path: reading.path.clone(),
        });
        if let Some(keys) = reading.keys {
            memory.compare = None;
            memory.state.work = Work::Settle(Settling {
                snapshot: reading.snapshot,
                keys,
                unreadable: reading.unreadable,
                whole: true,
                phase: Phase::Decide,
            });
        }
    }
}

/// Counts a row; its sequence number.
fn next_row(reading: &mut Reading) -> Result<u64, Failure> {
    reading.snapshot.rows += 1;
    if reading.snapshot.rows >= GENERATION {
        return Err(Failure::stop(format!(
            "{} has more than {GENERATION} rows: split it",
            reading.snapshot.file
        )));
    }
    Ok(reading.snapshot.seq(reading.snapshot.rows))
}
