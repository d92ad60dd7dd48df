//! The slow path of a get.

use std::sync::Arc;
use std::time::Duration;

use super::GetOptions;
use super::drive::{Reply, StepContext};
use super::fetch::{THE_REQUEST, no_thread};
use super::reading::Look;
use super::shared::Shared;
use super::state::Slot;
use super::wait::{Crowd, Outcome, Waiter};
use crate::cache::entry::Want;
use crate::cache::input::{Input, Waited};
use crate::cache::output::{Reason, Wait};
use crate::cache::policy;
use crate::clock::BootTime;
use crate::credentials;
use crate::error::{Error, ErrorKind};
use crate::threads;
use crate::token::{Room, Token};

const FOREVER: BootTime = BootTime::from_nanos(u64::MAX);

/// What a caller asks for, with its deadline.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) slot: Arc<Slot>,
    want: Want,
}

/// The next step of a caller.
pub(super) enum Next {
    Done(Result<Token, Error>),
    /// At once. The entry holds no waiter.
    AskAgain,
    /// In this crowd, unless it has a waiter of its own.
    Wait(Wait, Option<Arc<Crowd>>),
}

/// How a caller has waited so far.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitHistory {
    waited: Option<Waited>,
    /// The error that ended its wait.
    error: Option<Error>,
}

impl WaitHistory {
    /// For a caller that waits again.
    pub(super) fn after(waited: Option<Waited>) -> Self {
        Self { waited, error: None }
    }

    /// Records the wait that the core asked for.
    pub(super) fn waits(&mut self, wait: &Wait) {
        self.waited = Some(Waited { serve_at: wait.serve_at, failed: false });
    }

    fn has_failed(&mut self, error: Error) {
        self.waited.get_or_insert_default().failed = true;
        self.error = Some(error);
    }
}

impl Request {
    /// Whether the caller does not wait.
    pub(super) fn is_at_once(&self) -> bool {
        self.want.at_once
    }

    /// For a caller that does not wait: never, because its call does not end by timeout.
    pub(super) fn deadline(&self) -> BootTime {
        self.want.until
    }

    /// The same request without waiting.
    pub(super) fn at_once(&self) -> Self {
        let want = Want { at_once: true, until: FOREVER, ..self.want };
        Self { slot: self.slot.clone(), want }
    }
}

impl Shared {
    pub(crate) fn get(self: &Arc<Self>, options: &GetOptions<'_>) -> Result<Token, Error> {
        if options.cancel.is_some_and(super::Cancel::is_triggered) {
            return Err(super::wait::cancelled());
        }
        match self.at_hand(options.scope.map(str::as_bytes), options.min_ttl) {
            Some(token) => Ok(token),
            // The waiting call keeps its own reference, so it does not depend on the handle.
            None => self.clone().wait_for_token(options),
        }
    }

    pub(super) fn request(self: &Arc<Self>, options: &GetOptions<'_>) -> Result<Request, Error> {
        let slot = self.slot(options.scope)?;
        self.note_asked(&slot);
        let timeout = options.timeout.unwrap_or(self.options.timeout);
        let at_once = timeout.is_zero();
        let until = if at_once { FOREVER } else { self.clock.now().after(timeout) };
        Ok(Request { slot, want: Want { min_ttl: options.min_ttl, at_once, until } })
    }

    /// For a caller that may have to wait.
    #[cold]
    fn wait_for_token(self: &Arc<Self>, options: &GetOptions<'_>) -> Result<Token, Error> {
        let request = self.request(options)?;
        self.refuse_self_wait(&request)?;
        let mut history = WaitHistory::default();
        let mut room = None;
        loop {
            // A caller that can be cancelled is woken alone.
            let alone = options.cancel.map(|cancel| {
                let waiter = Waiter::thread();
                cancel.watch(&waiter);
                waiter
            });
            let (wait, crowd) = match self.ask(&request, alone.as_ref(), &history) {
                Next::Done(outcome) => return outcome,
                Next::AskAgain => continue,
                Next::Wait(wait, crowd) => (wait, crowd),
            };
            history.waits(&wait);
            room.get_or_insert_with(Room::new);
            let own = alone.as_ref().and_then(|waiter| {
                waiter.sleep(&self.clock, wait.until).or_else(|| waiter.leave())
            });
            let shared = crowd.as_ref().and_then(|crowd| crowd.read(&self.clock, wait.until));
            let outcome = own.as_ref().or(shared);
            if let Some(outcome) =
                outcome.and_then(|outcome| self.end_of_wait(outcome, &mut history, &mut room))
            {
                return outcome;
            }
        }
    }

