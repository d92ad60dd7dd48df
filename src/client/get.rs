//! A caller's way to a token.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::GetOptions;
use super::reading::Look;
use super::shared::Shared;
use super::state::Slot;
use super::wait::{self, Outcome, Waiter};
use crate::cache::entry::{Answer, Decision, FlightId, Want};
use crate::cache::policy;
use crate::clock::BootTime;
use crate::credentials;
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind};
use crate::threads::{self, Job, Rank};
use crate::token::Token;

/// What a thread is needed for.
const THE_REQUEST: &str = "the token request";

const FOREVER: BootTime = BootTime::from_nanos(u64::MAX);

/// What a caller asks for, with its time limit as a point in time.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) slot: Arc<Slot>,
    want: Want,
    /// For a caller that does not wait: never. Its time is not what ends its call.
    pub(super) deadline: BootTime,
}

/// From when on the valid token that is there will do for a caller that waits for a better one.
/// `None`: there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServeAt(Option<BootTime>);

impl ServeAt {
    /// The entry was asked again. Whoever has waited for one token waits no longer for its successor.
    pub(super) fn update(&mut self, told: Option<BootTime>) {
        self.0 = told.map(|told| self.0.map_or(told, |known| known.min(told)));
    }

    /// Until when to wait, at most.
    pub(super) fn or(self, deadline: BootTime) -> BootTime {
        self.0.map_or(deadline, |at| at.min(deadline))
    }

    fn has_come(self, now: BootTime) -> bool {
        self.0.is_some_and(|at| now >= at)
    }
}

/// Where a decision leaves a caller.
pub(super) enum Next {
    Done(Result<Token, Error>),
    /// At once: the entry holds no waiter.
    AskAgain,
    AskAgainAt(BootTime),
    Wait {
        serve_at: Option<BootTime>,
        check_at: BootTime,
    },
}

impl Request {
    /// Whether the caller does not wait.
    pub(super) fn is_at_once(&self) -> bool {
        self.want.at_once
    }

    /// The same without waiting.
    pub(super) fn at_once(&self) -> Self {
        let want = Want { at_once: true, ..self.want };
        Self { slot: self.slot.clone(), want, deadline: FOREVER }
    }
}

/// The system has no thread for something that was asked for. No bug of ours, and no failed fetch:
/// nothing is remembered.
pub(super) fn no_thread(what: &str, error: &io::Error) -> Error {
    let message = format!(
        "no thread can be started for {what} ({error}): a limit on processes, such as ulimit -u or \
         a container's pids limit, or memory; it may be tried again at once"
    );
    Error::new(ErrorKind::Internal, message).with_retryable(true)
}

/// What an entry said to a caller.
struct Said {
    answer: Answer,
    token: Option<Token>,
    start: Option<FlightId>,
    /// A fetch in the queue that somebody waits for from now on.
    hasten: Option<Arc<Job>>,
    /// When to look whether the fetch has overrun its time.
    check_at: BootTime,
    over_budget: Option<Error>,
}

impl Shared {
    pub(crate) fn get(self: &Arc<Self>, options: &GetOptions<'_>) -> Result<Token, Error> {
        if options.cancel.is_some_and(super::Cancel::is_triggered) {
            return Err(wait::cancelled());
        }
        match self.at_hand(options.scope.map(str::as_bytes), options.min_ttl) {
            Some(token) => Ok(token),
            // What a call that waits needs is its own, whatever becomes of the handle meanwhile.
            None => self.clone().wait_for_token(options),
        }
    }

    pub(super) fn request(self: &Arc<Self>, options: &GetOptions<'_>) -> Result<Request, Error> {
        let slot = self.slot(options.scope)?;
        self.note_asked(&slot);
        let timeout = options.timeout.unwrap_or(self.options.timeout);
        let at_once = timeout.is_zero();
        let deadline = if at_once { FOREVER } else { self.clock.now().after(timeout) };
        let want = Want { min_ttl: options.min_ttl, at_once, until: deadline };
        Ok(Request { slot, want, deadline })
    }

    /// The way of a caller that may have to wait.
    #[cold]
    fn wait_for_token(self: &Arc<Self>, options: &GetOptions<'_>) -> Result<Token, Error> {
        let request = self.request(options)?;
        let mut patience = ServeAt::default();
        loop {
            self.refuse_self_wait(&request)?;
            let waiter = Waiter::thread();
            if let Some(cancel) = options.cancel {
                cancel.watch(&waiter);
            }
            let until = match self.ask(&request, &waiter) {
                Next::Done(outcome) => return outcome,
                Next::AskAgain => continue,
                Next::AskAgainAt(at) => {
                    patience.update(None);
                    at.min(request.deadline)
                }
                Next::Wait { serve_at, check_at } => {
                    patience.update(serve_at);
                    patience.or(request.deadline).min(check_at)
                }
            };
            let outcome = waiter.sleep(&self.clock, until).or_else(|| waiter.leave());
            if let Some(outcome) = self.settle(&request, outcome, patience) {
                return outcome;
            }
        }
    }

