//! The bus: connects, checks what it finds, and answers what is asked of it from outside services.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataflow::bus::{Backlog, Bus, BusError, Lag, Member, Position, Range, Want};
use dataflow::flow::{Flow, Kind, ServiceSpec};
use dataflow::unit::Unit;
use dataflow::{Batch, Board, Clock, CommitTimes};

use crate::append::Appender;
use crate::check;
use crate::config::KafkaConfig;
use crate::fold::Folds;
use crate::reader::Readers;
use crate::tail::{Place, Places, Tails, Wanted};
use crate::{backlog, join, lock, monotonic};
use crate::{settings, topics};

/// What other processes did is seen by pacing at most this much later.
const PACE_AGE: Duration = Duration::from_millis(100);

/// What the parts of the bus share.
pub(crate) struct Shared {
    pub(crate) config: KafkaConfig,
    pub(crate) flow: Flow,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Board,
    pub(crate) epoch: u64,
    pub(crate) readers: Readers,
    pub(crate) news: Arc<News>,
    pub(crate) commit_times: CommitTimes,
    /// Places of views, as they say themselves.
    pub(crate) holds: Mutex<HashMap<String, Places>>,
}

/// Rises when something of this process was committed, or something came for a view.
#[derive(Debug, Default)]
pub(crate) struct News {
    mark: Mutex<u64>,
    changed: Condvar,
}

impl News {
    pub(crate) fn tell(&self) {
        *lock(&self.mark) += 1;
        self.changed.notify_all();
    }

