//! One contender at one work: how fast it goes once it is warm and while all of it has work, and what that costs.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dataflow::Durations;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::peers::Role;
use super::topics::{self, PARTITIONS, client};
use super::{commits, now};
use crate::process::Usage;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// What a contender does before this share of the input is warming up: classes are loaded, connections made.
const WARM: f64 = 0.2;
/// Nothing moves for so long: it hangs.
const STUCK: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    pub(super) records_per_s: f64,
    pub(super) cpu_s_per_million: f64,
    broker_cpu_s_per_million: f64,
    peak_rss_mb: f64,
    /// Records that counted.
    counted: f64,
    /// From the start of the process to the first commit.
    first_commit_s: f64,
    /// How long a commit took.
    commits: Durations,
}

impl Measured {
    /// For a person who waits.
    pub(super) fn told(&self) -> String {
        let rate = self.records_per_s / 1e3;
        format!("{rate:.0} thousand records/s, {:.2} CPU s per million", self.cpu_s_per_million)
    }

    /// As JSON.
    pub(super) fn value(&self) -> Value {
        let short = |n: f64| (n * 100.0).round() / 100.0;
        json!({
            "records_per_s": self.records_per_s.round(),
            "cpu_s_per_million": short(self.cpu_s_per_million),
            "broker_cpu_s_per_million": short(self.broker_cpu_s_per_million),
            "peak_rss_mb": self.peak_rss_mb.round(),
            "records_counted": self.counted,
            "first_commit_s": short(self.first_commit_s),
            "commits": self.commits.count(),
            "commit_ms_p50": commits::ms(&self.commits, 50),
            "commit_ms_p99": commits::ms(&self.commits, 99),
        })
    }

    /// The median of each figure; of commits, all.
    pub(super) fn median(runs: &[Self]) -> Option<Self> {
        let of = |f: fn(&Self) -> f64| {
            let mut list: Vec<f64> = runs.iter().map(f).collect();
            list.sort_by(f64::total_cmp);
            list.get(list.len() / 2).copied()
        };
        let mut commits = Durations::default();
        runs.iter().for_each(|run| commits.add_all(&run.commits));
        Some(Self {
            records_per_s: of(|m| m.records_per_s)?,
            cpu_s_per_million: of(|m| m.cpu_s_per_million)?,
            broker_cpu_s_per_million: of(|m| m.broker_cpu_s_per_million)?,
            peak_rss_mb: of(|m| m.peak_rss_mb)?,
            counted: of(|m| m.counted)?,
            first_commit_s: of(|m| m.first_commit_s)?,
            commits,
        })
    }
}

/// A look: when, how many records are done, CPU seconds of the contender and of the broker.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    /// The same, in milliseconds since 1970.
    at_ms: u64,
    done: u64,
    cpu: f64,
    broker: f64,
}

/// Runs it until all records are done.
///
/// Threads do not begin in the same moment: what counts is from when it is warm, with every partition begun, until the
/// first partition is done.
pub(super) fn run(cluster: &Cluster, task: &Role, records: u64) -> Result<Measured> {
    let committed = Committed::of(task)?;
    let ends = topics::ends(&task.brokers, &task.input)?;
    let broker = *cluster.pids()?.first().context("no broker runs")?;
    let from = now();
    let mut running = task.start()?;
    let (mut usage, mut broker_usage) = (Usage::default(), Usage::default());
    let mut span = Span::default();
    let (mut first, mut last): (Option<f64>, _) = (None, (now(), 0));
    let mut offsets = vec![0; ends.len()];
    loop {
        running.still_there()?;
        // A coordinator that is not ready knows no more than before; where that lasts, it counts as hanging.
        let asked = committed.offsets();
        let answered = asked.is_ok();
        offsets = asked.unwrap_or(offsets);
        let done = offsets.iter().sum();
        usage.look(running.id());
        broker_usage.look(broker);
        let mark = Mark {
            at: now(),
            at_ms: commits::now_ms(),
            done,
            cpu: usage.cpu(),
            broker: broker_usage.cpu(),
        };
        if done > 0 {
            first.get_or_insert(from.elapsed().as_secs_f64());
        }
        if done >= records {
            return Ok(Measured {
                first_commit_s: first.unwrap_or_default(),
                peak_rss_mb: usage.peak_rss as f64 / 1e6,
                commits: commits::between(&task.state, span.times()?)?,
                ..span.measured()?
            });
        }
        if answered && offsets.iter().zip(&ends).all(|(next, end)| (1..*end).contains(next)) {
            span.look(mark, done as f64 >= records as f64 * WARM);
        }
        if done > last.1 {
            last = (now(), done);
        }
        if last.0.elapsed() > STUCK {
            bail!("it hangs at {done} of {records} records");
        }
        std::thread::park_timeout(LOOK);
    }
}

