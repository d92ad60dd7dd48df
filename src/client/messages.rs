//! Turns the core's decisions into errors and events.

use std::time::Duration;

use once_cell::race::OnceBox;

use super::drive::StepContext;
use super::shared::Shared;
use super::state::Slot;
use crate::cache::entry::GivenUp;
use crate::cache::flight::Fault;
use crate::cache::limits::Obstacle;
use crate::cache::output::{Miss, Notice, Reason};
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind};
use crate::leftovers::wipe_stack;

/// The error for a fault.
pub(super) fn error_of(fault: &Fault<Error>) -> Error {
    match fault {
        Fault::Reported(error) => error.clone(),
        Fault::Overrun => Error::new(
            ErrorKind::Network,
            "the token request did not end within fetch_timeout: name resolution, the proxy or the \
             files of the trust store may hang",
        ),
        Fault::Ended(lifetime) => Error::new(
            ErrorKind::BadResponse,
            format!("the token had expired before it arrived: its lifetime is {lifetime:?}"),
        ),
    }
}

/// The error of a caller for whom no fetch may start.
fn error_of_obstacle(obstacle: &Obstacle<Fault<Error>>, wait: Duration) -> Error {
    let error = match obstacle {
        Obstacle::Remembered(fault) => error_of(fault),
        Obstacle::Budget { most, last } => {
            // As whole numbers: formatting a float takes 14 KB of code.
            let rounded = wait.saturating_add(Duration::from_millis(50));
            let last = last.as_ref().map(|fault| error_of(fault).to_string());
            let last = last.map(|last| format!("; the last failure was: {last}"));
            Error::new(
                ErrorKind::Budget,
                format!(
                    "this client has made {most} token requests within a minute, its limit \
                     (max_requests_per_minute); the next is allowed in {}.{} s{}",
                    rounded.as_secs(),
                    rounded.subsec_millis() / 100,
                    last.unwrap_or_default()
                ),
            )
        }
    };
    error.remembered(wait)
}

