//! Folding topics into last values: counters of services and tools, and the last record of one key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use dataflow::batch::NewRecord;
use dataflow::bus::BusError;
use dataflow::flow::ServiceSpec;
use dataflow::{Batch, BatchBuilder, RecordRef};

use crate::bus::Shared;
use crate::committer::parse_sum;
use crate::lock;
use crate::topics::{self, TOOLS};

/// Bytes read at a time.
const PIECE_BYTES: usize = 4 << 20;

/// The counters that are in one topic partition, as far as it was read.
#[derive(Default)]
struct Fold {
    next: u64,
    sums: BTreeMap<String, i64>,
}

/// Counters read so far; each question reads only what is new.
#[derive(Default)]
pub(crate) struct Folds(Mutex<HashMap<(String, u16), Fold>>);

impl Folds {
    /// The sums over all partitions.
    pub(crate) fn tallies_of_service(
        &self,
        shared: &Shared,
        service: &ServiceSpec,
    ) -> Result<Vec<(String, i64)>, BusError> {
        let topic = shared.config.topic(&topics::tallies(&service.name));
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for partition in 0..topics::partitions(&shared.flow, service, &shared.config) {
            for (name, n) in self.read_on(shared, &topic, partition)? {
                *sums.entry(name).or_default() += n;
            }
        }
        Ok(sums.into_iter().collect())
    }

    /// The counters of something that is no service of the flow.
    pub(crate) fn tallies_of_tool(
        &self,
        shared: &Shared,
        tool: &str,
    ) -> Result<Vec<(String, i64)>, BusError> {
        let sums = self.read_on(shared, &shared.config.topic(TOOLS), 0)?;
        let prefix = format!("{tool}\0");
        let own = sums.into_iter();
        Ok(own.filter_map(|(name, n)| Some((name.strip_prefix(&prefix)?.to_owned(), n))).collect())
    }

    fn read_on(
        &self,
        shared: &Shared,
        topic: &str,
        partition: u16,
    ) -> Result<BTreeMap<String, i64>, BusError> {
        let mut folds = lock(&self.0);
        let fold = folds.entry((topic.to_owned(), partition)).or_default();
        let name: Arc<str> = topic.into();
        let mut next = fold.next;
        each(shared, (topic, &name), partition, &mut next, |record| {
            let key = String::from_utf8_lossy(record.key).into_owned();
            match record.value.and_then(parse_sum) {
                Some(n) => drop(fold.sums.insert(key, n)),
                None => drop(fold.sums.remove(&key)),
            }
        })?;
        fold.next = next;
        Ok(fold.sums.clone())
    }
}

/// Every record from `next` on, which is moved.
fn each(
    shared: &Shared,
    (topic, name): (&str, &Arc<str>),
    partition: u16,
    next: &mut u64,
    mut f: impl FnMut(RecordRef<'_>),
) -> Result<(), BusError> {
    loop {
        let batches = shared.readers.read((topic, name), partition, *next, PIECE_BYTES)?;
        let Some(last) = batches.last() else { return Ok(()) };
        for batch in &batches {
            batch.records_from(*next).for_each(&mut f);
        }
        *next = last.next_offset().max(*next + 1);
    }
}

/// The last record of a key. Kafka has no index by key: the partition is read through.
pub(crate) fn latest(
    shared: &Shared,
    topic: (&str, &Arc<str>),
    partition: u16,
    key: &[u8],
) -> Result<Option<Arc<Batch>>, BusError> {
    let mut found = None;
    each(shared, topic, partition, &mut 0, |record| {
        if record.key == key {
            found = single(record);
        }
    })?;
    Ok(found.map(Arc::new))
}

fn single(record: RecordRef<'_>) -> Option<Batch> {
    let mut builder = BatchBuilder::default();
    let headers = record.headers();
    builder.push(NewRecord {
        key: record.key,
        value: record.value,
        meta: record.meta,
        headers: &headers,
    });
    Batch::decode(Arc::new(builder.finish()), record.offset, 0).ok()
}
