//! The loop of a View: reads what is durable from where the view says it is, and applies it.
//!
//! A view's file is outside the log's transaction. So it takes only what a power cut cannot take away (or it
//! would be ahead of the log and skip what is written there next), and it is never trusted when its position
//! does not fit the log: it is rebuilt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::bus::{Bus, BusError, Want};
use crate::clock::Clock;
use crate::contract::{Delivery, View};
use crate::failure::Failure;
use crate::flow::{Flow, Retention};

/// Bytes applied in one transaction of the view, about.
const APPLY_BYTES: usize = 4 << 20;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Runs one view.
pub struct ViewRunner {
    service: String,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    view: Box<dyn View>,
    next: BTreeMap<(Arc<str>, u16), u64>,
}

/// The ends of what a view reads, at one moment; see [`ViewRunner::ends`].
#[derive(Debug, Clone)]
pub struct Ends(BTreeMap<(Arc<str>, u16), u64>);

/// Why a view was rebuilt, in words for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It goes on where it was.
    Resumed,
    /// It is new.
    New,
    /// Its position belongs to another log, or to a part of the log that is gone or never was.
    Rebuilt(&'static str),
}

impl ViewRunner {
    /// Opens the view at its position, or rebuilds it where that position means nothing.
    ///
    /// # Errors
    /// [`BusError`] when the flow has no such service, or the view or the log cannot be read.
    pub fn open(
        bus: Arc<dyn Bus>,
        flow: &Flow,
        service: &str,
        clock: Arc<dyn Clock>,
        mut view: Box<dyn View>,
    ) -> Result<(Self, Start), BusError> {
        let spec = flow
            .service(service)
            .ok_or_else(|| BusError::Fatal(format!("no service `{service}` in the flow table")))?;
        let topics: Vec<_> = spec.reads.iter().filter_map(|(name, _)| flow.topic(name)).collect();
        let tombstone_days = topics
            .iter()
            .filter_map(|t| {
                if let Retention::Compacted { tombstone_days } = t.retention {
                    Some(tombstone_days)
                } else {
                    None
                }
            })
            .min();
        let position = view.position().map_err(fatal)?;
        let mut next: BTreeMap<(Arc<str>, u16), u64> = BTreeMap::new();
        for topic in &topics {
            next.extend((0..topic.partitions).map(|p| ((Arc::from(topic.name.as_str()), p), 0)));
        }
        for (topic, partition, at) in &position.next {
            if let Some(slot) = next.get_mut(&(Arc::from(topic.as_str()), *partition)) {
                *slot = *at;
            }
        }
        let age_ms = clock.now_ms().saturating_sub(position.time_ms);
        let stale = tombstone_days.is_some_and(|days| age_ms > i64::from(days) * DAY_MS);
        let start = match position.epoch {
            0 => Start::New,
            // It was reset, and its process died before anything was applied.
            epoch if epoch == bus.epoch() && position.next.is_empty() => Start::New,
            epoch if epoch != bus.epoch() => Start::Rebuilt("it belongs to another log"),
            _ if stale => Start::Rebuilt("it is older than deletions are kept"),
            _ if !fits(&*bus, &next)? => Start::Rebuilt("its position is not in the log"),
            _ => Start::Resumed,
        };
        if start != Start::Resumed {
            view.reset(bus.epoch()).map_err(fatal)?;
            for ((topic, partition), at) in &mut next {
                *at = bus.range(topic, *partition)?.start;
            }
        }
        let runner = Self { service: service.to_owned(), bus, clock, view, next };
        runner.hold();
        Ok((runner, start))
    }

    /// Applies what is there; waits up to `wait` when there is nothing. Returns whether anything was applied.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read or the view cannot be written.
    pub fn step(&mut self, wait: Duration) -> Result<bool, BusError> {
        // Taken before the look, so that what comes between the look and the wait ends the wait.
        let seen = self.bus.wait(0, Duration::ZERO);
        let deliveries = self.fetch()?;
        if deliveries.is_empty() {
            self.bus.wait(seen, wait);
            return Ok(false);
        }
        self.view.apply(&deliveries, self.clock.now_ms()).map_err(fatal)?;
        for delivery in &deliveries {
            self.next
                .insert((Arc::clone(&delivery.topic), delivery.partition), delivery.next_offset());
        }
        self.hold();
        Ok(true)
    }