    fn mark(&self) -> u64 {
        *lock(&self.mark)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let mark = lock(&self.mark);
        let waited = self.changed.wait_timeout_while(mark, timeout, |mark| *mark == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What pacing asked for last: when, after which news, and the answer.
struct Pace {
    at: Instant,
    mark: u64,
    services: Vec<String>,
    lag: Lag,
}

/// The bus on Kafka.
pub struct KafkaBus {
    shared: Arc<Shared>,
    appender: Appender,
    folds: Folds,
    pace: Mutex<Option<Pace>>,
    tails: Tails,
}

impl KafkaBus {
    /// Connects, and checks that the brokers can be reached, let this client in, and have the topics of the
    /// flow as they should be.
    ///
    /// # Errors
    /// [`BusError::Busy`] when no broker answers, [`BusError::Fatal`] for the rest; both say what to do.
    pub fn connect(
        mut config: KafkaConfig,
        flow: &Flow,
        clock: Arc<dyn Clock>,
        board: Board,
    ) -> Result<Arc<Self>, BusError> {
        let readers = Readers::new(&config)?;
        let cluster = check::reach(&config, readers.asker())?;
        check::topics(&config, flow, readers.asker())?;
        config.batch_bytes_max = settings::batch_bytes_max(&config, flow);
        let epoch = check::epoch(&config, &cluster);
        let news = Arc::new(News::default());
        let shared = Arc::new(Shared {
            config: config.clone(),
            flow: flow.clone(),
            clock,
            board,
            epoch,
            readers,
            news,
            commit_times: CommitTimes::default(),
            holds: Mutex::default(),
        });
        Ok(Arc::new(Self {
            appender: Appender::new(&config),
            folds: Folds::default(),
            shared,
            pace: Mutex::default(),
            tails: Tails::default(),
        }))
    }

    /// Makes the topics of the flow that are missing, without a look at those that are there.
    ///
    /// # Errors
    /// As [`KafkaBus::connect`].
    pub fn make_topics(config: &KafkaConfig, flow: &Flow) -> Result<(), BusError> {
        topics::make(config, &topics::wanted(flow, config))
    }

    /// The settings that it was connected with.
    #[must_use]
    pub fn config(&self) -> &KafkaConfig {
        &self.shared.config
    }

    /// How long committing took, by service: from when nothing more was taken into a transaction to the answer that it
    /// is committed.
    #[must_use]
    pub fn commit_times(&self) -> CommitTimes {
        self.shared.commit_times.clone()
    }

    /// The wiring.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.shared.flow
    }

    fn topic(&self, name: &str, partition: u16) -> Result<(String, Arc<str>), BusError> {
        let spec = self.shared.flow.topic(name).ok_or_else(|| {
            BusError::Fatal(format!("the flow table has no topic `{name}`: check the name"))
        })?;
        if partition >= spec.partitions {
            return Err(BusError::Fatal(format!(
                "topic `{name}` has partitions 0 to {}: there is no {partition}",
                spec.partitions - 1
            )));
        }
        Ok((self.shared.config.topic(name), Arc::from(name)))
    }
}

impl KafkaBus {
    /// What has come for the view that stands just there; `None` where there is none.
    fn read_ahead(
        &self,
        place: &Place,
        from: u64,
        bytes_max: usize,
    ) -> Option<Result<Vec<Arc<Batch>>, BusError>> {
        let holds = lock(&self.shared.holds);
        let (view, places) = holds.iter().find(|(_, at)| at.get(place) == Some(&from))?;
        let Shared { config, news, board, .. } = &*self.shared;
        let wanted = Wanted { config, news, board, view, places };
        Some(self.tails.read(&wanted, place, bytes_max))
    }
}

impl Bus for KafkaBus {
    fn join(&self, service: &ServiceSpec) -> Result<Box<dyn Member>, BusError> {
        Ok(Box::new(join::join(&self.shared, service)?))
    }

    fn append(&self, service: &str, unit: Unit) -> Result<Vec<Position>, BusError> {
        let positions = self.appender.append(&self.shared, &self.folds, service, unit)?;
        self.shared.news.tell();
        Ok(positions)
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    fn range(&self, topic: &str, partition: u16) -> Result<Range, BusError> {
        let (topic, _) = self.topic(topic, partition)?;
        self.shared.readers.range(&topic, partition)
    }

    fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        want: Want,
    ) -> Result<Vec<Arc<Batch>>, BusError> {
        let (topic, name) = self.topic(topic, partition)?;
        let place = (name, partition);
        if let Some(ahead) = self.read_ahead(&place, from, want.bytes_max) {
            return ahead;
        }
        self.shared.readers.read((&topic, &place.0), partition, from, want.bytes_max)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.shared.news.wait(seen, timeout)
    }

    fn backlog(&self) -> Result<Vec<Backlog>, BusError> {
        let mut all = Vec::new();
        for service in &self.shared.flow.services {
            all.extend(backlog::of(&self.shared, service)?);
        }
        Ok(all)
    }

    fn lag(&self, services: &[String]) -> Lag {
        let mark = self.shared.news.mark();
        let mut pace = lock(&self.pace);
        let known = pace
            .as_ref()
            .filter(|p| p.mark == mark && p.services == services && p.at.elapsed() < PACE_AGE);
        if let Some(pace) = known {
            return pace.lag;
        }
        let lag = backlog::lag(&self.shared, services);
        let services = services.to_vec();
        *pace = Some(Pace { at: monotonic(), mark, services, lag });
        lag
    }

    fn tallies(&self, service: &str) -> Result<Vec<(String, i64)>, BusError> {
        let known = self.shared.flow.service(service).filter(|s| s.kind != Kind::View);
        match known {
            Some(spec) => self.folds.tallies_of_service(&self.shared, spec),
            None => self.folds.tallies_of_tool(&self.shared, service),
        }
    }

    fn latest(
        &self,
        topic: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Option<Arc<Batch>>, BusError> {
        let (topic, name) = self.topic(topic, partition)?;
        crate::fold::latest(&self.shared, (&topic, &name), partition, key)
    }

    fn hold(&self, view: &str, topic: &str, partition: u16, next: u64) {
        let mut holds = lock(&self.shared.holds);
        holds.entry(view.to_owned()).or_default().insert((Arc::from(topic), partition), next);
    }
}
