//! The one place that opens a connection to the token endpoint.
//!
//! A new ureq agent for each request, on purpose: a pooled connection would be shared with a
//! forked child (which was seen to receive its parent's answer), tokens live much longer than idle
//! connections, and so certificates and keys are read anew without looking for changes.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::CertificateError;
use ureq::http::header::{HeaderMap, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use super::Transport;
use super::connect::Connect;
use super::login::{Account, Login, NotNow};
use super::names;
use super::request::TokenRequest;
use super::resolve::SharedResolver;
use super::tunnel::Problem;
use crate::cache::flight::{Class, Failure};
use crate::cache::limits::Blocked;
use crate::cache::logins::RefusedLogin;
use crate::cache::policy::REFUSED_LOGIN_PAUSE;
use crate::clock::Clock;
use crate::config::authority::{self, Authority, Fault};
use crate::config::endpoint::TokenUrl;
use crate::config::options::Options;
use crate::error::{Error, ErrorKind};
use crate::files::{Content, Named};
use crate::token::Token;

/// Longest answer that is read.
const MAX_BODY_BYTES: usize = 64 * 1024;
pub(super) const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Larger than the headers may be, or ureq takes endless headers for a closed connection.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;

/// An answer, whatever its status.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// The body went on beyond what is read.
    pub(crate) too_long: bool,
    pub(crate) retry_after: Option<Duration>,
    /// Scheme and host of the Location header, no more: the rest may hold anything.
    pub(crate) location: Option<String>,
    /// What the server's clock says.
    pub(crate) date: Option<SystemTime>,
    pub(crate) is_html: bool,
    /// Who answered, for messages.
    pub(crate) origin: String,
}

impl HttpAnswer {
    pub(crate) fn looks_like_html(&self) -> bool {
        let text = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        self.is_html || text.trim_ascii_start().starts_with(b"<")
    }
}

/// How token requests of one client are sent.
pub(crate) struct Http {
    url: TokenUrl,
    origin: String,
    proxy: Option<ureq::Proxy>,
    /// User and password for the proxy, if its URL has them.
    account: Option<Account>,
    clock: Clock,
    ca_file: Option<Arc<Named>>,
    client_cert: Option<(Arc<Named>, Arc<Named>)>,
    connect_timeout: Duration,
    user_agent: String,
    /// What it is good for, in messages.
    errand: &'static str,
}

impl Http {
    /// Checks the proxy and the certificate files, so that mistakes show at once.
    pub(crate) fn new(options: &Options, clock: &Clock) -> Result<Self, Error> {
        let proxy = options
            .proxy
            .for_url(&options.token_url, &|name| std::env::var(name).ok())
            .map_err(Error::config)?;
        let http = Self {
            origin: origin_of(options.token_url.uri()),
            url: options.token_url.clone(),
            account: proxy.as_ref().and_then(|proxy| Account::of(proxy, clock)),
            clock: clock.clone(),
            proxy,
            ca_file: options.ca_file.clone(),
            client_cert: options.client_cert_file.clone().zip(options.client_key_file.clone()),
            connect_timeout: options.connect_timeout,
            user_agent: match &options.name {
                Some(name) => format!("{} ({name})", options.user_agent),
                None => options.user_agent.clone(),
            },
            errand: "get a token",
        };
        http.roots().and_then(|_| http.certificate()).map_err(Error::config)?;
        Ok(http)
    }
}

