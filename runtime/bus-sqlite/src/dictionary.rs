//! Compression dictionaries of compacted topics, whose records are stored one by one.
//!
//! A dictionary is trained once for each topic from its first records, stored in the log, and used from
//! then on; rows written before it stay as they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Size of a dictionary in bytes: larger ones gain little on records of a kilobyte.
const DICTIONARY_BYTES: usize = 32 << 10;
/// Samples take no more memory than this for each topic.
const SAMPLE_BYTES_MAX: usize = 4 << 20;

/// A dictionary with its number.
pub(crate) type Known = (i64, Arc<Vec<u8>>);

#[derive(Default)]
pub(crate) struct Dictionaries {
    by_id: RwLock<HashMap<i64, Arc<Vec<u8>>>>,
    of_topic: RwLock<HashMap<u32, i64>>,
    training: Mutex<HashMap<u32, Training>>,
}

#[derive(Default)]
struct Training {
    sizes: Vec<usize>,
    samples: Vec<u8>,
    over: bool,
}

impl Dictionaries {
    /// Makes a stored dictionary known.
    pub(crate) fn add(&self, id: i64, topic: u32, bytes: Vec<u8>) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(bytes));
        self.of_topic.write().unwrap_or_else(PoisonError::into_inner).insert(topic, id);
    }

    pub(crate) fn bytes(&self, id: i64) -> Option<Arc<Vec<u8>>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The dictionary to write a topic's rows with.
    pub(crate) fn of_topic(&self, topic: u32) -> Option<Known> {
        let id = *self.of_topic.read().unwrap_or_else(PoisonError::into_inner).get(&topic)?;
        Some((id, self.bytes(id)?))
    }

    /// Shows a topic's records to the training. Returns a dictionary to be stored when there were enough:
    /// once for each topic, to one caller.
    pub(crate) fn train<'a>(
        &self,
        topic: u32,
        wanted: usize,
        blocks: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Vec<u8>> {
        let samples = {
            let mut all = self.training.lock().unwrap_or_else(PoisonError::into_inner);
            let training = all.entry(topic).or_default();
            if training.over {
                return None;
            }
            for block in blocks {
                training.sizes.push(block.len());
                training.samples.extend_from_slice(block);
            }
            training.over =
                training.sizes.len() >= wanted || training.samples.len() >= SAMPLE_BYTES_MAX;
            if !training.over {
                return None;
            }
            (std::mem::take(&mut training.sizes), std::mem::take(&mut training.samples))
        };
        // Samples that have nothing in common give no dictionary: then the topic goes without.
        zstd::dict::from_continuous(&samples.1, &samples.0, DICTIONARY_BYTES).ok()
    }
}
