//! The work of a fetch on its thread: credentials, request, answer. The core decides what comes
//! next.

use std::io;
use std::sync::Arc;

use super::drive::StepContext;
use super::shared::Shared;
use super::state::Slot;
use super::stored::Stored;
use crate::cache::flight::FlightId;
use crate::cache::input::{self, CredentialStatus, Input, NoCredentials};
use crate::cache::output::Task;
use crate::clock::BootTime;
use crate::credentials::{Pair, View};
use crate::endpoint::{Granted, TimeLimit};
use crate::error::{Error, ErrorKind};
use crate::leftovers::{Depth, wipe_thread};
use crate::process::Mailbox;
use crate::threads::Job;
use crate::words;

/// The client's data of a fetch, in addition to what the core keeps.
pub(crate) struct Fetch {
    pub(super) id: FlightId,
    pub(super) slot: Arc<Slot>,
    pub(super) began: BootTime,
    /// When the last request was about to be sent.
    pub(super) sent_at: BootTime,
    /// Its job, while it waits for a thread.
    pub(super) job: Option<Arc<Job>>,
    /// Set while it waits on its own thread for lack of a clock watcher; ringing it ends the wait.
    pub(super) bell: Option<Arc<Mailbox<()>>>,
    /// Credentials read for the next attempt.
    pub(super) fresh: Option<Result<Pair, Error>>,
    /// Credentials used by the last request.
    pub(super) used: Option<Pair>,
    /// Refused credentials, while the source is asked for others.
    pub(super) refused: Option<Pair>,
    pub(super) granted: Option<Granted>,
    pub(super) stored: Stored,
}

impl Fetch {
    pub(super) fn new(id: FlightId, slot: Arc<Slot>, now: BootTime) -> Self {
        Self {
            id,
            slot,
            began: now,
            sent_at: now,
            job: None,
            bell: None,
            fresh: None,
            used: None,
            refused: None,
            granted: None,
            stored: Stored::default(),
        }
    }

    /// The token obtained, from the endpoint or from the store.
    pub(super) fn received(&self) -> Option<&Granted> {
        self.granted.as_ref().or(self.stored.found())
    }
}

impl StepContext<'_> {
    /// What the thread knows about its credentials, given the source's current state.
    pub(super) fn credential_status(&mut self, view: &View) -> CredentialStatus<Error> {
        let credentials = self.fetch.as_mut().and_then(|fetch| fetch.credentials(view));
        let credentials =
            credentials.map(|read| read.map_err(|error| self.credentials_pending(error)));
        CredentialStatus { source: view.source, credentials }
    }

    /// The same after a visit to the store, during which the credentials may have been replaced.
    pub(super) fn credential_status_after_store(&mut self, view: &View) -> CredentialStatus<Error> {
        if let Some(fetch) = &mut self.fetch {
            let is_outdated = |pair: &Pair| pair.version != view.source.version;
            fetch.fresh.take_if(|read| read.as_ref().is_ok_and(is_outdated));
        }
        self.credential_status(view)
    }

    fn credentials_pending(&mut self, mut error: Error) -> NoCredentials<Error> {
        match error.kind() {
            ErrorKind::Internal => NoCredentials::NoThread(error),
            _ => {
                // The core drops remembered errors under the lock, where no foreign code may run.
                // So the cause goes only to the waiters of this fetch.
                self.cause = error.take_cause();
                NoCredentials::Failed(error)
            }
        }
    }
}

impl Fetch {
    /// Keeps the credentials to continue with; returns what the core needs to know of them, or the
    /// error.
    fn credentials(&mut self, view: &View) -> Option<Result<input::Pair, Error>> {
        let was_requested = self.fresh.is_some();
        let read = self.fresh.take().or_else(|| match &self.refused {
            None => view.given.clone(),
            // Rotated meanwhile.
            Some(refused) => {
                let latest = view.latest.clone();
                latest.filter(|latest| latest.version != refused.version).map(Ok)
            }
        })?;
        let refused = self.refused.as_ref();
        Some(read.map(|pair| {
            let is_other = refused.is_some_and(|refused| !pair.same_as(refused));
            let known = input::Pair { version: pair.version, is_other, was_requested };
            self.fresh = Some(Ok(pair));
            known
        }))
    }
}

impl Shared {
    /// Runs a fetch on a worker thread until it ends or waits.
    pub(super) fn run_flight(self: &Arc<Self>, id: FlightId) {
        let view = self.source.view();
        let mut context = StepContext { looks_at_clocks: true, ..StepContext::default() };
        self.step(&mut context, &mut |state, context, _| {
            context.looks_at_clocks = false;
            let fetch = context.fetch.insert(state.take_fetch(id)?);
            (fetch.job, fetch.bell) = (None, None);
            Some(Input::ThreadReady { flight: id, status: context.credential_status(&view) })
        });
        self.go_on(&mut context);
    }