impl Transport for Http {
    fn post(&self, request: &TokenRequest, timeout: Duration) -> Result<HttpAnswer, Failure> {
        let agent = self.agent(timeout)?;
        let mut call = agent
            .post(self.url.uri())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json");
        if let Some(authorization) = &request.authorization {
            let mut value = HeaderValue::from_str(authorization).map_err(|_| {
                Failure::transient(Error::new(ErrorKind::Internal, "Basic is not a header value"))
            })?;
            value.set_sensitive(true);
            call = call.header("Authorization", value);
        }
        let response =
            call.send(request.body.as_bytes()).map_err(|error| self.failure(error, timeout))?;
        self.answer(response, timeout)
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
}

impl Http {
    /// Asks for what is at the URL, with a token if there is one. For a diagnosis: the way is that
    /// of the token request.
    pub(crate) fn get(
        mut self,
        token: Option<&Token>,
        timeout: Duration,
    ) -> Result<HttpAnswer, Failure> {
        self.errand = "get an answer";
        let agent = self.agent(timeout)?;
        let mut call = agent.get(self.url.uri()).header("Accept", "application/json");
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.bearer()).map_err(|_| {
                Failure::transient(Error::new(ErrorKind::Internal, "a token is no header value"))
            })?;
            value.set_sensitive(true);
            call = call.header("Authorization", value);
        }
        let response = call.call().map_err(|error| self.failure(error, timeout))?;
        self.answer(response, timeout)
    }

    fn answer(
        &self,
        mut response: ureq::http::Response<ureq::Body>,
        timeout: Duration,
    ) -> Result<HttpAnswer, Failure> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let mut answer = HttpAnswer {
            status,
            body: Zeroizing::new(Vec::new()),
            too_long: false,
            retry_after: retry_after(headers, SystemTime::now()),
            location: text(headers, LOCATION.as_str()).map(|target| self.target_of(target)),
            date: date(headers),
            is_html: text(headers, "content-type").is_some_and(|kind| kind.contains("html")),
            origin: self.origin.clone(),
        };
        let read = read_body(response.body_mut(), &mut answer);
        match read {
            Ok(()) => Ok(answer),
            // The status of a refusal says enough; that its text was cut off changes nothing.
            Err(_) if status != 200 => Ok(answer),
            Err(error) => Err(self.failure(error.into(), timeout)),
        }
    }

    fn agent(&self, timeout: Duration) -> Result<ureq::Agent, Failure> {
        let tls = self.tls().map_err(|problem| {
            Failure::new(Class::TransientOnce, Error::new(ErrorKind::Tls, problem))
        })?;
        let (login, timeout) = self.admitted(timeout)?;
        let connect = Connect::new(&self.user_agent, self.connect_timeout, timeout, login);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(MAX_HEADER_BYTES)
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .timeout_global(Some(timeout))
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .user_agent(self.user_agent.as_str())
            .proxy(self.proxy.clone())
            .tls_config(tls)
            .build();
        Ok(ureq::Agent::with_parts(config, connect, SharedResolver))
    }

    /// A login to the proxy, if it wants one, when its turn has come; and the time that is left.
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
                "another login to it had no outcome within {timeout:?}; until one is accepted, \
                 they are made one at a time"
            ))),
        }
    }

    fn tls(&self) -> Result<TlsConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(self.roots()?)
            .client_cert(self.certificate()?)
            .build())
    }

    fn roots(&self) -> Result<RootCerts, String> {
        let Some(path) = &self.ca_file else { return Ok(RootCerts::PlatformVerifier) };
        let certificates = certificates("ca_file", path, self.connect_timeout)?;
        Ok(RootCerts::new_with_certs(&certificates))
    }

    /// The client certificate, checked against its key: ureq would panic on a mismatch.
    fn certificate(&self) -> Result<Option<ClientCert>, String> {
        let Some((cert_path, key_path)) = &self.client_cert else { return Ok(None) };
        let chain = certificates("client_cert_file", cert_path, self.connect_timeout)?;
        let key = private_key("client_key_file", key_path, self.connect_timeout)?;
        let der = rustls::pki_types::PrivateKeyDer::try_from(key.der().to_vec())
            .map_err(|_| format!("client_key_file {} is not a private key", key_path.display()))?;
        let signer = rustls::crypto::ring::sign::any_supported_type(&der).map_err(|_| {
            format!("client_key_file {} is of a kind that is not supported", key_path.display())
        })?;
        let der_chain = chain.iter().map(|one| one.der().to_vec().into()).collect();
        match rustls::sign::CertifiedKey::new(der_chain, signer).keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Some(ClientCert::new_with_certs(&chain, key)))
            }
            Err(_) => Err(format!(
                "client_key_file {} does not belong to the certificate in client_cert_file {}",
                key_path.display(),
                cert_path.display()
            )),
        }
    }

    /// Scheme and host of a redirect's target.
    fn target_of(&self, location: &str) -> String {
        let absolute = match location.starts_with("//") {
            true => format!("{}:{location}", self.url.uri().scheme_str().unwrap_or("https")),
            false => location.to_owned(),
        };
        let read = authority::split(&absolute).and_then(|(scheme, named)| {
            // What stands before the host may be a password.
            let host = named.rsplit('@').next().filter(|_| !named.contains('\\'));
            let host = Authority::parse(host.ok_or(Fault::Character('\\'))?)?;
            Ok(format!("{}://{host}", scheme.to_ascii_lowercase()))
        });
        match read {
            Ok(origin) => origin,
            // Without a scheme it is a path, relative to what was asked.
            Err(Fault::Scheme) => self.origin.clone(),
            Err(_) => "a place that is not a URL".to_owned(),
        }
    }

    fn via(&self) -> &'static str {
        if self.proxy.is_some() { " through the proxy" } else { "" }
    }

    fn sentence(&self, problem: &dyn std::fmt::Display) -> String {
        format!("cannot {} from {}{}: {problem}", self.errand, self.origin, self.via())
    }

    fn network(&self, problem: &str) -> Failure {
        Failure::transient(Error::new(ErrorKind::Network, self.sentence(&problem)))
    }

    /// What whoever asks is told while a refused login is remembered.
    fn login_refused(&self, refused: &RefusedLogin) -> Error {
        let wait = refused.until.until(self.clock.now());
        let minutes = wait.as_secs().div_ceil(60);
        let message = format!(
            "{}. Each login may lock the account, so this process makes the next one in {minutes} \
             min at the earliest",
            self.sentence(&refused.said)
        );
        Error::new(ErrorKind::Proxy, message).with_retryable(false).with_retry_after(Some(wait))
    }

    fn proxy_failure(&self, problem: Problem, timeout: Duration) -> Failure {
        let barred = |text: String| {
            Failure::new(Class::TransientOnce, Error::new(ErrorKind::Proxy, self.sentence(&text)))
        };
        match problem {
            Problem::LoginRefused(said) => {
                let until = self.clock.now().after(REFUSED_LOGIN_PAUSE);
                let refused = RefusedLogin { until, said: said.into() };
                Failure::new(Class::LoginRefused, self.login_refused(&refused))
            }
            Problem::LoginWanted(text) | Problem::Forbidden(text) => barred(text),
            Problem::Failed(text) | Problem::Strange(text) => self.network(&text),
            Problem::Broken(error) => self.failure(error, timeout),
            Problem::Insecure(error) => self.failure_of("the proxy", error, timeout),
        }
    }

    fn failure(&self, error: ureq::Error, timeout: Duration) -> Failure {
        self.failure_of(&self.origin, error, timeout)
    }

    /// `peer`: who TLS is spoken with.
    fn failure_of(&self, peer: &str, error: ureq::Error, timeout: Duration) -> Failure {
        let via = self.via();
        let origin = &self.origin;
        let network = |problem: String| self.network(&problem);
        let bad = |problem: &str| {
            Failure::transient(Error::new(
                ErrorKind::BadResponse,
                format!("the answer of {origin}{via} {problem}"),
            ))
        };
        match error {
            ureq::Error::Other(problem) if problem.is::<names::Problem>() => {
                network(problem.to_string())
            }
            ureq::Error::Timeout(ureq::Timeout::Connect) => {
                network(format!("no connection within {:?}", self.connect_timeout.min(timeout)))
            }
            ureq::Error::Timeout(_) => network(format!("no complete answer within {timeout:?}")),
            ureq::Error::HostNotFound => network("the host name is not known".to_owned()),
            ureq::Error::Other(other) => match other.downcast::<Problem>() {
                Ok(problem) => self.proxy_failure(*problem, timeout),
                Err(other) => network(other.to_string()),
            },
            ureq::Error::Io(error) => match rustls_error(&error) {
                Some(error) => self.tls_failure(peer, error),
                None => network(io_problem(&error)),
            },
            ureq::Error::Rustls(error) => self.tls_failure(peer, &error),
            ureq::Error::Tls(problem) => Self::tls_problem(peer, problem),
            ureq::Error::Protocol(_) => bad("is not HTTP"),
            ureq::Error::LargeResponseHeader(..) => bad("has too large headers"),
            ureq::Error::BodyExceedsLimit(_) => bad("is over 64 KiB"),
            // What is left concerns the request we built; its text holds nothing of the body.
            other => network(other.to_string()),
        }
    }

    fn tls_failure(&self, peer: &str, error: &rustls::Error) -> Failure {
        let trust = match &self.ca_file {
            Some(path) => format!("ca_file {}", path.display()),
            None => "the system's trust store".to_owned(),
        };
        let problem = match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "its certificate is not yet valid: is this device's clock right?".to_owned()
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "its certificate has expired (or this device's clock is ahead)".to_owned()
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    "its certificate is for another host name".to_owned()
                }
                CertificateError::UnknownIssuer => {
                    format!("its certificate is signed by nobody in {trust}")
                }
                _ => format!("its certificate cannot be trusted ({error}); looked at {trust}"),
            },
            rustls::Error::General(reason) => format!(
                "no trust store ({reason}); looked at {trust}. Install ca-certificates or set \
                 ca_file"
            ),
            other => other.to_string(),
        };
        Self::tls_problem(peer, &problem)
    }

    fn tls_problem(peer: &str, problem: &str) -> Failure {
        let message = format!("no secure connection to {peer}: {problem}");
        Failure::new(Class::TransientOnce, Error::new(ErrorKind::Tls, message))
    }
}

