//! A client's side of the store that it shares: what `client/stored.rs` does with a real one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::account::Given;
use super::chance::Chance;
use super::shelf::{Health, Kept, Shelf};
use crate::cache::input::{Lock, Record};
use crate::cache::output::Task;
use crate::cache::policy::Policy;
use crate::clock::BootTime;
use crate::store::circuit::Circuit;
use crate::store::holder::{Tried, Watch, is_new_record};
use crate::store::record::{self, Asked, Clocks, LocalLife};

/// The option `store_timeout`.
pub(super) const TIMEOUT: Duration = Duration::from_millis(250);

/// The machine that a client runs on.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Identifies its boot clock, if the processes that share the store share that too.
    pub(super) boot: Option<String>,
    /// Its wall clock at boot time zero.
    pub(super) wall_ms: i64,
}

impl Machine {
    fn clocks(&self, now: BootTime) -> Clocks {
        let since_boot = i64::try_from(now.nanos() / 1_000_000).unwrap_or(i64::MAX);
        Clocks { boot: self.boot.clone(), now, wall_ms: self.wall_ms + since_boot }
    }
}

pub(super) struct Visitor {
    shelf: Rc<RefCell<Shelf>>,
    machine: Machine,
    /// As the holder of a lock.
    owner: u64,
    circuit: Circuit,
    /// The fetch's state at the store.
    fetch: FetchAtStore,
}

#[derive(Default)]
struct FetchAtStore {
    holds_lock: bool,
    is_off: bool,
    is_off_clock: bool,
    ends_at: Option<BootTime>,
    watch: Watch,
    kept: Option<(Kept, LocalLife)>,
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) task: Task,
    health: Health,
    /// The server is left alone: it is not asked.
    is_skipped: bool,
    began: BootTime,
}

impl Visitor {
    pub(super) fn new(shelf: Rc<RefCell<Shelf>>, machine: Machine, owner: u64) -> Self {
        let (circuit, fetch) = (Circuit::default(), FetchAtStore::default());
        Self { shelf, machine, owner, circuit, fetch }
    }

    /// A fetch starts.
    pub(super) fn begins(&mut self) {
        self.ends();
        self.fetch = FetchAtStore::default();
    }

    /// A fetch has ended.
    pub(super) fn ends(&mut self) {
        if std::mem::take(&mut self.fetch.holds_lock) {
            self.shelf.borrow_mut().unlock(self.owner);
        }
    }

    /// Begins an operation. Returns when it ends as well.
    pub(super) fn starts(
        &mut self,
        task: Task,
        chance: &mut Chance,
        now: BootTime,
    ) -> (Operation, BootTime) {
        let is_skipped = self.fetch.is_off || !self.circuit.may_try(now);
        let (health, took) = match is_skipped {
            true => (Health::Refused, Duration::ZERO),
            false => self.shelf.borrow_mut().operates(TIMEOUT, chance, now),
        };
        (Operation { task, health, is_skipped, began: now }, now.after(took))
    }

    /// Whether the operation succeeds at its end.
    fn succeeds(&mut self, operation: &Operation, now: BootTime) -> bool {
        if operation.is_skipped {
            return false;
        }
        self.fetch.is_off |= operation.health == Health::Silent;
        match operation.health {
            Health::Fine => self.circuit.succeeded(),
            _ => self.circuit.failed(now),
        }
        operation.health == Health::Fine
    }

    /// Reads the record; `shown` is the token that the client has. Returns it as the core sees it,
    /// with the token itself.
    pub(super) fn looked(
        &mut self,
        operation: &Operation,
        shown: Option<u64>,
        policy: &Policy,
        now: BootTime,
    ) -> Option<(Record, Given)> {
        (self.fetch.kept, self.fetch.ends_at, self.fetch.is_off_clock) = (None, None, false);
        if !self.succeeds(operation, now) {
            return None;
        }
        let kept = self.shelf.borrow_mut().load(now)?;
        self.fetch.ends_at = kept.ends_at;
        let left = kept.ends_at.map(|at| at.until(now));
        let here = self.machine.clocks(now);
        let life = record::life_on_server(&kept.asked, kept.lifetime, left, &here, policy);
        self.fetch.is_off_clock = life == Err(record::Unusable::OffClock);
        let life = life.ok()?;
        let after = |nanos| life.requested_at.after(Duration::from_nanos(nanos));
        let record = Record {
            requested_at: life.requested_at,
            lifetime: life.lifetime,
            granted_for: kept.lifetime,
            fresh_until: after(kept.asked.fresh_ns),
            tried: kept.asked.tried,
            again_at: after(kept.asked.again_ns),
            same_value: shown == Some(kept.given.number),
            was_refused: false,
        };
        let given = Given { expires_at: life.expires_at(), ..kept.given };
        if record.same_value {
            self.fetch.kept = Some((kept, life));
        }
        Some((record, given))
    }

    pub(super) fn lock_tried(&mut self, operation: &Operation, now: BootTime) -> Lock {
        if !self.succeeds(operation, now) || self.fetch.is_off_clock {
            return Lock::Failed;
        }
        match self.shelf.borrow_mut().try_lock(self.owner, now) {
            Tried::Taken(()) => {
                self.fetch.holds_lock = true;
                Lock::Taken
            }
            Tried::Held(holder) if is_new_record(self.fetch.ends_at, holder.record_left, now) => {
                Lock::Failed
            }
            Tried::Held(holder) => {
                let is_successor = self.fetch.watch.sees(holder, operation.began, now);
                Lock::Busy { is_successor }
            }
        }
    }

    pub(super) fn announced(&mut self, operation: &Operation, again_at: BootTime, now: BootTime) {
        if let Some((kept, _)) = &mut self.fetch.kept {
            kept.asked.tried = kept.asked.tried.saturating_add(1);
        }
        if self.succeeds(operation, now) {
            self.put_off(again_at, now);
        }
    }

    /// Writes when the renewal may be tried again.
    pub(super) fn put_off(&mut self, again_at: BootTime, now: BootTime) {
        if !self.fetch.holds_lock || self.fetch.is_off {
            return;
        }
        if let Some((kept, life)) = &mut self.fetch.kept {
            kept.asked.again_ns = again_at.nanos().saturating_sub(life.requested_at.nanos());
            self.shelf.borrow_mut().change(&kept.asked, now);
        }
    }

    /// Saves a token requested at `sent_at` and releases the lock.
    pub(super) fn saved(
        &mut self,
        operation: &Operation,
        fresh_for: Duration,
        sent_at: BootTime,
        lifetime: Duration,
        given: Given,
        now: BootTime,
    ) {
        if self.succeeds(operation, now) && !self.fetch.is_off_clock {
            let asked = Asked::new(sent_at, fresh_for, &self.machine.clocks(now));
            let left = sent_at.after(lifetime).until(now);
            let kept = Kept { asked, lifetime, given, ends_at: None };
            self.shelf.borrow_mut().save(kept, left, now);
        }
        self.ends();
    }

    /// Before an attempt.
    pub(super) fn renew_lock(&mut self, now: BootTime) {
        if self.fetch.holds_lock {
            self.shelf.borrow_mut().renew_lock(self.owner, now);
        }
    }
}
