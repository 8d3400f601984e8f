//! `/changes?since=`: what a stream would have said, as plain pages.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::changes::catch_up::{Gap, latest, plan};
use crate::changes::hub::Hub;
use crate::changes::request::Start;
use crate::changes::round::Round;
use crate::changes::watch::{Sight, Watch};
use crate::position;

/// Entries of the ring looked through for one page.
const ENTRIES: usize = 8_192;

struct Page {
    events: Vec<Value>,
    position: String,
    more: bool,
}

/// Answers with the changes after a position.
pub(crate) async fn page(hub: &Arc<Hub>, watch: &Watch, from: Start, limit: usize) -> Response {
    let found = match &from {
        Start::Now | Start::Unknown => Err(Gap("the position is not one of this program's")),
        Start::At(from) => read(hub, watch, from, limit).await,
    };
    match (found, from) {
        (Ok(page), Start::At(from)) => {
            let began = position::text(from.epoch, from.instance, from.next.iter().copied());
            let body = json!({"from": began, "position": page.position, "more": page.more, "events": page.events});
            ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
        }
        (Ok(_), _) => gap(hub, Gap("the position is not one of this program's")),
        (Err(reason), _) => gap(hub, reason),
    }
}

fn gap(hub: &Hub, Gap(reason): Gap) -> Response {
    let message = format!("{reason}: fetch the listings again, then go on from `position`");
    let body =
        json!({"error": {"code": "gap", "message": message}, "position": &*hub.standing().text});
    (StatusCode::GONE, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

async fn read(
    hub: &Arc<Hub>,
    watch: &Watch,
    from: &position::Position,
    limit: usize,
) -> Result<Page, Gap> {
    let plan = plan(hub, from).await?;
    let standing = hub.standing();
    let mut page = Page { events: Vec::new(), position: standing.text.to_string(), more: false };
    if let Some((round, _permit)) = &plan.old {
        let rounds = [Arc::clone(round)];
        let found = latest(hub, &rounds, (0, 0), (watch, None, false))?;
        if page.take(hub, &rounds, &found, (limit, Some(&*plan.seen))) {
            return Ok(page);
        }
    }
    let inexact = (!plan.exact).then_some(&*plan.seen);
    let mut next = plan.first;
    while next <= standing.last {
        let rounds =
            hub.rounds(next, standing.last, ENTRIES).ok_or(Gap("too much has changed since"))?;
        let Some(last) = rounds.last() else { break };
        next = last.number + 1;
        let found = latest(hub, &rounds, (0, 0), (watch, Some(&plan.seen), plan.exact))?;
        if page.take(hub, &rounds, &found, (limit, inexact)) {
            break;
        }
    }
    Ok(page)
}

impl Page {
    /// Takes what fits. Returns whether the page is full; its position is then behind its last event.
    fn take(
        &mut self,
        hub: &Hub,
        rounds: &[Arc<Round>],
        found: &[(usize, usize, Sight)],
        (limit, inexact): (usize, Option<&[u64]>),
    ) -> bool {
        for (place, at, sight) in found {
            let Some(round) = rounds.get(*place) else { continue };
            if self.events.len() == limit {
                self.more = true;
                return true;
            }
            if let Some(event) = event(hub, round, *at, *sight) {
                self.events.push(event);
                if self.events.len() == limit {
                    self.position = match inexact {
                        None => hub.maker.position(round, *at),
                        Some(seen) => hub.maker.inexact_position(round, *at, seen),
                    };
                }
            }
        }
        self.more = self.events.len() == limit;
        self.more
    }
}

fn event(hub: &Hub, round: &Round, at: usize, sight: Sight) -> Option<Value> {
    let frame = hub.maker.frame(round, at, sight)?;
    let mut event = json!({"type": frame.name});
    if let (Some(event), Ok(Value::Object(data))) =
        (event.as_object_mut(), serde_json::from_slice(frame.json()))
    {
        event.extend(data);
    }
    Some(event)
}
