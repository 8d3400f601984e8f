//! Everything in one process on the embedded bus: one thread for each instance of a service.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dataflow::bus::{Bus, BusError};
use dataflow::source::{Round, SourceRunner};
use dataflow::view::{Start, ViewRunner};
use dataflow::worker::{Worker, WorkerParts};
use dataflow::{Board, Clock, Flow, SystemClock, Transform};
use gateway::ListingView;
use ingest::Confirmations;

use crate::flow::{GATEWAY, INGEST, NORMALIZE, TRACK};
use crate::log::Log;
use crate::observe::{self, Freshness, Observer, Seen, Timed};
use crate::tools::Tools;
use crate::wiring::Wiring;

/// How long a thread waits when there is nothing to do; bounds how long a stop takes.
const WAIT: Duration = Duration::from_millis(50);
/// Rounds that a stopping worker may take to give its partitions up.
const SHUT_DOWN_ROUNDS: u32 = 100;
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
    /// The served read model, until it is taken to be served.
    pub(crate) model: gateway::Model,
    /// Held deletes, and the word that they are right.
    pub(crate) confirmations: Confirmations,
    /// How old records are when they can be seen.
    freshness: Freshness,
    instances: BTreeMap<String, u32>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Told when `stop` is set; for threads that sleep longer than [`WAIT`].
    stopped: Condvar,
    sleep: Mutex<()>,
    caught_up: AtomicBool,
    sources_done: AtomicBool,
    fatal: Mutex<Option<String>>,
    held: Mutex<Vec<String>>,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The first fatal error counts; it stops everything.
    fn fail(&self, service: &str, error: &BusError) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert_with(|| format!("{service}: {error}"));
        self.stop();
    }

    fn stop(&self) {
        let _held = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.store(true, Ordering::Release);
        self.stopped.notify_all();
    }

    /// Returns after `pause`, or at once when everything is to stop.
    fn sleep(&self, pause: Duration) {
        let held = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.stopped.wait_timeout_while(held, pause, |()| !self.stopping()));
    }
}

