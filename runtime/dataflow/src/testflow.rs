//! Runs a whole flow on one thread, in memory, with a seeded plan of faults: crashes before and after any
//! step, members fenced and partitions moved, commits that fail or end unknown, power cuts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Meta, NewRecord};
use crate::board::Board;
use crate::bus::{Bus, BusError};
use crate::clock::ManualClock;
use crate::contract::{Source, Transform, View};
use crate::effect::{Effect, EffectParts, EffectWorker};
use crate::flow::{Flow, partition_of};
use crate::memory::{Faults, MemoryBus, Rng};
use crate::source::{Round, SourceRunner};
use crate::view::ViewRunner;
use crate::worker::{Worker, WorkerParts};

/// Rounds in which nothing happens that end a run.
const QUIET_ROUNDS: u32 = 4;
/// A run that is not over after so many rounds is stuck.
const ROUNDS_MAX: u32 = 100_000;

/// Longest time a part stays down after a power cut, in its own turns.
const DOWN_MAX: u64 = 12;

/// Makes a Transform, for as many instances as wanted.
pub type TransformFactory = Arc<dyn Fn() -> Box<dyn Transform> + Send + Sync>;
/// Makes a Source.
pub type SourceFactory = Arc<dyn Fn() -> Box<dyn Source> + Send + Sync>;
/// Makes an Effect.
pub type EffectFactory = Arc<dyn Fn() -> Box<dyn Effect> + Send + Sync>;
/// Makes a View on whatever keeps its rows between crashes.
pub type ViewFactory = Arc<dyn Fn() -> Box<dyn View> + Send + Sync>;

/// What goes wrong how often, in percent of the steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct FaultPlan {
    /// Faults of the bus.
    pub bus: Faults,
    /// The process of a service dies and is started again.
    pub crash: u64,
    /// The machine loses its power (in tenths of a percent).
    pub power_cut: u64,
    /// Chance of a sync after a step; 0 means that only the end syncs.
    pub sync: u64,
}

impl FaultPlan {
    /// Everything at once, at rates that let work get done.
    #[must_use]
    pub fn everything() -> Self {
        let bus = Faults { abort: 8, unknown: 6, delay: 30, revoke: 4, steal: 3, repeat: 10 };
        Self { bus, crash: 3, power_cut: 4, sync: 25 }
    }
}

enum Part {
    Effect {
        service: String,
        make: EffectFactory,
        live: Option<Box<EffectWorker>>,
    },
    Worker {
        service: String,
        make: TransformFactory,
        live: Option<Box<Worker>>,
    },
    Sources {
        service: String,
        lanes: Vec<(String, SourceFactory)>,
        live: Option<Box<SourceRunner>>,
    },
    View {
        service: String,
        make: ViewFactory,
        live: Option<Box<ViewRunner>>,
    },
}

/// The flow under test.
pub struct TestFlow {
    /// The bus behind it, for looking at what came out.
    pub bus: MemoryBus,
    /// Conditions that services reported.
    pub board: Board,
    seam: Arc<dyn Bus>,
    flow: Flow,
    clock: Arc<ManualClock>,
    rng: Rng,
    plan: FaultPlan,
    parts: Vec<Part>,
    /// Rounds that each part stays down after a power cut: machines do not come back in order.
    down: Vec<u64>,
    on_power_cut: Box<dyn Fn(u64)>,
}

impl TestFlow {
    /// A flow on a fresh bus.
    #[must_use]
    pub fn new(flow: &Flow, seed: u64, plan: FaultPlan) -> Self {
        Self::through(flow, seed, plan, |bus| Arc::new(bus))
    }

    /// As [`TestFlow::new`], with something between the runtime and the bus: deliberately broken runtimes.
    #[must_use]
    pub fn through(
        flow: &Flow,
        seed: u64,
        plan: FaultPlan,
        seam: impl Fn(MemoryBus) -> Arc<dyn Bus>,
    ) -> Self {
        let bus = MemoryBus::new(flow, seed, plan.bus);
        Self {
            seam: seam(bus.clone()),
            bus,
            board: Board::default(),
            flow: flow.clone(),
            clock: Arc::new(ManualClock::at(1_700_000_000_000)),
            rng: Rng::new(seed ^ 0x5eed),
            plan,
            parts: Vec::new(),
            down: Vec::new(),
            on_power_cut: Box::new(|_| ()),
        }
    }

