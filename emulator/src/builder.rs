//! What an emulator shall be like, and how it is started.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::account::{KeyError, NewKey};
use crate::emulator::Emulator;
use crate::oauth::Readings;
use crate::thread;
use crate::world::{Settings, World};

/// The scopes of the demo key, if no others are given. Far from all there are, so that a demonstration can ask for
/// another one, for example `site.update`, and be refused.
pub const DEMO_SCOPES: &str = "asset.view site.view api.iso15143.snapshot scope1 scope2";

/// The longest lifetime of a token: ten years.
const MOST_SECONDS: u64 = 10 * 365 * 24 * 3600;
/// The fewest random bytes of a token: 128 bits cannot be guessed (RFC 6749, section 10.10).
const LEAST_TOKEN: usize = 16;
/// The most: the text stays below 16 KiB, which is all that a careful client accepts.
const MOST_TOKEN: usize = 12_000;

/// What an emulator shall be like, before it is started.
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
    keys: Vec<NewKey>,
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
            demo: NewKey::new("demo", DEMO_SCOPES)
                .description("made when the emulator was started"),
            keys: Vec::new(),
        }
    }
}

impl Builder {
    /// Listens on this port; 0, the default, is any free one.
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

    /// The account may have this many active keys, the demo key included. Default 10.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Builder {
        self.settings.max_keys = keys;
        self
    }

    /// Tokens carry this many random bytes, which makes their text a third longer. Default 40; 675 gives the roughly
    /// 900 characters of a signed token.
    #[must_use]
    pub fn token_length(mut self, bytes: usize) -> Builder {
        self.settings.token_length = bytes;
        self
    }

    /// Reads what the service's documentation leaves open in another way.
    #[must_use]
    pub fn readings(mut self, readings: Readings) -> Builder {
        self.settings.readings = readings;
        self
    }

    /// Makes this the demo key.
    #[must_use]
    pub fn demo_key(mut self, key: NewKey) -> Builder {
        self.demo = key;
        self
    }

    /// Makes one more key; [`Emulator::key`] hands it out.
    #[must_use]
    pub fn key(mut self, key: NewKey) -> Builder {
        self.keys.push(key);
        self
    }

    /// Starts the emulator. When this returns, it answers.
    ///
    /// # Errors
    /// The port is taken or cannot be opened, a setting is out of its range, or a key cannot be made.
    pub fn start(self) -> Result<Emulator, StartError> {
        self.check()?;
        let world = Arc::new(World::new(self.settings));
        let demo = world.create_key(self.demo).map_err(StartError::Key)?;
        let keys: Result<Vec<_>, _> =
            self.keys.into_iter().map(|key| world.create_key(key)).collect();
        let keys = keys.map_err(StartError::Key)?;

        let running = thread::start(self.address, Arc::clone(&world))?;
        Ok(Emulator { running, world, demo, keys })
    }

    fn check(&self) -> Result<(), StartError> {
        let Settings { expires_in, max_keys, token_length, readings } = &self.settings;
        let wrong = |text: String| Err(StartError::Setting(text));
        if !(1..=MOST_SECONDS).contains(expires_in) {
            return wrong(format!("expires_in must be between 1 and {MOST_SECONDS} seconds"));
        }
        if *max_keys == 0 {
            return wrong("max_keys must be at least 1, for the demo key".to_owned());
        }
        if !(LEAST_TOKEN..=MOST_TOKEN).contains(token_length) {
            return wrong(format!(
                "token_length must be between {LEAST_TOKEN} and {MOST_TOKEN} bytes"
            ));
        }
        if ![400, 401].contains(&readings.invalid_client_status) {
            return wrong("invalid_client_status must be 400 or 401".to_owned());
        }
        Ok(())
    }
}

/// Why an emulator could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// A key cannot be made.
    Key(KeyError),
    /// A setting is out of its range.
    Setting(String),
    /// The system gives no thread, or no timer and poller for it.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    out,
                    "port {} is in use, perhaps by another emulator: end that one, or choose another port (0: any free one)",
                    address.port()
                )
            }
            StartError::Listen(address, error) => {
                write!(out, "cannot listen on {address}: {error}")
            }
            StartError::Key(error) => write!(out, "cannot make an API key: {error}"),
            StartError::Setting(text) => out.write_str(text),
            StartError::Thread(error) => write!(out, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Listen(_, error) | StartError::Thread(error) => Some(error),
            StartError::Key(error) => Some(error),
            StartError::Setting(_) => None,
        }
    }
}
