//! A transactional producer: what may go wrong with it, sorted by what happens next.
//!
//! Every call here blocks, so it lives on a thread of its own. Known traps that this file answers:
//! - `commit_transaction` of the binding polls in steps of 100 ms while messages are on their way, so they are
//!   flushed and waited for here first;
//! - the client speaks transaction protocol V1, where an `EndTxn` that was delayed can end the *next*
//!   transaction. So after any end that was slow, or during which the client reported trouble, the producer
//!   is made anew with the same id, which raises its epoch, before the next transaction begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use dataflow::bus::BusError;
use rdkafka::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::config::KafkaConfig;
use crate::faults::{self, Reports, What};
use crate::monotonic;

/// One call into the client lasts at most so long; what is not done is gone on with.
const STEP: Duration = Duration::from_millis(500);
/// The client repeats a request no sooner than four fifths of this.
const RETRY_MS: u64 = 150;
/// An end of a transaction that took longer may have been sent twice. It must be less than a repetition takes: that a
/// connection broke is not always told, the client keeps the same error to itself for half a minute.
pub(crate) const SLOW: Duration = Duration::from_millis(RETRY_MS * 2 / 3);
/// What is on its way is waited for so long at a time.
const FLUSH: Duration = Duration::from_millis(20);
/// Between two looks at what is on its way.
const BREATH: Duration = Duration::from_micros(250);
/// More events than a producer has at a time.
const EVENTS_MAX: usize = 50;

/// Why a transaction did not go on.
#[derive(Debug, Clone)]
pub(crate) enum TxnError {
    /// Abort it, and go on.
    Abort(String),
    /// The producer is of no use any more: make it anew.
    Renew(String),
    /// Someone else has its id: make it anew, but not for ever.
    Fenced(String),
    /// Waiting does not help.
    Fatal(String),
}

impl TxnError {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Abort(text) | Self::Renew(text) | Self::Fenced(text) | Self::Fatal(text) => text,
        }
    }
}

/// What is sent.
pub(crate) struct Sent<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u16,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Option<OwnedHeaders>,
}

/// The producer.
pub(crate) struct Transactions {
    /// Shared with a call that does not come back.
    producer: Arc<BaseProducer<Reports>>,
    reports: Reports,
    id: String,
    config: KafkaConfig,
    /// Made anew before the next transaction.
    suspicious: bool,
}

impl Transactions {
    /// Makes it, and ends what an earlier producer of that id left open. Tries until `give_up`, which is told
    /// what is in the way, says so.
    pub(crate) fn open(
        config: &KafkaConfig,
        id: &str,
        stopping: impl Fn() -> bool,
        give_up: impl Fn(&str) -> bool,
    ) -> Result<Self, BusError> {
        loop {
            match Self::try_open(config, id, &stopping) {
                Err(BusError::Busy(text)) if !give_up(&text) => {}
                made => return made,
            }
        }
    }