    /// Adds instances of a Transform.
    #[must_use]
    pub fn transform(mut self, service: &str, instances: usize, make: TransformFactory) -> Self {
        for _ in 0..instances {
            self.parts.push(Part::Worker {
                service: service.to_owned(),
                make: Arc::clone(&make),
                live: None,
            });
        }
        self
    }

    /// Adds a Source service with its lanes.
    #[must_use]
    pub fn sources(mut self, service: &str, lanes: Vec<(String, SourceFactory)>) -> Self {
        self.parts.push(Part::Sources { service: service.to_owned(), lanes, live: None });
        self
    }

    /// Adds instances of an Effect.
    #[must_use]
    pub fn effect(mut self, service: &str, instances: usize, make: EffectFactory) -> Self {
        for _ in 0..instances {
            self.parts.push(Part::Effect {
                service: service.to_owned(),
                make: Arc::clone(&make),
                live: None,
            });
        }
        self
    }

    /// Adds a View.
    #[must_use]
    pub fn view(mut self, service: &str, make: ViewFactory) -> Self {
        self.parts.push(Part::View { service: service.to_owned(), make, live: None });
        self
    }

    /// What else a power cut does, with a random number: views lose what they had not synced.
    #[must_use]
    pub fn on_power_cut(mut self, f: impl Fn(u64) + 'static) -> Self {
        self.on_power_cut = Box::new(f);
        self
    }

    /// Runs `disturbed` steps with faults, then without until nothing more happens.
    ///
    /// # Errors
    /// A text when the flow does not come to rest.
    pub fn run(&mut self, disturbed: u64) -> Result<(), String> {
        for _ in 0..disturbed {
            let count = self.parts.len() as u64;
            let at = usize::try_from(self.rng.below(count)).unwrap_or(0);
            self.clock.advance(3);
            if let Some(down) = self.down.get_mut(at).filter(|d| **d > 0) {
                *down -= 1;
                continue;
            }
            self.step(at);
            self.misfortune(at);
        }
        self.bus.calm();
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            self.clock.advance(400);
            let mut busy = false;
            for at in 0..self.parts.len() {
                busy |= self.step(at);
            }
            self.bus.sync();
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet >= QUIET_ROUNDS {
                return Ok(());
            }
        }
        Err(format!("still busy after {ROUNDS_MAX} rounds: {:?}", self.board.conditions()))
    }

    fn misfortune(&mut self, at: usize) {
        if self.rng.chance(self.plan.sync) {
            self.bus.sync();
        }
        if self.rng.chance(self.plan.crash) {
            self.kill(at);
        }
        if self.rng.below(1000) < self.plan.power_cut {
            (0..self.parts.len()).for_each(|at| self.kill(at));
            self.bus.power_cut();
            (self.on_power_cut)(self.rng.draw());
            self.down = (0..self.parts.len()).map(|_| self.rng.below(DOWN_MAX)).collect();
        }
    }

    fn kill(&mut self, at: usize) {
        match self.parts.get_mut(at) {
            Some(Part::Worker { live, .. }) => *live = None,
            Some(Part::Sources { live, .. }) => *live = None,
            Some(Part::View { live, .. }) => *live = None,
            Some(Part::Effect { live, .. }) => *live = None,
            None => {}
        }
    }

    /// One step of one part; a part whose bus fails is started anew at its next turn.
    fn step(&mut self, at: usize) -> bool {
        match self.try_step(at) {
            Ok(busy) => busy,
            Err(_) => {
                self.kill(at);
                true
            }
        }
    }

    fn try_step(&mut self, at: usize) -> Result<bool, BusError> {
        let Some(part) = self.parts.get_mut(at) else { return Ok(false) };
        match part {
            Part::Worker { service, make, live } => {
                if live.is_none() {
                    let make = Arc::clone(make);
                    let parts = WorkerParts {
                        flow: &self.flow,
                        service,
                        make: Box::new(move || make()),
                        clock: Arc::clone(&self.clock) as _,
                        board: self.board.clone(),
                    };
                    *live = Some(Box::new(Worker::join(&*self.seam, parts)?));
                }
                live.as_mut().map_or(Ok(false), |worker| worker.step(Duration::ZERO))
            }
            Part::Sources { service, lanes, live } => {
                if live.is_none() {
                    let mut runner = SourceRunner::join(
                        Arc::clone(&self.seam),
                        &self.flow,
                        service,
                        Arc::clone(&self.clock) as _,
                        self.board.clone(),
                    )?;
                    for (name, make) in lanes {
                        let make = Arc::clone(make);
                        runner.add_lane(name, Box::new(move || make()));
                    }
                    *live = Some(Box::new(runner));
                }
                let round =
                    live.as_mut().map_or(Ok(Round::Done), |runner| runner.step(Duration::ZERO))?;
                Ok(round == Round::Busy)
            }
            Part::Effect { service, make, live } => {
                if live.is_none() {
                    let parts = EffectParts {
                        flow: &self.flow,
                        service,
                        effect: make(),
                        clock: Arc::clone(&self.clock) as _,
                        board: self.board.clone(),
                    };
                    *live = Some(Box::new(EffectWorker::join(&*self.seam, parts)?));
                }
                live.as_mut().map_or(Ok(false), |worker| worker.step(Duration::ZERO))
            }
            Part::View { service, make, live } => {
                if live.is_none() {
                    let (runner, _) = ViewRunner::open(
                        Arc::clone(&self.seam),
                        &self.flow,
                        service,
                        Arc::clone(&self.clock) as _,
                        make(),
                    )?;
                    *live = Some(Box::new(runner));
                }
                live.as_mut().map_or(Ok(false), |runner| runner.step(Duration::ZERO))
            }
        }
    }
}

