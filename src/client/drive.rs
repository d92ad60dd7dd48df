//! The driver: hands the core what happens, and carries out what it wants done.
//!
//! A step is one locking of the client's lock and one reading of its clock. What is published to
//! readers, and who waits, changes under the lock; all else is done when it is free. So the outputs of
//! two steps may be carried out in either order: alarms carry the number of their step, and a fetch's
//! job is there before the lock is let go, so that a hastening may overtake a start.

use std::io;
use std::sync::Arc;

use super::fetch::{Fetch, Sleep};
use super::shared::Shared;
use super::state::{Chance, ClientEnvironment, ClientState, Slot};
use super::wait::{self, Outcome, Waiter};
use crate::cache::flight::FlightId;
use crate::cache::input::Input;
use crate::cache::output::{self, Output, Outputs, Rank, Reason, ResumeWith, Task, Wait};
use crate::clock::{BootTime, Clock};
use crate::credentials::Pair;
use crate::endpoint::Blocked;
use crate::error::{Cause, Error};
use crate::life::Life;
use crate::process::Mailbox;
use crate::threads::{self, ClockHold, Job};
use crate::token::Token;

/// What a caller is told.
pub(super) enum Reply {
    Token(Token),
    Wait(Wait),
    Fail(Reason<Error>),
}

/// What whoever takes a step has in its hands, and gets into them.
#[derive(Default)]
pub(super) struct StepContext<'a> {
    /// The fetch whose thread this is.
    pub(super) fetch: Option<Fetch>,
    /// Whether it is looked if the machine has slept, or its clock was set.
    pub(super) looks_at_clocks: bool,
    /// What it does next.
    pub(super) task: Option<Task>,
    /// It goes on with the pair that it has; otherwise each attempt asks the source.
    pub(super) keeps_pair: bool,
    /// It has nobody to wake it.
    pub(super) sleeps: Option<Sleep>,
    /// What the program's function failed with.
    pub(super) cause: Option<Arc<Cause>>,
    /// The caller that asks.
    pub(super) waiter: Option<&'a Arc<Waiter>>,
    pub(super) reply: Option<Reply>,
    /// No thread could be had for the fetch that the caller's asking started.
    pub(super) not_started: Option<io::Error>,
    /// Credentials that were read just now.
    pub(super) read: Option<&'a Result<Pair, Error>>,
    /// Rung when the credential files have been looked at.
    pub(super) looked: Option<Arc<Mailbox<()>>>,
    /// They are being looked at.
    pub(super) looks: bool,
    /// Of the token that an API refused.
    pub(super) fingerprint: Option<String>,
}

impl StepContext<'_> {
    /// The fetch, if this is its thread.
    fn fetch_of(&mut self, flight: FlightId) -> Option<&mut Fetch> {
        self.fetch.as_mut().filter(|fetch| fetch.id == flight)
    }
}

/// What is done when the lock is free.
pub(super) enum Later {
    Do(Output<Error>),
    Finish(Arc<Slot>, Vec<Arc<Waiter>>, Result<Outcome, Reason<Error>>),
    Submit(Arc<Job>, threads::Rank),
    Hasten(Arc<Job>),
    Pause {
        flight: FlightId,
        until: BootTime,
        job: Arc<Job>,
        rank: threads::Rank,
    },
    Ring(Arc<Mailbox<()>>),
    /// Dropping it may block.
    Drop(Box<Fetch>),
    Notify(Arc<Slot>, output::Notice<Error>),
}

/// Makes an input of what is under the lock; `None`: nothing has happened.
pub(super) type Happens<'f, 'h> =
    &'f mut dyn FnMut(&mut ClientState, &mut StepContext<'h>, BootTime) -> Option<Input<Error>>;

