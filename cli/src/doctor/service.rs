//! Checks of the services' answers.

use tu_token::diagnosis::{Answer, Diagnosis};
use tu_token::{Client, Config, Error, ErrorKind, Token};

use super::peer::Peer;
use super::report::{Check, Report, State};
use super::{network, scopes};
use crate::failure::{Failure, LATER, REFUSED, USAGE};

/// A cheap request: one asset. Never the AEMP route, which allows one request in 15 minutes.
const PROBE: &str = "/api/asset/v2/assets?size=1";
/// The scope it needs.
const PROBE_SCOPE: &str = "asset.view";

pub fn examine(config: &Config, diagnosis: &Diagnosis, report: &mut Report) -> Result<(), Failure> {
    let client = Client::new(config)?;
    match client.token() {
        Ok(token) => {
            let seconds = token.expires_in().as_secs();
            let why = format!("received, expires in {seconds} s");
            report.add(Check::ok("token", "granted", why).detail("expires_in", seconds))?;
            report.add(granted(diagnosis, &token))?;
            report.add(api(diagnosis, &token))
        }
        Err(error) => {
            report.add(refused(diagnosis, &error))?;
            match error.kind() {
                ErrorKind::InvalidScope => {
                    report.add(scopes::refused(config, diagnosis, &error))?
                }
                _ => report.skip(&["scopes"], "there is no token")?,
            }
            report.skip(&["api"], "there is no token")
        }
    }
}

fn refused(diagnosis: &Diagnosis, error: &Error) -> Check {
    let wait = error.retry_after().map(|wait| wait.as_secs() + 1);
    let check = network::failed("token", error);
    let check = match (error.kind(), error.http_status()) {
        // Waiting does not help: this is a matter of configuration.
        (ErrorKind::BadResponse, Some(404 | 405)) => check.state(State::Failed(USAGE)),
        _ => check,
    };
    // A value that was pasted wrongly is a better explanation than a rotated key.
    let may_explain = matches!(
        (error.kind(), error.http_status()),
        (ErrorKind::InvalidClient | ErrorKind::InvalidScope | ErrorKind::OAuth, _)
            | (ErrorKind::BadResponse, Some(400..=403))
    );
    let remarks = if may_explain { diagnosis.remarks() } else { String::new() };
    let remedy = match remarks.is_empty() {
        true => remedy(error, wait.unwrap_or(60)),
        false => {
            format!("{remarks}: correct that first, where the credentials and options are set")
        }
    };
    check
        .remedy(remedy)
        .detail("oauth_code", error.oauth_code())
        .detail("http_status", error.http_status())
        .detail("retry_after", wait.filter(|_| error.kind() == ErrorKind::RateLimited))
}

/// What to do if the endpoint answers but sends no token.
fn remedy(error: &Error, wait: u64) -> String {
    let text = match (error.kind(), error.oauth_code(), error.http_status()) {
        (ErrorKind::InvalidClient, Some("unauthorized_client"), _) => {
            "the key may not use client credentials: is V2 enabled for the account? Create a key in \
             the API Keys application"
        }
        (ErrorKind::InvalidClient, ..) => {
            "compare id and secret with the key in the API Keys application: the key may have been \
             rotated or revoked; rotate it if the secret is lost; or V2 is not enabled for the account"
        }
        (ErrorKind::InvalidScope, ..) => "see the next line",
        (ErrorKind::RateLimited, ..) => return format!("try again in {wait} s"),
        (ErrorKind::Budget, ..) => "raise max_requests_per_minute",
        (ErrorKind::Server, ..) => {
            return format!("the fault is not on this side: try again in {wait} s");
        }
        (ErrorKind::Network | ErrorKind::Timeout, ..) => {
            "the endpoint was reachable a moment ago, see connection: try again; if this persists, \
             the server is slow (raise request_timeout, fetch_timeout and timeout), or something in \
             between cuts off token requests"
        }
        (ErrorKind::Tls, ..) => {
            "the endpoint was reachable a moment ago, see connection: try again; servers behind \
             one name may have different certificates"
        }
        (ErrorKind::BadResponse, _, Some(404 | 405)) => {
            "check the path of token_url (the documented one is /token/v2); if it is right, V2 may \
             not be enabled for the account"
        }
        (ErrorKind::BadResponse, _, Some(403)) => {
            "compare the secret with the key in the API Keys application; or V2 is not enabled for \
             the account"
        }
        (ErrorKind::BadResponse, _, Some(300..=399)) => {
            "set token_url to the final address, if you trust it with the secret; if this network \
             has a sign-in page, open it in a browser"
        }
        (ErrorKind::BadResponse, ..) => {
            "something other than the token endpoint answers: check token_url; if this network has a \
             sign-in page, open it in a browser; if a gateway intercepts the connection, ask for an \
             exception"
        }
        _ => "`tu-token options` shows where each value comes from",
    };
    text.to_owned()
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

fn api(diagnosis: &Diagnosis, token: &Token) -> Check {
    let Some(origin) = api_origin(diagnosis) else {
        return Check::skipped("api", "api_hosts is empty");
    };
    let url = format!("{origin}{PROBE}");
    let check = match diagnosis.get(&url, Some(token)) {
        Ok(answer) if has_no_api(diagnosis, &origin, &answer) => Check::skipped(
            "api",
            format!("{origin} is another token endpoint on this machine, without an IRIS API"),
        ),
        Ok(answer) => judge(&origin, named_by(diagnosis), &answer, token),
        Err(error) => unanswered(diagnosis, &url, &error),
    };
    check.detail("url", url)
}

/// If the token endpoint is on this machine, it is the emulator, which also serves the API.
fn api_origin(diagnosis: &Diagnosis) -> Option<String> {
    match diagnosis.is_loopback() {
        true => Some(Peer::of("token_url", &diagnosis.token_url()).origin()),
        false => diagnosis.api_hosts().first().map(|host| format!("https://{host}")),
    }
}

/// The option that names the host; of `api_hosts`, the first is used.
fn named_by(diagnosis: &Diagnosis) -> &'static str {
    if diagnosis.is_loopback() { "token_url" } else { "the first of api_hosts" }
}