/// A record as tests see it: values and headers, without time, trace and position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Key.
    pub key: String,
    /// Value as text; `None` is a tombstone.
    pub value: Option<String>,
    /// `ce_type`.
    pub kind: String,
    /// `ce_source`.
    pub source: String,
    /// `ce_id`.
    pub id: u128,
}

/// Everything in a topic, by key, in order.
#[must_use]
pub fn seen(bus: &MemoryBus, topic: &str) -> BTreeMap<String, Vec<Seen>> {
    let mut all: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    bus.each_record(topic, |_, r| {
        let key = String::from_utf8_lossy(r.key).into_owned();
        let value = r.value.map(|v| String::from_utf8_lossy(v).into_owned());
        all.entry(key.clone()).or_default().push(Seen {
            key,
            value,
            kind: r.meta.kind.into(),
            source: r.meta.source.into(),
            id: r.meta.id,
        });
    });
    all
}

/// A message given to [`transformed`].
#[derive(Debug, Clone)]
pub struct Given {
    /// Input topic.
    pub topic: String,
    /// Key.
    pub key: String,
    /// `ce_source`.
    pub source: String,
    /// `ce_type`.
    pub kind: String,
    /// Value.
    pub value: Vec<u8>,
}

/// Runs one Transform over messages, without faults; look at the bus for what came out.
#[must_use]
pub fn transformed(
    flow: &Flow,
    service: &str,
    make: TransformFactory,
    given: &[Given],
) -> MemoryBus {
    let mut test = TestFlow::new(flow, 1, FaultPlan::default()).transform(service, 1, make);
    for message in given {
        let partition = partition_of(
            message.key.as_bytes(),
            flow.topic(&message.topic).map_or(1, |t| t.partitions),
        );
        let meta = Meta {
            id: 1,
            trace: 1,
            kind: &message.kind,
            source: &message.source,
            time_ms: 1_700_000_000_000,
            schema: 1,
            origin: 0,
        };
        test.bus.append_record(
            &message.topic,
            partition,
            NewRecord {
                key: message.key.as_bytes(),
                value: Some(&message.value),
                meta,
                headers: &[],
            },
        );
    }
    let rest = test.run(0);
    debug_assert!(rest.is_ok(), "{rest:?}");
    test.bus
}
