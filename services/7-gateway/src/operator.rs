//! Who may see what is not public: the operator, on this machine, asking directly.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, header};

use crate::access::{Access, Right};
use crate::query::Refusal;

/// The other end of a connection; set for each request by [`crate::serve`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Headers that a proxy adds: behind one, everyone seems to be on this machine.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Refuses everyone but the operator: who has a token for it, or who asks on this machine where there are no tokens.
pub(crate) fn check(request: &Request) -> Result<(), Refusal> {
    let access = request.extensions().get::<Access>().cloned().unwrap_or_default();
    access.check(request, Right::Operate).map(|_| ())
}

/// Whether a request comes from this machine, and not through a proxy. The name asked for must be this machine's: a page of another site whose
/// name was pointed at 127.0.0.1 asks under its own name.
pub(crate) fn is_local(request: &Request) -> bool {
    let local = request.extensions().get::<Peer>().is_some_and(|peer| is_loopback(peer.0));
    let direct = !PROXY_HEADERS.iter().any(|name| request.headers().contains_key(*name));
    local && direct && named_locally(request.headers())
}

fn is_loopback(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn named_locally(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (all.next(), all.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    ["localhost", "127.0.0.1", "::1"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn only_a_direct_local_request_is_the_operators() {
        for (peer, headers, expect) in [
            (Some("127.0.0.1:5"), vec![("host", "localhost:8080")], true),
            (Some("[::1]:5"), vec![("host", "[::1]:8080")], true),
            (Some("[::ffff:127.0.0.1]:5"), vec![("host", "127.0.0.1")], true),
            (Some("127.0.0.1:5"), vec![("host", "evil.test:8080")], false),
            (Some("127.0.0.1:5"), vec![("host", "localhost.evil.test")], false),
            (Some("127.0.0.1:5"), vec![], false),
            (Some("127.0.0.1:5"), vec![("host", "localhost"), ("host", "evil.test")], false),
            (
                Some("127.0.0.1:5"),
                vec![("host", "localhost"), ("x-forwarded-for", "1.2.3.4")],
                false,
            ),
            (Some("192.0.2.1:5"), vec![("host", "localhost")], false),
            (None, vec![("host", "localhost")], false),
        ] {
            let mut request = Request::builder();
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(Body::empty()).expect("a request");
            if let Some(peer) = peer {
                request.extensions_mut().insert(Peer(peer.parse().expect("an address")));
            }
            assert_eq!(check(&request).is_ok(), expect, "{peer:?} {headers:?}");
        }
    }
}
