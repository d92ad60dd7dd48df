//! A few IRIS routes, which check the bearer token and its scope according to RFC 6750.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::form;
use crate::reply::{self, Members, Note};
use crate::samples::{self, Machine};
use crate::segment::Segment;
use crate::tokens::Minted;
use crate::world::World;

const ASSETS: &str = "asset.view";
const FLEET: &str = "api.iso15143.snapshot";
const FLEET_PAGE: usize = 20;
const MAX_ASSETS: usize = 1_000;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No token in the Authorization header.
    Missing,
    /// Unknown, expired or unreadable.
    Invalid,
    /// A valid token without this scope.
    Scope(&'static str),
}

impl Refusal {
    /// The HTTP response.
    pub(crate) fn response(self) -> Response {
        let (status, code, message, challenge) = match self {
            Refusal::Missing => (
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "A bearer token is required in the Authorization header.".to_owned(),
                "Bearer".to_owned(),
            ),
            Refusal::Invalid => (
                StatusCode::UNAUTHORIZED,
                "INVALID_TOKEN",
                "The token is unknown or has expired.".to_owned(),
                "Bearer error=\"invalid_token\"".to_owned(),
            ),
            Refusal::Scope(scope) => (
                StatusCode::FORBIDDEN,
                "INSUFFICIENT_SCOPE",
                format!("The token does not have the scope {scope}."),
                format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
            ),
        };
        let mut response = error(status, code, &message);
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn outcome(self) -> &'static str {
        match self {
            Refusal::Missing => "no_token",
            Refusal::Invalid => "invalid_token",
            Refusal::Scope(_) => "insufficient_scope",
        }
    }
}

/// IRIS's error body: status, code and message, in this order.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let members =
        [("status", json!(status.as_u16())), ("code", json!(code)), ("message", json!(message))];
    let members = members.map(|(name, value)| (name.to_owned(), value));
    reply::json(status, &Members(members.into()))
}

/// The text of a request's token.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = given.next() else {
        return Err(Refusal::Missing);
    };
    if given.next().is_some() {
        return Err(Refusal::Invalid);
    }
    let text = header.to_str().map_err(|_| Refusal::Invalid)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        _ => Err(Refusal::Missing),
    }
}

/// Answers a request if its token is valid and sufficient, or refuses it.
fn with_token(
    world: &World,
    headers: &HeaderMap,
    needed: Option<&'static str>,
    answer: impl FnOnce() -> Response,
) -> Response {
    let token = bearer(headers).and_then(|text| world.find_token(text).ok_or(Refusal::Invalid));
    let allowed = |token: &Minted| {
        needed
            .filter(|scope| !token.scopes.contains(*scope))
            .map_or(Ok(()), |scope| Err(Refusal::Scope(scope)))
    };
    let refusal = token.as_ref().map_err(|refusal| *refusal).and_then(allowed).err();
    let mut note = Note::outcome(refusal.map_or("ok", Refusal::outcome));
    if let Ok(token) = token {
        note.client_id = Some(token.client_id);
        note.scope = Some(token.scopes.into_iter().collect::<Vec<_>>().join(" "));
    }
    let response = match refusal {
        Some(refusal) => refusal.response(),
        None => answer(),
    };
    if refusal.is_none() && !response.status().is_success() {
        note.outcome =
            if response.status() == StatusCode::NOT_FOUND { "not_found" } else { "bad_request" };
    }
    reply::noted(response, note)
}

/// `GET /api/asset/v2/assets?page=0&size=50`
pub(crate) async fn assets(
    State(world): State<Arc<World>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    with_token(&world, &headers, Some(ASSETS), || {
        match asset_page(uri.query().unwrap_or_default()) {
            Ok(body) => reply::json(StatusCode::OK, &body),
            Err(message) => error(StatusCode::BAD_REQUEST, "BAD_REQUEST", &message),
        }
    })
}

/// One page, counted from 0.
fn asset_page(query: &str) -> Result<Value, String> {
    let query =
        form::parse(query.as_bytes()).map_err(|_| "The query is not well encoded.".to_owned())?;
    let number = |wanted: &str, default: usize| match query.iter().find(|(name, _)| name == wanted)
    {
        Some((_, value)) => {
            value.parse().map_err(|_| format!("The parameter {wanted} must be a whole number."))
        }
        None => Ok(default),
    };
    let (page, size) = (number("page", 0)?, number("size", 50)?);
    if !(1..=MAX_ASSETS).contains(&size) {
        return Err(format!("The parameter size must be between 1 and {MAX_ASSETS}."));
    }
    let content: Vec<Value> = samples::machines()
        .skip(page.saturating_mul(size))
        .take(size)
        .map(|machine| machine.asset())
        .collect();
    Ok(json!({
        "content": content,
        "page": {
            "number": page,
            "size": size,
            "totalElements": samples::COUNT,
            "totalPages": samples::COUNT.div_ceil(size),
        },
    }))
}

