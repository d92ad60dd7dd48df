//! The driver: hands the core what happens, and carries out what it wants done.
//!
//! A step is one locking of the client's lock and one reading of its clock. What is published to
//! readers, and who waits, changes under the lock; all else is done when it is free. So the outputs of
//! two steps may be carried out in either order: alarms carry the number of their step, and a fetch's
//! job is there before the lock is let go, so that a hastening may overtake a start.

use std::io;
use std::sync::Arc;

use super::errand::{Errand, Sleep};
use super::shared::Shared;
use super::state::{Chance, ClientState, Slot, Surroundings};
use super::wait::{self, Outcome, Waiter};
use crate::cache::flight::FlightId;
use crate::cache::input::Input;
use crate::cache::output::{self, Brings, Output, Outputs, Rank, Reason, Task, Wait};
use crate::clock::{BootTime, Clock};
use crate::credentials::Pair;
use crate::endpoint::Blocked;
use crate::error::{Cause, Error};
use crate::life::Life;
use crate::process::Mailbox;
use crate::threads::{self, ClockHold, Job};
use crate::token::Token;

/// What a caller is told.
pub(super) enum Told {
    Token(Token),
    Wait(Wait),
    Fail(Reason<Error>),
}

/// What whoever takes a step has in its hands, and gets into them.
#[derive(Default)]
pub(super) struct Hands<'a> {
    /// The fetch whose thread this is.
    pub(super) errand: Option<Errand>,
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
    pub(super) told: Option<Told>,
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

impl Hands<'_> {
    /// The fetch, if this is its thread.
    fn errand_of(&mut self, flight: FlightId) -> Option<&mut Errand> {
        self.errand.as_mut().filter(|errand| errand.id == flight)
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
    Drop(Box<Errand>),
    Tell(Arc<Slot>, output::News<Error>),
}

/// Makes an input of what is under the lock; `None`: nothing has happened.
pub(super) type Happens<'f, 'h> =
    &'f mut dyn FnMut(&mut ClientState, &mut Hands<'h>, BootTime) -> Option<Input<Error>>;

