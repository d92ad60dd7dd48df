//! Processes one request: origin check, journal entry, body, fault, route, journal entry completed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use hyper::Request;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HeaderMap, USER_AGENT};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::Notify;

use crate::faults::Fault;
use crate::oauth::TokenRequest;
use crate::reply::{self, Members, Note};
use crate::route::{self, PAGE, TOKEN_PATH};
use crate::state::StateError;
use crate::world::World;
use crate::{api_keys, control, iris, live, loopback, page};

/// The longest accepted body. Sensible token requests have at most a few kilobytes.
const MAX_BODY: usize = 64 * 1024;
/// How much of a longer body is read and discarded. A client that is cut off while writing sees a broken connection instead
/// of the response that says why.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;
/// How long a client may take to send its body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The routes.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route(TOKEN_PATH, post(token))
        .route("/api/asset/v2/assets", get(iris::assets))
        .route("/public/api/aemp/v2/15143/-3/Fleet/{page}", get(iris::fleet))
        .route("/api/graphql", post(iris::graphql))
        .route("/api/graphql/", post(iris::graphql))
        .route("/_emulator/clock", get(control::clock).post(control::turn_clock))
        .route(
            "/_emulator/faults",
            get(control::faults).post(control::add_faults).delete(control::clear_faults),
        )
        .route("/_emulator/journal", get(control::journal).delete(control::clear_journal))
        .route("/_emulator/count", get(control::count))
        .route("/_emulator/live", get(live::live))
        .route(PAGE, get(page::document))
        .route("/_emulator/page.css", get(page::style))
        .route("/_emulator/page.js", get(page::script))
        .route("/_emulator/icon.svg", get(page::icon))
        .route("/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/api-keys/{client_id}", delete(api_keys::revoke).get(api_keys::read))
        .route("/api-keys/{client_id}/rotate", post(api_keys::rotate))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(world)
}

/// Answers one request. A fault may end the whole connection instead, through `reset`.
pub(crate) async fn pass(
    world: &World,
    router: &Router,
    reset: &Notify,
    request: Request<Incoming>,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if route::is_own(&path) && loopback::is_local(&parts.uri, &parts.headers) {
        return match body_of(body).await {
            Ok(body) => ask(router, parts, body).await,
            Err(refusal) => refusal,
        };
    }
    let user_agent =
        parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let sequence = world.arrive(parts.method.as_str(), &path, user_agent.as_deref());
    let mut response = match checked(&parts, body).await {
        Ok(body) => {
            let form = (path == TOKEN_PATH).then(|| world.shown(&token_request(&parts, &body)));
            world.note_body(sequence, &body, form);
            answer(world, router, reset, sequence, parts, body).await
        }
        Err(refusal) => refusal,
    };
    let note = response.extensions_mut().remove::<Note>().unwrap_or_default();
    world.note_answer(sequence, Some(response.status().as_u16()), note);
    response
}

async fn checked(parts: &Parts, body: Incoming) -> Result<Bytes, Response> {
    if !loopback::is_local(&parts.uri, &parts.headers) {
        let text =
            "Only requests whose Host and Origin (if present) name this machine are answered.";
        let response = iris::error(StatusCode::FORBIDDEN, "NOT_LOOPBACK", text);
        return Err(reply::noted(response, Note::outcome("not_loopback")));
    }
    body_of(body).await
}

async fn body_of(body: Incoming) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_TIME, read_body(body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // If the connection broke, the response goes nowhere.
        Ok(Err(BodyFault::Broken)) => {
            let text = "The body is incomplete or not framed correctly.";
            let response = iris::error(StatusCode::BAD_REQUEST, "BAD_REQUEST", text);
            Err(reply::noted(response, Note::outcome("body_broken")))
        }
        Ok(Err(BodyFault::TooLong)) => {
            let text = format!("The body is longer than {MAX_BODY} bytes.");
            let response = iris::error(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", &text);
            Err(reply::noted(response, Note::outcome("body_too_large")))
        }
        Err(_) => {
            let text = "The body took too long to arrive.";
            let response = iris::error(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", text);
            Err(reply::noted(response, Note::outcome("body_too_slow")))
        }
    }
}

/// Why the body could not be read.
enum BodyFault {
    TooLong,
    Broken,
}

/// Reads the whole body.
async fn read_body(mut body: Incoming) -> Result<Bytes, BodyFault> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(piece) = frame.map_err(|_| BodyFault::Broken)?.into_data() else { continue };
        length += piece.len();
        if length > MAX_DISCARDED {
            return Err(BodyFault::TooLong);
        }
        if length <= MAX_BODY {
            bytes.extend_from_slice(&piece);
        }
    }
    if length <= MAX_BODY { Ok(bytes.into()) } else { Err(BodyFault::TooLong) }
}