    /// The same, once, and only until `give_up`.
    pub(crate) fn try_open(
        config: &KafkaConfig,
        id: &str,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Self, BusError> {
        let failed = |e| faults::bus_error(config, What::Transaction(id), &e);
        let reports = Reports::default();
        let (batch, kilobytes) = (config.batch_size(), (config.in_flight_bytes / 1024).max(1_024));
        let mut client = config.client();
        repeat_late(&mut client);
        let producer: BaseProducer<Reports> = client
            .set("client.id", id)
            .set("transactional.id", id)
            .set("transaction.timeout.ms", config.transaction_timeout_ms.to_string())
            .set("message.timeout.ms", config.transaction_timeout_ms.to_string())
            .set("socket.timeout.ms", config.transaction_timeout_ms.max(1_000).to_string())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.codec", "lz4")
            // Batches go when the transaction ends, or they are full. The client spins while a batch that is full, or
            // lingered for its time, waits for the one before it.
            .set("linger.ms", linger_ms(config).to_string())
            .set("batch.size", batch.to_string())
            .set("batch.num.messages", "1000000")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", kilobytes.to_string())
            .set("message.max.bytes", (batch.max(config.record_bytes_max) + 100_000).to_string())
            .set("delivery.report.only.error", "true")
            .create_with_context(reports.clone())
            .map_err(failed)?;
        let patience = Duration::from_millis(u64::from(config.request_timeout_ms));
        let from = monotonic();
        let init = || loop {
            match producer.init_transactions(STEP) {
                // It goes on in the background, and is waited for again.
                Err(KafkaError::Transaction(e))
                    if e.is_retriable() && from.elapsed() < patience && !give_up() => {}
                done => return done,
            }
        };
        init().map_err(|e| {
            producer.poll(Duration::ZERO);
            match reports.telling() {
                Some(code) => BusError::Fatal(faults::advice(config, What::Transaction(id), code)),
                None => failed(e),
            }
        })?;
        let producer = Arc::new(producer);
        Ok(Self { producer, reports, id: id.to_owned(), config: config.clone(), suspicious: false })
    }

    /// Whether it must be made anew before the next transaction.
    pub(crate) fn suspicious(&self) -> bool {
        self.suspicious
    }

    fn sort(&self, error: &KafkaError) -> TxnError {
        let text = faults::text(&self.config, What::Transaction(&self.id), error);
        let code = error.rdkafka_error_code();
        let fenced =
            matches!(code, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch));
        let denied = matches!(
            code,
            Some(
                Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::TransactionalIdAuthorizationFailed
            )
        );
        match error {
            _ if fenced => TxnError::Fenced(text),
            _ if denied => TxnError::Fatal(text),
            KafkaError::Transaction(e) if e.is_fatal() => TxnError::Renew(text),
            KafkaError::Transaction(e) if e.txn_requires_abort() => TxnError::Abort(text),
            _ => TxnError::Abort(text),
        }
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Result<(), TxnError> {
        self.producer.begin_transaction().map_err(|e| match self.sort(&e) {
            // A transaction that cannot begin cannot be aborted either.
            TxnError::Abort(text) => TxnError::Renew(text),
            other => other,
        })
    }

    /// Adds one record; waits where too much is on its way.
    pub(crate) fn send(&self, sent: Sent<'_>) -> Result<(), TxnError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(sent.topic)
            .partition(i32::from(sent.partition))
            .key(sent.key);
        record.payload = sent.value;
        record.headers = sent.headers;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    self.flush();
                    record = back;
                }
                Err((error, _)) => return Err(self.sort(&error)),
            }
        }
    }

    /// Has everything go to the brokers at once, and waits a little for it to be there.
    fn flush(&self) {
        // What failed counts as on its way until its report is heard.
        hear(&self.producer);
        kafka_flush::flush(&self.producer, FLUSH);
        hear(&self.producer);
    }

    /// Waits until the brokers have everything that was sent.
    fn settle(&self, give_up: &dyn Fn() -> bool) -> Result<(), TxnError> {
        while self.producer.in_flight_count() > 0 {
            self.flush();
            if give_up() {
                return Err(TxnError::Abort("the member is closing".to_owned()));
            }
        }
        Ok(())
    }

    /// Sends offsets with the group's word on who owns what, so that a stale member is refused.
    ///
    /// The client waits here without limit, and may do so for ever where all brokers restarted meanwhile. So the call
    /// is made on a thread of its own, which is left behind with its producer when it does not come back.
    pub(crate) fn offsets(
        &self,
        offsets: TopicPartitionList,
        group: ConsumerGroupMetadata,
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), TxnError> {
        self.settle(give_up)?;
        let (from, patience) = (monotonic(), self.patience());
        let (tell, told) = bounded(1);
        let producer = Arc::clone(&self.producer);
        let call = move || loop {
            let result = producer.send_offsets_to_transaction(&offsets, &group, STEP);
            if !result.as_ref().is_err_and(again) || from.elapsed() > patience {
                return drop(tell.send(result));
            }
        };
        std::thread::Builder::new()
            .name("offsets".to_owned())
            .spawn(call)
            .map_err(|e| TxnError::Renew(format!("cannot start a thread: {e}")))?;
        loop {
            match told.recv_timeout(STEP) {
                Ok(Err(error)) if again(&error) => return Err(self.too_late(&error)),
                Ok(result) => return result.map_err(|e| self.sort(&e)),
                Err(_) if give_up() => {
                    return Err(TxnError::Renew("the member is closing".to_owned()));
                }
                Err(_) if from.elapsed() > patience + STEP => {
                    let late = "offsets were not taken, nor refused, while a transaction may last";
                    return Err(TxnError::Renew(late.to_owned()));
                }
                Err(_) => {}
            }
        }
    }

    /// Commits. An error other than [`TxnError::Abort`] leaves the outcome unknown.
    pub(crate) fn commit(&mut self, give_up: &dyn Fn() -> bool) -> Result<(), TxnError> {
        self.settle(give_up)?;
        let (from, reported) = (monotonic(), self.reports.count());
        let result = self.insist(give_up, || self.producer.commit_transaction(STEP));
        self.doubt(from, reported);
        result
    }

    /// Aborts, within about this time. Any error means that it must be made anew.
    pub(crate) fn abort(&mut self, patience: Duration) -> Result<(), TxnError> {
        let (from, reported) = (monotonic(), self.reports.count());
        let late = || from.elapsed() > patience;
        // What was never sent leaves a hole in the sequence numbers: its reports make the producer suspicious, and it
        // sends no more. To send it for nothing is cheaper than a new producer, where the brokers answer at all.
        while self.producer.in_flight_count() > 0 && from.elapsed() < SLOW && !late() {
            self.flush();
        }
        // The client aborts only when nothing is on its way, and does not look by itself.
        self.producer.purge(PurgeConfig::default().queue());
        while self.producer.in_flight_count() > 0 && !late() {
            breathe(&self.producer);
        }
        let result = self.insist(&late, || self.producer.abort_transaction(STEP));
        self.doubt(from, reported);
        result
    }

    fn doubt(&mut self, from: Instant, reported: u64) {
        hear(&self.producer);
        self.suspicious |= from.elapsed() > SLOW || self.reports.count() != reported;
    }

    /// Repeats a call that may be repeated, as long as a transaction may last: after that the brokers have aborted
    /// it, and after a restart of theirs the client may ask the wrong one for ever.
    fn insist(
        &self,
        give_up: &dyn Fn() -> bool,
        call: impl Fn() -> Result<(), KafkaError>,
    ) -> Result<(), TxnError> {
        let from = monotonic();
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(error) if !again(&error) || give_up() => return Err(self.sort(&error)),
                Err(error) if from.elapsed() > self.patience() => return Err(self.too_late(&error)),
                Err(_) => {}
            }
            breathe(&self.producer);
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.config.transaction_timeout_ms))
    }

    fn too_late(&self, error: &KafkaError) -> TxnError {
        TxnError::Renew(self.sort(error).text().to_owned())
    }
}

