//! `up`: everything in one process, and the page.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use gateway::Gateway;
use tokio::net::TcpListener;

use crate::cli::Up;
use crate::engine::Engine;
use crate::load::tools_of;
use crate::wiring::{Reading, Wiring};
use crate::{demo, log, operate, print, socket};

/// Time between two looks for new files.
const WATCH_MS: u64 = 500;
/// Time between two looks at whether something is wrong.
const LOOK: Duration = Duration::from_millis(250);

/// Runs until it is told to stop.
///
/// # Errors
/// What is in the way, or what ended it, with what to do.
pub(crate) fn up(args: &Up) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(args))
}

async fn run(args: &Up) -> Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another conveyance running? --listen names another address",
            args.listen
        )
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    // First of all: whoever holds the log may write into the folder.
    let bus = log::open(&args.data, &crate::flow::table())?;
    let (feeds, input) = feeds_of(args, &stop)?;
    let wiring = Wiring::read(&feeds, &input, Reading::Watch(WATCH_MS))?;
    let mut engine = Engine::start_on(bus, &args.data, &wiring)?;
    let tools = tools_of(&engine, &args.data);
    socket::serve(tools.clone())?;
    let seen = engine.observe(tools.clone())?;
    let gateway = Gateway::new(engine.model.clone(), operate::explain(tools.clone()))
        .ready_when(engine.caught_up())
        .operated_by(operate::operation(tools, seen));
    print::say(&format!("conveyance is at http://{}", listener.local_addr()?));
    print::say(&format!(
        "data in {}; stop with Ctrl-C; `conveyance lag --data {0}` shows what waits",
        args.data.display()
    ));
    let engine = Arc::new(engine);
    let ended = gateway::serve(listener, gateway, until_over(Arc::clone(&engine))).await;
    stop.store(true, Ordering::Release);
    let engine =
        Arc::into_inner(engine).context("the server still holds the services: this is a bug")?;
    engine.stop()?;
    ended.context("the HTTP server ended")?;
    print::say("stopped; everything that was answered for is on disk");
    Ok(())
}

fn feeds_of(args: &Up, stop: &Arc<AtomicBool>) -> Result<(PathBuf, PathBuf)> {
    match &args.feeds {
        Some(feeds) => Ok((feeds.clone(), args.input.clone())),
        None => {
            let folder = args.data.join("demo-feed");
            Ok((demo::start(&folder, args.listings, args.rate, stop)?, folder))
        }
    }
}

/// Ends when the operator says so, or when a service cannot go on. Prints each condition once.
async fn until_over(engine: Arc<Engine>) {
    let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    else {
        return;
    };
    let mut look = tokio::time::interval(LOOK);
    let mut said = std::collections::HashSet::new();
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return,
            _ = terminate.recv() => return,
            _ = look.tick() => {
                if engine.fatal().is_some() {
                    return;
                }
                say_news(&engine, &mut said);
            }
        }
    }
}

fn say_news(engine: &Engine, said: &mut std::collections::HashSet<String>) {
    let held = engine.confirmations.held().into_iter().map(|h| h.to_string());
    let board = engine
        .board
        .conditions()
        .into_iter()
        .chain(engine.confirmations.notices())
        .map(|(place, text)| format!("{place}: {text}"));
    let now: std::collections::HashSet<String> =
        board.chain(engine.bus.conditions()).chain(held).collect();
    for text in now.difference(said) {
        eprintln!("{text}");
    }
    *said = now;
}
