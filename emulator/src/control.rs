//! The routes that control the emulator: clock, faults, journal. They convert JSON; the work is done in [`World`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::faults::Fault;
use crate::faults::queue::QueuedFault;
use crate::journal_stream::Wanted;
use crate::world::World;
use crate::{clock, form, journal_stream, reply, route};

/// The body of `POST /_emulator/clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    #[serde(with = "clock::json")]
    advance: Option<Duration>,
}

/// The pending faults: the response of every route about faults.
#[derive(Serialize)]
struct Waiting {
    faults: Vec<QueuedFault>,
}

/// `GET /_emulator/clock`
pub(crate) async fn clock(State(world): State<Arc<World>>) -> Response {
    clock_answer(&world)
}

/// `POST /_emulator/clock`
pub(crate) async fn turn_clock(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let turned = read::<Turn>(&body, "{\"advance\": \"20m\"}").and_then(|turn| {
        let far = "the clock can be advanced by at most a hundred years in total";
        match world.advance(turn.advance.unwrap_or_default()) {
            Ok(Some(_)) => Ok(Ok(())),
            Ok(None) => Err(far.to_owned()),
            Err(error) => Ok(Err(error)),
        }
    });
    match turned {
        Ok(Ok(())) => clock_answer(&world),
        Ok(Err(error)) => {
            reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": error.to_string() }))
        }
        Err(message) => bad_request(&message),
    }
}

fn clock_answer(world: &World) -> Response {
    let time = humantime::format_rfc3339_millis(world.clock.wall()).to_string();
    let offset = world.clock.offset();
    let text = humantime::format_duration(offset).to_string();
    reply::json(
        StatusCode::OK,
        &json!({ "offset": text, "offset_ms": offset.as_millis() as u64, "time": time }),
    )
}

/// `GET /_emulator/faults`
pub(crate) async fn faults(State(world): State<Arc<World>>) -> Response {
    faults_answer(StatusCode::OK, &world)
}

/// `POST /_emulator/faults`, one or a list
pub(crate) async fn add_faults(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let example = "{\"status\": 503, \"count\": 2}";
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let faults = if is_list {
        read(&body, example)
    } else {
        read::<Fault>(&body, example).map(|fault| vec![fault])
    };
    match faults.and_then(|faults| world.add_faults(faults).map_err(|error| error.to_string())) {
        Ok(_) => faults_answer(StatusCode::CREATED, &world),
        Err(message) => bad_request(&message),
    }
}

/// `DELETE /_emulator/faults`
pub(crate) async fn clear_faults(State(world): State<Arc<World>>) -> Response {
    world.clear_faults();
    faults_answer(StatusCode::OK, &world)
}

fn faults_answer(status: StatusCode, world: &World) -> Response {
    let faults = world.faults();
    reply::json(status, &Waiting { faults })
}

/// `GET /_emulator/journal?route=...&after=...&limit=...`
pub(crate) async fn journal(State(world): State<Arc<World>>, uri: Uri) -> Response {
    let wanted = parameters(&uri, &["route", "after", "limit"]).and_then(|given| {
        let number = |name: &str, default: u64| match given.get(name) {
            Some(text) => text.parse().map_err(|_| format!("{name} must be a whole number")),
            None => Ok(default),
        };
        let (after, limit) = (number("after", 0)?, number("limit", u64::MAX)?);
        Ok(Wanted { pattern: pattern(&given)?, after, limit })
    });
    match wanted {
        Ok(wanted) => journal_stream::response(world, wanted),
        Err(message) => bad_request(&message),
    }
}

/// `DELETE /_emulator/journal`
pub(crate) async fn clear_journal(State(world): State<Arc<World>>) -> Response {
    world.clear_journal();
    reply::json(StatusCode::OK, &json!([]))
}

/// `GET /_emulator/count?route=...`: a number and a newline, for programs without a JSON reader
pub(crate) async fn count(State(world): State<Arc<World>>, uri: Uri) -> Response {
    match parameters(&uri, &["route"]).and_then(|given| pattern(&given)) {
        Ok(pattern) => {
            let body = format!("{}\n", world.count(pattern.as_deref()));
            reply::text(StatusCode::OK, "text/plain; charset=utf-8", body)
        }
        Err(message) => bad_request(&message),
    }
}

/// The parameters of a query, each at most once.
fn parameters(uri: &Uri, known: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let query = form::parse(uri.query().unwrap_or_default().as_bytes())
        .map_err(|_| "the query is not encoded correctly".to_owned())?;
    let mut given = BTreeMap::new();
    for (name, value) in query {
        if !known.contains(&name.as_str()) {
            let known = known.join(", ");
            return Err(format!("unknown parameter {name:?}; the parameters are {known}"));
        }
        if given.insert(name.clone(), value).is_some() {
            return Err(format!("the parameter {name} is given twice"));
        }
    }
    Ok(given)
}

/// The parameter `route`, if there is one.
fn pattern(given: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    let pattern = given.get("route").cloned();
    pattern.as_deref().map_or(Ok(()), route::check_journal_pattern)?;
    Ok(pattern)
}

fn read<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("{error}; an example: {example}"))
}

fn bad_request(message: &str) -> Response {
    reply::json(StatusCode::BAD_REQUEST, &json!({ "error": message }))
}