    /// A credentials callback that waits for the very fetch it serves would wait for ever.
    pub(super) fn refuse_self_wait(self: &Arc<Self>, request: &Request) -> Result<(), Error> {
        if request.want.at_once || !credentials::is_asking_for(Arc::as_ptr(self) as usize) {
            return Ok(());
        }
        match self.valid_token(request) {
            Some(_) => Ok(()),
            None => Err(Error::argument(
                "a credentials callback cannot wait for a token of the client it serves",
            )),
        }
    }

    /// Asks the entry, starts what is to be started, and joins the wait if there is one.
    pub(super) fn ask(self: &Arc<Self>, request: &Request, waiter: &Arc<Waiter>) -> Next {
        let index = request.slot.index;
        threads::catch_up();
        self.give_up_overrun(index);
        let Some(said) = self.ask_entry(request, waiter) else {
            return Next::Done(Err(Self::closed_error()));
        };
        if let Some(error) = &said.over_budget {
            self.tell_budget(&request.slot, error);
        }
        let is_served = said.token.is_some() || request.want.at_once;
        let rank = if is_served { Rank::Background } else { Rank::Awaited };
        let started = said.start.map_or(Ok(()), |flight| self.start_flight(index, flight, rank));
        if let Some(token) = said.token {
            // The caller has its token; that no thread can renew it is for later.
            return match self.is_alive(&token) {
                true => Next::Done(Ok(token)),
                false => Next::AskAgain,
            };
        }
        if let Err(error) = started {
            return Next::Done(self.valid_token(request).ok_or(error));
        }
        if let Some(job) = &said.hasten {
            threads::hasten(job);
        }
        if matches!(said.answer, Answer::Fail(_)) {
            let left = request.deadline.until(self.clock.now());
            let patience = policy::FILE_LOOK_PATIENCE.min(left);
            // Only a caller that may wait anyway waits for that, and not for long.
            let (waits, is_call) = (!request.want.at_once, waiter.is_call());
            let of_thread = if waits && !is_call { patience } else { Duration::ZERO };
            match self.look_at_files(of_thread) {
                Look::Ended => return Next::AskAgain,
                Look::Begun if waits && is_call => {
                    self.state().cell(index).0.add_waiter(waiter.clone());
                    return Next::AskAgainAt(self.clock.now().after(patience));
                }
                Look::Begun | Look::NotDue => {}
            }
        }
        self.next(request, said.answer, said.check_at)
    }

    /// The part of it that is under the lock; `None` if the client is closed.
    fn ask_entry(self: &Arc<Self>, request: &Request, waiter: &Arc<Waiter>) -> Option<Said> {
        let policy = &self.options.policy;
        let index = request.slot.index;
        let now = self.clock.now();
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let flight = state.next_flight();
        let (cell, limits) = state.cell(index);
        let was_awaited = cell.entry.is_awaited();
        let Decision { answer, start } = cell.entry.ask(policy, limits, &request.want, now, flight);
        if matches!(answer, Answer::Wait { .. } | Answer::Later(_)) && !request.want.at_once {
            cell.counters.waits += 1;
            cell.add_waiter(waiter.clone());
            cell.wanted_ttl = cell.wanted_ttl.max(request.want.min_ttl);
        }
        let is_served = matches!(answer, Answer::Serve);
        // A renewal that only the budget holds back: the caller is served and told nothing, so
        // whoever listens to events is.
        let is_held_back = is_served && cell.entry.flight().is_none();
        let held_back = limits.may_request(now).err().filter(|_| is_held_back);
        let now_awaited = !was_awaited && cell.entry.is_awaited() && start.is_none();
        let hasten = cell.job.clone().filter(|_| now_awaited);
        let overrun = now.after(policy.fetch_timeout).after(policy::OVERRUN);
        let check_at = cell.entry.look_again_at(now).unwrap_or(overrun);
        state.publish_serve_until(policy, index, now);
        Some(Said {
            token: state.valid_token(policy, index, now).filter(|_| is_served),
            over_budget: held_back.and_then(|blocked| blocked.error_at(now)),
            answer,
            start,
            hasten,
            check_at,
        })
    }

    fn next(self: &Arc<Self>, request: &Request, answer: Answer, check_at: BootTime) -> Next {
        match answer {
            // It was there a moment ago.
            Answer::Serve => Next::AskAgain,
            Answer::Fail(error) => {
                self.tell_budget(&request.slot, &error);
                Next::Done(Err(error))
            }
            Answer::Wait { .. } | Answer::Later(_) if request.want.at_once => {
                if let Answer::Later(at) = answer {
                    self.owe_a_start(request.slot.index, at);
                }
                let unread = self.what_is_unread(request.slot.index);
                let why = unread.map(|unread| format!(" ({unread})")).unwrap_or_default();
                Next::Done(Err(Error::new(
                    ErrorKind::Pending,
                    format!(
                        "there is no token yet; it is being fetched{why}, and this call does not \
                         wait"
                    ),
                )))
            }
            Answer::Later(at) => Next::AskAgainAt(at),
            Answer::Wait { serve_at, .. } => Next::Wait { serve_at, check_at },
        }
    }

