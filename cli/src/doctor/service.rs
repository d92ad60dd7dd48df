//! What the services say.

use std::time::Duration;

use tu_token::diagnosis::{Answer, Diagnosis};
use tu_token::{Client, Config, Error, ErrorKind, GetOptions, Token};

use super::network;
use super::report::{Check, Report, State};
use crate::failure::{Failure, LATER, REFUSED};

/// A cheap question: one asset. Never the AEMP route, which allows one request in 15 minutes.
const PROBE: &str = "/api/asset/v2/assets?size=1";
/// The scope it needs.
const PROBE_SCOPE: &str = "asset.view";
/// Most scopes that are asked for one by one.
const MOST_SCOPES: usize = 10;

pub fn examine(config: &Config, diagnosis: &Diagnosis, report: &mut Report) -> Result<(), Failure> {
    let client = Client::new(config)?;
    match client.token() {
        Ok(token) => {
            let seconds = token.expires_in().as_secs();
            let why = format!("got one that lives {seconds} s more");
            report.add(Check::ok("token", "granted", why).detail("expires_in", seconds))?;
            report.add(granted(diagnosis, &token))?;
            report.add(api(diagnosis, &token))
        }
        Err(error) => {
            report.add(refused(&error))?;
            match error.kind() {
                ErrorKind::InvalidScope => report.add(not_allowed(&client, diagnosis))?,
                _ => report.skip(&["scopes"], "there is no token")?,
            }
            report.skip(&["api"], "there is no token")
        }
    }
}

fn refused(error: &Error) -> Check {
    let wait = error.retry_after().map(|wait| wait.as_secs() + 1);
    let later = format!("try again in {} s", wait.unwrap_or(60));
    let check = network::failed("token", error);
    let check = match (error.kind(), error.oauth_code(), error.http_status()) {
        (ErrorKind::InvalidClient, Some("unauthorized_client"), _) => check.remedy(
            "the key may not use client credentials: is V2 enabled for the account? Make a key in \
             the API Keys application",
        ),
        (ErrorKind::InvalidClient, ..) => check.remedy(
            "compare id and secret with the key in the API Keys application: it may have been \
             rotated or revoked; rotate it if the secret is lost; or V2 is not enabled for the \
             account",
        ),
        (ErrorKind::InvalidScope, ..) => check.remedy("see the next line"),
        (ErrorKind::RateLimited, ..) => check.remedy(later),
        (ErrorKind::Budget, ..) => check.remedy("raise max_requests_per_minute"),
        (ErrorKind::Server, ..) => check.remedy(format!("nothing is wrong here: {later}")),
        (ErrorKind::BadResponse, _, Some(403 | 404)) => check.remedy(
            "V2 may not be enabled for the account, or the secret is wrong; check token_url",
        ),
        (ErrorKind::BadResponse, ..) => check.remedy(
            "a captive portal, a gateway or a wrong token_url: open token_url's host in a browser",
        ),
        _ => check,
    };
    check
        .detail("oauth_code", error.oauth_code())
        .detail("http_status", error.http_status())
        .detail("retry_after", wait.filter(|_| error.kind() == ErrorKind::RateLimited))
}

fn granted(diagnosis: &Diagnosis, token: &Token) -> Check {
    let scopes: Vec<&str> = token.scope().split(' ').collect();
    let missing: Vec<&str> =
        diagnosis.scopes().into_iter().filter(|asked| !scopes.contains(asked)).collect();
    let check = Check::ok("scopes", "granted", format!("granted: {}", token.scope()));
    let check = match missing.as_slice() {
        [] => check,
        _ => check.warn(
            "narrowed",
            &format!("not granted: {}", missing.join(" ")),
            "allow them for the key in the API Keys application",
        ),
    };
    check.detail("granted", scopes).detail("refused", missing)
}

