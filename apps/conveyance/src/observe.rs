//! What an operator sees of the running flow: rates, what is undone, dead letters, conditions, freshness. A thread
//! looks about once a second; whoever asks is given the last look, so that asking costs the log nothing.

mod letters;
mod process;
mod series;
mod timed;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use dataflow::bus::Backlog;
use dataflow::flow::{Kind, ServiceSpec};
use dataflow::{Clock, SystemClock};
use gateway::{Direction, EdgeState, FlowState, History, ServiceState, TopicState, Undone};

use crate::print::{kind_text, retention_text, state_text};
use crate::tools::Tools;
use letters::Letters;
use series::Series;

pub(crate) use timed::{Freshness, Timed};

/// Time between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// A look older than this means that the log does not answer.
const FRESH_MS: i64 = 15_000;
/// Looks between two countings of instances.
const INSTANCES_EVERY: u32 = 5;
/// Seconds that the history reaches back.
const HISTORY_SECONDS: usize = 60;

/// The last look, for whoever asks; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Arc<FlowState>>>);

impl Seen {
    /// The last look.
    #[must_use]
    pub(crate) fn last(&self) -> Arc<FlowState> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last look, as a server asks for it.
    #[must_use]
    pub(crate) fn on_request(self) -> Arc<dyn Fn() -> Arc<FlowState> + Send + Sync> {
        Arc::new(move || self.last())
    }

    /// Whether the last look was a moment ago: the log answers.
    #[must_use]
    pub(crate) fn is_fresh(&self) -> bool {
        SystemClock.now_ms().saturating_sub(self.last().time_ms) < FRESH_MS
    }

    fn put(&self, state: FlowState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}

/// Looks at the flow again and again, and remembers enough to tell rates.
pub(crate) struct Observer {
    tools: Tools,
    freshness: Freshness,
    instances: BTreeMap<String, u32>,
    looks: u32,
    seen: Seen,
    letters: Letters,
    appended: HashMap<String, Series>,
    done: HashMap<(String, String), Series>,
}

impl Observer {
    /// An observer of what `tools` works on. `instances` are the services that this process runs.
    #[must_use]
    pub(crate) fn new(
        tools: Tools,
        freshness: Freshness,
        instances: BTreeMap<String, u32>,
    ) -> Self {
        Self {
            letters: Letters::new(&tools.flow),
            tools,
            freshness,
            instances,
            looks: 0,
            seen: Seen::default(),
            appended: HashMap::new(),
            done: HashMap::new(),
        }
    }

    /// Where the last look is found.
    #[must_use]
    pub(crate) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// One look.
    ///
    /// # Errors
    /// When the log cannot be read; the last look stays.
    pub(crate) fn look(&mut self, now_ms: i64) -> Result<()> {
        let backlog = self.tools.bus.backlog()?;
        if self.looks.is_multiple_of(INSTANCES_EVERY) {
            // Where instances are separate processes, the bus knows them all.
            let all = self.tools.bus.instances()?.into_iter();
            self.instances.extend(
                all.map(|i| (i.service, u32::try_from(i.members.len()).unwrap_or(u32::MAX))),
            );
        }
        self.looks = self.looks.wrapping_add(1);
        let topics = self.topics(now_ms)?;
        self.note_done(&backlog, now_ms);
        self.letters.read_on(&*self.tools.bus)?;
        let conditions = self.tools.conditions();
        let flow = Arc::clone(&self.tools.flow);
        let state = FlowState {
            time_ms: now_ms,
            services: flow.services.iter().map(|s| self.service(s, &conditions)).collect(),
            edges: flow.services.iter().flat_map(|s| self.edges(s, &backlog, now_ms)).collect(),
            conditions: conditions.iter().map(|(place, text)| format!("{place}: {text}")).collect(),
            freshness: self.freshness.summary(now_ms),
            history: self.history(),
            undone: backlog.into_iter().map(|b| undone(b, now_ms)).collect(),
            commits: self.tools.bus.commit_times().all(),
            process: process::figures(),
            topics,
        };
        self.seen.put(state);
        Ok(())
    }

