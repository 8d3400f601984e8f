//! The HTTP API: routes, limits, headers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::access::{Access, Right, same_site};
use crate::answer::Model;
use crate::commands::{BODY_MAX, BODY_TIME, Commands};
use crate::live::Live;
use crate::operation::{self, Operation};
use crate::query::{Refusal, list_request, map_request};
use crate::{changes, commands, operator, page};

/// Requests worked on at a time; more wait.
const REQUESTS_MAX: usize = 256;
/// Searches at a time: each holds a core.
const SEARCHES_MAX: usize = 8;
/// A request that waits longer than this is refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells where a listing comes from; given by the program, which has the log.
pub type Explain = Arc<dyn Fn(&str) -> Result<Value, String> + Send + Sync>;

/// What the server serves.
#[derive(Clone)]
pub struct Gateway {
    model: Model,
    explain: Explain,
    searches: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    pub(crate) ready: Arc<dyn Fn() -> bool + Send + Sync>,
    access: Access,
    pub(crate) live: Option<Live>,
    commands: Option<Commands>,
    pub(crate) operation: Option<Operation>,
}

impl Gateway {
    /// Serves a read model, also while it is written.
    #[must_use]
    pub fn new(model: Model, explain: Explain) -> Self {
        Self {
            model,
            explain,
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            ready: Arc::new(|| true),
            access: Access::default(),
            live: None,
            commands: None,
            operation: None,
        }
    }

    /// Serves changes as they happen.
    #[must_use]
    pub fn with_live(self, live: Live) -> Self {
        Self { live: Some(live), ..self }
    }

    /// Takes commands.
    #[must_use]
    pub fn with_commands(self, commands: Commands) -> Self {
        Self { commands: Some(commands), ..self }
    }

    /// Says who may do what; without this, who asks on this machine.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Also tells and does what an operator asks for.
    #[must_use]
    pub fn operated_by(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Requests being answered.
    pub(crate) fn busy(&self) -> usize {
        REQUESTS_MAX.saturating_sub(self.requests.available_permits())
    }

    /// Says when `/readyz` answers with yes; without this, from the beginning.
    #[must_use]
    pub fn ready_when(self, ready: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { ready: Arc::new(ready), ..self }
    }
}

/// All addresses.
pub(crate) fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/listings", get(listings))
        .route("/listings/{key}", get(listing))
        .route("/map", get(map))
        .route_layer(from_fn_with_state(gateway.clone(), positioned))
        .route("/listings/{key}/history", get(history))
        .route("/listings/{key}/explain", get(explain))
        .route("/commands", post(command))
        .route("/changes", get(watch_changes))
        .route("/me", get(me))
        .route("/stats", get(stats))
        .merge(operation::routes())
        .fallback(page::serve)
        .method_not_allowed_fallback(|| async { Refusal::method() })
        .layer(from_fn(without_body))
        .layer(axum::Extension(gateway.access.clone()))
        .layer(from_fn_with_state(gateway.clone(), bounded))
        .layer(from_fn(headers))
        .with_state(gateway)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(field), Some(error)) = (self.field, error.as_object_mut()) {
            error.insert("field".to_owned(), field.into());
        }
        let body = axum::Json(json!({"error": error}));
        let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        let more = match self.status {
            503 => Some((header::RETRY_AFTER, "1")),
            401 => Some((header::WWW_AUTHENTICATE, "Bearer")),
            _ => None,
        };
        if let Some((name, value)) = more {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn busy() -> Refusal {
    Refusal::new(503, "busy", "too many requests at once: try again in a moment")
}

/// A bound on requests at a time, and on how long one waits for its turn.
async fn bounded(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, gateway.requests.acquire()).await {
        Ok(Ok(_turn)) => next.run(request).await,
        Ok(Err(_)) | Err(_) => busy().into_response(),
    }
}

/// What the page may load. MapLibre draws with workers from blobs and styles of its own.
const POLICY: &str = "default-src 'self'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' data: blob:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Headers for every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Runs a search off the event loop.
async fn blocking(
    gateway: Gateway,
    f: impl FnOnce(&Model) -> Result<Value, Refusal> + Send + 'static,
) -> Response {
    let model = gateway.model.clone();
    unhurried(gateway, move || f(&model)).await
}

