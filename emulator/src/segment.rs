//! A segment of a path that is anybody's to choose.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use crate::iris;
use crate::reply::{self, Note};

/// The segment, decoded. The router's own refusal would be plain text, which no caller of these routes expects.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Response> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Segment(text)),
            Err(_) => {
                let text = "The path has a % that stands for no character of UTF-8.";
                let response = iris::error(StatusCode::BAD_REQUEST, "BAD_REQUEST", text);
                Err(reply::noted(response, Note::outcome("bad_request")))
            }
        }
    }
}
