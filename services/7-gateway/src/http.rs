//! HTTP: routes, limits, headers, the page.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::answer::Model;
use crate::page;
use crate::query::{Refusal, list_request, map_request};

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
        }
    }
}

/// Serves until `shutdown` ends; requests that have begun are finished.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await
}

fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/listings", get(listings))
        .route("/listings/{key}", get(listing))
        .route("/listings/{key}/history", get(history))
        .route("/listings/{key}/explain", get(explain))
        .route("/map", get(map))
        .route("/stats", get(stats))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
        .fallback(page::serve)
        .layer(from_fn_with_state(gateway.clone(), bounded))
        .layer(from_fn(headers))
        .with_state(gateway)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(json!({"error": {"code": self.code, "message": self.message}})))
            .into_response()
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

/// Headers for every answer. MapLibre draws with workers from blobs and styles of its own.
async fn headers(request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'self'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Runs a search off the event loop.
async fn blocking(
    gateway: Gateway,
    f: impl FnOnce(&Model) -> Result<Value, Refusal> + Send + 'static,
) -> Response {
    let Ok(Ok(turn)) =
        tokio::time::timeout(PATIENCE, gateway.searches.clone().acquire_owned()).await
    else {
        return busy().into_response();
    };
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        f(&gateway.model)
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
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !is_operator(peer, &headers) {
        return Refusal::new(
            403,
            "operator_only",
            "only the operator may see raw records: ask from the machine itself",
        )
        .into_response();
    }
    let explain = Arc::clone(&gateway.explain);
    blocking(gateway, move |_| {
        explain(&key).map_err(|message| Refusal::new(404, "unknown_listing", message))
    })
    .await
}

/// The machine itself counts as the operator. The name asked for has to be its own as well, or a page from elsewhere
/// whose name was made to point here could read along.
fn is_operator(peer: SocketAddr, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    peer.ip().to_canonical().is_loopback() && matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// An answer with a body of bytes.
pub(crate) fn bytes(
    status: StatusCode,
    kind: &'static str,
    cache: &'static str,
    body: impl Into<Body>,
) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], body.into())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_itself_is_the_operator() {
        let check = |peer: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).expect("a header"));
            is_operator(peer.parse().expect("an address"), &headers)
        };
        assert!(check("127.0.0.1:5", "127.0.0.1:7080"));
        assert!(check("[::1]:5", "[::1]:7080"));
        assert!(check("127.0.0.1:5", "localhost"));
        assert!(!check("127.0.0.1:5", "evil.example:7080"), "a name that was made to point here");
        assert!(!check("10.0.0.7:5", "127.0.0.1:7080"));
        assert!(!check("127.0.0.1:5", ""));
    }
}
