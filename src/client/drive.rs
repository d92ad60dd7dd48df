//! The driver: passes inputs to the core and carries out its outputs.
//!
//! A step takes the client's lock once and reads its clock once. Published tokens and waiters
//! change under the lock; everything else is done after it is released. So the outputs of two steps
//! may be carried out in either order. Alarms therefore carry the number of their step, and a
//! fetch's job is stored before the lock is released, so that a hastening may overtake the start.

use std::io;
use std::sync::Arc;

use super::fetch::{Fetch, Sleep};
use super::shared::Shared;
use super::state::{Chance, ClientEnvironment, ClientState, Slot};
use super::wait::{self, Crowd, Outcome, Waiter, Waiters};
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

/// What a caller gets.
pub(super) enum Reply {
    Token(Token),
    Wait(Wait),
    Fail(Reason<Error>),
}

/// What the thread that takes a step brings along, and what it gets.
#[derive(Default)]
pub(super) struct StepContext<'a> {
    /// The fetch that this thread works on.
    pub(super) fetch: Option<Fetch>,
    /// Whether to check for a suspend or a wall clock change.
    pub(super) looks_at_clocks: bool,
    /// What the thread does next.
    pub(super) task: Option<Task>,
    /// The fetch keeps its credentials; otherwise each attempt asks the source.
    pub(super) keeps_pair: bool,
    /// The thread must wait by itself: there is no clock watcher.
    pub(super) sleeps: Option<Sleep>,
    /// The cause reported by the program's credentials function.
    pub(super) cause: Option<Arc<Cause>>,
    /// The caller that asks. `None`: it waits in the entry's crowd, if it has to wait.
    pub(super) waiter: Option<&'a Arc<Waiter>>,
    /// The crowd that it has joined.
    pub(super) crowd: Option<Arc<Crowd>>,
    pub(super) reply: Option<Reply>,
    /// No thread could be started for the fetch that this call started.
    pub(super) not_started: Option<io::Error>,
    /// Credentials that were just read.
    pub(super) read: Option<&'a Result<Pair, Error>>,
    /// Rung when the credential files have been read.
    pub(super) looked: Option<Arc<Mailbox<()>>>,
    /// A read of the files has started.
    pub(super) looks: bool,
    /// Fingerprint of the token that an API refused.
    pub(super) fingerprint: Option<String>,
}

impl StepContext<'_> {
    /// The fetch, if this thread works on it.
    fn fetch_of(&mut self, flight: FlightId) -> Option<&mut Fetch> {
        self.fetch.as_mut().filter(|fetch| fetch.id == flight)
    }
}

/// What to do after the lock is released.
pub(super) enum Later {
    Do(Output<Error>),
    Finish(Arc<Slot>, Waiters, Result<Outcome, Reason<Error>>),
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

/// Produces an input from the state under the lock; `None`: nothing happened.
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
        jumps.into_iter().flatten().for_each(|jump| self.report_jump(jump));
        #[cfg(feature = "redis")]
        if let (Some(fetch), None) = (&mut context.fetch, &context.task) {
            fetch.stored.release_lock();
        }
        if let Some((step, laters)) = happened {
            self.carry_out(context, step, laters);
        }
    }

    /// The part of a step that is done under the lock.
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
        // A fetch that needs no thread now is kept in the state.
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
                let waiters = &mut state.seats[entry].waiters;
                match context.waiter {
                    Some(waiter) => waiters.add(waiter.clone()),
                    None => context.crowd = Some(waiters.join()),
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

    /// Gets the fetch a thread, or wakes the one it has.
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

    /// The credentials that the fetch continues with.
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

    /// The part of a step that is done after the lock is released.
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
        // The fetch is over, or another thread will continue it.
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

    /// Ends waits; threads first, because callbacks may take long.
    fn finish(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        slot: &Slot,
        waiters: Waiters,
        outcome: Result<Outcome, Reason<Error>>,
    ) {
        if !waiters.are_there() {
            return;
        }
        let outcome = outcome.unwrap_or_else(|reason| {
            let error = self.error(slot, &reason, None);
            Outcome::Failed(match &context.cause {
                Some(cause) => error.with_cause(Some(cause.clone())),
                None => error,
            })
        });
        // A worker thread gets to the callbacks when it has finished its current work.
        wait::end_all(waiters, outcome, context.fetch.is_some());
    }

    /// Continues the fetch at `until` without holding a thread. If there is no clock watcher, the
    /// fetch keeps its thread.
    fn pause(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        step: u64,
        (flight, until): (FlightId, BootTime),
        (job, rank): (Arc<Job>, threads::Rank),
    ) {
        let watched = matches!(self.clock, Clock::System).then(ClockHold::take);
        if let Some(Ok(hold)) = watched {
            // The fetch owns its job, so the end of the fetch ends the pause.
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
            // If the pause has already been ended, no bell was found, and there may be no thread
            // but this one.
            let is_over = !fetch.job.as_ref().is_some_and(|latest| Arc::ptr_eq(latest, &job));
            fetch.bell = Some(bell.clone());
            context.sleeps = Some((flight, bell, if is_over { BootTime::ZERO } else { until }));
        }
    }

    /// An alarm fires. Runs on the clock watcher's thread.
    pub(super) fn tick(self: &Arc<Self>, entry: usize) {
        let mut context = StepContext { looks_at_clocks: true, ..StepContext::default() };
        self.step(&mut context, &mut |_, _, _| Some(Input::Tick { entry }));
    }
}

impl ClientState {
    /// Passes an input to the core.
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
