//! The web page at `/`: keys, requests, clock and faults in one document.
//!
//! The server renders the whole document, so that it is readable without JavaScript. Updates arrive as the same HTML
//! fragments through [`live`](crate::live). Nothing is loaded from other origins, and no inline code runs.

mod document;
mod fragments;
mod words;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

pub(crate) use self::fragments::pieces;
use crate::reply;
use crate::world::World;

/// Same origin only, nothing inline, no framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub(crate) async fn document(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    // Already checked to be a loopback name; the lines to paste use the same name.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    guarded("text/html; charset=utf-8", document::render(&world, host).into_string())
}

/// `GET /_emulator/page.css`
pub(crate) async fn style() -> Response {
    guarded("text/css; charset=utf-8", include_str!("page/page.css").to_owned())
}

/// `GET /_emulator/page.js`
pub(crate) async fn script() -> Response {
    guarded("text/javascript; charset=utf-8", include_str!("page/page.js").to_owned())
}

/// `GET /_emulator/icon.svg`
pub(crate) async fn icon() -> Response {
    guarded("image/svg+xml", include_str!("page/icon.svg").to_owned())
}

/// Adds the security headers to the page and its parts. Nothing is cached, because the next emulator on this port may be
/// another version.
fn guarded(content_type: &str, body: String) -> Response {
    let mut response = reply::text(StatusCode::OK, content_type, body);
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