/// The endpoint refuses all scopes for the sake of one: each is asked for alone.
fn not_allowed(client: &Client, diagnosis: &Diagnosis) -> Check {
    let asked = diagnosis.scopes();
    if asked.len() > MOST_SCOPES {
        return Check::skipped("scopes", format!("{} are too many to ask one by one", asked.len()));
    }
    let (mut refused, mut granted, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for scope in asked {
        let options = GetOptions { scope: Some(scope), ..GetOptions::default() };
        match client.get(&options).map_err(|error| error.kind()) {
            Ok(_) => granted.push(scope),
            Err(ErrorKind::InvalidScope) => refused.push(scope),
            Err(_) => unknown.push(scope),
        }
    }
    let why = match (refused.as_slice(), granted.as_slice()) {
        ([], _) => "each alone is granted, but not all together".to_owned(),
        (_, []) => format!("the key does not allow {}", refused.join(" ")),
        _ => {
            format!("the key does not allow {}; it allows {}", refused.join(" "), granted.join(" "))
        }
    };
    Check::new("scopes", State::Failed(REFUSED), "not_allowed", why)
        .remedy(
            "allow them for the key in the API Keys application, or leave them out of the scope",
        )
        .detail("granted", granted)
        .detail("refused", refused)
        .detail("unknown", unknown)
}

fn api(diagnosis: &Diagnosis, token: &Token) -> Check {
    let Some(origin) = api_origin(diagnosis) else {
        return Check::skipped("api", "api_hosts is empty");
    };
    let url = format!("{origin}{PROBE}");
    let check = match diagnosis.get(&url, Some(token)) {
        Ok(answer) => judge(&origin, &answer, token),
        Err(error) => network::failed("api", &error),
    };
    check.detail("url", url)
}

/// With the token endpoint on this machine, so is the API: that is the emulator.
fn api_origin(diagnosis: &Diagnosis) -> Option<String> {
    if !diagnosis.is_loopback() {
        return diagnosis.api_hosts().first().map(|host| format!("https://{host}"));
    }
    let url = diagnosis.token_url();
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    Some(format!("{scheme}://{authority}"))
}

fn judge(origin: &str, answer: &Answer, token: &Token) -> Check {
    let status = answer.status;
    let failed = |code: &str, exit: u8, why: String| {
        Check::new("api", State::Failed(exit), code, format!("{origin} {why}"))
    };
    let warning = |code: &str, why: String| {
        Check::new("api", State::Warning, code, format!("{origin} {why}"))
    };
    let has_scope = token.scope().split(' ').any(|scope| scope == PROBE_SCOPE);
    let check = match status {
        _ if answer.is_html => {
            failed("html", LATER, format!("answers with a web page (status {status})")).remedy(
                "a gateway or captive portal stands in the way, or api_hosts names another host",
            )
        }
        200..=299 => Check::ok("api", "accepted", format!("{origin} takes the token")),
        401 => failed("v2_not_accepted", REFUSED, "refuses a new token (401)".to_owned()).remedy(
            "this API may not accept V2 tokens yet: ask Trackunit, or use the earlier kind of \
             token for it",
        ),
        403 if has_scope => {
            failed("forbidden", REFUSED, format!("forbids it (403) in spite of {PROBE_SCOPE}"))
                .remedy("has the account access to this API and to the assets?")
        }
        403 => warning(
            "scope_missing",
            format!("takes the token, but the probe needs {PROBE_SCOPE} (403)"),
        )
        .remedy(format!("nothing, if your program does not need {PROBE_SCOPE}")),
        429 => {
            let wait = answer.retry_after.unwrap_or(Duration::from_secs(60)).as_secs();
            warning("rate_limited", "has had too many requests (429)".to_owned())
                .remedy(format!("try again in {wait} s"))
                .detail("retry_after", wait)
        }
        300..=399 => {
            let target = answer.location.as_deref().unwrap_or("nowhere");
            failed("redirect", LATER, format!("redirects to {target}; the token is not sent there"))
                .remedy("check api_hosts")
        }
        500.. => failed("server", LATER, format!("is in trouble (status {status})"))
            .remedy("nothing is wrong here: try again later"),
        _ => failed("unexpected", LATER, format!("answers with status {status}"))
            .remedy("check api_hosts"),
    };
    check.detail("http_status", status)
}
