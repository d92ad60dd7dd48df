//! The token that runs share.
//!
//! A run is short, and a background renewal would end with it, so a run waits for a renewal that is
//! due. It does not wait long, because the stored token is still valid, and not every run does while
//! the endpoint hangs or fails: the record in the store says when the next attempt is allowed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tu_token::diagnosis;
use tu_token::{Client, Error, ErrorKind, Event, EventFn, GetOptions, Token};

use crate::settings::{Settings, Source};

/// How long a run that has a valid token waits for a renewal.
const MOMENT: Duration = Duration::from_secs(1);
/// How long a run waits at its end until its events have been written to standard error, which may block.
const EVENTS: Duration = Duration::from_millis(500);

/// Gets a token for the client's own scope.
pub fn get(settings: &Settings) -> Result<Token, Error> {
    let client = Sharing::begin(settings)?;
    let token = client.token()?;
    if !token.fresh_for().is_zero() {
        return Ok(token);
    }
    // Asking for more than its remaining life waits for the renewal, and returns this token if that
    // fails.
    let min_ttl = token.expires_in() + MOMENT;
    let timeout = MOMENT.saturating_sub(client.began.elapsed()).min(client.timeout);
    client.client.get(&GetOptions { min_ttl, timeout: Some(timeout), ..GetOptions::default() })
}

/// Gets a token to replace the one that an API has refused.
pub fn renew(settings: &Settings) -> Result<Token, Error> {
    let client = Sharing::begin(settings)?;
    let token = client.token()?;
    // A token this young is not the refused one: another run has just replaced that, or this run has
    // just fetched it.
    let age = diagnosis::age(&client.client, &token).unwrap_or_default();
    if age <= client.began.elapsed() + MOMENT {
        return Ok(token);
    }
    client.client.invalidate(&token);
    client.client.token()
}

/// A client that uses tokens of earlier runs and stores its own for later ones.
struct Sharing {
    client: Client,
    timeout: Duration,
    began: Instant,
    /// Disconnected once all events have been delivered. `None`: there are none.
    events: Option<Receiver<()>>,
}

impl Sharing {
    fn begin(settings: &Settings) -> Result<Self, Error> {
        let began = Instant::now();
        settings.warn();
        let mut config = settings.sharing_config();
        // By default none are written.
        let is_logged = settings.source_of("log") != Source::Default;
        let events = is_logged.then(|| {
            let (sender, events) = channel();
            // Sends nothing. It is dropped after the last event has been delivered, and so is the sender.
            config.on_event(EventFn::from(move |_: &Event| {
                let _: &Sender<()> = &sender;
            }));
            events
        });
        let client = Client::new(&config)?;
        let timeout = diagnosis::timeout(&client);
        Ok(Self { client, timeout, began, events })
    }

    /// Waits a moment, then, if there is still no token, for the rest of the timeout.
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

impl Drop for Sharing {
    /// The library writes events on a thread of its own, which the end of the process would cut short.
    fn drop(&mut self) {
        self.client.close();
        if let Some(events) = &self.events {
            let _ = events.recv_timeout(EVENTS);
        }
    }
}
