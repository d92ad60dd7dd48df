//! A variable segment of a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use crate::iris;
use crate::reply::{self, Note};

/// The decoded segment. The router's own rejection would be plain text, which callers of these routes do not expect.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Response> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Segment(text)),
            Err(_) => {
                let text = "The path contains percent-encoded bytes that are not UTF-8.";
                let response = iris::error(StatusCode::BAD_REQUEST, "BAD_REQUEST", text);
                Err(reply::noted(response, Note::outcome("bad_request")))
            }
        }
    }
}
