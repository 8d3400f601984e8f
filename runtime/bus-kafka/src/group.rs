//! What the group says to a member, and who owns what.
//!
//! Only a service's first topic is subscribed to; its other topics follow it, partition by partition (Kafka's
//! assignors do not keep partitions of several topics together). The client is answered at once when
//! partitions are given, and fetches only what was restored; it is answered about a revocation only when the
//! service has let go, and until then the group gives those partitions to nobody else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rdkafka::bindings::rd_kafka_resp_err_t;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::faults::Reports;
use crate::lock;

/// Rises with every assignment in this process.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// The next epoch.
pub(crate) fn next_epoch() -> u64 {
    EPOCH.fetch_add(1, Ordering::SeqCst) + 1
}

/// What changed in the group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These are this member's.
    Assigned(Vec<u16>),
    /// These are wanted back; the client waits for an answer.
    Revoked(Vec<u16>),
    /// These are someone else's already.
    Lost(Vec<u16>),
}

/// Hears what the group says.
#[derive(Debug, Default)]
pub(crate) struct GroupContext {
    changes: Mutex<VecDeque<Change>>,
    closing: AtomicBool,
    /// Whether the client, while it closes, got its one answer.
    answered: AtomicBool,
    generation: AtomicU64,
    pub(crate) reports: Reports,
    /// Epoch of each partition that is owned now.
    owned: Mutex<BTreeMap<u16, u64>>,
    /// What the client was told to fetch. It is not asked: while it closes it does not answer.
    fetched: Mutex<BTreeSet<(String, i32)>>,
}

impl GroupContext {
    pub(crate) fn take(&self) -> Option<Change> {
        lock(&self.changes).pop_front()
    }

    /// Rises whenever the group shared out its partitions.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether something changed that nobody took.
    pub(crate) fn has_news(&self) -> bool {
        !lock(&self.changes).is_empty()
    }

    /// Whether the group took this partition away, in a change that nobody took yet.
    pub(crate) fn is_going(&self, partition: u16) -> bool {
        lock(&self.changes).iter().any(|change| match change {
            Change::Revoked(going) | Change::Lost(going) => going.contains(&partition),
            Change::Assigned(_) => false,
        })
    }

    pub(crate) fn own(&self, partition: u16, epoch: u64) {
        lock(&self.owned).insert(partition, epoch);
    }

    pub(crate) fn disown(&self, partition: u16) {
        lock(&self.owned).remove(&partition);
    }

    /// Runs `f` if all of this is owned under these epochs. What `f` takes from the client is then at most
    /// as young as the ownership: a generation in which the partition is someone else's cannot have begun.
    pub(crate) fn while_owned<T>(
        &self,
        work: &[(u16, u64)],
        f: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let owned = lock(&self.owned);
        let current = work.iter().all(|(partition, epoch)| owned.get(partition) == Some(epoch));
        if current { f() } else { None }
    }

    /// Runs `f` with those of these partitions that are not owned under these epochs any more. Meanwhile none comes
    /// or goes.
    pub(crate) fn with_stale(&self, work: &[(u16, u64)], f: impl FnOnce(&BTreeSet<u16>)) {
        let owned = lock(&self.owned);
        let stale = work.iter().filter(|(partition, epoch)| owned.get(partition) != Some(epoch));
        f(&stale.map(|(partition, _)| *partition).collect());
    }

    /// The epoch under which a partition is owned.
    pub(crate) fn epoch_of(&self, partition: u16) -> Option<u64> {
        lock(&self.owned).get(&partition).copied()
    }

    /// A client that closes takes the first answer, of whatever kind, as one to all that it asked, and may be gone
    /// right after it: a second answer would wait for ever for someone to take it.
    fn answer_last(&self, consumer: &BaseConsumer<Self>) {
        if !self.answered.swap(true, Ordering::SeqCst) {
            drop(consumer.incremental_unassign(&TopicPartitionList::new()));
        }
    }
}

impl ClientContext for GroupContext {
    fn error(&self, error: KafkaError, _reason: &str) {
        self.reports.note(&error);
    }

    fn log(&self, _level: RDKafkaLogLevel, _fac: &str, _message: &str) {}
}

fn numbers(list: &TopicPartitionList) -> Vec<u16> {
    let mut all: Vec<_> =
        list.elements().iter().filter_map(|e| u16::try_from(e.partition()).ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Begins to fetch.
pub(crate) fn fetch(
    consumer: &BaseConsumer<GroupContext>,
    list: &TopicPartitionList,
) -> Result<(), KafkaError> {
    consumer.incremental_assign(list)?;
    let named = list.elements().into_iter().map(|e| (e.topic().to_owned(), e.partition()));
    lock(&consumer.context().fetched).extend(named);
    Ok(())
}

/// Fetches these partitions no more, of whatever topic; where the group waits for an answer, this is it.
pub(crate) fn let_go(
    consumer: &BaseConsumer<GroupContext>,
    partitions: &[u16],
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    lock(&consumer.context().fetched).retain(|(topic, partition)| {
        let goes = u16::try_from(*partition).is_ok_and(|p| partitions.contains(&p));
        if goes {
            list.add_partition(topic, *partition);
        }
        !goes
    });
    consumer.incremental_unassign(&list)
}

/// Makes ready to close: lets everything go. A revocation without an answer would keep the client from closing
/// for ever.
pub(crate) fn close(consumer: &BaseConsumer<GroupContext>) {
    let context = consumer.context();
    context.closing.store(true, Ordering::SeqCst);
    // The answer may begin a generation in which these are someone else's.
    lock(&context.owned).clear();
    let all: Vec<_> =
        lock(&context.fetched).iter().filter_map(|(_, p)| u16::try_from(*p).ok()).collect();
    drop(let_go(consumer, &all));
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: rd_kafka_resp_err_t,
        list: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::SeqCst) {
            self.answer_last(consumer);
            return;
        }
        let partitions = numbers(list);
        self.generation.fetch_add(1, Ordering::SeqCst);
        if err == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            lock(&self.changes).push_back(Change::Assigned(partitions));
            drop(consumer.incremental_assign(&TopicPartitionList::new()));
            return;
        }
        let lost = consumer.assignment_lost();
        if !lost && !partitions.is_empty() {
            lock(&self.changes).push_back(Change::Revoked(partitions));
            return;
        }
        for partition in &partitions {
            self.disown(*partition);
        }
        drop(let_go(consumer, &partitions));
        lock(&self.changes).push_back(Change::Lost(partitions));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_owned_under_its_epoch_is_stale() {
        let context = GroupContext::default();
        for (partition, epoch) in [(1, 10), (2, 20), (3, 30)] {
            context.own(partition, epoch);
        }
        context.disown(2);
        context.own(3, 31);
        context.with_stale(&[(1, 10), (2, 20), (3, 30)], |stale| {
            assert_eq!(*stale, BTreeSet::from([2, 3]));
        });
    }

    #[test]
    fn what_the_group_takes_away_is_going_until_that_is_heard() {
        for (change, going) in [
            (Change::Assigned(vec![1]), false),
            (Change::Revoked(vec![0, 1]), true),
            (Change::Lost(vec![1]), true),
            (Change::Lost(vec![2]), false),
        ] {
            let context = GroupContext::default();
            lock(&context.changes).push_back(change);
            assert_eq!(context.is_going(1), going);
            drop(context.take());
            assert!(!context.is_going(1));
        }
    }
}