impl Shared {
    /// The error of a caller that gets no token. `told`: the error that ended its wait.
    pub(super) fn error(&self, slot: &Slot, reason: &Reason<Error>, told: Option<Error>) -> Error {
        match reason {
            Reason::Closed => Self::closed_error(),
            Reason::AlreadyReported => told.unwrap_or_else(Self::closed_error),
            Reason::Pending { credentials_pending } => {
                let why =
                    credentials_pending.then(|| format!(" ({})", self.source.what_is_awaited()));
                let why = why.unwrap_or_default();
                Error::new(
                    ErrorKind::Pending,
                    format!("no token yet; it is being fetched{why}, and this call does not wait"),
                )
            }
            Reason::TimedOut { credentials_pending } => {
                let why =
                    credentials_pending.then(|| format!(": {}", self.source.what_is_awaited()));
                Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "no token for \"{}\" within the caller's timeout; the fetch goes on{}",
                        slot.scope.wire(),
                        why.unwrap_or_default()
                    ),
                )
            }
            Reason::Blocked { obstacle, wait } => error_of_obstacle(obstacle, *wait),
            Reason::Failed { fault, wait } => error_of(fault).told(Some(*wait)),
            Reason::NotMade(error) => error.clone(),
            Reason::Ended => {
                Error::new(ErrorKind::BadResponse, "the token expired before it could be served")
            }
        }
    }

    pub(super) fn tell(&self, slot: &Slot, event: impl FnOnce() -> Event) {
        self.events.tell(|| {
            let mut event = event();
            event.scope = slot.scope.canonical().to_owned();
            event
        });
    }

    /// Reports an event.
    pub(super) fn notify(&self, slot: &Slot, notice: Notice<Error>, context: &StepContext<'_>) {
        let stored = context.fetch.as_ref().map(|fetch| &fetch.stored);
        let was_told = stored.is_some_and(|stored| stored.was_told);
        if matches!(notice, Notice::StoreMiss { .. }) && was_told {
            return;
        }
        match &notice {
            Notice::FreshTokenRefused => self.events.tell(|| self.event(&notice, context)),
            _ => self.tell(slot, || self.event(&notice, context)),
        }
        let granted = context.fetch.as_ref().and_then(|fetch| fetch.granted.as_ref());
        let granted = granted.filter(|_| matches!(notice, Notice::Succeeded { .. }));
        for warning in granted.into_iter().flat_map(|granted| &granted.warnings) {
            self.tell(slot, || Event::new(EventKind::Warning, warning.as_str()));
        }
    }

    fn event(&self, notice: &Notice<Error>, context: &StepContext<'_>) -> Event {
        let fetch = context.fetch.as_ref();
        let fetched = || fetch.and_then(|fetch| fingerprint(fetch.received()?.value.reveal()));
        match notice {
            Notice::FetchStarted => Event::new(EventKind::FetchStarted, "requesting a token"),
            Notice::Succeeded { attempt, took, lifetime } => {
                let message = format!("received a token; its lifetime is {} s", lifetime.as_secs());
                let mut event = Event::new(EventKind::FetchSucceeded, message);
                (event.http_status, event.attempt) = (Some(200), *attempt);
                (event.duration, event.fingerprint) = (*took, fetched());
                event
            }
            Notice::StoreHit { took } => {
                let message = "store hit: another process had already fetched a token";
                let mut event = Event::new(EventKind::Store, message);
                (event.duration, event.fingerprint) = (*took, fetched());
                event
            }
            Notice::StoreMiss { why, took } => {
                let (why, is_odd) = match why {
                    Some(Miss::Refused) => ("an API has refused its token", false),
                    Some(Miss::NotNewer) => ("it has no newer token", false),
                    Some(Miss::TooShort) => {
                        ("its token expires too soon for a caller's min_ttl", false)
                    }
                    None => fetch.map_or(("", false), |fetch| fetch.stored.miss),
                };
                let mut event = Event::new(EventKind::Store, format!("store miss: {why}"));
                event.error = is_odd.then_some(ErrorKind::BadResponse);
                event.duration = *took;
                event
            }
            Notice::AttemptFailed { fault, attempt, took, wait } => {
                let told = error_of(fault).told(Some(*wait));
                let mut event = Event::new(EventKind::FetchFailed, told.message());
                (event.error, event.http_status) = (Some(told.kind()), told.http_status());
                (event.attempt, event.duration, event.wait) = (*attempt, *took, Some(*wait));
                event
            }
            Notice::GivenUp { how, wait } => self.given_up(*how, *wait),
            Notice::ServedWhileFailing { fault, wait } => {
                let message = "the renewal failed; the cached token is still served";
                let mut event = Event::new(EventKind::ServedWhileFailing, message);
                (event.error, event.wait) = (Some(error_of(fault).kind()), Some(*wait));
                event
            }
            Notice::Budget { obstacle, wait } => {
                let error = error_of_obstacle(obstacle, *wait);
                let mut event = Event::new(EventKind::Budget, error.message());
                (event.error, event.wait) = (Some(ErrorKind::Budget), error.retry_after());
                event
            }
            Notice::Invalidated => {
                let message = "an API refused the token; the next call gets a new one";
                let mut event = Event::new(EventKind::Invalidated, message);
                event.fingerprint.clone_from(&context.fingerprint);
                event
            }
            Notice::FreshTokenRefused => Event::new(
                EventKind::Warning,
                "an API refused a newly fetched token: it may not accept API Tokens v2 \
                 yet, or the key may have been revoked",
            ),
        }
    }

    fn given_up(&self, how: GivenUp, wait: Duration) -> Event {
        let (kind, why) = match how {
            GivenUp::Overrun => {
                let error = error_of(&Fault::Overrun);
                (error.kind(), error.message().to_owned())
            }
            GivenUp::CredentialsPending => (
                ErrorKind::Credentials,
                format!(
                    "no credentials for the token request: {}, and no caller is waiting any more",
                    self.source.what_is_awaited()
                ),
            ),
        };
        let mut event = Event::new(EventKind::FetchFailed, why);
        (event.error, event.wait) = (Some(kind), Some(wait));
        event
    }
}

/// Eight hex digits that identify a token without revealing it: a hash with a random key.
pub(super) fn fingerprint(token: &str) -> Option<String> {
    static KEY: OnceBox<ring::hmac::Key> = OnceBox::new();
    let key = KEY.get_or_try_init(|| {
        let random = ring::rand::SystemRandom::new();
        ring::hmac::Key::generate(ring::hmac::HMAC_SHA256, &random).map(Box::new)
    });
    let tag = tag(key.ok()?, token);
    // It also runs on callers' threads.
    wipe_stack::<4096>();
    Some(tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

/// In a frame of its own, below the caller's: what ring leaves there is wiped by the caller.
#[inline(never)]
fn tag(key: &ring::hmac::Key, token: &str) -> ring::hmac::Tag {
    ring::hmac::sign(key, token.as_bytes())
}
