//! `run`: one service as a process of its own, on Kafka.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bus_kafka::KafkaConfig;
use dataflow::Board;
use gateway::Health;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::Run;
use crate::engine::Engine;
use crate::flow::{GATEWAY, INGEST, TRACK};
use crate::observe::Seen;
use crate::tools::Tools;
use crate::wiring::{Reading, Wiring};
use crate::{ending, log, observe, operate, print, socket, tokens};

/// Time between two looks for new files.
const WATCH_MS: u64 = 500;
/// A process that is told to stop is gone after this time: supervisors wait ten seconds.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// Services are started together with the brokers, and before them: they wait this long.
const BROKERS_WITHIN: Duration = Duration::from_secs(300);
/// Time between two looks at the flow in a process that only tells Prometheus.
const LOOK_FOR_METRICS: Duration = Duration::from_secs(5);
/// Time between two looks at whether a one-shot load is over.
const LOOK: Duration = Duration::from_millis(100);

/// Runs until it is told to stop, or with `--once` until the feeds are read.
///
/// # Errors
/// What is in the way, or what ended it, with what to do.
pub(crate) fn run(args: &Run) -> Result<ExitCode> {
    let config = args.kafka.config()?;
    let threads = if args.service == GATEWAY { 2 } else { 1 };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let ended = runtime.block_on(serve(args, config));
    // A request that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(args: &Run, config: KafkaConfig) -> Result<ExitCode> {
    let health = listen(args.health, "--health").await?;
    let page = match args.service.as_str() {
        GATEWAY => Some(listen(args.listen, "--listen").await?),
        _ => None,
    };
    let access = tokens::access(args.tokens.as_deref())?;
    if page.is_some() {
        tokens::check_address(args.listen, &access)?;
    }
    let (mut engine, tools) = start(args, &config)?;
    // What a look costs is asked of the brokers: only the page needs it each second.
    let every = if page.is_some() { observe::LOOK } else { LOOK_FOR_METRICS };
    let seen = engine.observe(tools.clone(), every)?;
    print::say(&format!(
        "{} works on Kafka at {}; /livez, /readyz and /metrics at http://{}",
        args.service,
        config.brokers,
        health.local_addr()?
    ));
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        drop(stopped.wait_for(|stop| *stop).await);
    };
    let mut servers = JoinSet::new();
    let ready = readiness(&engine, args.service == GATEWAY, seen.clone());
    let answers = Health { flow: seen.clone().on_request(), ready };
    servers.spawn(gateway::serve_health(health, answers, until(stopped.clone())));
    if let Some(listener) = page {
        print::say(&format!("conveyance is at http://{}", listener.local_addr()?));
        let gateway = operate::gateway(&engine, tools, seen)?.with_access(access);
        servers.spawn(gateway::serve(listener, gateway, until(stopped)));
    }
    let engine = Arc::new(engine);
    over(Arc::clone(&engine), args.once).await;
    stop.send_replace(true);
    let held = engine.held_feeds();
    let engine = Arc::into_inner(engine).context("someone holds the services: this is a bug")?;
    stop_in_time(engine)?;
    while let Some(ended) = servers.join_next().await {
        ended.context("a server panicked: this is a bug")?.context("an HTTP server ended")?;
    }
    print::say("stopped; what was under way is done, or will be done again by whoever comes next");
    match held.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        _ if !args.once => Ok(ExitCode::SUCCESS),
        held => bail!("not read to the end: {}", held.join(", ")),
    }
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is it taken? {flag} names another address")
    })
}

/// Starts the service, with the tools on it.
fn start(args: &Run, config: &KafkaConfig) -> Result<(Engine, Tools)> {
    let wiring = wiring(args)?;
    let board = Board::default();
    let bus = log::await_kafka(config, &crate::flow::table(), &board, BROKERS_WITHIN)?;
    let dir = folder(&args.service, config);
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make {}: --state names another folder", dir.display()))?;
    let engine = Engine::start(bus, board, &[args.service.as_str()], (&dir, &wiring))?;
    let tools = engine.tools(&dir);
    if args.service == INGEST {
        // Large deletes are confirmed here; the others have nothing that only they know.
        socket::serve(tools.clone())?;
    }
    Ok((engine, tools))
}

/// Where a service keeps what is its own: the read model, the socket.
#[must_use]
pub(crate) fn folder(service: &str, config: &KafkaConfig) -> PathBuf {
    let slot = config.slot.map(|slot| format!("-{slot}")).unwrap_or_default();
    config.state_dir.join(format!("{}{service}{slot}-own", config.prefix))
}

fn wiring(args: &Run) -> Result<Wiring> {
    if args.service == TRACK {
        return Ok(Wiring::none());
    }
    let feeds = args.feeds.as_ref().with_context(|| {
        format!("`{}` needs to know the feeds: --feeds feeds.toml", args.service)
    })?;
    let reading = match (args.service.as_str(), args.once) {
        (INGEST, true) => Reading::Once,
        (INGEST, false) => Reading::Watch(WATCH_MS),
        _ => Reading::Elsewhere,
    };
    Wiring::read(feeds, &args.input, reading)
}

/// Ready is who saw Kafka a moment ago, and whose read model, if there is one, has caught up.
fn readiness(engine: &Engine, is_view: bool, seen: Seen) -> Arc<dyn Fn() -> bool + Send + Sync> {
    let caught_up = engine.caught_up();
    Arc::new(move || seen.is_fresh() && (!is_view || caught_up()))
}

/// Ends when the process is to end.
async fn over(engine: Arc<Engine>, once: bool) {
    let done = async {
        let mut look = tokio::time::interval(LOOK);
        while !(once && engine.sources_done()) {
            look.tick().await;
        }
    };
    tokio::select! {
        () = ending::until_over(Arc::clone(&engine)) => {}
        () = done => {}
    }
}

/// Whoever takes too long is left: what it did not commit will be done again by another.
fn stop_in_time(engine: Engine) -> Result<()> {
    let (done, ended) = std::sync::mpsc::sync_channel(1);
    let stop = move || drop(done.send(engine.stop()));
    std::thread::Builder::new().name("stop".to_owned()).spawn(stop)?;
    match ended.recv_timeout(STOP_WITHIN) {
        Ok(result) => result,
        Err(_) => bail!(
            "it did not stop within {} s and was left: what was not committed will be done again",
            STOP_WITHIN.as_secs()
        ),
    }
}
