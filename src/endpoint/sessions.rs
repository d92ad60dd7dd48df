//! TLS configurations, each used for as long as roots and certificate stay the same.
//!
//! Connections with the same configuration share its session store: later ones resume an earlier
//! session, and skip verifying a chain. What a session proves is what was verified then, so the
//! store ends with the roots, with the client's own certificate, and after [`LONGEST`]. It also
//! ends with the process: a child that used its parent's tickets would link the two for every
//! observer, and the store's lock may have been held when the child was made.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, NamedGroup};

use super::trust::{self, Identity};
use crate::clock::{BootTime, Clock};
use crate::process::{Inherited, Locked};

/// How long sessions are resumed without verifying the server again. Longer than several tokens
/// live, and short enough for a certificate that was withdrawn from the server or has expired.
const LONGEST: Duration = Duration::from_secs(3600);
/// Servers whose sessions are kept, times the tickets of each (8 in rustls).
const MOST_SESSIONS: usize = 4 * 8;

/// What a configuration is made of.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) verifier: Arc<dyn ServerCertVerifier>,
    pub(super) own: Option<Arc<CertifiedKey>>,
}

impl Parts {
    fn is(&self, other: &Self) -> bool {
        let address = |verifier: &Arc<dyn ServerCertVerifier>| Arc::as_ptr(verifier).cast::<()>();
        let is_same_own = match (&self.own, &other.own) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        address(&self.verifier) == address(&other.verifier) && is_same_own
    }

    fn config(&self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_client_cert_resolver(Arc::new(Identity(self.own.clone())));
        let store = Store(ClientSessionMemoryCache::new(MOST_SESSIONS));
        config.resumption = Resumption::store(Arc::new(store));
        Ok(config)
    }
}

/// Sessions that may be resumed: not those in which the server requested a certificate. It would
/// not request one again, and an error message could not say that the certificate may be the
/// reason.
#[derive(Debug)]
struct Store(ClientSessionMemoryCache);

impl ClientSessionStore for Store {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        if !trust::was_asked() {
            self.0.set_tls12_session(server, session);
        }
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        if !trust::was_asked() {
            self.0.insert_tls13_ticket(server, ticket);
        }
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server)
    }
}

struct Made {
    parts: Parts,
    config: Arc<ClientConfig>,
    at: BootTime,
}

#[derive(Default)]
struct Current(Option<Made>);

impl Inherited for Current {
    type Remains = ();

    /// Leaked: its session store may be half changed.
    fn adopt(&mut self) {
        std::mem::forget(self.0.take());
    }
}

/// The configuration in use.
pub(super) struct Sessions(Locked<Current>);

impl Sessions {
    pub(super) const fn none() -> Self {
        Self(Locked::empty())
    }

    /// The configuration for these parts: the one in use if it has the same.
    pub(super) fn config(&self, parts: Parts) -> Result<Arc<ClientConfig>, String> {
        let now = Clock::System.now();
        if let Some(config) = self.in_use(&parts, now) {
            return Ok(config);
        }
        let config = Arc::new(parts.config().map_err(|error| error.to_string())?);
        let made = Made { parts, config: config.clone(), at: now };
        let former = self.0.lock().0.replace(made);
        drop(former);
        Ok(config)
    }

    fn in_use(&self, parts: &Parts, now: BootTime) -> Option<Arc<ClientConfig>> {
        let current = self.0.lock();
        let made = current.0.as_ref()?;
        let is_fit = made.parts.is(parts) && now < made.at.after(LONGEST);
        is_fit.then(|| made.config.clone())
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use rustls::RootCertStore;

    use super::*;
    use crate::endpoint::verifier::Verifier;

    fn parts() -> Parts {
        Parts { verifier: Arc::new(Verifier::new(RootCertStore::empty())), own: None }
    }

    #[test]
    fn a_configuration_serves_as_long_as_its_parts_stay_the_same() {
        let (sessions, one, other) = (Sessions::none(), parts(), parts());
        let first = sessions.config(one.clone()).unwrap();
        assert!(Arc::ptr_eq(&first, &sessions.config(one.clone()).unwrap()));
        assert!(!Arc::ptr_eq(&first, &sessions.config(other).unwrap()));
        assert!(!Arc::ptr_eq(&first, &sessions.config(one).unwrap()));
    }

    #[test]
    fn a_configuration_ends_after_an_hour() {
        let (sessions, parts) = (Sessions::none(), parts());
        sessions.config(parts.clone()).unwrap();
        let made_at = sessions.0.lock().0.as_ref().unwrap().at;
        let almost = LONGEST - Duration::from_millis(1);
        assert!(sessions.in_use(&parts, made_at.after(almost)).is_some());
        assert!(sessions.in_use(&parts, made_at.after(LONGEST)).is_none());
    }

    #[test]
    fn a_child_makes_a_configuration_of_its_own() {
        let parts = parts();
        let config = Arc::new(parts.config().unwrap());
        let made = Made { parts: parts.clone(), config: config.clone(), at: Clock::System.now() };
        let sessions = Sessions(Locked::inherited(Current(Some(made))));
        assert!(!Arc::ptr_eq(&config, &sessions.config(parts).unwrap()));
        // The parent's is left alone.
        assert_eq!(Arc::strong_count(&config), 2);
    }
}
