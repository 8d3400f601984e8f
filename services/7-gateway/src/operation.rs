//! What an operator sees and steers over HTTP: `/flow/state`, `/metrics`, `/livez`, `/readyz`, dead letters.
//!
//! The gateway does not know the log: the program gives it functions.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::access::same_site;
use crate::flow_state::FlowState;
use crate::http::{Gateway, is_json, unhurried};
use crate::live::Live;
use crate::metrics::{self, Served};
use crate::operator;
use crate::query::{QUERY_BYTES_MAX, Refusal};
use crate::serve::serve_router;

/// Most dead letters listed at a time, and most named in one request to send them back.
const LETTERS_MAX: usize = 1000;
/// Dead letters listed when nobody says how many.
const LETTERS: usize = 20;
/// Longest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The flow as it is now.
pub(crate) type Flow = Arc<dyn Fn() -> Arc<FlowState> + Send + Sync>;
/// Lists dead letters: of one service or of all, at most so many.
pub(crate) type DeadLetters =
    Arc<dyn Fn(Option<&str>, usize) -> Result<Value, String> + Send + Sync>;
/// Sends dead letters back; see [`Redrive`].
pub(crate) type SendBack = Arc<dyn Fn(&Redrive) -> Result<Value, String> + Send + Sync>;

/// What the program knows and the gateway tells.
#[derive(Clone)]
pub struct Operation {
    /// The flow as it is now.
    pub flow: Flow,
    /// Dead letters.
    pub dead_letters: DeadLetters,
    /// Sends them back.
    pub redrive: SendBack,
}

/// Which dead letters to send back to the service that refused them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// Only of this service.
    pub service: Option<String>,
    /// As listed: `service/partition/offset`.
    #[serde(default)]
    pub positions: Vec<String>,
    /// All that were not sent back yet.
    #[serde(default)]
    pub all: bool,
}

/// All addresses of this file.
pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/flow/state", get(flow_state))
        .route("/metrics", get(own_metrics))
        .route("/dead-letters", get(list))
        .route("/dead-letters/redrive", post(redrive))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
}

async fn alive() -> &'static str {
    "ok"
}

async fn ready(State(gateway): State<Gateway>) -> Response {
    ready_or_not((gateway.ready)())
}

fn ready_or_not(ready: bool) -> Response {
    if ready {
        return "ok".into_response();
    }
    Refusal::new(503, "not_ready", "it is still catching up: try again in a second").into_response()
}

fn operation(gateway: &Gateway) -> Result<&Operation, Refusal> {
    gateway.operation.as_ref().ok_or_else(|| {
        Refusal::new(
            404,
            "not_operated",
            "this server only serves a read model: ask where the services run",
        )
    })
}

async fn flow_state(State(gateway): State<Gateway>) -> Result<Response, Refusal> {
    let state = (operation(&gateway)?.flow)();
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(&*state)).into_response())
}

/// Figures are for the operator; others scrape the address that the program opens for them.
async fn own_metrics(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    operator::check(&request)?;
    let state = (operation(&gateway)?.flow)();
    let served = Served {
        requests: gateway.busy(),
        subscribers: gateway.live.as_ref().map(Live::subscribers),
    };
    Ok(metrics_page(metrics::text(&state, Some(&served))))
}

fn metrics_page(text: String) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn list(
    State(gateway): State<Gateway>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refusal> {
    operator::check(&request)?;
    let dead_letters = Arc::clone(&operation(&gateway)?.dead_letters);
    let (service, limit) = list_request(&query.unwrap_or_default())?;
    let list = move || dead_letters(service.as_deref(), limit);
    Ok(unhurried(gateway, move || list().map_err(refused)).await)
}

/// What the program said no to: an unknown service or id, mostly.
fn refused(message: String) -> Refusal {
    Refusal::new(400, "refused", message)
}

fn list_request(query: &str) -> Result<(Option<String>, usize), Refusal> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(Refusal::new(
            414,
            "query_too_long",
            format!("at most {QUERY_BYTES_MAX} bytes"),
        ));
    }
    let (mut service, mut limit) = (None, LETTERS);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "service" => service = Some(value.into_owned()),
            "limit" => {
                limit = value.parse().ok().filter(|n| (1..=LETTERS_MAX).contains(n)).ok_or_else(
                    || {
                        Refusal::new(
                            400,
                            "bad_limit",
                            format!("limit is a number from 1 to {LETTERS_MAX}"),
                        )
                    },
                )?;
            }
            other => {
                let message = format!("no parameter `{other}`: there are service and limit");
                return Err(Refusal::new(400, "unknown_parameter", message));
            }
        }
    }
    Ok((service, limit))
}

