//! Flushing a producer, as the client library does it itself.
//!
//! The client's Rust binding flushes in another way: it tells the client to send at once for no longer than a moment,
//! which its threads may miss, and then waits for a tenth of a second whatever happens. So a producer that lingers for
//! large batches would pay for that at the end of every transaction. The call of the C library that does it right is
//! not to be had without `unsafe`; this crate is that call and nothing else.

use std::time::Duration;

use rdkafka::bindings;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaRespErr;

/// Has everything sent at once that was handed to the producer, and waits at most so long (in whole milliseconds)
/// until the brokers have it. Says whether they do.
///
/// A message that could not be delivered counts as not sent until its report was polled for.
pub fn flush<C: ProducerContext>(producer: &BaseProducer<C>, patience: Duration) -> bool {
    let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    let client = producer.client().native_ptr();
    // SAFETY: the pointer is that of a live producer, which the reference outlives the call with, and the function is
    // safe to call from any thread.
    let result = unsafe { bindings::rd_kafka_flush(client, milliseconds) };
    result == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}
