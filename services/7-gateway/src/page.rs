//! The built page, embedded.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use rust_embed::RustEmbed;

use crate::http::bytes;
use crate::query::Refusal;

#[derive(RustEmbed)]
#[folder = "$CONVEYANCE_PAGE"]
struct Page;

/// Built file names carry a hash of their content.
const FOREVER: &str = "public, max-age=31536000, immutable";
const ASK: &str = "no-cache";
const UNBUILT: &str = "<!doctype html><meta charset=utf-8><title>Conveyance</title><p>The page was not built into this program. Run <code>make web</code>, then build again. The data is there: <a href=/stats>/stats</a>, <a href=/listings>/listings</a>.";

/// A file of the page; paths that the page itself makes (`/`, `/listing/KEY`, `/flow`) get its `index.html`.
pub(crate) async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Page::get(path).filter(|_| !path.is_empty()) {
        let cache = if path.starts_with("assets/") { FOREVER } else { ASK };
        return bytes(StatusCode::OK, kind_of(path), cache, file.data.into_owned());
    }
    let routed = path.is_empty() || path == "flow" || path.starts_with("listing/");
    if !routed {
        return axum::response::IntoResponse::into_response(Refusal::new(
            404,
            "unknown_path",
            format!("there is nothing at /{path}"),
        ));
    }
    match Page::get("index.html") {
        Some(file) => {
            bytes(StatusCode::OK, "text/html; charset=utf-8", ASK, file.data.into_owned())
        }
        None => bytes(StatusCode::OK, "text/html; charset=utf-8", ASK, UNBUILT),
    }
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("geojson") => "application/geo+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