    /// A credentials callback must not wait for the fetch that it serves: it would wait forever.
    pub(super) fn refuse_self_wait(self: &Arc<Self>, request: &Request) -> Result<(), Error> {
        if request.is_at_once() || !credentials::is_asking_for(Arc::as_ptr(self) as usize) {
            return Ok(());
        }
        match self.valid_token(&request.slot) {
            Some(_) => Ok(()),
            None => Err(Error::argument(
                "a credentials callback cannot wait for a token of the client it serves",
            )),
        }
    }

    /// Asks the core, and becomes a waiter if it has to wait: without a waiter of its own, one of
    /// the crowd.
    pub(super) fn ask(
        self: &Arc<Self>,
        request: &Request,
        waiter: Option<&Arc<Waiter>>,
        history: &WaitHistory,
    ) -> Next {
        threads::catch_up();
        let (entry, want, waited) = (request.slot.index, request.want, history.waited);
        let mut context = StepContext { waiter, ..StepContext::default() };
        self.step(&mut context, &mut |_, _, _| Some(Input::Ask { entry, want, waited }));
        let not_started = context.not_started.map(|error| no_thread(THE_REQUEST, &error));
        match (context.reply, not_started) {
            (Some(Reply::Token(token)), _) => self.if_alive(token),
            (_, Some(error)) => Next::Done(self.valid_token(&request.slot).ok_or(error)),
            (Some(Reply::Wait(wait)), None) => Next::Wait(wait, context.crowd),
            (Some(Reply::Fail(reason)), None) => self.refused(request, waiter, history, reason),
            // The token was there a moment ago.
            (None, None) => Next::AskAgain,
        }
    }

    fn refused(
        self: &Arc<Self>,
        request: &Request,
        waiter: Option<&Arc<Waiter>>,
        history: &WaitHistory,
        reason: Reason<Error>,
    ) -> Next {
        if matches!(reason, Reason::Blocked { .. }) {
            // Only a caller that may wait waits for a check of the files, and only briefly.
            let left = request.deadline().until(self.clock.now());
            let longest = policy::FILE_LOOK_PATIENCE.min(left);
            let call = waiter.filter(|waiter| waiter.is_call());
            let waits = !request.is_at_once();
            let patience = if waits && call.is_none() { longest } else { Duration::ZERO };
            match (self.look_at_files(patience), call) {
                (Look::Ended, _) => return Next::AskAgain,
                (Look::Begun, Some(call)) if waits => {
                    self.state().seats[request.slot.index].waiters.add(call.clone());
                    let until = self.clock.now().after(longest);
                    return Next::Wait(Wait { until, serve_at: None }, None);
                }
                (Look::Begun | Look::NotDue, _) => {}
            }
        }
        Next::Done(Err(self.error(&request.slot, &reason, history.error.clone())))
    }

    /// The result of a caller whose wait has ended. A token is checked against the clock now,
    /// however long ago it was obtained. `None`: no result yet; ask the core again. `room`: for the
    /// caller's copy.
    pub(super) fn end_of_wait(
        self: &Arc<Self>,
        outcome: &Outcome,
        history: &mut WaitHistory,
        room: &mut Option<Room>,
    ) -> Option<Result<Token, Error>> {
        match outcome {
            Outcome::Token(token) if self.is_alive(token) => Some(Ok(token.copy_in(room.take()))),
            Outcome::Token(_) | Outcome::AskAgain => None,
            Outcome::Failed(error) => match error.kind() {
                ErrorKind::Cancelled | ErrorKind::Closed => Some(Err(error.clone())),
                _ => {
                    history.has_failed(error.clone());
                    None
                }
            },
        }
    }

    fn if_alive(&self, token: Token) -> Next {
        match self.is_alive(&token) {
            true => Next::Done(Ok(token)),
            false => Next::AskAgain,
        }
    }

    /// Whether a token may be handed out now.
    fn is_alive(&self, token: &Token) -> bool {
        self.clock.now() < token.expires_at()
    }

    pub(super) fn valid_token(self: &Arc<Self>, slot: &Slot) -> Option<Token> {
        let state = self.state();
        // Under the lock: after waiting for the lock, an earlier reading would be out of date.
        state.valid_token(slot.index, self.clock.now())
    }

    /// The deadline of a waiting caller has passed.
    pub(super) fn timed_out(self: &Arc<Self>, request: &Request) -> Result<Token, Error> {
        let over = WaitHistory::after(Some(Waited::default()));
        loop {
            match self.ask(request, None, &over) {
                Next::Done(outcome) => return outcome,
                Next::AskAgain | Next::Wait(..) => {}
            }
        }
    }
}
