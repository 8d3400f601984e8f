//! Where a partition begins and ends.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;

/// Brokers that are away are not waited for twice as long.
const ASK_LEADER_WITHIN: Duration = Duration::from_secs(1);

/// First offset, and the next after the last: of what is committed where the consumer reads only that.
///
/// The client asks the broker that it remembers as the leader. It forgets none of this by itself for a quarter of an
/// hour where nothing else of the topic is read, and repeats as long that a broker, which was just starting, knew no
/// such topic. So after any failure it is told to ask who leads now, which the caller's next try sees.
pub(crate) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: u16,
    within: Duration,
) -> KafkaResult<(u64, u64)> {
    let known = consumer.fetch_watermarks(topic, i32::from(partition), within);
    if known.is_err() {
        drop(consumer.fetch_metadata(Some(topic), within.min(ASK_LEADER_WITHIN)));
    }
    let (low, high) = known?;
    Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
}
