//! Flushing a producer, as the client library does it itself.
//!
//! The client's Rust binding flushes in another way: it tells the client to send at once for no longer than a moment,
//! which its threads may miss, and then waits for a tenth of a second whatever happens. So a producer that lingers for
//! large batches would pay for that at the end of every transaction. The call of the C library that does it right is
//! not to be had without `unsafe`; this crate is that call and nothing else.

use std::time::Duration;

use rdkafka::bindings;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// Has everything sent at once that was handed to the producer, and waits at most so long (in whole milliseconds)
/// until the brokers have it.
///
/// A message that is reported counts as not sent until its report was polled for: so this is for producers that report
/// only errors, or are polled meanwhile.
pub fn flush<C: ProducerContext>(producer: &BaseProducer<C>, patience: Duration) {
    let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    let client = producer.client().native_ptr();
    // SAFETY: `producer` is borrowed for the whole call, so the client that the pointer is of lives. The function may be
    // called from any thread. The binding takes reports as events, so no callback runs in here.
    unsafe { bindings::rd_kafka_flush(client, milliseconds) };
}
