//! `/changes`: opens streams, answers pages.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::changes::catch_up::{Gap, Plan, plan};
use crate::changes::frames::opening;
use crate::changes::hub::{Hub, Standing};
use crate::changes::pages;
use crate::changes::request::{ChangesRequest, Start, changes_request};
use crate::changes::stream::Stream;
use crate::changes::watch::Watch;
use crate::position;
use crate::query::Refusal;

/// Clients come back after between one and this many milliseconds, so that all of them do not come at once.
const RETRY_MS: std::ops::Range<u64> = 500..2_000;

/// Answers a request for changes.
pub(crate) async fn changes(hub: Arc<Hub>, query: &str, headers: &HeaderMap) -> Response {
    match changes_request(query, headers) {
        Ok(ChangesRequest { watch, from, limit: Some(limit) }) => {
            pages::page(&hub, &watch, from, limit).await
        }
        Ok(ChangesRequest { watch, from, limit: None }) => open(hub, watch, from).await,
        Err(refusal) => refusal.into_response(),
    }
}

pub(crate) fn full() -> Refusal {
    Refusal::new(
        503,
        "too_many_subscribers",
        "too many streams are open: close some, or try again later",
    )
}

async fn open(hub: Arc<Hub>, watch: Watch, from: Start) -> Response {
    let gap = match from {
        Start::Now => return begin(hub, watch, None),
        Start::Unknown => Gap("the position is not one of this program's"),
        Start::At(from) => match plan(&hub, &from).await {
            Ok(plan) => return resume(hub, watch, &from, plan),
            Err(gap) => gap,
        },
    };
    begin(hub, watch, Some(gap))
}

fn resume(hub: Arc<Hub>, watch: Watch, from: &position::Position, plan: Plan) -> Response {
    let Some((seat, standing)) = hub.arm(watch) else { return full().into_response() };
    // The ring went on while the seat was taken.
    if hub.ring_start().is_none_or(|(number, _)| number > plan.first) && plan.first <= standing.last
    {
        let first = begins("gap", &standing, Some(Gap("too much has changed since")));
        return events(Stream::live(hub, seat, first));
    }
    let began = position::text(from.epoch, from.instance, from.next.iter().copied());
    let data = json!({"from": began, "position": &*standing.text});
    // No id: what it has to catch up with was not sent yet.
    let first = format!("{}event: resumed\ndata: {data}\n\n", preface(&standing));
    events(Stream::resumed(hub, seat, (first, plan), standing.last))
}

fn begin(hub: Arc<Hub>, watch: Watch, gap: Option<Gap>) -> Response {
    let Some((seat, standing)) = hub.arm(watch) else { return full().into_response() };
    let name = if gap.is_some() { "gap" } else { "live" };
    let first = begins(name, &standing, gap);
    events(Stream::live(hub, seat, first))
}

fn begins(name: &'static str, standing: &Standing, gap: Option<Gap>) -> String {
    let event = opening(name, standing, gap);
    format!("{}{}", preface(standing), String::from_utf8_lossy(&event.bytes))
}

fn preface(standing: &Standing) -> String {
    let spread = RETRY_MS.end - RETRY_MS.start;
    let salt = Arc::as_ptr(&standing.text).cast::<u8>() as usize as u64;
    let jitter = xxhash_rust::xxh3::xxh3_64(&(salt ^ standing.last).to_le_bytes()) % spread;
    format!(": conveyance changes\nretry: {}\n\n", RETRY_MS.start + jitter)
}

fn events(stream: Stream) -> Response {
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