impl Shared {
    /// Takes a step.
    pub(super) fn step<'h>(self: &Arc<Self>, hands: &mut Hands<'h>, happens: Happens<'_, 'h>) {
        let (chance, refused_login) = (Chance::draw(), self.endpoint.refused_login());
        let mut jumps = None;
        let happened = {
            let mut state = self.state();
            let now = match hands.looks_at_clocks {
                true => {
                    let clocks = self.clock.reading();
                    jumps = Some(state.jumps.look(clocks));
                    clocks.boot
                }
                false => self.clock.now(),
            };
            happens(&mut state, hands, now).map(|input| {
                let outputs = state.take(now, chance, refused_login, input);
                (outputs.step, self.settle(&mut state, hands, outputs, now))
            })
        };
        jumps.into_iter().flatten().for_each(|jump| self.tell_jump(jump));
        if let Some((step, laters)) = happened {
            self.carry_out(hands, step, laters);
        }
    }

    /// The part of it that is under the lock.
    pub(super) fn settle(
        self: &Arc<Self>,
        state: &mut ClientState,
        hands: &mut Hands<'_>,
        outputs: Outputs<Error>,
        now: BootTime,
    ) -> Vec<Later> {
        let mut laters = Vec::with_capacity(outputs.list.len());
        for output in outputs.list {
            laters.extend(self.settle_one(state, hands, output, now));
        }
        // What no thread has to do anything for waits in its place.
        if hands.task.is_none() {
            let waits = |errand: &mut Errand| state.core.entry_of(errand.id).is_some();
            let waiting = hands.errand.take_if(waits);
            state.errands.extend(waiting);
        }
        if state.errands.is_empty() {
            state.errands = Vec::new();
        }
        laters
    }

    fn settle_one(
        self: &Arc<Self>,
        state: &mut ClientState,
        hands: &mut Hands<'_>,
        output: Output<Error>,
        now: BootTime,
    ) -> Option<Later> {
        match output {
            Output::Serve { entry } => {
                hands.told = state.seats[entry].slot.current.read().map(Told::Token);
            }
            Output::Wait { entry, wait } => {
                if let Some(waiter) = hands.waiter {
                    state.seats[entry].add_waiter(waiter.clone());
                }
                hands.told = Some(Told::Wait(wait));
            }
            Output::Fail(reason) => hands.told = Some(Told::Fail(reason)),
            Output::Looking => {
                state.looker.clone_from(&hands.looked);
                hands.looks = true;
            }
            Output::Publish { entry, serial, life, serve_until } => {
                if let Some(token) = self.token(hands, serial, &life, now) {
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
                if let Some(errand) = hands.errand_of(flight).filter(|_| refused) {
                    errand.refused.clone_from(&errand.used);
                }
            }
            Output::NoteTrial { flight } => {
                let fresh = hands.errand_of(flight).and_then(|errand| errand.fresh.clone());
                state.tried = fresh.and_then(|fresh| Some((flight, fresh.ok()?)));
            }
            Output::Forget { flight } => {
                let in_place = state.take_errand(flight);
                return in_place.map(|errand| Later::Drop(Box::new(errand)));
            }
            Output::Start { flight, entry, rank, brings } => {
                let brings = self.brought(state, hands, brings);
                return self.job_for(state, flight, entry, rank, brings, now);
            }
            Output::Hasten { flight } => {
                return state.errand(flight)?.job.clone().map(Later::Hasten);
            }
            Output::Do { flight, task } => {
                let keeps_pair = hands.keeps_pair;
                let errand = hands.errand_of(flight)?;
                match task {
                    Task::Send { .. } => errand.sent_at = now,
                    Task::GoOn if !keeps_pair => errand.fresh = None,
                    _ => {}
                }
                hands.task = Some(task);
            }
            Output::Pause { flight, until, rank } => {
                let (job, keeps_pair) = (self.job(flight), hands.keeps_pair);
                let errand = hands.errand_of(flight)?;
                errand.job = Some(job.clone());
                if !keeps_pair {
                    errand.fresh = None;
                }
                return Some(Later::Pause { flight, until, job, rank: of_pool(rank) });
            }
            Output::Tell { entry, news } => {
                return Some(Later::Tell(state.seats[entry].slot.clone(), news));
            }
            output => return Some(Later::Do(output)),
        }
        None
    }

    fn token(&self, hands: &Hands<'_>, serial: u64, life: &Life, now: BootTime) -> Option<Token> {
        let granted = hands.errand.as_ref()?.brings()?;
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
        brings: Option<Result<Pair, Error>>,
        now: BootTime,
    ) -> Option<Later> {
        if state.errand(flight).is_none() {
            let slot = state.seats[entry].slot.clone();
            state.errands.push(Errand::new(flight, slot, now));
        }
        let errand = state.errand(flight)?;
        if brings.is_some() {
            errand.fresh = brings;
        }
        if let Some(bell) = errand.bell.take() {
            return Some(Later::Ring(bell));
        }
        let job = self.job(flight);
        errand.job = Some(job.clone());
        Some(Later::Submit(job, of_pool(rank)))
    }

    /// The pair that a fetch goes on with.
    fn brought(
        &self,
        state: &ClientState,
        hands: &Hands<'_>,
        brings: Brings,
    ) -> Option<Result<Pair, Error>> {
        match (brings, &state.tried) {
            (Brings::Credentials, _) => hands.read.cloned(),
            (Brings::TriedPair(id), Some((trial, pair))) if *trial == id => Some(Ok(pair.clone())),
            _ => None,
        }
    }

    /// The part of a step that is done when the lock is free.
    pub(super) fn carry_out(
        self: &Arc<Self>,
        hands: &mut Hands<'_>,
        step: u64,
        laters: Vec<Later>,
    ) {
        for later in laters {
            match later {
                Later::Finish(slot, waiters, outcome) => {
                    self.finish(hands, &slot, waiters, outcome)
                }
                Later::Submit(job, rank) => {
                    let refused = threads::submit(&job, rank).err();
                    hands.not_started = hands.not_started.take().or(refused);
                }
                Later::Hasten(job) => threads::hasten(&job),
                Later::Pause { flight, until, job, rank } => {
                    self.pause(hands, step, (flight, until), (job, rank));
                }
                Later::Ring(bell) => {
                    bell.put(());
                }
                Later::Drop(errand) => drop(errand),
                Later::Tell(slot, news) => self.tell_news(&slot, news, hands),
                Later::Do(output) => self.carry_out_one(hands, step, output),
            }
        }
        // It is over.
        if hands.task.is_none() {
            hands.errand = None;
        }
    }

    fn carry_out_one(self: &Arc<Self>, hands: &mut Hands<'_>, step: u64, output: Output<Error>) {
        match output {
            Output::PutOff { flight, wait } => {
                if let Some(errand) = hands.errand_of(flight) {
                    self.put_off_renewals(errand, wait);
                }
            }
            Output::Alarm { entry, at } => {
                let owner = Arc::downgrade(self);
                let number = 2 * entry as u64;
                threads::alarm(at, owner, number, step, move |shared| shared.tick(entry));
            }
            Output::AskSource { refused, ticket, anew } => self.ask_source(refused, ticket, anew),
            Output::DoWithoutFiles { refused } => self.do_without_files(refused),
            Output::MakeRoom => threads::start_waiting_jobs(),
            _ => {}
        }
    }

    /// Ends waits. Threads first: a function may take its time.
    fn finish(
        self: &Arc<Self>,
        hands: &mut Hands<'_>,
        slot: &Slot,
        waiters: Vec<Arc<Waiter>>,
        outcome: Result<Outcome, Reason<Error>>,
    ) {
        if waiters.is_empty() {
            return;
        }
        let outcome = outcome.unwrap_or_else(|reason| {
            let error = self.error(slot, &reason, None);
            Outcome::Failed(match &hands.cause {
                Some(cause) => error.with_cause(Some(cause.clone())),
                None => error,
            })
        });
        // A thread of the pool comes to the functions when it has done what it does.
        wait::end(waiters, outcome, hands.errand.is_some());
    }

    /// Has a fetch go on then, with a thread that it does not hold meanwhile. If nobody watches the
    /// clock, it keeps its own.
    fn pause(
        self: &Arc<Self>,
        hands: &mut Hands<'_>,
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
        if let Some(errand) = self.state().errand(flight) {
            // Whoever has ended the pause already found no bell, and may find no thread but this one.
            let is_over = !errand.job.as_ref().is_some_and(|latest| Arc::ptr_eq(latest, &job));
            errand.bell = Some(bell.clone());
            hands.sleeps = Some((flight, bell, if is_over { BootTime::ZERO } else { until }));
        }
    }

    /// An alarm rings. On the clock watcher's thread.
    pub(super) fn tick(self: &Arc<Self>, entry: usize) {
        let mut hands = Hands { looks_at_clocks: true, ..Hands::default() };
        self.step(&mut hands, &mut |_, _, _| Some(Input::Tick { entry }));
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
        let mut around = Surroundings { seats, chance, refused_login };
        core.handle(now, &mut around, input)
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