impl Shared {
    /// Takes a step.
    pub(super) fn step<'h>(
        self: &Arc<Self>,
        context: &mut StepContext<'h>,
        happens: Happens<'_, 'h>,
    ) {
        let (chance, refused_login) = (Chance::draw(), self.endpoint.refused_login());
        let mut jumps = None;
        let happened = {
            let mut state = self.state();
            let now = match context.looks_at_clocks {
                true => {
                    let clocks = self.clock.reading();
                    jumps = Some(state.jumps.look(clocks));
                    clocks.boot
                }
                false => self.clock.now(),
            };
            happens(&mut state, context, now).map(|input| {
                let outputs = state.take(now, chance, refused_login, input);
                (outputs.step, self.settle(&mut state, context, outputs, now))
            })
        };
        jumps.into_iter().flatten().for_each(|jump| self.tell_jump(jump));
        if let Some((step, laters)) = happened {
            self.carry_out(context, step, laters);
        }
    }

    /// The part of it that is under the lock.
    pub(super) fn settle(
        self: &Arc<Self>,
        state: &mut ClientState,
        context: &mut StepContext<'_>,
        outputs: Outputs<Error>,
        now: BootTime,
    ) -> Vec<Later> {
        let mut laters = Vec::with_capacity(outputs.list.len());
        for output in outputs.list {
            laters.extend(self.settle_one(state, context, output, now));
        }
        // What no thread has to do anything for waits in its place.
        if context.task.is_none() {
            let waits = |fetch: &mut Fetch| state.core.entry_of(fetch.id).is_some();
            let waiting = context.fetch.take_if(waits);
            state.fetches.extend(waiting);
        }
        if state.fetches.is_empty() {
            state.fetches = Vec::new();
        }
        laters
    }

    fn settle_one(
        self: &Arc<Self>,
        state: &mut ClientState,
        context: &mut StepContext<'_>,
        output: Output<Error>,
        now: BootTime,
    ) -> Option<Later> {
        match output {
            Output::Serve { entry } => {
                context.reply = state.seats[entry].slot.current.read().map(Reply::Token);
            }
            Output::Wait { entry, wait } => {
                if let Some(waiter) = context.waiter {
                    state.seats[entry].add_waiter(waiter.clone());
                }
                context.reply = Some(Reply::Wait(wait));
            }
            Output::Fail(reason) => context.reply = Some(Reply::Fail(reason)),
            Output::Looking => {
                state.looker.clone_from(&context.looked);
                context.looks = true;
            }
            Output::Publish { entry, serial, life, serve_until } => {
                if let Some(token) = self.token(context, serial, &life, now) {
                    state.seats[entry].slot.current.publish(&token, serve_until);
                }
            }
            Output::Redraw { entry, fresh_until, serve_until } => {
                let current = &state.seats[entry].slot.current;
                if let Some(mut token) = current.read() {
                    token.set_fresh_until(fresh_until);
                    current.publish(&token, serve_until);
                }
            }
            Output::ServeUntil { entry, until } => {
                state.seats[entry].slot.current.set_serve_until(until);
            }
            Output::ServeUntilOfAll => {
                let ClientState { core, seats, .. } = state;
                for (entry, seat) in seats.iter().enumerate() {
                    seat.slot.current.set_serve_until(core.serve_until(entry, now));
                }
            }
            Output::Clear { entry } => state.seats[entry].slot.current.clear(),
            Output::Finish { entry, outcome } => {
                let seat = &mut state.seats[entry];
                let outcome = match outcome {
                    output::Outcome::Token => {
                        let token = seat.slot.current.read();
                        token.map(|token| Outcome::Token(Arc::new(token))).ok_or(Reason::Ended)
                    }
                    output::Outcome::AskAgain => Ok(Outcome::AskAgain),
                    output::Outcome::Fail(reason) => Err(reason),
                };
                let waiters = std::mem::take(&mut seat.waiters);
                return Some(Later::Finish(seat.slot.clone(), waiters, outcome));
            }
            Output::Park { flight, refused } => {
                if let Some(fetch) = context.fetch_of(flight).filter(|_| refused) {
                    fetch.refused.clone_from(&fetch.used);
                }
            }
            Output::NoteTrial { flight } => {
                let fresh = context.fetch_of(flight).and_then(|fetch| fetch.fresh.clone());
                state.tried = fresh.and_then(|fresh| Some((flight, fresh.ok()?)));
            }
            Output::Forget { flight } => {
                let in_place = state.take_fetch(flight);
                return in_place.map(|fetch| Later::Drop(Box::new(fetch)));
            }
            Output::Start { flight, entry, rank, resume_with } => {
                let resume_with = self.resume_pair(state, context, resume_with);
                return self.job_for(state, flight, entry, rank, resume_with, now);
            }
            Output::Hasten { flight } => {
                return state.fetch(flight)?.job.clone().map(Later::Hasten);
            }
            Output::Do { flight, task } => {
                let keeps_pair = context.keeps_pair;
                let fetch = context.fetch_of(flight)?;
                match task {
                    Task::Send { .. } => fetch.sent_at = now,
                    Task::GoOn if !keeps_pair => fetch.fresh = None,
                    _ => {}
                }
                context.task = Some(task);
            }
            Output::Pause { flight, until, rank } => {
                let (job, keeps_pair) = (self.job(flight), context.keeps_pair);
                let fetch = context.fetch_of(flight)?;
                fetch.job = Some(job.clone());
                if !keeps_pair {
                    fetch.fresh = None;
                }
                return Some(Later::Pause { flight, until, job, rank: of_pool(rank) });
            }
            Output::Notify { entry, notice } => {
                return Some(Later::Notify(state.seats[entry].slot.clone(), notice));
            }
            output => return Some(Later::Do(output)),
        }
        None
    }

    fn token(
        &self,
        context: &StepContext<'_>,
        serial: u64,
        life: &Life,
        now: BootTime,
    ) -> Option<Token> {
        let granted = context.fetch.as_ref()?.received()?;
        let left = i64::try_from(life.expires_at().until(now).as_millis()).unwrap_or(i64::MAX);
        let unix_ms = self.clock.wall_ms().saturating_add(left);
        Some(Token::new(granted.value.reveal(), &granted.scope, serial, life, unix_ms))
    }

    /// Has a fetch get a thread, or wakes the one that it has.
    fn job_for(
        self: &Arc<Self>,
        state: &mut ClientState,
        flight: FlightId,
        entry: usize,
        rank: Rank,
        resume_with: Option<Result<Pair, Error>>,
        now: BootTime,
    ) -> Option<Later> {
        if state.fetch(flight).is_none() {
            let slot = state.seats[entry].slot.clone();
            state.fetches.push(Fetch::new(flight, slot, now));
        }
        let fetch = state.fetch(flight)?;
        if resume_with.is_some() {
            fetch.fresh = resume_with;
        }
        if let Some(bell) = fetch.bell.take() {
            return Some(Later::Ring(bell));
        }
        let job = self.job(flight);
        fetch.job = Some(job.clone());
        Some(Later::Submit(job, of_pool(rank)))
    }

    /// The pair that a fetch goes on with.
    fn resume_pair(
        &self,
        state: &ClientState,
        context: &StepContext<'_>,
        resume_with: ResumeWith,
    ) -> Option<Result<Pair, Error>> {
        match (resume_with, &state.tried) {
            (ResumeWith::Credentials, _) => context.read.cloned(),
            (ResumeWith::TriedPair(id), Some((trial, pair))) if *trial == id => {
                Some(Ok(pair.clone()))
            }
            _ => None,
        }
    }

    /// The part of a step that is done when the lock is free.
    pub(super) fn carry_out(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        step: u64,
        laters: Vec<Later>,
    ) {
        for later in laters {
            match later {
                Later::Finish(slot, waiters, outcome) => {
                    self.finish(context, &slot, waiters, outcome)
                }
                Later::Submit(job, rank) => {
                    let refused = threads::submit(&job, rank).err();
                    context.not_started = context.not_started.take().or(refused);
                }
                Later::Hasten(job) => threads::hasten(&job),
                Later::Pause { flight, until, job, rank } => {
                    self.pause(context, step, (flight, until), (job, rank));
                }
                Later::Ring(bell) => {
                    bell.put(());
                }
                Later::Drop(fetch) => drop(fetch),
                Later::Notify(slot, notice) => self.notify(&slot, notice, context),
                Later::Do(output) => self.carry_out_one(context, step, output),
            }
        }
        // It is over.
        if context.task.is_none() {
            context.fetch = None;
        }
    }

    fn carry_out_one(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        step: u64,
        output: Output<Error>,
    ) {
        match output {
            Output::PutOff { flight, wait } => {
                if let Some(fetch) = context.fetch_of(flight) {
                    self.put_off_renewals(fetch, wait);
                }
            }
            Output::Alarm { entry, at } => {
                let owner = Arc::downgrade(self);
                let number = 2 * entry as u64;
                threads::alarm(at, owner, number, step, move |shared| shared.tick(entry));
            }
            Output::AskSource { refused, ticket, is_retry } => {
                self.ask_source(refused, ticket, is_retry)
            }
            Output::UseLastPair { refused } => self.use_last_pair(refused),
            Output::MakeRoom => threads::start_waiting_jobs(),
            _ => {}
        }
    }

    /// Ends waits. Threads first: a function may take its time.
    fn finish(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        slot: &Slot,
        waiters: Vec<Arc<Waiter>>,
        outcome: Result<Outcome, Reason<Error>>,
    ) {
        if waiters.is_empty() {
            return;
        }
        let outcome = outcome.unwrap_or_else(|reason| {
            let error = self.error(slot, &reason, None);
            Outcome::Failed(match &context.cause {
                Some(cause) => error.with_cause(Some(cause.clone())),
                None => error,
            })
        });
        // A thread of the pool comes to the functions when it has done what it does.
        wait::end(waiters, outcome, context.fetch.is_some());
    }

    /// Has a fetch go on then, with a thread that it does not hold meanwhile. If nobody watches the
    /// clock, it keeps its own.
    fn pause(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        step: u64,
        (flight, until): (FlightId, BootTime),
        (job, rank): (Arc<Job>, threads::Rank),
    ) {
        let watched = matches!(self.clock, Clock::System).then(ClockHold::take);
        if let Some(Ok(hold)) = watched {
            // The fetch holds its job: what ends the fetch ends the pause.
            let (owner, job) = (Arc::downgrade(self), Arc::downgrade(&job));
            return threads::alarm(until, owner, 2 * flight + 1, step, move |_| {
                if let Some(job) = job.upgrade() {
                    threads::submit_kept(&job, rank);
                }
                drop(hold);
            });
        }
        let bell = Arc::<Mailbox<()>>::default();
        if let Some(fetch) = self.state().fetch(flight) {
            // Whoever has ended the pause already found no bell, and may find no thread but this one.
            let is_over = !fetch.job.as_ref().is_some_and(|latest| Arc::ptr_eq(latest, &job));
            fetch.bell = Some(bell.clone());
            context.sleeps = Some((flight, bell, if is_over { BootTime::ZERO } else { until }));
        }
    }

    /// An alarm rings. On the clock watcher's thread.
    pub(super) fn tick(self: &Arc<Self>, entry: usize) {
        let mut context = StepContext { looks_at_clocks: true, ..StepContext::default() };
        self.step(&mut context, &mut |_, _, _| Some(Input::Tick { entry }));
    }
}

impl ClientState {
    /// Hands the core an input.
    pub(super) fn take(
        &mut self,
        now: BootTime,
        chance: Chance,
        refused_login: Option<Blocked>,
        input: Input<Error>,
    ) -> Outputs<Error> {
        let Self { core, seats, .. } = self;
        let mut env = ClientEnvironment { seats, chance, refused_login };
        core.handle(now, &mut env, input)
    }
}

fn of_pool(rank: Rank) -> threads::Rank {
    match rank {
        Rank::Continued => threads::Rank::Continued,
        Rank::ContinuedRenewal => threads::Rank::ContinuedRenewal,
        Rank::Awaited => threads::Rank::Awaited,
        Rank::Background => threads::Rank::Background,
    }
}
