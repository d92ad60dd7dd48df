//! The only place that opens a connection to the token endpoint.
//!
//! Each request has a new ureq agent, on purpose: a pooled connection would be shared with a forked
//! child (one was seen to receive its parent's response), tokens live much longer than idle
//! connections, and changed certificates and keys take effect with the next request.

use std::io::Read;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use ureq::http::header::LOCATION;
use ureq::http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use super::Blocked;
use super::Failure;
use super::connect::Connect;
use super::errors::MAY_WANT;
use super::headers::{self, text};
use super::hidden::Hidden;
use super::login::{Account, Login, NotNow};
use super::request::TokenRequest;
use super::resolve::SharedResolver;
use super::trust::{self, Security, Trust};
use super::ureq_config;
use super::{TimeLimit, Transport};
use crate::cache::flight::Class;
use crate::clock::{Clock, rounded};
use crate::config::authority::{self, Authority, Fault, is_loopback};
use crate::config::options::Options;
use crate::config::proxy::Route;
use crate::config::variables::Variables;
use crate::error::{Error, ErrorKind};
use crate::process::Parcel;
use crate::sync::global;
use crate::token::Token;

/// Maximum size of a response body.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
const TOO_LONG: &str = "is over 64 KiB";
pub(super) const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Larger than the headers may be; otherwise ureq takes endless headers for a closed connection.
const INPUT_BUFFER_BYTES: usize = MAX_HEADER_BYTES + 4 * 1024;

/// Room for a request's head, without what differs in length.
const HEAD_BYTES: usize = 2 * 1024;

/// A response, whatever its status.
#[derive(Default)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Why the body cannot be read, if that is known: a predicate for "the answer".
    pub(crate) unreadable: Option<String>,
    /// A likely reason for a response without a token, if there is a sign of one.
    pub(crate) hint: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// Scheme and host of the Location header only: the rest may contain anything.
    pub(crate) location: Option<String>,
    /// The server's clock.
    pub(crate) date: Option<SystemTime>,
    pub(crate) is_html: bool,
    /// The server that responded, for messages.
    pub(crate) origin: String,
}

impl HttpAnswer {
    pub(crate) fn looks_like_html(&self) -> bool {
        let text = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        self.is_html || text.trim_ascii_start().starts_with(b"<")
    }
}

/// Sends token requests: those of one client, or of several with the same options.
pub(crate) struct Http {
    pub(super) origin: String,
    route: Route,
    /// User and password for the proxy, if its URL has them.
    account: Option<Account>,
    pub(super) clock: Clock,
    pub(super) trust: Arc<Trust>,
    options: Arc<Options>,
    /// The purpose of the request, for messages.
    pub(super) errand: &'static str,
}

global! {
    /// What sends the requests of the client created last.
    static LAST: Parcel<Weak<Http>> = Parcel::empty();
}

impl Http {
    /// A program with thousands of clients usually sets only their credentials, scopes and names:
    /// such clients share the rest of their options, and this. A client with certificate files does
    /// not share this, because what is to be said about them is said to each client.
    pub(crate) fn shared(
        options: &mut Arc<Options>,
        clock: &Clock,
        variables: &Variables,
    ) -> Result<Arc<Self>, Error> {
        let last = LAST.take().and_then(|last| last.upgrade());
        let last = last.filter(|last| last.options.are_like(options));
        if let Some(last) = &last {
            *options = last.options.clone();
        }
        let is_same = |last: &Arc<Self>| {
            let are_of_system = matches!((&last.clock, clock), (Clock::System, Clock::System));
            // The environment may name another proxy or trust store now.
            let route = || route_of(options, variables).is_ok_and(|route| route == last.route);
            let trust = || !last.trust.has_files() && last.trust.is_of(variables);
            are_of_system && trust() && route()
        };
        let this = match last.filter(is_same) {
            Some(last) => last,
            None => Arc::new(Self::new(options, clock, variables)?),
        };
        LAST.put(Arc::downgrade(&this));
        Ok(this)
    }

