//! What the gateway is given, so that an operator can see and steer the flow over HTTP.

use std::sync::Arc;

use anyhow::Result;
use gateway::{Explain, Operation, Redrive};
use serde_json::Value;

use crate::observe::Seen;
use crate::tools::{Request, Tools, explain as explain_listing};

/// Tells where a listing comes from.
#[must_use]
pub(crate) fn explain(tools: Tools) -> Explain {
    Arc::new(move |key| in_words(explain_listing(&*tools.bus, &tools.flow, key)))
}

/// Tells how the flow does, and sends dead letters back.
#[must_use]
pub(crate) fn operation(tools: Tools, seen: Seen) -> Operation {
    let lister = tools.clone();
    Operation {
        flow: Arc::new(move || seen.last()),
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
