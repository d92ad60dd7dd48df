//! Configures and starts an emulator.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::account::{Account, IssuedKey, KeyError, NewKey};
use crate::emulator::Emulator;
use crate::oauth::Readings;
use crate::state::{Kept, State, StateError};
use crate::thread;
use crate::world::{Settings, World};

/// The default scopes of the demo key. Not all existing ones, so that a demonstration can request another, for example
/// `site.update`, and be refused.
pub const DEMO_SCOPES: &str = "asset.view site.view api.iso15143.snapshot scope1 scope2";

/// The default name of the demo key.
pub(crate) const DEMO_NAME: &str = "demo";

/// The longest lifetime of a token: ten years.
const MAX_SECONDS: u64 = 10 * 365 * 24 * 3600;
/// The fewest random bytes of a token: 128 bits cannot be guessed (RFC 6749, section 10.10).
const MIN_TOKEN: usize = 16;
/// The most: the token stays below 16 KiB, the most that a careful client accepts.
const MAX_TOKEN: usize = 12_000;

/// Configures an emulator before it is started.
///
/// ```
/// use tu_token_emulator::{Emulator, NewKey};
///
/// let emulator = Emulator::builder()
///     .expires_in(3)
///     .key(NewKey::new("reports", "api.iso15143.snapshot").description("nightly report"))
///     .start()?;
/// let key = emulator.key("reports").expect("made above");
/// assert_ne!(key.client_secret, emulator.demo_key().client_secret);
/// # Ok::<(), tu_token_emulator::StartError>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    address: SocketAddr,
    settings: Settings,
    demo: NewKey,
    fresh_demo: bool,
    keys: Vec<NewKey>,
    state: Option<PathBuf>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            settings: Settings {
                expires_in: 1200,
                max_keys: 10,
                token_length: 40,
                readings: Readings::default(),
            },
            demo: NewKey::new(DEMO_NAME, DEMO_SCOPES)
                .description("created when the emulator was started"),
            fresh_demo: false,
            keys: Vec::new(),
            state: None,
        }
    }
}

impl Builder {
    /// Listens on this port; 0, the default, means any free port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Builder {
        self.address.set_port(port);
        self
    }

    /// Listens on `::1` instead of 127.0.0.1.
    #[must_use]
    pub fn ipv6(mut self, ipv6: bool) -> Builder {
        let ip =
            if ipv6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        self.address.set_ip(ip);
        self
    }

    /// Tokens live this many seconds. Default 1200.
    #[must_use]
    pub fn expires_in(mut self, seconds: u64) -> Builder {
        self.settings.expires_in = seconds;
        self
    }

    /// Allows this many active keys, including the demo key. Default 10.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Builder {
        self.settings.max_keys = keys;
        self
    }

    /// Tokens contain this many random bytes; encoded they are a third longer. Default 40; 675 gives roughly 900
    /// characters, the length of a signed token.
    #[must_use]
    pub fn token_length(mut self, bytes: usize) -> Builder {
        self.settings.token_length = bytes;
        self
    }

    /// Changes behaviour that the service's documentation leaves open.
    #[must_use]
    pub fn readings(mut self, readings: Readings) -> Builder {
        self.settings.readings = readings;
        self
    }

    /// Uses this as the demo key.
    #[must_use]
    pub fn demo_key(mut self, key: NewKey) -> Builder {
        self.demo = key;
        self
    }

    /// Stores keys, their counts and the tokens in this file and loads them at the start. The file is created (mode 0600) if
    /// it does not exist. It contains only hashes of secrets and tokens.
    #[must_use]
    pub fn state(mut self, file: impl Into<PathBuf>) -> Builder {
        self.state = Some(file.into());
        self
    }

    /// Gives the demo key of a state file a new secret, or creates it again if it was revoked, so that
    /// [`Emulator::demo_key`] can return it.
    #[must_use]
    pub fn fresh_demo_key(mut self, fresh: bool) -> Builder {
        self.fresh_demo = fresh;
        self
    }

    /// Adds another key, which [`Emulator::key`] returns. A state file must not already contain a key of this name.
    #[must_use]
    pub fn key(mut self, key: NewKey) -> Builder {
        self.keys.push(key);
        self
    }

    /// Starts the emulator. When this returns, it is ready for requests.
    ///
    /// # Errors
    /// The port is in use or cannot be opened, a setting is out of range, the state file cannot be used, or a key cannot be
    /// created.
    pub fn start(self) -> Result<Emulator, StartError> {
        self.check()?;
        let (running, (world, demo, keys)) = thread::start(self.address, move || {
            let made = self.world()?;
            Ok((Arc::clone(&made.0), made))
        })?;
        Ok(Emulator { running, world, demo, keys })
    }

    /// Loads the state and adds the configured keys.
    fn world(self) -> Result<Made, StartError> {
        let (state, kept) = match &self.state {
            Some(path) => State::open(path).map_err(StartError::State)?,
            None => (State::in_memory(), Kept::nothing()),
        };
        let world = Arc::new(World::new(self.settings, state, kept));
        let (demo, keys) =
            world.start(self.demo, self.fresh_demo, self.keys).map_err(StartError::Key)?;
        Ok((world, demo, keys))
    }

    /// Checks that the settings are in range and the keys are valid, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let Settings { expires_in, max_keys, token_length, readings } = &self.settings;
        let wrong = |text: String| Err(StartError::Setting(text));
        if !(1..=MAX_SECONDS).contains(expires_in) {
            return wrong(format!("expires_in must be between 1 and {MAX_SECONDS} seconds"));
        }
        if *max_keys == 0 {
            return wrong("max_keys must be at least 1, for the demo key".to_owned());
        }
        if !(MIN_TOKEN..=MAX_TOKEN).contains(token_length) {
            return wrong(format!(
                "token_length must be between {MIN_TOKEN} and {MAX_TOKEN} bytes"
            ));
        }
        if ![400, 401].contains(&readings.invalid_client_status) {
            return wrong("invalid_client_status must be 400 or 401".to_owned());
        }
        // Without a limit: how many are allowed depends on the state file.
        Account::new(usize::MAX, false, Vec::new(), Arc::new(State::in_memory()))
            .start(self.demo.clone(), true, self.keys.clone(), 0)
            .map_err(StartError::Key)?;
        Ok(())
    }
}

/// A world, its demo key if the secret is known, and the other configured keys.
type Made = (Arc<World>, Option<IssuedKey>, Vec<IssuedKey>);

/// Why an emulator could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The emulator cannot listen on the address.
    Listen(SocketAddr, io::Error),
    /// A key cannot be created.
    Key(KeyError),
    /// A setting is out of range.
    Setting(String),
    /// The state file cannot be used.
    State(StateError),
    /// The system provides no thread, or no timer or poller for it.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    out,
                    "port {} is in use, perhaps by another emulator: stop that one, or choose another port (0: any free port)",
                    address.port()
                )
            }
            StartError::Listen(address, error) => {
                write!(out, "cannot listen on {address}: {error}")
            }
            StartError::Key(error) => write!(out, "cannot create an API key: {error}"),
            StartError::Setting(text) => out.write_str(text),
            StartError::State(error) => error.fmt(out),
            StartError::Thread(error) => write!(out, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Listen(_, error) | StartError::Thread(error) => Some(error),
            StartError::Key(error) => Some(error),
            StartError::State(error) => Some(error),
            StartError::Setting(_) => None,
        }
    }
}
