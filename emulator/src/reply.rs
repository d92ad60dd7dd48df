//! Builds responses: a status, a content type, a body.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What the journal records about a response. A route puts it into the response's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) outcome: &'static str,
}

impl Note {
    pub(crate) fn outcome(outcome: &'static str) -> Note {
        Note { outcome, ..Note::default() }
    }
}

/// A JSON object that keeps the order of its members.
pub(crate) struct Members(pub(crate) Vec<(String, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A response with a body of any type. An empty or invalid content type is left out.
pub(crate) fn text(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    with_body(status, content_type, body.into())
}

/// A streamed body; each part is requested once the previous one has been sent.
pub(crate) fn parts(
    content_type: &str,
    parts: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    let body = Body::from_stream(parts.map(Ok::<_, Infallible>));
    with_body(StatusCode::OK, content_type, body)
}

fn with_body(status: StatusCode, content_type: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// Compact JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    text(status, "application/json", serde_json::to_string(value).unwrap_or_default())
}

/// JSON in the layout of the service's documentation, one member per line, not to be cached.
pub(crate) fn secret_json(status: StatusCode, members: &Members) -> Response {
    let body = serde_json::to_string_pretty(members).unwrap_or_default();
    let mut response = text(status, "application/json", body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Adds a note for the journal to a response.
pub(crate) fn noted(mut response: Response, note: Note) -> Response {
    response.extensions_mut().insert(note);
    response
}
