//! Makes connections to the token endpoint, directly or through a proxy. Every failure has a
//! reason, and every step a time limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use ureq::ProxyProtocol::{Http, Https};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport, TransportAdapter,
};
use ureq::{Error, Proxy, Timeout};

use super::cut_off::CutOff;
use super::errors::ConnectionError;
use super::hidden::Hidden;
use super::interim::WithoutInterim;
use super::layer::{Layer, Layered};
use super::login::{self, Login};
use super::punctual::Punctual;
use super::secure::secure;
use super::tunnel::{self, Credentials, Problem, Target};
use super::unreachable::Reason;
use super::ureq_config;

/// Makes the connection of one attempt, through the proxy if there is one.
#[derive(Debug)]
pub(super) struct Connect {
    /// `None`: plain HTTP.
    tls: Option<Arc<ClientConfig>>,
    user_agent: String,
    connect_timeout: Duration,
    /// When the attempt is over.
    deadline: Instant,
    /// Required if the proxy's URL has user and password.
    login: Option<Login>,
    hidden: Hidden,
}

impl Connect {
    pub(super) fn new(
        user_agent: &str,
        connect_timeout: Duration,
        timeout: Duration,
        login: Option<Login>,
        tls: Option<Arc<ClientConfig>>,
        hidden: Hidden,
    ) -> Self {
        Self {
            tls,
            user_agent: user_agent.to_owned(),
            connect_timeout,
            deadline: Instant::now() + timeout,
            login,
            hidden,
        }
    }
}

impl Connector for Connect {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let connection = match details.config.proxy() {
            Some(proxy) => self.through(proxy, details),
            None => self.directly(details),
        };
        let answers = Layered::new(connection?, WithoutInterim::new(self.deadline));
        let config = details.config;
        let sizes = (config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Box::new(Layered::new(self.hidden.connection(answers, sizes), CutOff))))
    }
}

impl Connect {
    fn directly(&self, details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
        let until = Instant::now() + *self.time_left(Timeout::Connect, self.connect_timeout)?.after;
        let tcp = self.tcp(details, until)?;
        let left = until.saturating_duration_since(Instant::now());
        let timeout = self.time_left(Timeout::Connect, left)?;
        self.secured(&ConnectionDetails { timeout, ..self.details(details, details.uri)? }, tcp)
    }

    /// Tries all addresses, each with half of the remaining time, the last one with all of it.
    fn tcp(
        &self,
        details: &ConnectionDetails<'_>,
        until: Instant,
    ) -> Result<Box<dyn Transport>, Error> {
        let mut failed = Vec::new();
        for (at, address) in details.addrs.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let is_last = at + 1 == details.addrs.len();
            let share = if is_last { left } else { left / 2 };
            let mut addrs = details.resolver.empty();
            addrs.push(*address);
            let timeout = self.time_left(Timeout::Connect, share)?;
            let config = match self.tls {
                Some(_) => ureq_config::of_process(),
                None => details.config,
            };
            let usual = self.details(details, details.uri)?;
            let one = ConnectionDetails { addrs, timeout, config, ..usual };
            match TcpConnector::default().connect(&one, None::<()>) {
                Ok(Some(tcp)) => return Ok(Box::new(Layered::new(Box::new(tcp), Punctual))),
                Ok(None) => {}
                Err(error) => failed.push((*address, Reason::of(&error))),
            }
        }
        Err(ConnectionError::Unreachable(failed).into())
    }

    fn through(
        &self,
        proxy: &Proxy,
        details: &ConnectionDetails<'_>,
    ) -> Result<Box<dyn Transport>, Error> {
        let outcome = self.tunnel(proxy, details);
        if let Some(login) = &self.login {
            match &outcome {
                Ok(_) => login.accepted(),
                Err(Problem::LoginRefused(said)) => login.refused(said),
                Err(Problem::Forbidden(_) | Problem::Failed(_)) => login.passed_over(),
                // The proxy may not have received the login.
                Err(_) => {}
            }
        }
        let tunnel = outcome.map_err(|problem| Error::Other(Box::new(problem)))?;
        let addrs = details.resolver.empty();
        let to_target = ConnectionDetails { addrs, ..self.details(details, details.uri)? };
        self.secured(&to_target, Box::new(tunnel))
    }

    /// A tunnel to the token endpoint, not yet secured.
    fn tunnel(
        &self,
        proxy: &Proxy,
        details: &ConnectionDetails<'_>,
    ) -> Result<Layered<Tunnel>, Problem> {
        let mut stream = TransportAdapter::new(
            self.connection_to(proxy, details)?,
            details.current_time.clone(),
        );
        // Not `connect_timeout`: the outcome of a login should become known.
        stream.set_timeout(self.time_left(Timeout::Global, Duration::MAX)?);
        let before = || {
            if let Some(login) = &self.login {
                login.sends();
            }
        };
        let credentials = login::credentials(proxy);
        let credentials =
            credentials.map(|(user, password)| Credentials { user, password, before: &before });
        let target = Target::of(details.uri);
        match proxy.protocol() {
            Http | Https => {
                tunnel::connect(&mut stream, &target, &self.user_agent, credentials.as_ref())
            }
            _ => tunnel::socks5(&mut stream, &target, credentials.as_ref()),
        }?;
        Ok(Layered::new(stream.into_inner(), Tunnel))
    }

    /// A connection to the proxy itself.
    fn connection_to(
        &self,
        proxy: &Proxy,
        details: &ConnectionDetails<'_>,
    ) -> Result<Box<dyn Transport>, Problem> {
        let uri = proxy.uri();
        let addrs = details.resolver.resolve(
            uri,
            details.config,
            self.time_left(Timeout::Resolve, self.connect_timeout)?,
        )?;
        let to_proxy = ConnectionDetails { addrs, ..self.details(details, uri)? };
        let tcp = self.tcp(&to_proxy, Instant::now() + *to_proxy.timeout.after)?;
        let to_proxy = self.details(&to_proxy, uri)?;
        self.secured(&to_proxy, tcp).map_err(|error| match error {
            error @ Error::Timeout(_) => Problem::Broken(error),
            error => Problem::Insecure(error),
        })
    }

    /// Adds TLS if the scheme is https.
    fn secured(
        &self,
        details: &ConnectionDetails<'_>,
        transport: Box<dyn Transport>,
    ) -> Result<Box<dyn Transport>, Error> {
        match &self.tls {
            Some(tls) if details.needs_tls() => secure(tls.clone(), details, transport),
            _ => Ok(transport),
        }
    }

    /// The details for the next step, with the remaining time.
    fn details<'a>(
        &self,
        details: &ConnectionDetails<'a>,
        uri: &'a ureq::http::Uri,
    ) -> Result<ConnectionDetails<'a>, Error> {
        Ok(ConnectionDetails {
            uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: (details.current_time)(),
            timeout: self.time_left(Timeout::Connect, self.connect_timeout)?,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        })
    }

    fn time_left(&self, reason: Timeout, most: Duration) -> Result<NextTimeout, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Timeout(Timeout::Global));
        }
        let reason = if left < most { Timeout::Global } else { reason };
        Ok(NextTimeout { after: left.min(most).into(), reason, ..NextTimeout::default() })
    }
}

/// Makes the connection through a proxy one to the token endpoint: TLS to the proxy does not count.
#[derive(Debug)]
struct Tunnel;

impl Layer for Tunnel {
    fn is_tls(&self, _: &dyn Transport) -> bool {
        false
    }
}