/// `GET /public/api/aemp/v2/15143/-3/Fleet/{page}`
pub(crate) async fn fleet(
    State(world): State<Arc<World>>,
    Segment(page): Segment,
    headers: HeaderMap,
) -> Response {
    let time = humantime::format_rfc3339_seconds(world.clock.wall()).to_string();
    with_token(&world, &headers, Some(FLEET), || match fleet_page(&page, &time) {
        Some(body) => reply::json(StatusCode::OK, &body),
        None => error(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such page."),
    })
}

/// One page, counted from 1.
fn fleet_page(page: &str, time: &str) -> Option<Value> {
    let last = samples::COUNT.div_ceil(FLEET_PAGE);
    let page: usize = page.parse().ok().filter(|page| (1..=last).contains(page))?;
    let link = |relation: &str, number: usize| json!({ "rel": relation, "href": format!("/public/api/aemp/v2/15143/-3/Fleet/{number}") });
    let mut links = vec![link("self", page), link("last", last)];
    if page < last {
        links.push(link("next", page + 1));
    }
    let equipment: Vec<Value> = samples::machines()
        .skip((page - 1) * FLEET_PAGE)
        .take(FLEET_PAGE)
        .map(|machine| machine.equipment(time))
        .collect();
    Some(json!({ "Links": links, "Equipment": equipment, "snapshotTime": time, "version": "1" }))
}

/// `POST /api/graphql/`: needs any valid token; errors have status 200.
pub(crate) async fn graphql(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    with_token(&world, &headers, None, || {
        let answer = graphql_answer(&body)
            .unwrap_or_else(|message| json!({ "errors": [{ "message": message }] }));
        reply::json(StatusCode::OK, &answer)
    })
}

/// Not a GraphQL engine: a query for `assets` always gets the same fields of the same machines.
fn graphql_answer(body: &[u8]) -> Result<Value, &'static str> {
    let request: Value = serde_json::from_slice(body).map_err(|_| "The body is not JSON.")?;
    let query = request.get("query").and_then(Value::as_str).ok_or("The body has no query.")?;
    let mut words = query.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    if !words.any(|word| word == "assets") {
        return Err("The emulator answers only queries for assets.");
    }
    let node = |machine: Machine| json!({ "node": { "id": machine.id(), "name": machine.name() } });
    let edges: Vec<Value> = samples::machines().map(node).collect();
    Ok(json!({ "data": { "assets": { "edges": edges, "pageInfo": { "hasNextPage": false } } } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, value.parse().expect("a header"));
        }
        map
    }

    #[test]
    fn the_scheme_has_no_case_and_there_is_one_header() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(bearer(&headers(&[&format!("{scheme} t")])), Ok("t"));
        }
        assert_eq!(bearer(&headers(&[])), Err(Refusal::Missing));
        assert_eq!(bearer(&headers(&["Basic t"])), Err(Refusal::Missing));
        assert_eq!(bearer(&headers(&["Bearer"])), Err(Refusal::Missing));
        assert_eq!(bearer(&headers(&["Bearer t", "Bearer t"])), Err(Refusal::Invalid));
    }

    #[test]
    fn pages_hold_what_they_should() {
        let page = asset_page("page=1&size=40").expect("a page");
        assert_eq!(page["content"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            page["page"],
            json!({ "number": 1, "size": 40, "totalElements": 42, "totalPages": 2 })
        );
        assert_eq!(asset_page("size=1").expect("a page")["content"][0]["name"], "Wheel loader 01");
        assert_eq!(asset_page("page=18446744073709551615").expect("a page")["content"], json!([]));
        for wrong in ["size=0", "size=1001", "size=x", "page=-1", "page=%"] {
            assert!(asset_page(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            fleet_page("3", "t").expect("a page")["Equipment"].as_array().map(Vec::len),
            Some(2)
        );
        for wrong in ["0", "4", "x", "-1"] {
            assert_eq!(fleet_page(wrong, "t"), None);
        }
    }

    #[test]
    fn graphql_errors_are_reported_as_text() {
        assert!(graphql_answer(b"{").is_err());
        assert!(graphql_answer(b"[]").is_err());
        assert!(graphql_answer(br#"{"query":"{ sites { id } }"}"#).is_err());
        let answer =
            graphql_answer(br#"{"query":"{ assets { edges { node { id } } } }"}"#).expect("data");
        assert_eq!(answer["data"]["assets"]["edges"].as_array().map(Vec::len), Some(42));
    }
}
