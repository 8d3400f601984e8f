//! The page, built into the program.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::query::Refusal;

/// The files of `apps/web/dist`, when it was built; see `build.rs`.
#[derive(RustEmbed)]
#[folder = "$CONVEYANCE_PAGE"]
struct Page;

/// What stands in for a page that was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Conveyance</title>\
    <p>The page is not part of this build: run <code>make web</code>, then build again. \
    The API is there: <a href=\"/stats\">/stats</a>, <a href=\"/listings\">/listings</a>.</p></html>";

/// Forms in which a file may be stored besides itself, best first.
const ENCODINGS: [(&str, &str); 2] = [("br", "br"), ("gzip", "gz")];

/// Answers everything that is not the API.
pub(crate) async fn serve(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::method());
    }
    let path = uri.path().trim_start_matches('/');
    let is_view = matches!(path, "" | "flow") || path.starts_with("listing/");
    let name = if is_view { "index.html" } else { path };
    match (Page::get(name), is_view) {
        (Some(file), _) => Ok(answer(name, &file, &headers)),
        (None, true) => {
            Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response())
        }
        (None, false) => {
            let message = "there is nothing at this address; the API is /listings, /map, /stats";
            Err(Refusal::new(404, "unknown_path", message))
        }
    }
}

fn answer(name: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:016x}\"", hash(file));
    // The build puts a hash into the name of what is below assets/, so it never changes.
    let cache = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let common = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if known
        .is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, kind(name))];
    match packed(name, headers) {
        Some((encoding, packed)) => {
            (common, kind, [(header::CONTENT_ENCODING, encoding)], packed.data.into_owned())
                .into_response()
        }
        None => (common, kind, file.data.clone().into_owned()).into_response(),
    }
}

/// The file in a packed form that the client takes and the build has made.
fn packed(name: &str, headers: &HeaderMap) -> Option<(&'static str, EmbeddedFile)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |encoding: &str| {
        accepted.split(',').any(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, ""));
            name.trim() == encoding && !weight.replace(' ', "").starts_with("q=0")
        })
    };
    ENCODINGS.into_iter().find_map(|(encoding, ending)| {
        takes(encoding)
            .then(|| Page::get(&format!("{name}.{ending}")))
            .flatten()
            .map(|file| (encoding, file))
    })
}

fn hash(file: &EmbeddedFile) -> u64 {
    file.metadata.sha256_hash().iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "geojson" => "application/geo+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
