//! Reads client id and secret from the header or the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::{Readings, Refusal};
use crate::form;

/// A client's credentials.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) by_header: bool,
}

/// The credentials from one of the two places. The outer error is a malformed request; the inner one is reported only after
/// the grant type has been checked.
pub(super) fn read(
    headers: &HeaderMap,
    in_body: (Option<String>, Option<String>),
    readings: &Readings,
) -> Result<Result<Credentials, Refusal>, Refusal> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(header), repeated) = (given.next(), given.next().is_some()) else {
        return Ok(match in_body {
            (Some(id), Some(secret)) => Ok(Credentials { id, secret, by_header: false }),
            _ => Err(Refusal::InvalidClient { by_header: false }),
        });
    };
    if repeated {
        return Err(Refusal::InvalidRequest("There is more than one Authorization header."));
    }
    let found = header.to_str().ok().filter(|_| readings.basic).and_then(basic);
    let same_id = |id: &String| found.as_ref().is_none_or(|(named, _)| named == id);
    if in_body.1.is_some() || !in_body.0.iter().all(same_id) {
        return Err(Refusal::InvalidRequest(
            "There are credentials both in the header and in the body.",
        ));
    }
    Ok(match found {
        Some((id, secret)) => Ok(Credentials { id, secret, by_header: true }),
        None => Err(Refusal::InvalidClient { by_header: readings.basic }),
    })
}

/// Id and secret of a Basic header. Both are form-encoded inside the base64 (RFC 6749, section 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(encoded.trim_matches(' ')).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some((form::decode(&pair[..colon]).ok()?, form::decode(&pair[colon + 1..]).ok()?))
}