    /// Checks the proxy and the certificate files, so that mistakes show at once.
    pub(crate) fn new(
        options: &Arc<Options>,
        clock: &Clock,
        variables: &Variables,
    ) -> Result<Self, Error> {
        let route = route_of(options, variables)?;
        let trust = Trust::new(options, variables).map_err(Error::config)?;
        Ok(Self::with(route, Arc::new(trust), options, clock))
    }

    /// The same for other options, sharing this one's certificates: a pipe delivers them only once.
    pub(crate) fn with_options(
        &self,
        options: &Arc<Options>,
        variables: &Variables,
    ) -> Result<Self, Error> {
        let route = route_of(options, variables)?;
        Ok(Self::with(route, self.trust.clone(), options, &self.clock))
    }

    fn with(route: Route, trust: Arc<Trust>, options: &Arc<Options>, clock: &Clock) -> Self {
        // Here, where the environment is read anyway.
        ureq_config::of_process();
        Self {
            origin: origin_of(options.token_url.uri()),
            account: route.proxy.as_ref().and_then(|proxy| Account::of(proxy, clock)),
            clock: clock.clone(),
            route,
            trust,
            options: options.clone(),
            errand: "get a token",
        }
    }

    /// How the endpoint is reached.
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    /// The endpoint's URL.
    pub(crate) fn uri(&self) -> &Uri {
        self.options.token_url.uri()
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.options.connect_timeout
    }
}

fn route_of(options: &Options, variables: &Variables) -> Result<Route, Error> {
    let variable = |name: &str| Some(variables.get(name)?.to_str()?.to_owned());
    options.proxy.for_url(&options.token_url, &variable).map_err(Error::config)
}

impl Transport for Http {
    fn post(&self, request: &TokenRequest, limit: TimeLimit) -> Result<HttpAnswer, Failure> {
        let authorization = request.authorization.as_ref().map_or(0, |value| value.len());
        let attempt = self.attempt(limit, &request.user_agent)?;
        let mut call = attempt
            .prepared(attempt.agent.post(self.uri()), authorization)
            .header("Content-Type", "application/x-www-form-urlencoded");
        if let Some(authorization) = &request.authorization {
            call = call.header("Authorization", attempt.authorization(authorization)?);
        }
        let body = attempt.hidden.body(&request.body);
        let response = call.send(body.as_bytes()).map_err(|error| attempt.failure(error))?;
        attempt.answer(response)
    }

    fn refused_login(&self) -> Option<Blocked> {
        let refused = self.account.as_ref()?.refusal()?;
        Some(Blocked::new(refused.until, &self.login_refused(&refused)))
    }

    fn wake(&self) {
        if let Some(account) = &self.account {
            account.wake();
        }
    }

    fn news(&self) -> Vec<String> {
        self.trust.news()
    }
}

/// One request, from connecting to the response.
pub(super) struct Attempt<'a> {
    pub(super) http: &'a Http,
    agent: ureq::Agent,
    user_agent: &'a str,
    hidden: Hidden,
    pub(super) limit: TimeLimit,
    /// What is left of it.
    left: Duration,
    /// `None`: plain HTTP.
    pub(super) security: Option<Security>,
}

impl Http {
    /// Requests the URL, with a token if there is one. For diagnosis: the route is that of the
    /// token request.
    pub(crate) fn get(
        mut self,
        token: Option<&Token>,
        timeout: Duration,
    ) -> Result<HttpAnswer, Failure> {
        self.errand = "get an answer";
        let limit = TimeLimit { attempt: timeout, spent: Duration::ZERO };
        let attempt = self.attempt(limit, &self.options.user_agent)?;
        let authorization = token.map_or(0, |token| token.bearer().len());
        let mut call = attempt.prepared(attempt.agent.get(self.uri()), authorization);
        if let Some(token) = token {
            call = call.header("Authorization", attempt.authorization(token.bearer())?);
        }
        let response = call.call().map_err(|error| attempt.failure(error))?;
        attempt.answer(response)
    }

