//! A token that several runs share.
//!
//! A run lives for a moment, and so does what it begins in the background: a renewal that is due has
//! to be waited for. But not for long, because the token that is there will do, and not by every run
//! while the endpoint hangs or fails: the record in the store says when the next may try.

use std::time::{Duration, Instant};

use tu_token::diagnosis;
use tu_token::{Client, Error, ErrorKind, GetOptions, Token};

use crate::settings::Settings;

/// How long a run that has a token at hand waits for a better one.
const MOMENT: Duration = Duration::from_secs(1);

/// Gets a token for the client's own scope.
pub fn get(settings: &Settings) -> Result<Token, Error> {
    let client = Sharing::begin(settings)?;
    let token = client.token()?;
    if !token.fresh_for().is_zero() {
        return Ok(token);
    }
    // A token for longer than this one lives waits for its renewal, and gets this one if it fails.
    let min_ttl = token.expires_in() + MOMENT;
    let timeout = MOMENT.saturating_sub(client.began.elapsed()).min(client.timeout);
    client.client.get(&GetOptions { min_ttl, timeout: Some(timeout), ..GetOptions::default() })
}

/// Gets another token than the one that an API has refused.
pub fn renew(settings: &Settings) -> Result<Token, Error> {
    let client = Sharing::begin(settings)?;
    let token = client.token()?;
    // What was asked for a moment before this run began is what another one got in the refused one's
    // place, or what this one just got.
    let age = diagnosis::age(&client.client, &token).unwrap_or_default();
    if age <= client.began.elapsed() + MOMENT {
        return Ok(token);
    }
    client.client.invalidate(&token);
    client.client.token()
}

/// A client that finds what earlier runs got, and leaves the next ones what it gets.
struct Sharing {
    client: Client,
    timeout: Duration,
    began: Instant,
}

impl Sharing {
    fn begin(settings: &Settings) -> Result<Self, Error> {
        let began = Instant::now();
        settings.warn();
        let config = settings.sharing_config();
        let client = Client::new(&config)?;
        Ok(Self { client, timeout: diagnosis::timeout(&config)?, began })
    }

    /// Waits a moment; whoever has no token then waits the whole time for one.
    fn token(&self) -> Result<Token, Error> {
        let within = |timeout| GetOptions { timeout: Some(timeout), ..GetOptions::default() };
        let moment = MOMENT.min(self.timeout);
        match self.client.get(&within(moment)) {
            Err(error) if error.kind() == ErrorKind::Timeout && self.timeout > moment => {
                self.client.get(&within(self.timeout - moment))
            }
            outcome => outcome,
        }
    }
}
