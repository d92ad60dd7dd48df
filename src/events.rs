//! What happened, told to whoever asked: a callback, the `log` crate, stderr.
//!
//! Events are put into a queue of bounded length by whoever fetches, and handed out by one thread
//! of ours, in order. A callback that is slow, or forgets to return, delays events and nothing
//! else; what does not fit into the queue is counted and told where it is missing: with the event that
//! is queued next, or, if the client goes before there is one, by an event of its own.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::config::options::LogLevel;
use crate::error::ErrorKind;
use crate::process::{Callable, Callback, Inherited, Locked, Process};
use crate::threads;

/// Most events that wait to be told, per client.
const QUEUE_LENGTH: usize = 1024;

/// What is told at a client's end if its last events were lost. How many, is added.
const LOST_AT_THE_END: &str = "the client ends; its event function could not keep up";

/// What kind of thing happened. The numbers are those of the C API.
///
/// ```
/// assert_eq!(tu_token::EventKind::Warning as i32, 11); // the number in the C API
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A fetch begins.
    FetchStarted = 1,
    /// A fetch brought a token.
    FetchSucceeded = 2,
    /// An attempt of a fetch failed.
    FetchFailed = 3,
    /// A valid token is handed out although its renewal failed.
    ServedWhileFailing = 4,
    /// A token that an API refused was dropped.
    Invalidated = 5,
    /// The client has other credentials.
    Rotated = 6,
    /// A token store was hit, missed or failed.
    Store = 7,
    /// The machine slept, or the wall clock jumped.
    Clock = 8,
    /// The process was forked and the client is used in the child.
    Fork = 9,
    /// The limit of token requests a minute was reached.
    Budget = 10,
    /// Something odd that a person should look at.
    Warning = 11,
}

/// How much a person should care. The numbers are those of the C API.
///
/// ```
/// assert_eq!(tu_token::Severity::Warning as i32, 3); // the number in the C API
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// What goes on all the time.
    Debug = 1,
    /// What happens when all is well.
    Info = 2,
    /// A failure, or something that a person should look at.
    Warning = 3,
}

/// One thing that happened. Never holds a secret or a token.
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
    /// What happened.
    pub kind: EventKind,
    /// The failure, if it is one.
    pub error: Option<ErrorKind>,
    /// The client's `name` option.
    pub client: Arc<str>,
    /// The canonical scope it is about; empty if it is about the client.
    pub scope: String,
    /// One line for a person.
    pub message: String,
    /// Which token: a keyed hash of it, 8 hex digits. Comparable within one process only.
    pub fingerprint: Option<String>,
    /// The endpoint's HTTP status, if there was one.
    pub http_status: Option<u16>,
    /// Which attempt of the fetch, from 1; 0 if it is not about an attempt.
    pub attempt: u32,
    /// How long it took: a failed attempt, that attempt alone (from its request on; if the credentials
    /// could not be had, from asking for them on); a fetch that brought a token, all of it with its
    /// earlier attempts and pauses; an event of the store, the fetch up to then; a suspend or a jump of
    /// the wall clock, how far. Zero for all others.
    pub duration: Duration,
    /// How long until the next try, if that is known: of a failed attempt, the next one of its fetch,
    /// or, behind the last one, until another fetch may start.
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

    /// How much a person should care: the level at which every logger is told.
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

/// A function that is told what happens. It runs on one thread of the library's, one event at a
/// time, never under a lock, and may call the client.
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

/// The events of one client, on their way to its listeners.
pub(crate) struct EventQueue {
    client: Arc<str>,
    callback: Option<Callable<EventFn>>,
    stderr: LogLevel,
    waiting: Locked<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Queued>,
    /// How many were lost behind the last one that is queued.
    lost: u64,
    /// Whether the queue stands in line to be told.
    queued: bool,
    /// The client's part in its callback.
    owner: Option<Callback<EventFn>>,
    /// The client has gone: its part goes too, behind the last event.
    released: bool,
}

struct Queued {
    event: Event,
    /// How many were lost right before it.
    lost: u64,
}

impl EventQueue {
    pub(crate) fn new(name: &str, owner: Option<Callback<EventFn>>, stderr: LogLevel) -> Arc<Self> {
        Arc::new(Self {
            client: Arc::from(name),
            callback: owner.as_ref().map(Callback::callable),
            stderr,
            waiting: Locked::new(Waiting { owner, ..Waiting::default() }),
        })
    }

    /// Whether anybody listens. Otherwise events need not even be made.
    pub(crate) fn is_heard(&self) -> bool {
        self.callback.is_some()
            || self.stderr != LogLevel::Off
            || log::max_level() != log::LevelFilter::Off
    }

    /// Queues an event. Never blocks and never calls foreign code.
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

    /// Lets go of the callback, once what waits has been told: the client has gone.
    pub(crate) fn release(self: &Arc<Self>) {
        let (owner, must_queue, is_queued) = {
            let mut waiting = self.waiting.lock();
            waiting.released = true;
            if waiting.lost > 0 {
                // Nothing is likely to follow that could tell it.
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
            // All of them: whoever sets it wants to see what goes on.
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
    /// The events of a client that has gone never will be told: nobody holds the callback for that.
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

    /// Lets go of a callback, too, that was held for these events alone.
    fn forget_parents(&self) {
        drop(self.waiting.lock());
    }

    fn deliver(&self) {
        let process = Process::this();
        loop {
            let Queued { event, lost } = {
                // If the callback forked and this is the child, what waits is the parent's.
                let Some(mut waiting) = self.waiting.lock_in(process) else { return };
                let Some(next) = waiting.events.pop_front() else {
                    waiting.queued = false;
                    let owner = waiting.take_released();
                    drop(waiting);
                    // Foreign code may run now.
                    return drop(owner);
                };
                next
            };
            // A callback that panics loses its event, and nothing else.
            let _ = catch_unwind(AssertUnwindSafe(|| self.deliver_one(event, lost)));
        }
    }
}

impl Waiting {
    fn push(&mut self, event: Event) {
        let lost = std::mem::take(&mut self.lost);
        self.events.push_back(Queued { event, lost });
    }

    /// The client's part in the callback, if it is to go now.
    fn take_released(&mut self) -> Option<Callback<EventFn>> {
        self.owner.take_if(|_| self.released && !self.queued)
    }
}

/// A forked child starts with an empty queue: the parent tells its own events. A callback that was
/// held for that alone goes with them.
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
    fn how_much_a_person_should_care() {
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
