//! What can go wrong with a server, in words that say what to do. None of them quotes what the
//! server said: its errors may repeat what it was sent, a password for instance.

use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use crate::endpoint::certificates::{names_of, unfit};
use crate::error::ErrorKind;
use crate::store::Problem;
use crate::words;

/// What kind of trouble it is: each kind is reported once until the store works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Setting,
    Unreachable,
    Slow,
    Untrusted,
    Foreign,
    Login,
    /// The server works, but refuses a command.
    Refused,
    /// It is not tried at all.
    Resting,
}

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) class: Class,
    /// A predicate for the server.
    what: String,
    /// The connection broke without a reply; it may have been too old.
    pub(super) has_ended: bool,
}

/// Given to the error of a server with too many connections, which has no code of its own.
pub(super) const MAX_CLIENTS: &str = "MAXCLIENTS";

/// The step in which time ran out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Connect,
    Handshake,
    Reply,
}

impl Trouble {
    pub(super) fn new(class: Class, what: impl Into<String>) -> Self {
        Self { class, what: what.into(), has_ended: false }
    }

    pub(super) fn slow(step: Step) -> Self {
        Self::new(
            Class::Slow,
            match step {
                Step::Connect => "could not be connected to within store_timeout",
                // A Redis server without TLS waits for the rest of what it takes for a command.
                Step::Handshake => {
                    "did not finish the TLS handshake (if it has no TLS, write redis://) within \
                     store_timeout"
                }
                Step::Reply => "did not answer within store_timeout",
            },
        )
    }