    /// Tells that the budget has run out, at most once for each window of it.
    pub(super) fn tell_budget(self: &Arc<Self>, slot: &Slot, error: &Error) {
        if error.kind() != ErrorKind::Budget {
            return;
        }
        let now = self.clock.now();
        let was_told = {
            let told_at = &mut self.state().budget_told_at;
            let was_told = told_at.is_some_and(|at| now.since(at) < policy::BUDGET_WINDOW);
            if !was_told {
                *told_at = Some(now);
            }
            was_told
        };
        if !was_told {
            self.tell(slot, || {
                let mut event = Event::new(EventKind::Budget, error.message());
                event.error = Some(ErrorKind::Budget);
                event.wait = error.retry_after();
                event
            });
        }
    }

    /// What a caller gets whose wait has ended: with an outcome, or because it is time to look. What
    /// is handed out is looked at by the clock now, however long ago it was found. `None`: nothing
    /// yet, and there is time left; it asks the entry again.
    pub(super) fn settle(
        self: &Arc<Self>,
        request: &Request,
        outcome: Option<Outcome>,
        patience: ServeAt,
    ) -> Option<Result<Token, Error>> {
        match outcome {
            Some(Ok(token)) if self.is_alive(&token) => return Some(Ok((*token).clone())),
            Some(Err(error)) if error.kind() != ErrorKind::Pending => {
                return Some(self.token_or(request, error));
            }
            // A token that has died on its way, or a timer's signal, or nothing.
            _ => {}
        }
        let now = self.clock.now();
        if now >= request.deadline {
            return Some(self.timed_out(request));
        }
        if !patience.has_come(now) {
            return None;
        }
        self.valid_token(request).map(Ok)
    }

    /// What a caller gets whose fetch failed, or whose wait was ended.
    fn token_or(self: &Arc<Self>, request: &Request, error: Error) -> Result<Token, Error> {
        match error.kind() {
            ErrorKind::Cancelled | ErrorKind::Closed => Err(error),
            _ => self.valid_token(request).ok_or(error),
        }
    }

    pub(super) fn timed_out(self: &Arc<Self>, request: &Request) -> Result<Token, Error> {
        self.valid_token(request).ok_or_else(|| {
            let unread = self.what_is_unread(request.slot.index);
            let why = unread.map(|unread| format!(": {unread}")).unwrap_or_default();
            Error::new(
                ErrorKind::Timeout,
                format!(
                    "no token for \"{}\" within the caller's time limit; the fetch goes on{why}",
                    request.slot.scope.wire()
                ),
            )
        })
    }

    pub(super) fn valid_token(self: &Arc<Self>, request: &Request) -> Option<Token> {
        let mut state = self.state();
        // Under the lock: whoever had to wait for it must not go by the time before.
        let now = self.clock.now();
        state.valid_token(&self.options.policy, request.slot.index, now)
    }

    /// Whether a token may be handed out now.
    fn is_alive(&self, token: &Token) -> bool {
        self.clock.now() < token.expires_at()
    }

    /// Gives a fetch to the pool.
    pub(super) fn start_flight(
        self: &Arc<Self>,
        index: usize,
        flight: FlightId,
        rank: Rank,
    ) -> Result<(), Error> {
        let shared = self.clone();
        let longest =
            self.longest_store_look() + self.options.policy.fetch_timeout + policy::OVERRUN;
        let job = Job::or_refused(longest, move |there_is_a_thread| match there_is_a_thread {
            Ok(()) => shared.run_flight(index, flight),
            Err(error) => shared.not_started(index, flight, error),
        });
        {
            let mut state = self.state();
            let (cell, _) = state.cell(index);
            cell.job = Some(job.clone());
        }
        threads::submit(&job, rank).map_err(|error| no_thread(THE_REQUEST, &error))
    }

    /// No thread could be had for a fetch. Whoever has joined it meanwhile is told; nothing is
    /// remembered, and nothing is started here.
    fn not_started(self: &Arc<Self>, index: usize, id: FlightId, error: &io::Error) {
        let now = self.clock.now();
        let waiters = {
            let mut state = self.state();
            let (cell, limits) = state.cell(index);
            if !cell.entry.not_started(limits, id, now) {
                return;
            }
            let waiters = cell.end_fetch();
            state.publish_serve_until(&self.options.policy, index, now);
            waiters
        };
        wait::end_elsewhere(waiters, &no_thread(THE_REQUEST, error));
        self.set_alarm(index);
    }
}