fn read_body(body: &mut ureq::Body, answer: &mut HttpAnswer) -> std::io::Result<()> {
    // Room for all of it, so that no copy of a token is left behind by growing.
    let expected = body.content_length().map_or(MAX_BODY_BYTES, |length| {
        usize::try_from(length).unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES)
    });
    answer.body.reserve_exact(expected + 64);
    body.as_reader().take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut answer.body)?;
    answer.too_long = answer.body.len() > MAX_BODY_BYTES;
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// RFC 9110 section 10.2.3: seconds, or a date. A date is taken against the server's own clock if
/// it tells the time, because a device's clock may be years off.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(date(headers).unwrap_or(now)).unwrap_or_default())
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, "date")?).ok()
}

fn origin_of(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or_default());
    match uri.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn io_problem(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the connection was cut off".to_owned(),
        std::io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        _ => error.to_string(),
    }
}

/// A file may hang, so it is not read here (see `files`), and not waited for for longer than the
/// server would be.
fn read_pem(option: &str, path: &Arc<Named>, limit: Duration) -> Result<Arc<Content>, String> {
    path.read_within(limit).map_err(|unread| format!("{option} {} {unread}", path.display()))
}

fn certificates(
    option: &str,
    path: &Arc<Named>,
    limit: Duration,
) -> Result<Vec<Certificate<'static>>, String> {
    let pem = read_pem(option, path, limit)?;
    let certificates: Vec<_> = parse_pem(&pem.bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    // ureq drops what it cannot parse; a file of nothing else would look like an unknown issuer.
    let is_sound = |certificate: &Certificate<'_>| {
        let mut store = rustls::RootCertStore::empty();
        store.add(certificate.der().to_vec().into()).is_ok()
    };
    if certificates.is_empty() || !certificates.iter().all(is_sound) {
        return Err(format!("{option} {} holds no certificate in PEM form", path.display()));
    }
    Ok(certificates)
}