/// The first and the last look that count.
#[derive(Debug, Default)]
struct Span(Option<(Mark, Mark)>);

impl Span {
    fn look(&mut self, mark: Mark, warm: bool) {
        match &mut self.0 {
            Some((_, last)) => *last = mark,
            None if warm => self.0 = Some((mark, mark)),
            None => {}
        }
    }

    fn marks(&self) -> Result<(Mark, Mark)> {
        self.0
            .filter(|(warm, end)| warm.done < end.done)
            .context("no time in which it was warm and all partitions had work: give it more keys")
    }

    /// In milliseconds since 1970.
    fn times(&self) -> Result<RangeInclusive<u64>> {
        let (warm, end) = self.marks()?;
        Ok(warm.at_ms..=end.at_ms)
    }

    fn measured(&self) -> Result<Measured> {
        let (warm, end) = self.marks()?;
        let seconds = (end.at - warm.at).as_secs_f64();
        let done = (end.done - warm.done) as f64;
        Ok(Measured {
            records_per_s: done / seconds,
            cpu_s_per_million: (end.cpu - warm.cpu) / done * 1e6,
            broker_cpu_s_per_million: (end.broker - warm.broker) / done * 1e6,
            counted: done,
            ..Measured::default()
        })
    }
}

/// The committed offsets of a contender's group.
struct Committed {
    consumer: BaseConsumer,
    list: TopicPartitionList,
}

impl Committed {
    fn of(task: &Role) -> Result<Self> {
        // It must not wait for transactions that are open.
        let mut config = client(&task.brokers);
        config.set("group.id", &task.group).set("isolation.level", "read_uncommitted");
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition(&task.input, i32::from(partition));
        }
        Ok(Self { consumer: config.create()?, list })
    }

    /// By partition.
    fn offsets(&self) -> Result<Vec<u64>> {
        let found = self.consumer.committed_offsets(self.list.clone(), Duration::from_secs(20))?;
        let offsets = found.elements().into_iter().map(|e| match e.offset() {
            Offset::Offset(n) => u64::try_from(n).unwrap_or(0),
            _ => 0,
        });
        Ok(offsets.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_counts_in_which_it_is_warm_and_has_work() {
        let at = now();
        let mark = |seconds, done, cpu, broker| Mark {
            at: at + Duration::from_secs(seconds),
            at_ms: 1_000 * seconds,
            done,
            cpu,
            broker,
        };
        let mut span = Span::default();
        span.look(mark(0, 100, 4.0, 7.0), false);
        assert!(span.measured().is_err());
        span.look(mark(1, 200, 5.0, 7.0), true);
        assert!(span.measured().is_err(), "one look is no time");
        span.look(mark(5, 1_000, 6.0, 9.0), true);
        assert_eq!(span.times().unwrap(), 1_000..=5_000);
        let found = span.measured().unwrap();
        let figures =
            [found.records_per_s, found.cpu_s_per_million, found.broker_cpu_s_per_million];
        let near = figures.iter().zip([200.0, 1_250.0, 2_500.0]).all(|(f, e)| (f - e).abs() < 0.5);
        assert!(near, "{figures:?}");
    }
}