async fn redrive(State(gateway): State<Gateway>, request: Request) -> Result<Response, Refusal> {
    operator::check(&request)?;
    same_site(request.headers())?;
    is_json(request.headers())?;
    let send_back = Arc::clone(&operation(&gateway)?.redrive);
    let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| {
        Refusal::new(413, "body_too_long", format!("at most {BODY_BYTES_MAX} bytes"))
    })?;
    let wanted = redrive_request(&bytes)?;
    Ok(unhurried(gateway, move || send_back(&wanted).map_err(refused)).await)
}

fn redrive_request(bytes: &[u8]) -> Result<Redrive, Refusal> {
    let wanted: Redrive = serde_json::from_slice(bytes).map_err(|error| {
        let message = format!(
            "{error}: send {{\"positions\": [\"service/partition/offset\"]}} or {{\"all\": true}}"
        );
        Refusal::new(400, "bad_body", message)
    })?;
    if wanted.all != wanted.positions.is_empty() {
        let message = "name dead letters in `positions`, or say `\"all\": true`, not both";
        return Err(Refusal::new(400, "bad_body", message));
    }
    if wanted.positions.len() > LETTERS_MAX {
        let message = format!("at most {LETTERS_MAX} positions at a time");
        return Err(Refusal::new(400, "too_many", message));
    }
    Ok(wanted)
}

/// What a process without the page tells its supervisor and Prometheus.
#[derive(Clone)]
pub struct Health {
    /// The flow as this process sees it.
    pub flow: Flow,
    /// When `/readyz` answers with yes.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until `shutdown` ends.
///
/// # Errors
/// When the listener is not one.
pub async fn serve_health(
    listener: TcpListener,
    health: Health,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let router =
        Router::new()
            .route("/livez", get(alive))
            .route(
                "/readyz",
                get(|State(h): State<Health>| async move { ready_or_not((h.ready)()) }),
            )
            .route(
                "/metrics",
                get(|State(h): State<Health>| async move {
                    metrics_page(metrics::text(&(h.flow)(), None))
                }),
            )
            .with_state(health);
    serve_router(listener, router, shutdown).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_dead_letters_are_read_or_refused() {
        for (query, expect) in [
            ("", Ok((None, 20))),
            ("service=track&limit=5", Ok((Some("track"), 5))),
            ("limit=0", Err("bad_limit")),
            ("limit=1001", Err("bad_limit")),
            ("limit=many", Err("bad_limit")),
            ("colour=red", Err("unknown_parameter")),
        ] {
            let read = list_request(query);
            let read = read.as_ref().map(|(s, n)| (s.as_deref(), *n)).map_err(|r| r.code);
            assert_eq!(read, expect, "{query}");
        }
    }

    #[test]
    fn what_to_send_back_must_be_said() {
        for (body, expect) in [
            (r#"{"all": true}"#, Ok(0)),
            (r#"{"service": "track", "positions": ["track/0/1", "track/0/2"]}"#, Ok(2)),
            ("{}", Err("bad_body")),
            (r#"{"all": true, "positions": ["track/0/1"]}"#, Err("bad_body")),
            (r#"{"everything": true}"#, Err("bad_body")),
            ("all", Err("bad_body")),
        ] {
            let read = redrive_request(body.as_bytes());
            assert_eq!(read.map(|r| r.positions.len()).map_err(|r| r.code), expect, "{body}");
        }
        let many = serde_json::json!({"positions": vec!["track/0/1"; LETTERS_MAX + 1]});
        assert_eq!(
            redrive_request(many.to_string().as_bytes()).map_err(|r| r.code),
            Err("too_many")
        );
    }
}
