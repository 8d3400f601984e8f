//! What the gateway is given, so that an operator can see and steer the flow over HTTP.

use std::sync::Arc;

use anyhow::{Context, Result};
use dataflow::SystemClock;
use gateway::{Commands, Explain, Gateway, Operation, Redrive};
use serde_json::Value;

use crate::engine::Engine;
use crate::flow::GATEWAY;
use crate::observe::Seen;
use crate::tools::{Request, Tools, explain as explain_listing};

/// The server of an engine that keeps the read model.
///
/// # Errors
/// When it keeps none.
pub(crate) fn gateway(engine: &Engine, tools: Tools, seen: Seen) -> Result<Gateway> {
    let model = engine.model.clone().context("this process keeps no read model: this is a bug")?;
    let live = engine.live.clone().context("this process keeps no changes: this is a bug")?;
    let commands = Commands::new(engine.bus(), &engine.flow, GATEWAY, Arc::new(SystemClock))?;
    Ok(Gateway::new(model, explain(tools.clone()))
        .with_live(live)
        .with_commands(commands)
        .ready_when(engine.caught_up())
        .operated_by(operation(tools, seen)))
}

/// Tells where a listing comes from.
fn explain(tools: Tools) -> Explain {
    Arc::new(move |key| in_words(explain_listing(&*tools.bus, &tools.flow, key)))
}

/// Tells how the flow does, and sends dead letters back.
fn operation(tools: Tools, seen: Seen) -> Operation {
    let lister = tools.clone();
    Operation {
        flow: seen.on_request(),
        dead_letters: Arc::new(move |service, limit| {
            let service = service.map(str::to_owned);
            in_words(lister.answer(&Request::DeadLetters { service, limit }))
        }),
        redrive: Arc::new(move |wanted: &Redrive| {
            let (ids, service) = (wanted.positions.clone(), wanted.service.clone());
            in_words(tools.answer(&Request::Redrive { ids, service }))
        }),
    }
}

fn in_words(result: Result<Value>) -> Result<Value, String> {
    result.map_err(|error| format!("{error:#}"))
}