    fn topics(&mut self, now_ms: i64) -> Result<Vec<TopicState>> {
        let mut topics = Vec::new();
        for spec in &self.tools.flow.topics {
            let (mut records, mut appended) = (0, 0);
            for partition in 0..spec.partitions {
                let range = self.tools.bus.range(&spec.name, partition)?;
                records += range.end.saturating_sub(range.start);
                appended += range.end;
            }
            let series = self.appended.entry(spec.name.clone()).or_default();
            series.push(now_ms, appended);
            topics.push(TopicState {
                name: spec.name.clone(),
                key: spec.key.clone(),
                partitions: spec.partitions,
                retention: retention_text(spec.retention),
                rate_per_s: series.rate(),
                records,
                appended,
            });
        }
        Ok(topics)
    }

    fn note_done(&mut self, backlog: &[Backlog], now_ms: i64) {
        let mut done = BTreeMap::<(String, String), u64>::new();
        for one in backlog {
            *done.entry((one.service.clone(), one.topic.clone())).or_default() += one.next;
        }
        for (edge, next) in done {
            self.done.entry(edge).or_default().push(now_ms, next);
        }
    }

    fn service(&self, spec: &ServiceSpec, conditions: &[(String, String)]) -> ServiceState {
        let (dead_letters, dead_letter_reasons) = self.letters.of(&spec.name);
        let own = |place: &str| place.split(' ').next() == Some(spec.name.as_str());
        let held = conditions.iter().filter(|(place, _)| own(place));
        ServiceState {
            name: spec.name.clone(),
            kind: kind_text(spec.kind),
            does: spec.does.clone(),
            reads: spec.reads.iter().map(|(topic, _)| topic.clone()).collect(),
            writes: spec.writes.clone(),
            state: state_text(&spec.state),
            instances: self.instances.get(&spec.name).copied(),
            dead_letters,
            dead_letter_reasons,
            held: held.map(|(place, text)| format!("{place}: {text}")).collect(),
        }
    }

    fn edges(&self, spec: &ServiceSpec, backlog: &[Backlog], now_ms: i64) -> Vec<EdgeState> {
        let reads = spec.reads.iter().map(|(topic, _)| {
            let own = backlog.iter().filter(|b| b.service == spec.name && b.topic == *topic);
            let oldest = own.clone().filter_map(|b| b.oldest_ms).min();
            let edge = (spec.name.clone(), topic.clone());
            EdgeState {
                service: spec.name.clone(),
                topic: topic.clone(),
                direction: Direction::Read,
                lag: Some(own.map(|b| b.records).sum()),
                oldest_ms: oldest.map(|ms| now_ms.saturating_sub(ms).max(0)),
                rate_per_s: self.done.get(&edge).map_or(0.0, Series::rate),
            }
        });
        let writes = spec.writes.iter().map(|topic| EdgeState {
            service: spec.name.clone(),
            topic: topic.clone(),
            direction: Direction::Write,
            lag: None,
            oldest_ms: None,
            // What people command is little beside what services write: a shared topic counts for the service.
            rate_per_s: match spec.kind {
                Kind::View => 0.0,
                Kind::Source | Kind::Transform | Kind::Effect => {
                    self.appended.get(topic).map_or(0.0, Series::rate)
                }
            },
        });
        reads.chain(writes).collect()
    }

    fn history(&self) -> History {
        let topics = self.appended.iter();
        let topics = topics.map(|(name, s)| (name.clone(), s.per_second(HISTORY_SECONDS)));
        History { seconds: HISTORY_SECONDS, topics: topics.collect() }
    }
}

fn undone(backlog: Backlog, now_ms: i64) -> Undone {
    Undone {
        oldest_ms: backlog.oldest_ms.map_or(0, |ms| now_ms.saturating_sub(ms).max(0)),
        service: backlog.service,
        topic: backlog.topic,
        partition: backlog.partition,
        next: backlog.next,
        records: backlog.records,
    }
}

#[cfg(test)]
mod tests;
