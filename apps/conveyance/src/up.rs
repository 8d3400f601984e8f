//! `up`: everything in one process, and the page.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::cli::Up;
use crate::engine::Engine;
use crate::wiring::{Reading, Wiring};
use crate::{demo, ending, log, observe, operate, print, socket, tokens};

/// Time between two looks for new files.
const WATCH_MS: u64 = 500;

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
    let access = tokens::access(args.tokens.as_deref())?;
    tokens::check_address(args.listen, &access)?;
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
    let tools = engine.tools(&args.data);
    socket::serve(tools.clone())?;
    let seen = engine.observe(tools.clone(), observe::LOOK)?;
    let gateway = operate::gateway(&engine, tools, seen)?.with_access(access);
    print::say(&format!("conveyance is at http://{}", listener.local_addr()?));
    print::say(&format!(
        "data in {}; stop with Ctrl-C; `conveyance lag --data {0}` shows what waits",
        args.data.display()
    ));
    let engine = Arc::new(engine);
    let ended = gateway::serve(listener, gateway, ending::until_over(Arc::clone(&engine))).await;
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