/// Runs what takes its time off the event loop.
pub(crate) async fn unhurried(
    gateway: Gateway,
    f: impl FnOnce() -> Result<Value, Refusal> + Send + 'static,
) -> Response {
    let Ok(Ok(turn)) =
        tokio::time::timeout(PATIENCE, gateway.searches.clone().acquire_owned()).await
    else {
        return busy().into_response();
    };
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        f()
    });
    match done.await {
        Ok(Ok(value)) => ([(header::CACHE_CONTROL, "no-store")], axum::Json(value)).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => {
            Refusal::new(500, "internal", "the request failed, which is a bug: please report it")
                .into_response()
        }
    }
}

async fn listings(State(gateway): State<Gateway>, RawQuery(query): RawQuery) -> Response {
    match list_request(&query.unwrap_or_default()) {
        Ok(request) => blocking(gateway, move |model| model.list(&request)).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn map(State(gateway): State<Gateway>, RawQuery(query): RawQuery) -> Response {
    match map_request(&query.unwrap_or_default()) {
        Ok(request) => blocking(gateway, move |model| model.map(&request)).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn listing(State(gateway): State<Gateway>, Path(key): Path<String>) -> Response {
    blocking(gateway, move |model| model.listing(&key)).await
}

async fn history(State(gateway): State<Gateway>, Path(key): Path<String>) -> Response {
    blocking(gateway, move |model| model.history(&key)).await
}

async fn stats(State(gateway): State<Gateway>) -> Response {
    blocking(gateway, Model::stats).await
}

async fn explain(
    State(gateway): State<Gateway>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    if let Err(refusal) = operator::check(&request) {
        return refusal.into_response();
    }
    let explain = Arc::clone(&gateway.explain);
    blocking(gateway, move |_| {
        explain(&key).map_err(|message| Refusal::new(404, "unknown_listing", message))
    })
    .await
}

/// A client that has seen this answer has seen everything up to the position in this header.
const POSITION: HeaderName = HeaderName::from_static("conveyance-position");

/// Puts the position on an answer. It is taken before the answer is made: what is answered is as new, or newer.
async fn positioned(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let position = gateway.live.as_ref().map(|live| live.0.standing().text);
    let mut response = next.run(request).await;
    if let Some(value) = position.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(POSITION, value);
    }
    response
}

fn not_here(what: &str) -> Refusal {
    Refusal::new(404, "not_served", format!("this gateway serves no {what}"))
}

async fn watch_changes(
    State(gateway): State<Gateway>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(live) = gateway.live else { return not_here("changes").into_response() };
    changes::serve::changes(live.0, &query.unwrap_or_default(), &headers).await
}

async fn command(State(gateway): State<Gateway>, request: Request) -> Response {
    match take_command(&gateway, request).await {
        Ok(answer) => {
            let headers = [(header::CACHE_CONTROL, "no-store")];
            (StatusCode::ACCEPTED, headers, axum::Json(answer)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn take_command(gateway: &Gateway, request: Request) -> Result<Value, Refusal> {
    let commands = gateway.commands.as_ref().ok_or_else(|| not_here("commands"))?;
    same_site(request.headers())?;
    let by = gateway.access.check(&request, Right::Command)?;
    is_json(request.headers())?;
    let body = axum::body::to_bytes(request.into_body(), BODY_MAX);
    let body = match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let message = format!("a command has at most {BODY_MAX} bytes");
            return Err(Refusal::new(413, "body_too_long", message));
        }
        Err(_) => return Err(Refusal::new(408, "too_slow", "the command did not arrive in time")),
    };
    commands.send(commands::check(&body, &by)?).await
}

/// A page of another site cannot say that what it sends is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "send JSON, with `Content-Type: application/json`";
    Err(Refusal::new(415, "not_json", message))
}

/// What the page may offer to whoever looks at it.
async fn me(State(gateway): State<Gateway>, request: Request) -> Response {
    let may = |right| gateway.access.check(&request, right).is_ok();
    let can_command = gateway.commands.is_some() && may(Right::Command);
    let body = json!({"can_command": can_command, "operator": may(Right::Operate)});
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// Only what is posted has a body. Elsewhere none is read; what was sent stays in the connection, which is closed.
async fn without_body(request: Request, next: Next) -> Response {
    if request.method() == Method::POST || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let message = "this request carries no body: put everything into the address";
    let mut response = Refusal::new(413, "body_not_allowed", message).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
