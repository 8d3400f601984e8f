//! Services at work in this process, on either bus: one thread for each instance of a service.

mod loops;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, bounded};
use dataflow::bus::Bus;
use dataflow::source::SourceRunner;
use dataflow::view::{Start, ViewRunner};
use dataflow::worker::{MakeTransform, Worker, WorkerParts};
use dataflow::{Board, Clock, Flow, SystemClock, Transform};
use gateway::{ListingView, Live, LiveView};
use ingest::Confirmations;

use crate::flow::{GATEWAY, INGEST, NORMALIZE, TRACK};
use crate::log::Log;
use crate::observe::{Freshness, Observer, Seen, Timed};
use crate::tools::Tools;
use crate::wiring::Wiring;
use loops::{Shared, run_sources, run_view, run_worker};

/// Time after which a look that failed is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// All services, in the order of the flow.
const ALL: [&str; 4] = [INGEST, NORMALIZE, TRACK, GATEWAY];
/// A start waits so long for the first look at everything, and a stop for the last one.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// Name of the read model's file in the data folder.
pub(crate) const VIEWS: &str = "views.db";

/// The services, running.
pub(crate) struct Engine {
    /// The bus.
    pub(crate) bus: Arc<dyn Log>,
    /// The wiring.
    pub(crate) flow: Arc<Flow>,
    /// What is wrong now.
    pub(crate) board: Board,
    /// The served read model, where this process keeps it.
    pub(crate) model: Option<gateway::Model>,
    /// Its changes as they happen.
    pub(crate) live: Option<Live>,
    /// Held deletes, and the word that they are right.
    pub(crate) confirmations: Confirmations,
    /// How old records are when they can be seen.
    freshness: Freshness,
    instances: BTreeMap<String, u32>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Told when nobody looks any more.
    observed: Option<Receiver<()>>,
}

impl Engine {
    /// Starts all services on a log that is open, so that this process holds the folder.
    ///
    /// # Errors
    /// What is in the way, with what to do.
    pub(crate) fn start_on(bus: Arc<dyn Log>, dir: &Path, wiring: &Wiring) -> Result<Self> {
        Self::start(bus, Board::default(), &ALL, (dir, wiring))
    }

    /// Starts some services, with the board on which the bus says what is wrong. A read model is kept in `dir`.
    ///
    /// # Errors
    /// What is in the way, with what to do.
    pub(crate) fn start(
        bus: Arc<dyn Log>,
        board: Board,
        services: &[&str],
        (dir, wiring): (&Path, &Wiring),
    ) -> Result<Self> {
        let mut engine = Self {
            model: None,
            live: None,
            bus,
            flow: Arc::new(crate::flow::table()),
            board,
            confirmations: Confirmations::default(),
            freshness: Freshness::default(),
            instances: services.iter().map(|name| ((*name).to_owned(), 1)).collect(),
            shared: Arc::default(),
            threads: Vec::new(),
            observed: None,
        };
        if services.contains(&GATEWAY) {
            let view = ListingView::open(&dir.join(VIEWS), wiring.display.clone())?;
            engine.model = Some(view.model());
            let view = LiveView::new(view, engine.bus(), &engine.flow, instance())?;
            engine.live = Some(view.live());
            engine.start_view(view)?;
        }
        for service in services {
            engine.start_worker(service, wiring)?;
        }
        if services.contains(&INGEST) {
            engine.start_sources(wiring)?;
        }
        Ok(engine)
    }

    /// The bus, for whoever needs no more of it than the seam.
    pub(crate) fn bus(&self) -> Arc<dyn Bus> {
        Arc::<dyn Log>::clone(&self.bus)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(&Shared) + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        self.threads.push(thread.with_context(|| format!("cannot start a thread for {name}"))?);
        Ok(())
    }

    fn start_view(&mut self, view: LiveView) -> Result<()> {
        let live = view.live();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let view = Timed::new(Box::new(view), Arc::clone(&clock), self.freshness.clone());
        let (runner, start) =
            ViewRunner::open(self.bus(), &self.flow, GATEWAY, clock, Box::new(view))?;
        if let Start::Rebuilt(why) = start {
            eprintln!("the read model is rebuilt from the log: {why}");
        }
        self.spawn(GATEWAY, move |shared| {
            if let Err(error) = run_view(runner, &live, shared) {
                shared.fail(GATEWAY, &error);
            }
        })
    }

    /// The tools on what runs here.
    #[must_use]
    pub(crate) fn tools(&self, dir: &Path) -> Tools {
        Tools {
            bus: Arc::clone(&self.bus),
            flow: Arc::clone(&self.flow),
            dir: dir.to_owned(),
            board: self.board.clone(),
            confirmations: self.confirmations.clone(),
        }
    }