    fn attempt<'a>(
        &'a self,
        limit: TimeLimit,
        user_agent: &'a str,
    ) -> Result<Attempt<'a>, Failure> {
        let security = match self.is_https() {
            true => Some(self.trust.security()),
            false => None,
        };
        let security =
            security.transpose().map_err(|problem| self.insecure(&self.origin, &problem))?;
        // Time spent waiting for a login's turn is part of the attempt.
        let (login, left) = self.admitted(limit.attempt)?;
        let tls = security.as_ref().map(|security| security.config.clone());
        let hidden = Hidden::new();
        let connect =
            Connect::new(user_agent, self.connect_timeout(), left, login, tls, hidden.clone());
        let config = ureq_config::of_process().clone();
        let agent = ureq::Agent::with_parts(config, connect, SharedResolver);
        Ok(Attempt { http: self, agent, user_agent, hidden, limit, left, security })
    }

    /// A login to the proxy, if it requires one, once its turn has come; and the remaining time.
    fn admitted(&self, timeout: Duration) -> Result<(Option<Login>, Duration), Failure> {
        let Some(account) = &self.account else { return Ok((None, timeout)) };
        match account.admit(timeout) {
            Ok((login, left)) => Ok((Some(login), left)),
            Err(NotNow::Refused(refused)) => {
                let wait = refused.until.until(self.clock.now());
                let error = self.login_refused(&refused).remembered(wait);
                Err(Failure::new(Class::LoginRefused, error))
            }
            Err(NotNow::Busy) => Err(self.network(&format!(
                "another login to it has not finished within {:?}; until one succeeds, logins are \
                 made one at a time",
                rounded(timeout)
            ))),
        }
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri().scheme_str() == Some("https")
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(self.options.token_url.host())
    }

    /// Scheme and host of a redirect's target.
    fn target_of(&self, location: &str) -> String {
        let absolute = match location.starts_with("//") {
            true => format!("{}:{location}", self.uri().scheme_str().unwrap_or("https")),
            false => location.to_owned(),
        };
        let read = authority::split(&absolute).and_then(|(scheme, named)| {
            // What precedes the host may be a password.
            let host = named.rsplit('@').next().filter(|_| !named.contains('\\'));
            let host = Authority::parse(host.ok_or(Fault::Character('\\'))?)?;
            Ok(format!("{}://{host}", scheme.to_ascii_lowercase()))
        });
        match read {
            Ok(origin) => origin,
            // Without a scheme it is a path, relative to the requested URL.
            Err(Fault::Scheme) => self.origin.clone(),
            Err(_) => "a place that is not a URL".to_owned(),
        }
    }
}

impl Attempt<'_> {
    /// With all that does not depend on the kind of request. The length is that of `Authorization`.
    fn prepared<B>(
        &self,
        call: ureq::RequestBuilder<B>,
        authorization: usize,
    ) -> ureq::RequestBuilder<B> {
        let uri = self.http.uri();
        let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
        let host = uri.authority().map_or(0, |host| host.as_str().len());
        let patience = self.http.connect_timeout();
        call.config()
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .output_buffer_size(HEAD_BYTES + target + host + self.user_agent.len() + authorization)
            .timeout_global(Some(self.left))
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .user_agent(self.user_agent)
            .proxy(self.http.route.proxy.clone())
            .build()
            .header("Accept", "application/json")
            .header("Accept-Encoding", "identity")
    }

    fn authorization(&self, value: &str) -> Result<HeaderValue, Failure> {
        sensitive(&self.hidden.authorization(value))
    }

    /// Reads a response: first what its header says about the body, then the body.
    fn answer(
        &self,
        mut response: ureq::http::Response<ureq::Body>,
    ) -> Result<HttpAnswer, Failure> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let mut answer = HttpAnswer {
            status,
            unreadable: headers::coding(headers),
            retry_after: headers::retry_after(headers, SystemTime::now()),
            // A value that is not ASCII is no URL either.
            location: headers
                .get(LOCATION)
                .map(|target| self.http.target_of(target.to_str().unwrap_or("\u{7f}"))),
            date: headers::date(headers),
            is_html: text(headers, "content-type").is_some_and(|kind| kind.contains("html")),
            origin: self.http.origin.clone(),
            ..HttpAnswer::default()
        };
        let length = response.body().content_length();
        if length.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
            answer.unreadable = Some(TOO_LONG.to_owned());
        }
        if answer.unreadable.is_none() {
            let headers = response.headers().clone();
            match read_body(response.body_mut(), length, &self.hidden, &mut answer) {
                Ok(()) => {}
                // The status of a refusal is enough; a truncated text changes nothing.
                Err(_) if status != 200 => {}
                Err(error) => {
                    // A server that responds accepts the client's certificate, or its absence.
                    trust::was_accepted();
                    return Err(self.failure(error.into()));
                }
            }
            answer.unreadable =
                answer.unreadable.or_else(|| headers::no_utf8(&headers, &answer.body));
        }
        answer.hint = self.hint(&answer);
        Ok(answer)
    }

    /// A likely reason for a refusal, if the connection or the page shows one.
    fn hint(&self, answer: &HttpAnswer) -> Option<String> {
        if let (Some(problem), 400..) = (&answer.unreadable, answer.status) {
            return Some(format!("its body {problem}"));
        }
        // The last two are nginx's own.
        if !matches!(answer.status, 400 | 403 | 495 | 496) {
            return None;
        }
        if !self.http.is_https() && headers::wants_https(&answer.body) {
            return Some("TLS is spoken on this port: write https:// in token_url".to_owned());
        }
        let is_said =
            matches!(answer.status, 495 | 496) || headers::wants_certificate(&answer.body);
        match is_said {
            true => Some(self.certificate_words("wants")),
            false => self.was_asked().then(|| self.certificate_words(MAY_WANT)),
        }
    }
}

