//! Refusals of token requests and their responses.

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::header::WWW_AUTHENTICATE;
use serde_json::json;

use super::Readings;
use crate::reply::{self, Members};

/// Why a token request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidRequest(&'static str),
    InvalidClient {
        /// The `Authorization` header was used, so the response must name a scheme.
        by_header: bool,
    },
    InvalidScope,
    UnsupportedGrantType,
}

impl Refusal {
    /// The standard error code.
    pub(crate) fn error(&self) -> &'static str {
        match self {
            Refusal::InvalidRequest(_) => "invalid_request",
            Refusal::InvalidClient { .. } => "invalid_client",
            Refusal::InvalidScope => "invalid_scope",
            Refusal::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Refusal::InvalidRequest(text) => text,
            // The same for an unknown id, a wrong secret and a revoked key, to reveal nothing to attackers.
            Refusal::InvalidClient { .. } => "The client id or the client secret is wrong.",
            // The text of the service's documentation.
            Refusal::InvalidScope => "Requested scope is not allowed for this API Key.",
            Refusal::UnsupportedGrantType => "The grant type must be client_credentials.",
        }
    }

    /// The HTTP response.
    pub(crate) fn response(&self, readings: &Readings) -> Response {
        let status = match self {
            Refusal::InvalidClient { by_header: true } => StatusCode::UNAUTHORIZED,
            Refusal::InvalidClient { by_header: false } => {
                StatusCode::from_u16(readings.invalid_client_status)
                    .unwrap_or(StatusCode::UNAUTHORIZED)
            }
            _ => StatusCode::BAD_REQUEST,
        };
        let members = Members(vec![
            ("error".to_owned(), json!(self.error())),
            ("error_description".to_owned(), json!(self.description())),
        ]);
        let mut response = reply::secret_json(status, &members);
        if *self == (Refusal::InvalidClient { by_header: true }) {
            let challenge =
                HeaderValue::from_static("Basic realm=\"tu-token-emulator\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