/// As long as a transaction may be open; what lingers longer than a message may take is refused by the client.
fn linger_ms(config: &KafkaConfig) -> u64 {
    config.commit_interval_max_ms.min(u64::from(config.transaction_timeout_ms) / 2)
}

/// Sees to it that an end of a transaction that the client repeats takes longer than [`SLOW`].
pub(crate) fn repeat_late(client: &mut ClientConfig) {
    client.set("retry.backoff.ms", RETRY_MS.to_string()).set("retry.backoff.max.ms", "500");
}

/// Lets a producer tell what it has to tell, and rests. To let it wait for a millisecond would take the processor for
/// as long: what is left of it is rounded down to nothing, and asked for again and again.
pub(crate) fn breathe<C: ProducerContext>(producer: &BaseProducer<C>) {
    hear(producer);
    std::thread::park_timeout(BREATH);
}

/// Lets a producer tell all that it has to tell. One call serves one event, and a line for the log comes before the
/// error that it is about.
fn hear<C: ProducerContext>(producer: &BaseProducer<C>) {
    for _ in 0..EVENTS_MAX {
        producer.poll(Duration::ZERO);
    }
}

/// Whether the same call may be made again.
fn again(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(e) => e.is_retriable(),
        KafkaError::Flush(_) => true,
        _ => false,
    }
}
