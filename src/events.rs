//! Events, delivered to a callback, the `log` crate and stderr.
//!
//! Fetches put events into a bounded queue per client; one library thread delivers them, in order.
//! A callback that is slow or never returns delays events and nothing else. Events that do not fit
//! into the queue are counted, and the loss is reported where it occurred: with the next event that
//! is queued, or, if the client is dropped before that, with an event of its own.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::config::options::LogLevel;
use crate::error::ErrorKind;
use crate::process::{Callable, Callback, Inherited, Locked, Process};
use crate::threads;

/// Most undelivered events per client.
const QUEUE_LENGTH: usize = 1024;

/// Message of a client's last event if the events before it were lost; their number is appended.
const LOST_AT_THE_END: &str = "the client was closed; its event function could not keep up";

/// The kind of an [`Event`]. The numbers are those of the C API.
///
/// ```
/// assert_eq!(tu_token::EventKind::Warning as i32, 11); // the number in the C API
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A fetch started.
    FetchStarted = 1,
    /// A fetch obtained a token.
    FetchSucceeded = 2,
    /// An attempt of a fetch failed.
    FetchFailed = 3,
    /// A valid token was served although its renewal failed.
    ServedWhileFailing = 4,
    /// A token that an API refused was dropped.
    Invalidated = 5,
    /// The client's credentials changed.
    Rotated = 6,
    /// The token store had a token, had none, or failed.
    Store = 7,
    /// The machine was suspended, or the wall clock jumped.
    Clock = 8,
    /// The process forked and the client is now used in the child.
    Fork = 9,
    /// The client's own limit on token requests per minute was reached.
    Budget = 10,
    /// Something unexpected that needs attention.
    Warning = 11,
}

/// The severity of an [`Event`]. The numbers are those of the C API.
///
/// ```
/// assert_eq!(tu_token::Severity::Warning as i32, 3); // the number in the C API
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Routine: a fetch started, a store had a token or none.
    Debug = 1,
    /// Normal operation.
    Info = 2,
    /// A failure, or something that needs attention.
    Warning = 3,
}

/// An event. Contains no secret and no token.
///
/// ```
/// # let emulator = tu_token_emulator::Emulator::start()?;
/// # let [(_, id), (_, secret), (_, scope), (_, token_url)] = emulator.client_options();
/// use std::sync::mpsc;
/// use tu_token::{Client, Event, EventKind};
///
/// let (sender, receiver) = mpsc::channel();
/// let client = Client::builder()
///     .client_id(&id)
///     .client_secret(&secret)
///     .scope(&scope)
///     .token_url(&token_url)
///     .on_event(move |event: &Event| drop(sender.send(event.clone())))
///     .build()?;
/// let token = client.token()?;
/// let started = receiver.recv()?;
/// assert_eq!((started.kind, started.scope.as_str()), (EventKind::FetchStarted, "asset.view"));
/// assert!(!receiver.recv()?.to_string().contains(token.value()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The kind of event.
    pub kind: EventKind,
    /// The failure, if any.
    pub error: Option<ErrorKind>,
    /// The client's `name` option.
    pub client: Arc<str>,
    /// Canonical scope; empty if the event concerns the whole client.
    pub scope: String,
    /// One line to show or log.
    pub message: String,
    /// Identifies the token: 8 hex digits of a keyed hash, comparable within this process only.
    pub fingerprint: Option<String>,
    /// HTTP status of the token endpoint's response, if any.
    pub http_status: Option<u16>,
    /// Number of the attempt within its fetch, from 1; 0 if not about an attempt.
    pub attempt: u32,
    /// A failed attempt: its duration, from its request on (or from asking for the credentials, if
    /// none were available). A successful fetch: its whole duration, with failed attempts and
    /// backoff. A store event: the duration of the fetch so far. A suspend or wall clock jump: its
    /// size. Otherwise zero.
    pub duration: Duration,
    /// Time until the next attempt, if known: of the same fetch, or, after its last attempt, of the
    /// next fetch.
    pub wait: Option<Duration>,
}