fn private_key(
    option: &str,
    path: &Arc<Named>,
    limit: Duration,
) -> Result<PrivateKey<'static>, String> {
    let pem = read_pem(option, path, limit)?;
    parse_pem(&pem.bytes)
        .find_map(|item| match item {
            Ok(PemItem::PrivateKey(key)) => Some(key),
            _ => None,
        })
        .ok_or_else(|| format!("{option} {} holds no private key in PEM form", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).unwrap());
        if let Some(date) = date {
            headers.insert("date", HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn retry_after_in_both_forms() {
        assert_eq!(wait("120", None), Some(Duration::from_secs(120)));
        assert_eq!(wait("0", None), Some(Duration::ZERO));
        assert!(wait("99999999999999999999999", None).unwrap() > Duration::from_secs(900));
        assert_eq!(wait("Thu, 01 Jan 1970 00:01:00 GMT", None), Some(Duration::from_secs(60)));
        for nonsense in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(wait(nonsense, None), None, "{nonsense}");
        }
    }

    #[test]
    fn a_date_is_taken_against_the_servers_clock() {
        let at = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait(at, Some("Sun, 06 Nov 1994 08:49:07 GMT")), Some(Duration::from_secs(30)));
        assert_eq!(wait(at, Some("Sun, 06 Nov 1994 09:00:00 GMT")), Some(Duration::ZERO));
    }

    #[test]
    fn a_redirects_target_is_told_without_its_path() {
        let http = Http::new(&Options::default(), &Clock::System).unwrap();
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
