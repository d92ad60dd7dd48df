//! What a person's diagnosis checks, by the code that a client uses: the same proxy, the same trust
//! store, the same errors. And what a short-lived process needs. For this workspace's command; not
//! part of the API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::client::{Client, Config};
use crate::clock::Clock;
use crate::config::api_hosts::host_to_send_to;
use crate::config::authority::is_loopback;
use crate::config::options::{Options, StoreChoice};
pub use crate::config::proxy::Decision;
use crate::config::token_url::TokenUrl;
use crate::config::variables::Variables;
use crate::credentials::{Credentials, Source};
use crate::endpoint::Failure;
use crate::endpoint::http::Http;
use crate::endpoint::redact::{Hidden, NOT_SHOWN};
use crate::endpoint::remarks;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::store;
use crate::token::Token;

/// Options whose route to the services can be checked.
pub struct Diagnosis {
    options: Arc<Options>,
    source: Source,
    http: Http,
}

/// The route of requests.
pub struct Way {
    /// Scheme, host and port of the proxy; never its password. `None`: directly.
    pub proxy: Option<String>,
    /// The host whose address this machine must resolve.
    pub next_host: String,
    /// The setting that decided.
    pub decided_by: Decision,
}

/// Where processes share tokens.
pub enum StorePlace {
    /// In the files of a directory.
    Directory(PathBuf),
    /// On a server: its URL, without user and password.
    Server(String),
}

/// What can be said about a response without showing its body.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Whether it is a web page.
    pub is_html: bool,
    /// Scheme and host of a redirect.
    pub location: Option<String>,
    /// The server's clock.
    pub date: Option<SystemTime>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// The timeout of a call that sets none.
pub fn timeout(client: &Client) -> Duration {
    client.timeout()
}

/// How long ago the token was requested, by any process. `None`: the client now has another one.
pub fn age(client: &Client, token: &Token) -> Option<Duration> {
    client.age_of(token)
}

impl Diagnosis {
    /// Reads the options as a client would.
    ///
    /// # Errors
    /// The first mistake.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let variables = config.variables();
        let mut options = config.resolve()?;
        let source = Source::new(&mut options, config.credentials.clone());
        let options = Arc::new(options);
        let http = Http::new(&options, &Clock::System, &variables)?;
        Ok(Self { options, source, http })
    }

    /// Checks that id and secret are available now.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials): the reason.
    pub fn read_credentials(&self) -> Result<(), Error> {
        self.source.read_within(self.options.file_patience()).map(drop)
    }

    /// The credential files that other users of the machine can read.
    pub fn exposed_files(&self) -> Vec<PathBuf> {
        let read = self.source.read_within(self.options.file_patience());
        read.map(|(_, exposed)| exposed.into_iter().flatten().collect()).unwrap_or_default()
    }

    /// What looks wrong in id, secret and scope, such as quotes pasted with them, in one line that
    /// shows nothing of them; empty: nothing does, or they are not available.
    pub fn remarks(&self) -> String {
        let Ok((pair, _)) = self.source.read_within(self.options.file_patience()) else {
            return String::new();
        };
        let Credentials { client_id, client_secret } = &*pair.credentials;
        let scope = self.options.scope.as_ref().map_or("", ScopeSet::wire);
        remarks::of(client_id.reveal(), client_secret.reveal(), scope)
    }

    /// The token endpoint, with its query: not for display.
    pub fn token_url(&self) -> String {
        self.options.token_url.uri().to_string()
    }

    /// Whether the token endpoint is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.options.token_url.host())
    }

    /// The client's own scopes, in the caller's order.
    pub fn scopes(&self) -> Vec<&str> {
        self.options.scope.iter().flat_map(|scope| scope.wire().split(' ')).collect()
    }

    /// The hosts that a token may be sent to.
    pub fn api_hosts(&self) -> Vec<String> {
        self.options.api_hosts.iter().map(ToString::to_string).collect()
    }

    /// The file that replaces the system's roots.
    pub fn ca_file(&self) -> Option<&Path> {
        self.options.ca_file.as_deref()
    }

    /// The time limit for connecting.
    pub fn connect_timeout(&self) -> Duration {
        self.options.connect_timeout
    }

    /// Tries the store out, as a fetch uses it. Returns where it is; `None`: tokens stay in memory.
    ///
    /// # Errors
    /// Why it cannot be used; [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) after
    /// `store_timeout`.
    pub fn try_store(&self) -> Result<Option<StorePlace>, Error> {
        match &self.options.store {
            StoreChoice::Memory => Ok(None),
            #[cfg(feature = "redis")]
            StoreChoice::Redis(choice) => {
                let tried = store::redis::try_server(choice, self.options.store_timeout);
                tried.map(|server| Some(StorePlace::Server(server))).map_err(of_store)
            }
            StoreChoice::File(directory) => {
                let tried = store::try_files(directory.clone(), self.options.store_timeout);
                tried.map(|path| Some(StorePlace::Directory(path))).map_err(of_store)
            }
        }
    }

    /// The route to the token endpoint.
    pub fn way(&self) -> Way {
        way_of(&self.http)
    }

    /// The route to another URL.
    ///
    /// # Errors
    /// The URL cannot be requested.
    pub fn way_to(&self, url: &str) -> Result<Way, Error> {
        self.http_for(url).map(|http| way_of(&http))
    }

    fn http_for(&self, url: &str) -> Result<Http, Error> {
        let token_url = TokenUrl::parse(url).map_err(Error::argument)?;
        // Lets an emulator tell this from a program whose requests are wrong.
        let user_agent = format!("{} doctor", self.options.user_agent);
        let mut options = Options { token_url, user_agent, ..(*self.options).clone() };
        options.user_agent = options.user_agent_of(options.name.as_deref());
        self.http.with_options(&Arc::new(options), &Variables::now())
    }

    /// Requests a URL like the token endpoint; redirects are not followed.
    ///
    /// # Errors
    /// The URL cannot be requested, the token may not be sent there, or there is no response.
    pub fn get(&self, url: &str, token: Option<&Token>) -> Result<Answer, Error> {
        if token.is_some() && host_to_send_to(url, &self.options.api_hosts).is_none() {
            return Err(Error::argument("a token may not be sent there: see api_hosts"));
        }
        let answer = self
            .http_for(url)?
            .get(token, self.options.policy.request_timeout)
            .map_err(|Failure { error, .. }| error)?;
        // The server's text may contain what it was sent.
        let shown = |target: String| match token.map(|token| Hidden::token(token.value())) {
            Some(hidden) => {
                hidden.clean(&target).unwrap_or_else(|| format!("a host ({NOT_SHOWN})"))
            }
            None => target,
        };
        Ok(Answer {
            status: answer.status,
            is_html: answer.looks_like_html(),
            location: answer.location.map(shown),
            date: answer.date,
            retry_after: answer.retry_after,
        })
    }
}

fn of_store(problem: store::Problem) -> Error {
    Error::new(problem.kind, problem.message)
}

fn way_of(http: &Http) -> Way {
    let proxy = http.route().proxy.as_ref();
    let next = proxy.map_or(http.uri(), |proxy| proxy.uri());
    let shown = |proxy: &ureq::Proxy| {
        let protocol = proxy.protocol().to_string().to_lowercase();
        format!("{protocol}://{}:{}", proxy.host(), proxy.port())
    };
    Way {
        proxy: proxy.map(shown),
        next_host: next.host().unwrap_or_default().to_owned(),
        decided_by: http.route().decided_by.clone(),
    }
}