    /// Starts to look at everything again and again; what was seen last is in what comes back.
    ///
    /// # Errors
    /// When there is no thread for it. That the log does not answer is none: what is only seen ends no service.
    pub(crate) fn observe(&mut self, tools: Tools, every: Duration) -> Result<Seen> {
        let mut observer = Observer::new(tools, self.freshness.clone(), self.instances.clone());
        let seen = observer.seen();
        let (tell, looked) = bounded(1);
        let (over, observed) = bounded(1);
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("observer".to_owned()).spawn(move || {
            while !shared.stopping() {
                // A log that cannot be read stops the services, which say so; until then the last look stays.
                let seen_well = observer.look(SystemClock.now_ms()).is_ok();
                tell.try_send(()).ok();
                // Brokers may need a moment for topics that were just made.
                shared.sleep(if seen_well { every } else { every.min(LOOK_AGAIN) });
            }
            over.try_send(()).ok();
        })?;
        self.observed = Some(observed);
        // So that there is something to see from the beginning, where the log answers.
        looked.recv_timeout(FIRST_LOOK).ok();
        Ok(seen)
    }

    /// Says whether the view has everything that was in the log when it started.
    pub(crate) fn caught_up(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.caught_up.load(Ordering::Acquire)
    }

    /// Starts one Transform; of the other kinds there is nothing to start here.
    fn start_worker(&mut self, service: &str, wiring: &Wiring) -> Result<()> {
        let Some((service, make)) = transform(service, wiring) else { return Ok(()) };
        let parts = WorkerParts {
            flow: &self.flow,
            service,
            make,
            clock: Arc::new(SystemClock),
            board: self.board.clone(),
        };
        let worker = Worker::join(&*self.bus, parts)?;
        self.spawn(service, move |shared| run_worker(worker, service, shared))
    }

    fn start_sources(&mut self, wiring: &Wiring) -> Result<()> {
        let mut runner = SourceRunner::join(
            self.bus(),
            &self.flow,
            INGEST,
            Arc::new(SystemClock),
            self.board.clone(),
        )?;
        for (config, plan) in wiring.feeds.clone() {
            let confirmations = self.confirmations.clone();
            let name = config.name.clone();
            runner.add_lane(
                &name,
                Box::new(move || {
                    Box::new(ingest::Feed::new(config.clone(), plan.clone(), confirmations.clone()))
                }),
            );
        }
        if let Some(live) = self.live.clone() {
            runner.watched_by(move || live.subscribers() > 0);
        }
        let bus = self.bus();
        self.spawn(INGEST, move |shared| run_sources(runner, &*bus, shared))
    }

    /// Whether every source said that it is done (or is held), and everything read is in the views.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn finished(&self) -> Result<bool> {
        if !self.shared.sources_done.load(Ordering::Acquire) {
            return Ok(false);
        }
        Ok(self.bus.backlog()?.iter().all(|b| b.records == 0))
    }

    /// Feeds that could not be read to their end.
    #[must_use]
    pub(crate) fn held_feeds(&self) -> Vec<String> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether every source said that it is done (or is held), and what it read is committed.
    #[must_use]
    pub(crate) fn sources_done(&self) -> bool {
        self.shared.sources_done.load(Ordering::Acquire)
    }

    /// The first error that ends the process, if there was one.
    #[must_use]
    pub(crate) fn fatal(&self) -> Option<String> {
        self.shared.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops everything in order and closes the log.
    ///
    /// # Errors
    /// The first fatal error, or what the last sync said.
    pub(crate) fn stop(self) -> Result<()> {
        self.shared.stop();
        for thread in self.threads {
            drop(thread.join());
        }
        if let Some(observed) = self.observed {
            // Whoever only looks may wait for an answer; nobody waits for that.
            observed.recv_timeout(LAST_LOOK).ok();
        }
        let fatal = self.shared.fatal.lock().unwrap_or_else(PoisonError::into_inner).take();
        let closed = self.bus.close();
        if let Some(fatal) = fatal {
            bail!("{fatal}");
        }
        Ok(closed?)
    }
}

/// Tells this process from the ones before it, and from others on the same log; never 0, which is nobody.
fn instance() -> u32 {
    let (pid, now) = (u64::from(std::process::id()), SystemClock.now_ms().unsigned_abs());
    let mixed = (now ^ (pid << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from(mixed >> 32).unwrap_or(1).max(1)
}

/// How a Transform is made; `None` for the other kinds.
fn transform(service: &str, wiring: &Wiring) -> Option<(&'static str, MakeTransform)> {
    match service {
        NORMALIZE => {
            let (packs, places) = (Arc::clone(&wiring.packs), wiring.places.clone());
            let make = move || -> Box<dyn Transform> {
                Box::new(normalize::Normalize::new(Arc::clone(&packs), places.clone()))
            };
            Some((NORMALIZE, Box::new(make)))
        }
        TRACK => Some((TRACK, Box::new(|| Box::new(track::Track)))),
        _ => None,
    }
}