/// A header value that must not be logged.
fn sensitive(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Failure::transient(Error::new(ErrorKind::Internal, "Authorization is not a header value"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_body(
    body: &mut ureq::Body,
    length: Option<u64>,
    hidden: &Hidden,
    answer: &mut HttpAnswer,
) -> std::io::Result<()> {
    // Allocated in full: growing would leave copies of a token in freed memory.
    let expected = length.map_or(MAX_BODY_BYTES, |length| length as usize);
    let mut passed_on = Zeroizing::new(Vec::with_capacity(expected + 64));
    let outcome = body.as_reader().take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut passed_on);
    answer.body = hidden.received(passed_on);
    outcome?;
    if answer.body.len() > MAX_BODY_BYTES {
        answer.unreadable = Some(TOO_LONG.to_owned());
    }
    Ok(())
}

fn origin_of(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or_default());
    match uri.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_with_the_same_options_share_them_and_what_sends_their_requests() {
        let made = |id: &str, timeout: &str| {
            let mut given = crate::config::given::Given::default();
            given.set("client_id", id);
            given.set("client_secret", "secret");
            given.set("connect_timeout", timeout);
            let mut options = Arc::new(given.resolve(false, |_| false).unwrap());
            let http = Http::shared(&mut options, &Clock::System, &Variables::now()).unwrap();
            (options, http)
        };
        // Other tests create clients as well, between any two of these.
        assert!((0..1000).any(|_| {
            let (one, other) = (made("one", "1234ms"), made("other", "1234ms"));
            Arc::ptr_eq(&one.0, &other.0) && Arc::ptr_eq(&one.1, &other.1)
        }));
        for timeout in ["1235ms", "1236ms"] {
            let (options, http) = made("one", timeout);
            assert_eq!(http.connect_timeout(), options.connect_timeout);
            assert_eq!(
                format!("{:?}", options.connect_timeout),
                timeout.replace("123", "1.23").replace("ms", "s")
            );
        }
    }

    #[test]
    fn a_redirects_target_is_shown_without_its_path() {
        let http = Http::new(&Arc::default(), &Clock::System, &Variables::now()).unwrap();
        for (location, target) in [
            ("https://trap.example/x?secret=1", "https://trap.example"),
            ("HTTP://Trap.example:81/", "http://trap.example:81"),
            ("http://user:pw@trap.example:81/", "http://trap.example:81"),
            ("http://user\\@trap.example:81/", "a place that is not a URL"),
            ("/login?next=https://trap.example", "https://auth.trackunit.com"),
            ("https://[::1].trap.example/", "a place that is not a URL"),
            ("/elsewhere", "https://auth.trackunit.com"),
            ("elsewhere", "https://auth.trackunit.com"),
            ("//trap.example/x", "https://trap.example"),
            ("\u{7f}", "a place that is not a URL"),
        ] {
            assert_eq!(http.target_of(location), target);
        }
    }
}
