//! `/api-keys`: the page's operations on API keys, as JSON for programs.
//!
//! A hostile web page must not create, rotate or revoke keys. Browsers send JSON or `DELETE` to another origin only after a
//! CORS preflight, which is not answered here; and such requests carry the page's own `Origin`, which is refused.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::account::{ApiKey, IssuedKey, KeyError, NewKey};
use crate::segment::Segment;
use crate::world::World;
use crate::{iris, loopback, reply, route};

/// The body of `POST /api-keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    scopes: Scopes,
}

/// A list, or one string separated by spaces, as in a token request.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "scopes must be a list of strings, or one string separated by spaces"
)]
enum Scopes {
    List(Vec<String>),
    Text(String),
}

impl Default for Scopes {
    fn default() -> Scopes {
        Scopes::List(Vec::new())
    }
}

/// All keys, the number of active ones, and the limit.
#[derive(Serialize)]
struct List {
    api_keys: Vec<ApiKey>,
    active: usize,
    limit: usize,
}

/// A key with its secret: only in the response to a creation or rotation.
#[derive(Serialize)]
struct WithSecret {
    #[serde(flatten)]
    key: ApiKey,
    client_secret: String,
}

/// `GET /api-keys`
pub(crate) async fn list(State(world): State<Arc<World>>) -> Response {
    let api_keys = world.keys();
    let active = api_keys.iter().filter(|key| key.is_active()).count();
    private_json(StatusCode::OK, &List { api_keys, active, limit: world.settings.max_keys })
}

/// `GET /api-keys/{client_id}`
pub(crate) async fn read(State(world): State<Arc<World>>, Segment(client_id): Segment) -> Response {
    match find(&world, &client_id) {
        Ok(key) => private_json(StatusCode::OK, &key),
        Err(error) => refusal(&error),
    }
}

/// `POST /api-keys`
pub(crate) async fn create(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = foreign(&headers).or_else(|| not_json(&headers)) {
        return refusal;
    }
    let created = match wanted(&body) {
        Ok(new) => world.create_key(new),
        Err(refusal) => return *refusal,
    };
    with_secret(&world, StatusCode::CREATED, created)
}

/// `POST /api-keys/{client_id}/rotate`
pub(crate) async fn rotate(
    State(world): State<Arc<World>>,
    Segment(client_id): Segment,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = foreign(&headers).or_else(|| not_json(&headers)) {
        return refusal;
    }
    with_secret(&world, StatusCode::OK, world.rotate(&client_id))
}

/// `DELETE /api-keys/{client_id}`
pub(crate) async fn revoke(
    State(world): State<Arc<World>>,
    Segment(client_id): Segment,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = foreign(&headers) {
        return refusal;
    }
    match world.revoke(&client_id).and_then(|()| find(&world, &client_id)) {
        Ok(key) => private_json(StatusCode::OK, &key),
        Err(error) => refusal(&error),
    }
}

fn wanted(body: &[u8]) -> Result<NewKey, Box<Response>> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        let (status, code) = match error.is_data() {
            true => (StatusCode::UNPROCESSABLE_ENTITY, "UNPROCESSABLE"),
            false => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        };
        let example =
            r#"{"name": "reports", "description": "nightly report", "scopes": ["asset.view"]}"#;
        Box::new(iris::error(status, code, &format!("{error}; an example: {example}")))
    })?;
    let scopes = match wanted.scopes {
        Scopes::Text(scopes) => scopes,
        Scopes::List(list) => {
            match list.iter().find(|scope| scope.is_empty() || scope.contains(' ')) {
                Some(odd) => return Err(Box::new(refusal(&KeyError::BadScopes(odd.clone())))),
                None => list.join(" "),
            }
        }
    };
    Ok(NewKey::new(wanted.name, scopes).description(wanted.description))
}

fn find(world: &World, client_id: &str) -> Result<ApiKey, KeyError> {
    let found = world.keys().into_iter().find(|key| key.client_id == client_id);
    found.ok_or_else(|| KeyError::Unknown(client_id.to_owned()))
}

fn with_secret(world: &World, status: StatusCode, issued: Result<IssuedKey, KeyError>) -> Response {
    let found =
        issued.and_then(|issued| Ok((find(world, &issued.client_id)?, issued.client_secret)));
    let (key, client_secret) = match found {
        Ok(found) => found,
        Err(error) => return refusal(&error),
    };
    let id = utf8_percent_encode(&key.client_id, NON_ALPHANUMERIC).to_string();
    let mut response = private_json(status, &WithSecret { key, client_secret });
    if status == StatusCode::CREATED
        && let Ok(location) = HeaderValue::from_str(&format!("{}/{id}", route::KEYS))
    {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// JSON that must not be cached: it contains a secret, or will soon be out of date.
fn private_json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = reply::json(status, value);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(error: &KeyError) -> Response {
    use StatusCode as S;
    let (status, code) = match error {
        KeyError::NoName => (S::UNPROCESSABLE_ENTITY, "NAME_MISSING"),
        KeyError::NoScopes => (S::UNPROCESSABLE_ENTITY, "SCOPES_MISSING"),
        KeyError::BadScopes(_) | KeyError::TooManyScopes(_) => {
            (S::UNPROCESSABLE_ENTITY, "SCOPES_INVALID")
        }
        KeyError::BadText { .. } => (S::UNPROCESSABLE_ENTITY, "TEXT_INVALID"),
        KeyError::BadClientId | KeyError::BadClientSecret => {
            (S::UNPROCESSABLE_ENTITY, "CREDENTIALS_INVALID")
        }
        KeyError::NoApp => (S::FORBIDDEN, "NO_ACCESS"),
        KeyError::NameTaken(_) => (S::CONFLICT, "NAME_TAKEN"),
        KeyError::TooMany(_) => (S::CONFLICT, "LIMIT_REACHED"),
        KeyError::Revoked(_) => (S::CONFLICT, "REVOKED"),
        KeyError::Unknown(_) => (S::NOT_FOUND, "NOT_FOUND"),
        KeyError::NotKept(_) => (S::INTERNAL_SERVER_ERROR, "NOT_KEPT"),
    };
    iris::error(status, code, &error.to_string())
}

fn foreign(headers: &HeaderMap) -> Option<Response> {
    let text = "API keys can be changed by the emulator's own page or by a program, not by another web page.";
    (!loopback::is_own_page(headers))
        .then(|| iris::error(StatusCode::FORBIDDEN, "FOREIGN_ORIGIN", text))
}

fn not_json(headers: &HeaderMap) -> Option<Response> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    let text = "The request must have the header Content-Type: application/json.";
    (!kind.eq_ignore_ascii_case("application/json"))
        .then(|| iris::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", text))
}
