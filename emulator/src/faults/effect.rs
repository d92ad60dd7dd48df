//! Applies a fault to a response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use hyper::header::{self, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use serde_json::json;

use super::Fault;
use crate::{iris, reply};

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Gateway</title></head>\
    <body><h1>This is not the page you were looking for</h1></body></html>\n";

impl Fault {
    /// The response that replaces the route's own, or `None` if the route itself answers.
    pub(crate) fn answer(&self, at_token: bool) -> Option<Response> {
        if !self.replaces_answer() {
            return None;
        }
        // With `Retry-After` the default status is 429, whatever the body.
        let usual = if self.retry_after.is_some() { Some(429) } else { None };
        let status = |default: u16| self.status.or(usual).unwrap_or(default);
        let response = if self.reject_v2 {
            iris::Refusal::Invalid.response()
        } else if let Some(error) = &self.error {
            let members = match &self.error_description {
                Some(text) => {
                    vec![("error".into(), json!(error)), ("error_description".into(), json!(text))]
                }
                None => vec![("error".into(), json!(error))],
            };
            let usual = if error == "invalid_client" { 401 } else { 400 };
            reply::secret_json(code(status(usual)), &reply::Members(members))
        } else if let Some(body) = &self.body {
            let kind = self.content_type.as_deref().unwrap_or("application/json");
            reply::text(code(status(200)), kind, body.clone())
        } else if self.html {
            reply::text(code(status(200)), "text/html; charset=utf-8", PAGE.to_owned())
        } else if at_token || self.has_no_body() {
            let mut empty = Response::new(Body::empty());
            *empty.status_mut() = code(status(429));
            empty
        } else {
            iris::error(code(status(429)), "FAULT", "A fault is switched on for this route.")
        };
        Some(response)
    }

    /// Applies the headers and the cut to the response.
    pub(crate) async fn finish(&self, mut response: Response) -> Response {
        if self.content_type.as_deref() == Some("") {
            response.headers_mut().remove(CONTENT_TYPE);
        }
        let headers =
            self.headers.iter().map(|(name, value)| (HeaderName::try_from(name.as_str()), value));
        let wait = self.retry_after.iter().map(|value| (Ok(RETRY_AFTER), value));
        for (name, value) in headers.chain(wait) {
            // Both were checked when the fault was added.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        if self.cut { cut(response).await } else { response }
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The same response with its full length announced but only half of its body. An empty body is announced with one byte.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // All bodies here are short and already in memory.
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len().max(1)));
    parts.headers.remove(header::TRANSFER_ENCODING);
    let half = whole.slice(..whole.len() / 2);
    Response::from_parts(parts, Body::new(CutBody { half: Some(half), flushed: false }))
}

/// Sends half of the body, flushes it, and fails, which closes the connection.
struct CutBody {
    half: Option<Bytes>,
    flushed: bool,
}

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.flushed {
            // While a body is pending, the server flushes what it has so far.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut off on purpose"))))
    }
}