impl Event {
    pub(crate) fn new(kind: EventKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            error: None,
            client: Arc::from(""),
            scope: String::new(),
            message: message.into(),
            fingerprint: None,
            http_status: None,
            attempt: 0,
            duration: Duration::ZERO,
            wait: None,
        }
    }

    /// The severity: the level at which loggers receive the event.
    ///
    /// ```
    /// let function = tu_token::EventFn::from(|event: &tu_token::Event| {
    ///     if event.severity() >= tu_token::Severity::Warning {
    ///         eprintln!("{event}");
    ///     }
    /// });
    /// tu_token::Config::new().on_event(function);
    /// ```
    pub fn severity(&self) -> Severity {
        match self.kind {
            EventKind::FetchFailed
            | EventKind::ServedWhileFailing
            | EventKind::Budget
            | EventKind::Warning => Severity::Warning,
            _ if self.error.is_some() => Severity::Warning,
            EventKind::FetchStarted | EventKind::Store => Severity::Debug,
            _ => Severity::Info,
        }
    }

    fn level(&self) -> log::Level {
        match self.severity() {
            Severity::Debug => log::Level::Debug,
            Severity::Info => log::Level::Info,
            Severity::Warning => log::Level::Warn,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.client.is_empty() {
            write!(f, "{}: ", self.client)?;
        }
        f.write_str(&self.message)?;
        if !self.scope.is_empty() {
            write!(f, " [scope {}]", self.scope)?;
        }
        if let Some(fingerprint) = &self.fingerprint {
            write!(f, " [token {fingerprint}]")?;
        }
        Ok(())
    }
}

/// A function that receives events. It runs on one library thread, one event at a time, with no
/// lock held, and may call the client.
///
/// ```
/// let function = tu_token::EventFn::from(|event: &tu_token::Event| eprintln!("{event}"));
/// tu_token::Config::new().on_event(function);
/// ```
pub struct EventFn(Box<dyn Fn(&Event) + Send + Sync>);

impl<F: Fn(&Event) + Send + Sync + 'static> From<F> for EventFn {
    fn from(function: F) -> Self {
        Self(Box::new(function))
    }
}

impl fmt::Debug for EventFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventFn(..)")
    }
}

/// The undelivered events of one client.
pub(crate) struct EventQueue {
    client: Arc<str>,
    callback: Option<Callable<EventFn>>,
    stderr: LogLevel,
    waiting: Locked<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Queued>,
    /// Events lost since the last queued one.
    lost: u64,
    /// Whether the queue is scheduled for delivery.
    queued: bool,
    /// The client's share in its callback.
    owner: Option<Callback<EventFn>>,
    /// The client has been closed or dropped: its share is dropped after the last event.
    released: bool,
}

struct Queued {
    event: Event,
    /// Events lost right before it.
    lost: u64,
}

impl EventQueue {
    pub(crate) fn new(name: &str, owner: Option<Callback<EventFn>>, stderr: LogLevel) -> Arc<Self> {
        Arc::new(Self {
            // The empty name takes no memory.
            client: if name.is_empty() { Arc::default() } else { Arc::from(name) },
            callback: owner.as_ref().map(Callback::callable),
            stderr,
            waiting: Locked::new(Waiting { owner, ..Waiting::default() }),
        })
    }

    /// The client's name, if it has one.
    pub(crate) fn client_name(&self) -> Option<&str> {
        Some(&*self.client).filter(|name| !name.is_empty())
    }

    /// Whether there is a listener. Without one, events are not even created.
    pub(crate) fn is_heard(&self) -> bool {
        self.callback.is_some()
            || self.stderr != LogLevel::Off
            || log::max_level() != log::LevelFilter::Off
    }

    /// Queues an event. Never blocks and never runs user code.
    pub(crate) fn tell(self: &Arc<Self>, event: impl FnOnce() -> Event) {
        if !self.is_heard() {
            return;
        }
        let mut event = event();
        event.client = self.client.clone();
        let mut waiting = self.waiting.lock();
        if waiting.events.len() >= QUEUE_LENGTH {
            waiting.lost += 1;
        } else {
            waiting.push(event);
        }
        let must_queue = !std::mem::replace(&mut waiting.queued, true);
        drop(waiting);
        if must_queue {
            threads::dispatch(self.clone());
        }
    }