impl Engine {
    /// Starts all services on a log that is open, so that this process holds the folder.
    ///
    /// # Errors
    /// What is in the way, with what to do.
    pub(crate) fn start_on(bus: Arc<dyn Log>, dir: &Path, wiring: &Wiring) -> Result<Self> {
        let flow = Arc::new(crate::flow::table());
        let view = ListingView::open(&dir.join(VIEWS), wiring.display.clone())?;
        let model = view.model();
        let mut engine = Self {
            model,
            bus,
            flow,
            board: Board::default(),
            confirmations: Confirmations::default(),
            freshness: Freshness::default(),
            instances: BTreeMap::new(),
            shared: Arc::default(),
            threads: Vec::new(),
        };
        engine.start_view(view)?;
        engine.start_workers(wiring)?;
        engine.start_sources(wiring)?;
        for service in [INGEST, GATEWAY] {
            engine.instances.insert(service.to_owned(), 1);
        }
        Ok(engine)
    }

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::<dyn Log>::clone(&self.bus)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(&Shared) + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        self.threads.push(thread.with_context(|| format!("cannot start a thread for {name}"))?);
        Ok(())
    }

    fn start_view(&mut self, view: ListingView) -> Result<()> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let view = Timed::new(Box::new(view), Arc::clone(&clock), self.freshness.clone());
        let (runner, start) =
            ViewRunner::open(self.bus(), &self.flow, GATEWAY, clock, Box::new(view))?;
        if let Start::Rebuilt(why) = start {
            eprintln!("the read model is rebuilt from the log: {why}");
        }
        self.spawn(GATEWAY, move |shared| {
            if let Err(error) = run_view(runner, shared) {
                shared.fail(GATEWAY, &error);
            }
        })
    }

    /// Starts to look at everything once a second; what was seen last is in what comes back.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(crate) fn observe(&mut self, tools: Tools) -> Result<Seen> {
        let mut observer = Observer::new(tools, self.freshness.clone(), self.instances.clone());
        let seen = observer.seen();
        // So that there is something to see from the beginning.
        observer.look(SystemClock.now_ms())?;
        self.spawn("observer", move |shared| {
            while !shared.stopping() {
                shared.sleep(observe::LOOK);
                // A log that cannot be read stops the services, which say so; until then the last look stays.
                drop(observer.look(SystemClock.now_ms()));
            }
        })?;
        Ok(seen)
    }

    /// Says whether the view has everything that was in the log when it started.
    pub(crate) fn caught_up(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.caught_up.load(Ordering::Acquire)
    }

    fn start_workers(&mut self, wiring: &Wiring) -> Result<()> {
        let (packs, places) = (Arc::clone(&wiring.packs), wiring.places.clone());
        let make_normalize = move || {
            Box::new(normalize::Normalize::new(Arc::clone(&packs), places.clone()))
                as Box<dyn Transform>
        };
        let make_normalize: Arc<dyn Fn() -> Box<dyn Transform> + Send + Sync> =
            Arc::new(make_normalize);
        let make_track: Arc<dyn Fn() -> Box<dyn Transform> + Send + Sync> =
            Arc::new(|| Box::new(track::Track));
        for (service, make) in [(NORMALIZE, make_normalize), (TRACK, make_track)] {
            let parts = WorkerParts {
                flow: &self.flow,
                service,
                make: Box::new(move || make()),
                clock: Arc::new(SystemClock),
                board: self.board.clone(),
            };
            let worker = Worker::join(&*self.bus, parts)?;
            self.spawn(service, move |shared| run_worker(worker, service, shared))?;
            *self.instances.entry(service.to_owned()).or_default() += 1;
        }
        Ok(())
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
        let fatal = self.shared.fatal.lock().unwrap_or_else(PoisonError::into_inner).take();
        let closed = self.bus.close();
        if let Some(fatal) = fatal {
            bail!("{fatal}");
        }
        Ok(closed?)
    }
}

fn run_view(mut runner: ViewRunner, shared: &Shared) -> Result<(), BusError> {
    let ends = runner.ends()?;
    while !shared.stopping() {
        if !shared.caught_up.load(Ordering::Relaxed) && runner.has_reached(&ends) {
            shared.caught_up.store(true, Ordering::Release);
        }
        runner.step(WAIT)?;
    }
    Ok(())
}

fn run_worker(mut worker: Worker, service: &str, shared: &Shared) {
    while !shared.stopping() {
        if let Err(error) = worker.step(WAIT) {
            shared.fail(service, &error);
            return;
        }
    }
    for _ in 0..SHUT_DOWN_ROUNDS {
        match worker.shut_down(Duration::from_millis(10)) {
            Ok(false) => {}
            Ok(true) | Err(_) => return,
        }
    }
}

fn run_sources(mut runner: SourceRunner, bus: &dyn Bus, shared: &Shared) {
    while !shared.stopping() {
        let seen = bus.wait(0, Duration::ZERO);
        match runner.step(WAIT) {
            Ok(Round::Busy) => shared.sources_done.store(false, Ordering::Release),
            // Whatever moves the stages behind also appends; so this wait ends when pacing may have.
            Ok(Round::Paced) => drop(bus.wait(seen, Duration::from_millis(5))),
            Ok(Round::Idle(wait_ms)) => {
                note_held(&runner, shared);
                bus.wait(seen, Duration::from_millis(wait_ms).min(WAIT));
            }
            Ok(Round::Done) => {
                note_held(&runner, shared);
                bus.wait(seen, WAIT);
            }
            Err(error) => shared.fail(INGEST, &error),
        }
    }
}

/// A held lane is tried again now and then; for a one-shot load it counts as over.
fn note_held(runner: &SourceRunner, shared: &Shared) {
    *shared.held.lock().unwrap_or_else(PoisonError::into_inner) = runner.held();
    shared.sources_done.store(runner.is_over(), Ordering::Release);
}
