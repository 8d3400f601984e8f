//! Appending from outside any service: a user's command, a redriven dead letter, a replay.
//!
//! One record is whole by itself and goes through an idempotent producer, so that a gateway that dies holds
//! up no reader. More than one record, or a counter, is a transaction under one id for each name: who begins
//! later ends what an earlier one left open, and two at the same time are refused, one of them, and try again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataflow::Batch;
use dataflow::bus::{BusError, Position};
use dataflow::unit::{Output, Unit};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::bus::Shared;
use crate::config::KafkaConfig;
use crate::envelope;
use crate::faults::{self, What};
use crate::fold::Folds;
use crate::lock;
use crate::monotonic;
use crate::producer::{SLOW, breathe, repeat_late};
use crate::topics::TOOLS;

/// A record whose place nobody asks for.
const NO_TICKET: usize = usize::MAX;
/// Attempts against someone who appends under the same name at the same time.
const TRIES: usize = 5;

type Delivered = Result<u64, KafkaError>;

/// Collects where records were put.
#[derive(Default)]
struct Tickets(Mutex<HashMap<usize, Delivered>>);

impl ClientContext for Tickets {
    fn error(&self, _error: KafkaError, _reason: &str) {}
    fn log(&self, _level: RDKafkaLogLevel, _fac: &str, _message: &str) {}
}

impl ProducerContext for Tickets {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let delivered = match result {
            Ok(message) => Ok(u64::try_from(message.offset()).unwrap_or(0)),
            Err((error, _)) => Err(error.clone()),
        };
        if ticket != NO_TICKET || delivered.is_err() {
            lock(&self.0).insert(ticket, delivered);
        }
    }
}

type Outside = BaseProducer<Tickets>;

/// The producers of one process.
pub(crate) struct Appender {
    plain: Mutex<Option<Arc<Outside>>>,
    /// By transactional id.
    whole: Mutex<HashMap<String, Outside>>,
    ticket: AtomicUsize,
    patience: Duration,
}

impl Appender {
    pub(crate) fn new(config: &KafkaConfig) -> Self {
        Self {
            plain: Mutex::default(),
            whole: Mutex::default(),
            ticket: AtomicUsize::new(0),
            patience: Duration::from_millis(u64::from(config.request_timeout_ms)),
        }
    }

    pub(crate) fn append(
        &self,
        shared: &Shared,
        folds: &Folds,
        service: &str,
        unit: Unit,
    ) -> Result<Vec<Position>, BusError> {
        if !unit.progress.is_empty() {
            return Err(BusError::Fatal("an append has no progress: this is a bug".to_owned()));
        }
        let serves = shared.flow.service(service).is_some();
        if !unit.state.is_empty() || (serves && !unit.tallies.is_empty()) {
            return Err(BusError::Fatal(format!(
                "state of `{service}` is written by its own instances only: send it a message"
            )));
        }
        let outputs: Vec<_> = unit.outputs.into_iter().filter(|o| o.count > 0).collect();
        for output in &outputs {
            check_place(shared, output)?;
        }
        if let ([output], []) = (outputs.as_slice(), unit.tallies.as_slice())
            && output.count == 1
        {
            return self.append_one(shared, output);
        }
        let whole = Whole { outputs: &outputs, tallies: &unit.tallies, service };
        self.append_whole(shared, folds, &whole)
    }

    fn tickets(&self, count: usize) -> usize {
        self.ticket.fetch_add(count, Ordering::SeqCst)
    }

    fn plain(&self, config: &KafkaConfig) -> Result<Arc<Outside>, BusError> {
        let mut plain = lock(&self.plain);
        if let Some(producer) = &*plain {
            return Ok(Arc::clone(producer));
        }
        let made = Arc::new(producer(config, &mut common(config))?);
        *plain = Some(Arc::clone(&made));
        Ok(made)
    }

    fn append_one(&self, shared: &Shared, output: &Output) -> Result<Vec<Position>, BusError> {
        let producer = self.plain(&shared.config)?;
        let ticket = self.tickets(1);
        send(&shared.config, &producer, output, ticket)?;
        let from = monotonic();
        loop {
            if let Some(delivered) = lock(&producer.context().0).remove(&ticket) {
                let offset =
                    delivered.map_err(|e| faults::bus_error(&shared.config, What::Topics, &e))?;
                return Ok(vec![position(output, offset)]);
            }
            if from.elapsed() > self.patience * 2 {
                return Err(BusError::Busy(
                    "the brokers did not say in time whether they took it: send it again with the same id".to_owned(),
                ));
            }
            breathe(&producer);
        }
    }

    fn append_whole(
        &self,
        shared: &Shared,
        folds: &Folds,
        whole: &Whole<'_>,
    ) -> Result<Vec<Position>, BusError> {
        let id = format!("{}append-{}", shared.config.prefix, whole.service);
        let mut kept = lock(&self.whole);
        let mut last = BusError::Busy("try again".to_owned());
        for _ in 0..TRIES {
            let producer = match kept.remove(&id) {
                Some(producer) => producer,
                None => self.transactional(&shared.config, &id)?,
            };
            let from = monotonic();
            match self.try_whole(shared, folds, &producer, whole) {
                Ok(positions) => {
                    // One whose end may have been sent twice must not begin another.
                    if from.elapsed() < SLOW {
                        kept.insert(id, producer);
                    }
                    return Ok(positions);
                }
                Err(Failed::Fenced(error)) => last = error,
                Err(Failed::Other(error)) => return Err(error),
            }
        }
        Err(last)
    }

