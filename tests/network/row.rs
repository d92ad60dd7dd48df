//! What a row of the table is: a fault, the ways to try it, and what is expected.

use std::any::Any;
use std::sync::Arc;

use rustls::ServerConfig;
use tu_token::ErrorKind;

use crate::line::Line;
use crate::support::{Reply, Server};

/// Until when a call is answered that waits for the fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nothing is waited for but the pauses between attempts.
    AtOnce,
    /// Each attempt takes `connect_timeout`.
    Connect,
    /// The first attempt alone takes `connect_timeout`.
    OneConnect,
    /// Half of `connect_timeout`, once.
    HalfConnect,
    /// Each attempt takes `request_timeout`.
    Request,
    /// A `Retry-After` of so many seconds is waited for.
    Pause(u64),
}

/// How long a failure is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// There is none.
    Not,
    /// About a second, doubling; while there is a token, the next renewal comes after about 5 s.
    Transient,
    /// A minute, doubling.
    Refusal,
    /// As many seconds as the server says, by the whole client.
    Seconds(u64),
    /// By the whole process.
    HalfAnHour,
}

/// What must be observed.
#[derive(Clone, Debug)]
pub struct Expected {
    /// `None`: a token.
    pub status: Option<ErrorKind>,
    pub requests: u64,
    pub ends: Ends,
    pub remembered: Remembered,
    /// The most memory of one attempt, in KiB.
    pub kib: usize,
    /// Part of the message.
    pub says: &'static str,
}

/// How a client is made to reach its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Plain HTTP, to an address of this machine.
    Plain,
    /// HTTPS, with the test's authority in `ca_file`.
    Tls,
    /// HTTPS, with what the system trusts.
    SystemTls,
    /// Through a proxy of this scheme, with a login or without.
    Proxy(&'static str, bool),
}

type Install = dyn Fn(&Line) -> Box<dyn Any> + Send + Sync;

/// One way to produce the fault. All of a row have the same outcome.
pub struct Try {
    pub name: String,
    pub way: Way,
    /// Makes the line faulty; what it returns is kept as long as the line is used.
    pub install: Box<Install>,
}

pub struct Row {
    pub fault: &'static str,
    pub tries: Vec<Try>,
    pub expected: Expected,
}

impl Row {
    /// A row whose fault is a network error, three times.
    pub fn new(fault: &'static str) -> Self {
        let expected = Expected {
            status: Some(ErrorKind::Network),
            requests: 3,
            ends: Ends::AtOnce,
            remembered: Remembered::Transient,
            kib: 96,
            says: "",
        };
        Self { fault, tries: Vec::new(), expected }
    }

    pub fn by<T: Any>(
        mut self,
        name: &str,
        way: Way,
        install: impl Fn(&Line) -> T + Send + Sync + 'static,
    ) -> Self {
        if way != Way::Plain {
            self.expected.kib = self.expected.kib.max(128);
        }
        let install: Box<Install> = Box::new(move |line| Box::new(install(line)));
        self.tries.push(Try { name: name.to_owned(), way, install });
        self
    }

    /// A server that answers so by plain HTTP.
    pub fn answer(self, reply: Reply) -> Self {
        let name = self.tries.len().to_string();
        self.named(&name, reply)
    }

    pub fn named(self, name: &str, reply: Reply) -> Self {
        self.scripted(name, Way::Plain, move |_| reply.clone())
    }

    /// A server whose replies depend on how many requests came before.
    pub fn scripted(
        self,
        name: &str,
        way: Way,
        script: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(script);
        self.by(name, way, move |line| {
            let script = script.clone();
            let server = Server::new(move |before, _| script(before));
            line.leads_to(server.port());
            server
        })
    }

    /// A proxy that answers so.
    pub fn proxy(self, scheme: &'static str, has_login: bool, reply: Reply) -> Self {
        let name = format!("{scheme} {}", self.tries.len());
        self.scripted(&name, Way::Proxy(scheme, has_login), move |_| reply.clone())
    }

    /// A server that speaks TLS and answers so.
    pub fn tls(self, name: &str, config: &Arc<ServerConfig>, reply: Reply) -> Self {
        self.tls_by(name, Way::Tls, config, reply)
    }

    pub fn tls_by(self, name: &str, way: Way, config: &Arc<ServerConfig>, reply: Reply) -> Self {
        let config = config.clone();
        self.by(name, way, move |line| {
            let reply = reply.clone();
            let server = Server::scripted_tls(config.clone(), move |_, _| reply.clone());
            line.leads_to(server.port());
            server
        })
    }

    pub fn status(mut self, status: ErrorKind) -> Self {
        self.expected.status = Some(status);
        self
    }

    pub fn token(mut self) -> Self {
        (self.expected.status, self.expected.remembered) = (None, Remembered::Not);
        self.requests(1)
    }

    pub fn requests(mut self, requests: u64) -> Self {
        self.expected.requests = requests;
        self
    }

    pub fn ends(mut self, ends: Ends) -> Self {
        self.expected.ends = ends;
        self
    }

    pub fn refusal(mut self) -> Self {
        self.expected.remembered = Remembered::Refusal;
        self.requests(1)
    }

    pub fn seconds(mut self, seconds: u64) -> Self {
        self.expected.remembered = Remembered::Seconds(seconds);
        self.status(ErrorKind::RateLimited).requests(1)
    }

    pub fn half_an_hour(mut self) -> Self {
        self.expected.remembered = Remembered::HalfAnHour;
        self.requests(1)
    }

    /// After the last of its tries.
    pub fn kib(mut self, kib: usize) -> Self {
        self.expected.kib = kib;
        self
    }

    pub fn says(mut self, says: &'static str) -> Self {
        self.expected.says = says;
        self
    }
}

/// Rows under one heading.
pub struct Group {
    pub heading: &'static str,
    pub rows: Vec<Row>,
}