    /// Drops the callback once the queued events have been delivered.
    pub(crate) fn release(self: &Arc<Self>) {
        let (owner, must_queue, is_queued) = {
            let mut waiting = self.waiting.lock();
            waiting.released = true;
            if waiting.lost > 0 {
                // No later event is likely to report the loss.
                let client = self.client.clone();
                waiting.push(Event { client, ..Event::new(EventKind::Warning, LOST_AT_THE_END) });
            }
            let must_queue = !waiting.queued && !waiting.events.is_empty();
            waiting.queued |= must_queue;
            (waiting.take_released(), must_queue, waiting.queued)
        };
        drop(owner);
        if must_queue {
            threads::dispatch(self.clone());
        }
        if is_queued {
            threads::dispatch_or_release();
        }
    }

    fn deliver_one(&self, mut event: Event, lost: u64) {
        if lost > 0 {
            event.message.push_str(&format!(" ({lost} events before this one were lost)"));
        }
        log::log!(target: "tu_token", event.level(), "{event}");
        let wanted = match self.stderr {
            LogLevel::Off => false,
            LogLevel::Warn => event.severity() >= Severity::Warning,
            // `info` includes debug events.
            LogLevel::Info => true,
        };
        if wanted {
            threads::write_to_stderr(&format!("tu-token: {event}"));
        }
        if let Some(callback) = &self.callback {
            callback.call(|callback| (callback.0)(&event));
        }
    }
}

impl threads::Queue for EventQueue {
    /// No thread can be started: a released client must not keep its callback for these events.
    fn release_undeliverable(self: Arc<Self>) {
        let is_released = self.waiting.lock().released;
        if is_released && threads::leave_line(Arc::as_ptr(&self).cast()) {
            let owner = {
                let mut waiting = self.waiting.lock();
                waiting.queued = false;
                waiting.take_released()
            };
            drop(owner);
        }
    }

    /// Locking adopts the state after a fork: see [`Waiting::adopt`].
    fn forget_parents(&self) {
        drop(self.waiting.lock());
    }

    fn deliver(&self) {
        let process = Process::this();
        loop {
            let Queued { event, lost } = {
                // If the callback forked and this is the child, the queued events are the parent's.
                let Some(mut waiting) = self.waiting.lock_in(process) else { return };
                let Some(next) = waiting.events.pop_front() else {
                    waiting.queued = false;
                    let owner = waiting.take_released();
                    drop(waiting);
                    // This may run user code, so not under the lock.
                    return drop(owner);
                };
                next
            };
            // A callback that panics loses this event only.
            let _ = catch_unwind(AssertUnwindSafe(|| self.deliver_one(event, lost)));
        }
    }
}

impl Waiting {
    fn push(&mut self, event: Event) {
        let lost = std::mem::take(&mut self.lost);
        self.events.push_back(Queued { event, lost });
    }

    /// The client's share in the callback, if it is to be dropped now.
    fn take_released(&mut self) -> Option<Callback<EventFn>> {
        self.owner.take_if(|_| self.released && !self.queued)
    }
}

/// A fork child starts with an empty queue: the parent delivers its own events. A callback that was
/// kept for those alone is dropped with them.
impl Inherited for Waiting {
    type Remains = (VecDeque<Queued>, Option<Callback<EventFn>>);

    fn adopt(&mut self) -> Self::Remains {
        self.queued = false;
        self.lost = 0;
        (std::mem::take(&mut self.events), self.take_released())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_of_each_kind() {
        let severity = |kind, error| Event { error, ..Event::new(kind, "") }.severity();
        for (kind, expected) in [
            (EventKind::FetchStarted, Severity::Debug),
            (EventKind::FetchSucceeded, Severity::Info),
            (EventKind::FetchFailed, Severity::Warning),
            (EventKind::ServedWhileFailing, Severity::Warning),
            (EventKind::Invalidated, Severity::Info),
            (EventKind::Rotated, Severity::Info),
            (EventKind::Store, Severity::Debug),
            (EventKind::Clock, Severity::Info),
            (EventKind::Fork, Severity::Info),
            (EventKind::Budget, Severity::Warning),
            (EventKind::Warning, Severity::Warning),
        ] {
            assert_eq!(severity(kind, None), expected, "{kind:?}");
            assert_eq!(severity(kind, Some(ErrorKind::Timeout)), Severity::Warning, "{kind:?}");
        }
    }
}