    fn go_on(self: &Arc<Self>, context: &mut StepContext<'_>) {
        while let (Some(task), Some(fetch)) = (context.task.take(), &mut context.fetch) {
            let id = fetch.id;
            match task {
                Task::Send { limit, spent } => {
                    self.send(context, TimeLimit { attempt: limit, spent });
                }
                Task::GoOn => {
                    let view = self.source.view();
                    self.step(context, &mut |_, context, _| {
                        Some(Input::ThreadReady {
                            flight: id,
                            status: context.credential_status(&view),
                        })
                    });
                }
                Task::Look => self.look_into_store(context),
                Task::TryLock => self.try_store_lock(context),
                Task::Announce { again_at } => self.announce_renewal(context, again_at),
                Task::Save { fresh_for } => self.put_into_store(context, fresh_for),
            }
        }
        // There is no clock watcher: this thread waits by itself.
        if let Some((id, bell, until)) = context.sleeps.take() {
            bell.take(&self.clock, until);
            self.run_flight(id);
        }
    }

    fn send(self: &Arc<Self>, context: &mut StepContext<'_>, limit: TimeLimit) {
        let Some(fetch) = &mut context.fetch else { return };
        let Some(Ok(pair)) = fetch.fresh.take() else { return };
        (fetch.refused, fetch.granted) = (None, None);
        #[cfg(feature = "redis")]
        fetch.stored.renew_lock();
        let (name, scope) = (self.events.client_name(), &fetch.slot.scope);
        let asked = self.endpoint.fetch(&self.options, name, &pair.credentials, scope, limit);
        wipe_thread(Depth::Deep);
        fetch.used = Some(pair);
        self.report_trust();
        let id = fetch.id;
        let mut failure = None;
        match asked {
            Ok(granted) => fetch.granted = Some(granted),
            Err(failed) => {
                failure = Some(failed);
                // For the pause before the next attempt, if there is one.
                #[cfg(feature = "redis")]
                fetch.stored.renew_lock();
            }
        }
        let source = self.source.view().source;
        self.step(context, &mut |state, context, _| {
            let answer = match failure.take() {
                Some(failure) => Err(failure),
                None => Ok(context.grant(state)?),
            };
            Some(Input::Answered { flight: id, answer, source })
        });
    }

    /// The job that gets the fetch a thread, or reports that there is none.
    pub(super) fn job(self: &Arc<Self>, id: FlightId) -> Arc<Job> {
        let shared = self.clone();
        let policy = &self.options.policy;
        let visit = self.store.as_ref().map(|store| policy.longest_visit(store.timeout()));
        let longest = visit.unwrap_or_default() + policy.longest_fetch();
        // What a request leaves, `send` wipes.
        Job::or_refused_of_depth(Depth::Shallow, longest, move |there_is_a_thread| {
            match there_is_a_thread {
                Ok(()) => shared.run_flight(id),
                Err(error) => shared.not_started(id, error),
            }
        })
    }

    fn not_started(self: &Arc<Self>, id: FlightId, error: &io::Error) {
        let mut context = StepContext::default();
        let error = no_thread(THE_REQUEST, error);
        self.step(&mut context, &mut |state, context, _| {
            context.fetch = state.take_fetch(id);
            Some(Input::NotStarted { flight: id, error: error.clone() })
        });
    }
}

impl StepContext<'_> {
    /// The obtained token, as the core sees it.
    pub(super) fn grant(&self, state: &super::state::ClientState) -> Option<input::Granted> {
        let fetch = self.fetch.as_ref()?;
        let granted = fetch.granted.as_ref()?;
        let same_value = state.seats[fetch.slot.index].shows(granted.value.reveal());
        Some(input::Granted { lifetime: granted.lifetime, same_value })
    }
}

/// What a thread is needed for.
pub(super) const THE_REQUEST: &str = "the token request";

/// The system cannot start a thread. This is neither a bug nor a failed fetch: nothing is
/// remembered.
pub(super) fn no_thread(what: &str, error: &io::Error) -> Error {
    let message = format!(
        "no thread can be started for {what} ({}): check the limits on processes (ulimit -u, \
         a container's pids limit) and memory; the call may be repeated at once",
        words::of(error)
    );
    Error::new(ErrorKind::Internal, message).with_retryable(true)
}

/// When a fetch that waits on its own thread continues, and the bell that ends the wait early.
pub(super) type Sleep = (FlightId, Arc<Mailbox<()>>, BootTime);
