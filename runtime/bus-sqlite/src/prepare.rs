//! Makes a unit ready for the writer, in the thread that hands it in: checks, decodes, compresses, sorts.
//!
//! The writer is the one thread that all services share; whatever can be done before it is done here.

use std::sync::Arc;

use dataflow::batch::NewRecord;
use dataflow::bus::{Assignment, BusError};
use dataflow::unit::{Output, StateWrite, Unit};
use dataflow::{Batch, BatchBuilder, RecordRef};

use crate::codec::{BLOCK_MAX, Packer};
use crate::shared::Shared;

/// A unit as the writer takes it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) service: Arc<str>,
    pub(crate) outputs: Vec<Prepare>,
    pub(crate) progress: Vec<Step>,
    /// Work under an assignment that the member does not have: refused in its turn.
    pub(crate) stale: bool,
    pub(crate) state: Vec<StateWrite>,
    pub(crate) tallies: Vec<(String, i64)>,
    /// What it will write, about.
    pub(crate) bytes: usize,
}

/// Progress in one place, as a step from where the work began.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) place: u32,
    pub(crate) assignment: Assignment,
    pub(crate) from: u64,
    pub(crate) next: u64,
}

/// One block, ready to be written.
#[derive(Debug)]
pub(crate) struct Prepare {
    pub(crate) place: u32,
    pub(crate) count: u64,
    /// Decoded at offset 0.
    pub(crate) batch: Batch,
    pub(crate) rows: Rows,
    /// All row bytes.
    pub(crate) arena: Vec<u8>,
}

/// How it is stored.
#[derive(Debug)]
pub(crate) enum Rows {
    /// The whole arena is one row.
    Block {
        /// See [`crate::codec`].
        codec: i64,
    },
    /// One row for the last record of each key, in the order of the records.
    Latest {
        rows: Vec<Row>,
        /// Indices into `rows`, in key order.
        by_key: Vec<u32>,
    },
}

/// The last record of a key.
#[derive(Debug)]
pub(crate) struct Row {
    /// Index of the record in the batch.
    pub(crate) index: usize,
    pub(crate) codec: i64,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A dictionary that was just trained, to be stored.
pub(crate) struct Trained {
    pub(crate) topic: u32,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Preparer {
    packer: Packer,
    scratch: BatchBuilder,
    single: Vec<u8>,
}

impl Preparer {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            packer: Packer::new(shared.options.compression),
            scratch: BatchBuilder::default(),
            single: Vec::new(),
        }
    }

    /// The unit without progress, and dictionaries that its records completed.
    pub(crate) fn prepare(
        &mut self,
        shared: &Shared,
        service: &Arc<str>,
        unit: Unit,
    ) -> Result<(Prepared, Vec<Trained>), BusError> {
        let mut trained = Vec::new();
        let mut outputs = Vec::with_capacity(unit.outputs.len());
        for output in unit.outputs {
            if output.count > 0 {
                outputs.push(self.output(shared, output, &mut trained)?);
            }
        }
        let state: usize =
            unit.state.iter().map(|w| w.key.len() + w.value.as_ref().map_or(0, |v| v.len())).sum();
        let bytes = state + outputs.iter().map(|o| o.arena.len()).sum::<usize>();
        let prepared = Prepared {
            service: Arc::clone(service),
            outputs,
            progress: Vec::new(),
            stale: false,
            state: unit.state,
            tallies: unit.tallies,
            bytes,
        };
        Ok((prepared, trained))
    }

    fn output(
        &mut self,
        shared: &Shared,
        output: Output,
        trained: &mut Vec<Trained>,
    ) -> Result<Prepare, BusError> {
        let (topic, place) = shared.catalog.place(&output.topic, output.partition)?;
        let wrong = |what: &str| {
            BusError::Fatal(format!("a block for topic `{}` {what}: this is a bug", output.topic))
        };
        if output.block.len() > BLOCK_MAX {
            return Err(wrong("is larger than 64 MiB"));
        }
        let mut arena = Vec::with_capacity(output.block.len() / 2);
        let batch = Batch::decode(Arc::new(output.block), 0, 0)
            .ok()
            .filter(|b| b.len() as u64 == output.count && b.next_offset() == output.count)
            .ok_or_else(|| wrong("does not hold what it says"))?;
        let rows = if topic.compacted() {
            if let Some(bytes) = self.train(shared, topic.first, &batch) {
                trained.push(Trained { topic: topic.first, bytes });
            }
            self.latest(shared, topic.first, &batch, &mut arena)
        } else {
            Rows::Block { codec: self.packer.pack(batch.block(), None, &mut arena) }
        };
        Ok(Prepare { place, count: output.count, batch, rows, arena })
    }

    fn train(&mut self, shared: &Shared, topic: u32, batch: &Batch) -> Option<Vec<u8>> {
        if shared.dictionaries.of_topic(topic).is_some() {
            return None;
        }
        let blocks: Vec<_> = batch.records().map(|r| self.single(r).to_vec()).collect();
        let wanted = shared.options.dictionary_samples;
        shared.dictionaries.train(topic, wanted, blocks.iter().map(Vec::as_slice))
    }

    fn latest(&mut self, shared: &Shared, topic: u32, batch: &Batch, arena: &mut Vec<u8>) -> Rows {
        let known = shared.dictionaries.of_topic(topic);
        let dictionary = known.as_ref().map(|(id, bytes)| (*id, bytes.as_slice()));
        let mut order: Vec<(&[u8], usize)> =
            batch.records().enumerate().map(|(index, r)| (r.key, index)).collect();
        order.sort_unstable();
        // Of equal keys the last one counts: it is the one that is followed by another key.
        let mut after = order.iter().map(|(key, _)| *key).skip(1);
        let lasts: Vec<usize> = order
            .iter()
            .filter(|(key, _)| after.next() != Some(*key))
            .map(|(_, index)| *index)
            .collect();
        let mut by_offset: Vec<(usize, usize)> =
            lasts.iter().enumerate().map(|(rank, index)| (*index, rank)).collect();
        by_offset.sort_unstable();
        let mut rows = Vec::with_capacity(by_offset.len());
        let mut by_key = vec![0u32; by_offset.len()];
        for (index, rank) in by_offset {
            let Some(record) = batch.get(index) else { continue };
            self.single(record);
            let start = arena.len();
            let codec = self.packer.pack(&self.single, dictionary, arena);
            if let (Some(slot), Ok(at)) = (by_key.get_mut(rank), u32::try_from(rows.len())) {
                *slot = at;
            }
            rows.push(Row { index, codec, start, end: arena.len() });
        }
        Rows::Latest { rows, by_key }
    }

    /// A block that holds only this record.
    fn single(&mut self, record: RecordRef<'_>) -> &[u8] {
        self.scratch.clear();
        self.scratch.push(owned_headers(record, &record.headers()));
        self.scratch.finish_into(&mut self.single);
        &self.single
    }
}

/// The record as a new one.
pub(crate) fn owned_headers<'a>(
    record: RecordRef<'a>,
    headers: &'a [(&'a str, &'a [u8])],
) -> NewRecord<'a> {
    NewRecord { key: record.key, value: record.value, meta: record.meta, headers }
}