    /// A connection failed.
    pub(super) fn io(error: &io::Error, step: Step) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::slow(step),
            _ if matches!(step, Step::Connect) => Self::new(
                Class::Unreachable,
                format!("cannot be connected to: {}", words::of(error)),
            ),
            _ => Self {
                has_ended: true,
                ..Self::new(
                    Class::Unreachable,
                    format!("ended the connection: {}", words::of(error)),
                )
            },
        }
    }

    /// A connection failed while a reply was awaited. With TLS 1.3 that is when the server says that it
    /// does not accept the client.
    pub(super) fn reply(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::AlertReceived(_)) => Self::handshake(error, ""),
            _ => Self::io(error, Step::Reply),
        }
    }

    /// A connection without TLS ended before the first reply: so do servers with TLS.
    pub(super) fn without_reply() -> Self {
        Self {
            has_ended: true,
            ..Self::new(
                Class::Unreachable,
                "ended the connection without a reply: if it has TLS, write rediss://",
            )
        }
    }

    /// What answers is no Redis server. `first`: the first byte of what it sent.
    pub(super) fn foreign(first: u8) -> Self {
        Self::new(
            Class::Foreign,
            match first {
                // The content types of a TLS record.
                0x14..=0x17 => "speaks TLS: write rediss://",
                b'H' | b'<' => {
                    "is no Redis or Valkey server, but one for HTTP: check host and port"
                }
                _ => "does not answer like a Redis or Valkey server: check host and port",
            },
        )
    }

    /// The TLS handshake failed. `roots`: where the roots come from.
    pub(super) fn handshake(error: &io::Error, roots: &str) -> Self {
        use CertificateError as C;
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let what = match tls {
            Some(rustls::Error::InvalidMessage(_)) => {
                "does not speak TLS: write redis://, or check the port".to_owned()
            }
            Some(rustls::Error::InvalidCertificate(error)) => match error {
                C::UnknownIssuer => format!(
                    "has a certificate signed by no authority in {roots}: name the root of a \
                     private one with ?ca_file="
                ),
                C::NotValidForName => "has a certificate for another host name".to_owned(),
                C::NotValidForNameContext { presented, .. } => {
                    format!("has a certificate for another host name{}", names_of(presented))
                }
                C::Expired | C::ExpiredContext { .. } => {
                    "has an expired certificate, or this device's clock is ahead".to_owned()
                }
                C::NotValidYet | C::NotValidYetContext { .. } => {
                    "has a certificate that is not yet valid: is this device's clock right?"
                        .to_owned()
                }
                C::BadSignature => format!(
                    "has a certificate signed by an authority with the name of one in {roots}, and \
                     another key"
                ),
                other => match unfit(&format!("{other:?}")) {
                    Ok(told) => format!("cannot be trusted: {told}"),
                    Err(name) => format!("has a certificate that cannot be trusted ({name})"),
                },
            },
            Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
                "requires a client certificate, which is not supported: set its tls-auth-clients \
                 to no"
                    .to_owned()
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                format!("refused the TLS handshake (alert {alert:?})")
            }
            _ => return Self::io(error, Step::Handshake),
        };
        Self::new(Class::Untrusted, what)
    }

    /// The server refused the login: the reply to `AUTH`.
    pub(super) fn login(code: &str) -> Self {
        let what = match code {
            "WRONGPASS" => "refuses the user or password".to_owned(),
            "ERR" => "accepts no such login: it has no password (leave it out of the URL), or is \
                      older than Redis 6 and has no users"
                .to_owned(),
            _ => return Self::refused(code),
        };
        Self::new(Class::Login, what)
    }

    /// It refused a script. These scripts are known to work if the user may run their commands.
    pub(super) fn script(code: &str) -> Self {
        Self::refused(if code == "ERR" { "NOPERM" } else { code })
    }

    /// It refused a command.
    pub(super) fn refused(code: &str) -> Self {
        let (class, what) = match code {
            "NOAUTH" => (
                Class::Login,
                "requires a password: write redis://user:password@host or redis://:password@host",
            ),
            "DENIED" => (
                Class::Login,
                "runs in protected mode: give it a password, or bind it to an address",
            ),
            "NOPERM" => (
                Class::Refused,
                "does not permit a command: the user needs +getrange +pttl +set +get +eval +del \
                 +pexpire +select, and the keys with the store's prefix",
            ),
            "READONLY" => (Class::Refused, "is a read-only replica: name the primary"),
            "OOM" => (
                Class::Refused,
                "is full: raise its maxmemory, or set its maxmemory-policy to volatile-ttl",
            ),
            MAX_CLIENTS => (Class::Unreachable, "has no connection left (maxclients)"),
            "MISCONF" => {
                (Class::Refused, "refuses writes because it cannot save to disk (MISCONF)")
            }
            "NOREPLICAS" => (
                Class::Refused,
                "refuses writes because too few replicas are connected (min-replicas-to-write)",
            ),
            "BUSY" => (Class::Refused, "is busy with a script of another program (BUSY)"),
            "WRONGTYPE" => (
                Class::Refused,
                "holds other data under the name of a record: set another ?prefix=",
            ),
            "LOADING" => (Class::Unreachable, "is still loading its data"),
            "MASTERDOWN" => (Class::Unreachable, "is a replica without its primary"),
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => (
                Class::Foreign,
                "is a node of a cluster, which is not supported: name a single server",
            ),
            _ => {
                let what = format!(
                    "refused a command (error code {code}): is it Redis 6 or later, with \
                             no command renamed?"
                );
                return Self::new(Class::Refused, what);
            }
        };
        Self::new(class, what)
    }

    /// Whether it tells something about the server as a whole, so that it should be left alone for
    /// a while. A quick refusal of one command does not.
    pub(super) fn is_failure(&self) -> bool {
        !matches!(self.class, Class::Refused | Class::Resting)
    }

    /// The problem to report. `shown`: the server's URL without secrets.
    pub(super) fn problem(&self, shown: &str, timeout: Duration) -> Problem {
        let mut message = match self.class {
            Class::Setting => format!("the option store {}", self.what),
            _ => format!("{shown} {}", self.what),
        };
        if self.class == Class::Slow {
            message += &format!(" ({timeout:?})");
        }
        let kind = match self.class {
            Class::Slow => ErrorKind::Timeout,
            Class::Untrusted => ErrorKind::Tls,
            Class::Unreachable | Class::Resting => ErrorKind::Network,
            Class::Setting | Class::Foreign | Class::Login | Class::Refused => ErrorKind::Config,
        };
        Problem { kind, message, class: Some(self.class) }
    }
}
