//! Connections: accepted up to a limit, timed, and ended in order when the server stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::http::{Gateway, router};
use crate::live::Live;
use crate::operator::Peer;
use crate::patience::Patient;

/// Most connections at a time, those that watch included; more wait to be accepted.
const CONNECTIONS_MAX: usize = 12_000;
/// Longest time a client may take to send the head of a request, or to begin the next one.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Longest time that requests under way get when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// A client that takes nothing for so long is given up; it can come back.
const STUCK_TIME: Duration = Duration::from_secs(60);
/// Most headers of one request.
const HEADERS_MAX: usize = 64;
/// Longest request line and headers, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Time before a failed accept (no file descriptors left, most likely) is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` ends; then takes nothing new, and finishes the requests that have begun.
///
/// # Errors
/// When the listener is not one.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let live = gateway.live.clone();
    let shutdown = async move {
        shutdown.await;
        // Streams have no end of their own.
        live.iter().for_each(Live::close);
    };
    serve_router(listener, router(gateway), shutdown).await
}

pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    listener.local_addr()?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let (graceful, mut tasks) = (GracefulShutdown::new(), JoinSet::new());
    tokio::pin!(shutdown);
    loop {
        while tasks.try_join_next().is_some() {}
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = http.serve_connection(
            TokioIo::new(Patient::new(without_delay(stream), STUCK_TIME)),
            service(router.clone(), Peer(peer)),
        );
        let connection = graceful.watch(connection);
        tasks.spawn(async move {
            // A connection ends badly when its client vanishes or talks nonsense: nothing to do, nothing to tell.
            drop(connection.await);
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tasks.abort_all();
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Answers are one write each: waiting to fill a packet would only delay them.
fn without_delay(stream: TcpStream) -> TcpStream {
    drop(stream.set_nodelay(true));
    stream
}

fn service(
    router: Router,
    peer: Peer,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = hyper::Response<Body>,
    Error = std::convert::Infallible,
    Future: Send,
> {
    service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    })
}
