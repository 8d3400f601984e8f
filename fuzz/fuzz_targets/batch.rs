//! Any bytes are a block of records, or refused; what is read is built the same again. Also the done set of a ledger.
#![no_main]

use std::sync::Arc;

use dataflow::batch::NewRecord;
use dataflow::ledger::Ledger;
use dataflow::{Batch, BatchBuilder};

libfuzzer_sys::fuzz_target!(|input: (u64, &[u8])| {
    let (base, bytes) = input;
    if let Some(ledger) = Ledger::resume(base, bytes) {
        assert_eq!(Ledger::resume(base, &ledger.stored()), Some(ledger), "a done set is read back");
    }
    let Ok(batch) = Batch::decode(Arc::new(bytes.to_vec()), base, 0) else { return };
    let mut builder = BatchBuilder::default();
    for record in batch.records() {
        let headers = record.headers();
        builder.push_at(
            record.offset - base,
            NewRecord { key: record.key, value: record.value, meta: record.meta, headers: &headers },
        );
    }
    let again = Batch::decode(Arc::new(builder.finish()), base, 0).expect("what is built is read");
    assert_eq!(again.len(), batch.len());
    for (a, b) in again.records().zip(batch.records()) {
        assert_eq!((a.offset, a.key, a.value, a.meta), (b.offset, b.key, b.value, b.meta));
        assert_eq!(a.headers(), b.headers());
    }
    let _ends = (batch.next_offset(), batch.first_at(base.saturating_add(3)));
});
