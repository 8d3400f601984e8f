//! When a process ends, and what it says until then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;

/// Time between two looks at whether something is wrong.
const LOOK: Duration = Duration::from_millis(250);

/// Ends when the operator says so, or when a service cannot go on. Prints each condition once.
pub(crate) async fn until_over(engine: Arc<Engine>) {
    let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    else {
        return;
    };
    let mut look = tokio::time::interval(LOOK);
    let mut said = HashSet::new();
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

fn say_news(engine: &Engine, said: &mut HashSet<String>) {
    let held = engine.confirmations.held().into_iter().map(|h| h.to_string());
    let board = engine
        .board
        .conditions()
        .into_iter()
        .chain(engine.confirmations.notices())
        .map(|(place, text)| format!("{place}: {text}"));
    let now: HashSet<String> = board.chain(engine.bus.conditions()).chain(held).collect();
    for text in now.difference(said) {
        eprintln!("{text}");
    }
    *said = now;
}