    fn transactional(&self, config: &KafkaConfig, id: &str) -> Result<Outside, BusError> {
        let mut client = common(config);
        repeat_late(&mut client);
        client
            .set("transactional.id", id)
            .set("transaction.timeout.ms", config.transaction_timeout_ms.to_string())
            .set("message.timeout.ms", config.transaction_timeout_ms.to_string());
        let made = producer(config, &mut client)?;
        made.init_transactions(self.patience)
            .map_err(|e| faults::bus_error(config, What::Transaction(id), &e))?;
        Ok(made)
    }

    fn try_whole(
        &self,
        shared: &Shared,
        folds: &Folds,
        producer: &Outside,
        whole: &Whole<'_>,
    ) -> Result<Vec<Position>, Failed> {
        let config = &shared.config;
        let failed = |e: KafkaError| Failed::of(config, whole.service, &e);
        producer.begin_transaction().map_err(failed)?;
        let first = self.tickets(whole.outputs.len());
        for (at, output) in whole.outputs.iter().enumerate() {
            send(config, producer, output, first + at).map_err(Failed::Other)?;
        }
        self.send_tallies(shared, folds, producer, whole)?;
        let from = monotonic();
        while producer.in_flight_count() > 0 && from.elapsed() < self.patience * 2 {
            breathe(producer);
        }
        producer.commit_transaction(self.patience).map_err(failed)?;
        let mut delivered = lock(&producer.context().0);
        let mut positions = Vec::new();
        for (at, output) in whole.outputs.iter().enumerate() {
            let offset = delivered.remove(&(first + at)).and_then(Result::ok).unwrap_or(0);
            positions.push(position(output, offset));
        }
        delivered.clear();
        Ok(positions)
    }

    /// Adds to counters. Whoever wrote them before is read first; whoever writes them at the same time under
    /// the same name is fenced.
    fn send_tallies(
        &self,
        shared: &Shared,
        folds: &Folds,
        producer: &Outside,
        whole: &Whole<'_>,
    ) -> Result<(), Failed> {
        if whole.tallies.is_empty() {
            return Ok(());
        }
        let known = folds.tallies_of_tool(shared, whole.service).map_err(Failed::Other)?;
        let mut sums: HashMap<String, i64> = known.into_iter().collect();
        let topic = shared.config.topic(TOOLS);
        for (name, n) in whole.tallies {
            let sum = sums.entry(name.clone()).or_default();
            *sum += n;
            let key = format!("{}\0{name}", whole.service);
            let value = sum.to_string();
            let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&topic, NO_TICKET)
                .partition(0)
                .key(key.as_bytes())
                .payload(value.as_bytes());
            producer
                .send(record)
                .map_err(|(e, _)| Failed::of(&shared.config, whole.service, &e))?;
        }
        Ok(())
    }
}

/// What is appended as one.
struct Whole<'a> {
    outputs: &'a [Output],
    tallies: &'a [(String, i64)],
    service: &'a str,
}

enum Failed {
    Fenced(BusError),
    Other(BusError),
}

impl Failed {
    fn of(config: &KafkaConfig, service: &str, error: &KafkaError) -> Self {
        let fenced = matches!(
            error.rdkafka_error_code(),
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
        );
        if fenced {
            return Self::Fenced(BusError::Busy(format!(
                "another process appends as `{service}` at the same time: try again"
            )));
        }
        let text = faults::text(config, What::Transaction(service), error);
        Self::Other(BusError::Busy(format!("it is not known whether this was written: {text}")))
    }
}

fn check_place(shared: &Shared, output: &Output) -> Result<(), BusError> {
    let fits = shared.flow.topic(&output.topic).is_some_and(|t| output.partition < t.partitions);
    if fits {
        return Ok(());
    }
    Err(BusError::Fatal(format!(
        "the flow table has no partition {} of `{}`: check the name",
        output.partition, output.topic
    )))
}

fn common(config: &KafkaConfig) -> ClientConfig {
    let mut client = config.client();
    client
        .set("client.id", format!("{}append", config.prefix))
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("compression.codec", "lz4")
        .set("message.max.bytes", (config.record_bytes_max + 100_000).to_string())
        .set("message.timeout.ms", config.request_timeout_ms.to_string());
    client
}

fn producer(config: &KafkaConfig, client: &mut ClientConfig) -> Result<Outside, BusError> {
    client
        .create_with_context(Tickets::default())
        .map_err(|e| faults::bus_error(config, What::Connect, &e))
}

fn position(output: &Output, offset: u64) -> Position {
    Position { topic: Arc::clone(&output.topic), partition: output.partition, offset }
}

/// Sends every record of a block; the place of the first is what the ticket is for.
fn send(
    config: &KafkaConfig,
    producer: &Outside,
    output: &Output,
    ticket: usize,
) -> Result<(), BusError> {
    let topic = config.topic(&output.topic);
    let batch = Batch::decode(Arc::new(output.block.clone()), 0, 0)
        .map_err(|e| BusError::Fatal(e.to_string()))?;
    for (at, record) in batch.records().enumerate() {
        let ticket = if at == 0 { ticket } else { NO_TICKET };
        let mut new = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&topic, ticket)
            .partition(i32::from(output.partition))
            .key(record.key)
            .headers(envelope::write(&record));
        new.payload = record.value;
        loop {
            match producer.send(new) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    breathe(producer);
                    new = back;
                }
                Err((error, _)) => {
                    return Err(faults::bus_error(config, What::Read(&output.topic), &error));
                }
            }
        }
    }
    Ok(())
}