/// The route's response, with a fault applied if the request meets one.
async fn answer(
    world: &World,
    router: &Router,
    reset: &Notify,
    sequence: u64,
    mut parts: Parts,
    body: Bytes,
) -> Response {
    let path = parts.uri.path().to_owned();
    let grant = (path == TOKEN_PATH && parts.method == Method::POST)
        .then(|| world.decide(&token_request(&parts, &body)).outcome.ok())
        .flatten();
    let no_body = (parts.method == Method::HEAD, is_look(&parts.method, &path, &parts.headers));
    let Some(mut met) = world.meet(&path, no_body, grant.as_ref()) else {
        return ask(router, parts, body).await;
    };
    world.note_fault(sequence, met.id);
    met.hold().await;
    let fault = met.fault;
    if fault.reset {
        world.note_answer(sequence, None, Note { outcome: "reset", ..about(world, &parts, &body) });
        reset.notify_one();
        // Ends when the connection is dropped.
        return std::future::pending().await;
    }
    let mut response = match fault.answer(path == TOKEN_PATH) {
        Some(response) => {
            reply::noted(response, Note { outcome: "fault", ..about(world, &parts, &body) })
        }
        None => {
            parts.extensions.insert(Arc::clone(&fault));
            ask(router, parts, body).await
        }
    };
    if fault.cut
        && let Some(note) = response.extensions_mut().get_mut::<Note>()
    {
        note.outcome = "cut";
    }
    fault.finish(response).await
}

/// The journal's note about a request that did not reach its route.
fn about(world: &World, parts: &Parts, body: &[u8]) -> Note {
    if parts.uri.path() != TOKEN_PATH {
        return Note::default();
    }
    let decision = world.decide(&token_request(parts, body));
    Note { client_id: decision.client_id, scope: decision.scope, outcome: "" }
}

fn token_request<'a>(parts: &'a Parts, body: &'a [u8]) -> TokenRequest<'a> {
    TokenRequest { query: parts.uri.query(), headers: &parts.headers, body }
}

async fn ask(router: &Router, parts: Parts, body: Bytes) -> Response {
    let request = Request::from_parts(parts, Body::from(body));
    match TowerToHyperService::new(router.clone()).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// `POST /token/v2`
async fn token(
    State(world): State<Arc<World>>,
    fault: Option<Extension<Arc<Fault>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let decision =
        world.decide(&TokenRequest { query: uri.query(), headers: &headers, body: &body });
    if let Some(hold) = world.count_guess(&decision) {
        tokio::time::sleep(hold).await;
    }
    let (response, outcome) = match decision.outcome {
        Ok(grant) => {
            let minted = match fault {
                Some(Extension(fault)) => world.mint(grant, &fault),
                None => world.mint(grant, &Fault::default()),
            };
            match minted {
                Ok(members) => (reply::secret_json(StatusCode::OK, &members), "token"),
                Err(error) => (not_kept(&error), "not_kept"),
            }
        }
        Err(refusal) => (refusal.response(&world.settings.readings), refusal.error()),
    };
    reply::noted(response, Note { client_id: decision.client_id, scope: decision.scope, outcome })
}

/// The response if a token cannot be stored: one that a restart would forget is not issued.
fn not_kept(error: &StateError) -> Response {
    let text = error.to_string();
    let members = [("error", json!("server_error")), ("error_description", json!(text))];
    let members = Members(members.map(|(name, value)| (name.to_owned(), value)).into());
    reply::secret_json(StatusCode::INTERNAL_SERVER_ERROR, &members)
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("There is no route {}.", uri.path());
    reply::noted(iris::error(StatusCode::NOT_FOUND, "NOT_FOUND", &text), Note::outcome("not_found"))
}

/// Whether this is `tu-token doctor` probing the endpoint, which is not an error of a program.
fn is_look(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let is_doctor = |agent: &str| agent.split(' ').any(|word| word == "doctor");
    method == Method::GET && path == TOKEN_PATH && agent.is_some_and(is_doctor)
}

/// The router adds `Allow`.
async fn method_not_allowed(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if is_look(&method, uri.path(), &headers) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return reply::noted(response, Note::outcome("doctor"));
    }
    let text = format!("The method {method} is not allowed here.");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let response = if uri.path() == TOKEN_PATH {
        let members = [("error", json!("invalid_request")), ("error_description", json!(text))];
        reply::secret_json(
            status,
            &Members(members.map(|(name, value)| (name.to_owned(), value)).into()),
        )
    } else {
        iris::error(status, "METHOD_NOT_ALLOWED", &text)
    };
    reply::noted(response, Note::outcome("method_not_allowed"))
}