/// Whether the token endpoint on this machine has no API. The emulator has one.
fn has_no_api(diagnosis: &Diagnosis, origin: &str, answer: &Answer) -> bool {
    let is_emulator = || {
        let clock = diagnosis.get(&format!("{origin}/_emulator/clock"), None);
        clock.is_ok_and(|clock| clock.status == 200 && !clock.is_html)
    };
    let has_answered = matches!(answer.status, 200..=299) && !answer.is_html;
    diagnosis.is_loopback() && !has_answered && !is_emulator()
}

/// The check for an API that does not answer. The token endpoint did, so this network works.
fn unanswered(diagnosis: &Diagnosis, url: &str, error: &Error) -> Check {
    let option = named_by(diagnosis);
    let check = network::failed("api", error);
    let is_direct = diagnosis.way_to(url).is_ok_and(|way| way.proxy.is_none());
    match error.kind() {
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Tls if is_direct => {
            check.remedy(Peer::of(option, url).remedy(error, diagnosis.connect_timeout()))
        }
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Tls => {
            check.remedy("check api_hosts, and whether the proxy allows that host")
        }
        _ => check.remedy("check api_hosts, and whether something blocks that host"),
    }
}

fn judge(origin: &str, option: &str, answer: &Answer, token: &Token) -> Check {
    let status = answer.status;
    let failed = |code: &str, exit: u8, why: String| {
        Check::new("api", State::Failed(exit), code, format!("{origin} {why}"))
    };
    let warning = |code: &str, why: String| {
        Check::new("api", State::Warning, code, format!("{origin} {why}"))
    };
    let has_scope = token.scope().split(' ').any(|scope| scope == PROBE_SCOPE);
    let check = match status {
        // For the excluded statuses, a gateway's page means the same as an API's response.
        _ if answer.is_html && !matches!(status, 300..=399 | 429 | 500..) => failed(
            "html",
            LATER,
            format!("answers with a web page (status {status})"),
        )
        .remedy(format!(
            "a gateway or captive portal intercepts the connection, or {option} is the wrong host"
        )),
        200..=299 => Check::ok("api", "accepted", format!("{origin} accepts the token")),
        401 => failed("v2_not_accepted", REFUSED, "refuses a new token (401)".to_owned()).remedy(
            "this API may not accept V2 tokens yet: ask Trackunit, or use the earlier kind of \
             token for it",
        ),
        403 if has_scope => {
            failed("forbidden", REFUSED, format!("refuses access (403) despite {PROBE_SCOPE}"))
                .remedy("check that the account has access to this API and to the assets")
        }
        403 => warning(
            "scope_missing",
            format!("accepts the token, but the probe needs {PROBE_SCOPE} (403)"),
        )
        .remedy(format!("nothing, if your program does not need {PROBE_SCOPE}")),
        429 => {
            let wait = answer.retry_after.map(|wait| wait.as_secs());
            let remedy = match wait {
                Some(wait) => format!("try again in {wait} s"),
                None => "try again later; the API does not say when".to_owned(),
            };
            warning("rate_limited", "has received too many requests (429)".to_owned())
                .remedy(remedy)
                .detail("retry_after", wait)
        }
        300..=399 => {
            let target = answer.location.as_deref().unwrap_or("nowhere");
            failed("redirect", LATER, format!("redirects to {target}; the token is not sent there"))
                .remedy(format!("check {option}"))
        }
        500.. => failed("server", LATER, format!("reports a server error (status {status})"))
            .remedy("the fault is not on this side: try again later"),
        404 | 405 => failed("no_api", USAGE, format!("has no IRIS API (status {status})"))
            .remedy(format!("check {option}")),
        _ => failed("unexpected", LATER, format!("answers with status {status}"))
            .remedy(format!("check {option}")),
    };
    check.detail("http_status", status)
}