    fn fetch(&self) -> Result<Vec<Delivery>, BusError> {
        let share = (APPLY_BYTES / self.next.len().max(1)).max(64 << 10);
        let mut deliveries = Vec::new();
        for ((topic, partition), next) in &self.next {
            let batches = self.bus.read(
                topic,
                *partition,
                *next,
                Want { bytes_max: share, durable: true },
            )?;
            let mut from = *next;
            for batch in batches {
                let after = batch.next_offset();
                deliveries.push(Delivery {
                    topic: Arc::clone(topic),
                    partition: *partition,
                    batch,
                    from,
                });
                from = after;
            }
        }
        Ok(deliveries)
    }

    fn hold(&self) {
        for ((topic, partition), next) in &self.next {
            self.bus.hold(&self.service, topic, *partition, *next);
        }
    }

    /// Where the log ends now: what a view must have reached to be as new as its start.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read.
    pub fn ends(&self) -> Result<Ends, BusError> {
        let end = |(topic, partition): &(Arc<str>, u16)| {
            Ok(((Arc::clone(topic), *partition), self.bus.range(topic, *partition)?.end))
        };
        Ok(Ends(self.next.keys().map(end).collect::<Result<_, BusError>>()?))
    }

    /// Whether everything before those ends is applied.
    #[must_use]
    pub fn has_reached(&self, ends: &Ends) -> bool {
        ends.0.iter().all(|(place, end)| self.next.get(place).is_some_and(|next| next >= end))
    }

    /// Whether everything that is in the log is applied.
    ///
    /// # Errors
    /// [`BusError`] when the log cannot be read.
    pub fn caught_up(&self) -> Result<bool, BusError> {
        for ((topic, partition), next) in &self.next {
            if self.bus.range(topic, *partition)?.end > *next {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A position fits when it is neither before what is kept nor after what is durable.
fn fits(bus: &dyn Bus, next: &BTreeMap<(Arc<str>, u16), u64>) -> Result<bool, BusError> {
    for ((topic, partition), next) in next {
        let range = bus.range(topic, *partition)?;
        if *next > range.durable || *next < range.start {
            return Ok(false);
        }
    }
    Ok(true)
}

fn fatal(failure: Failure) -> BusError {
    BusError::Fatal(failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::contract::ViewPosition;
    use crate::flow::{Form, Kind, ServiceSpec, State, TopicSpec};
    use crate::memory::{Faults, MemoryBus};

    struct At(ViewPosition);

    impl View for At {
        fn position(&mut self) -> Result<ViewPosition, Failure> {
            Ok(self.0.clone())
        }

        fn reset(&mut self, _epoch: u64) -> Result<(), Failure> {
            Ok(())
        }

        fn apply(&mut self, _: &[Delivery], _: i64) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn flow() -> Flow {
        let topic = TopicSpec {
            name: "t".into(),
            key: "k".into(),
            partitions: 1,
            retention: Retention::Compacted { tombstone_days: 7 },
        };
        let service = ServiceSpec {
            name: "show".into(),
            kind: Kind::View,
            reads: vec![("t".into(), Form::Keyed)],
            writes: vec![],
            state: State::None,
            does: String::new(),
        };
        Flow::new(vec![topic], vec![service]).expect("a table")
    }

    #[test]
    fn a_view_is_rebuilt_only_where_it_must_be_and_says_why() {
        let now_ms = 100 * DAY_MS;
        let bus = Arc::new(MemoryBus::new(&flow(), 1, Faults::default()));
        let mine = bus.epoch();
        let at = |next| vec![("t".to_owned(), 0, next)];
        for (epoch, time_ms, next, expect) in [
            (0, 0, vec![], Start::New),
            // Reset, and dead before anything was applied.
            (mine, 0, vec![], Start::New),
            (mine, now_ms - DAY_MS, at(0), Start::Resumed),
            (
                mine,
                now_ms - 8 * DAY_MS,
                at(0),
                Start::Rebuilt("it is older than deletions are kept"),
            ),
            (mine, now_ms, at(1), Start::Rebuilt("its position is not in the log")),
            (mine + 1, now_ms, at(0), Start::Rebuilt("it belongs to another log")),
            (mine + 1, 0, vec![], Start::Rebuilt("it belongs to another log")),
        ] {
            let view = Box::new(At(ViewPosition { epoch, time_ms, next }));
            let clock = Arc::new(ManualClock::at(now_ms));
            let bus = Arc::clone(&bus) as Arc<dyn Bus>;
            let opened = ViewRunner::open(bus, &flow(), "show", clock, view);
            assert_eq!(opened.expect("it opens").1, expect);
        }
    }
}
