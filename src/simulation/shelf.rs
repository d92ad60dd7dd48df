//! A store that several clients share, under virtual time: what it has, its locks, and how long its
//! operations take. Whether a record may be used, whose lock it is and when a server is left alone is
//! decided by the library's own rules.

use std::time::Duration;

use super::account::Given;
use super::chance::Chance;
use super::scenario::{START, Spell};
use crate::cache::Random;
use crate::clock::BootTime;
use crate::store::holder::{Holder, Tried};
use crate::store::record::Asked;

/// Files of one machine: an operation is a few system calls.
const FILE_LATENCY: Duration = Duration::from_micros(100);
/// A server in the same network: minimum latency, and the mean of what is added to it.
const SERVER_LATENCY: Duration = Duration::from_micros(300);
const MEAN_SERVER_LATENCY: Duration = Duration::from_micros(300);
/// The share of the operations in an outage that are refused at once; the others get no answer.
const REFUSED_SHARE: f64 = 0.5;

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each process for itself.
    None,
    /// Files, shared by the processes of a machine.
    File,
    /// A server, shared by all machines.
    Redis,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) asked: Asked,
    pub(super) lifetime: Duration,
    /// The token itself, as the endpoint knows it.
    pub(super) given: Given,
    /// When the store ends the record's life, if it does.
    pub(super) ends_at: Option<BootTime>,
}

pub(super) struct Shelf {
    kind: Kind,
    outages: Vec<Spell>,
    lock_life: Duration,
    record: Option<Kept>,
    /// Its holder, and when it ends by itself.
    lock: Option<(u64, BootTime)>,
    /// Operations carried out so far, and the most of them in a minute.
    pub(super) operations: Vec<u32>,
}

/// Whether an operation will succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    Refused,
    Silent,
}

impl Shelf {
    pub(super) fn new(
        kind: Kind,
        outages: Vec<Spell>,
        lock_life: Duration,
        minutes: usize,
    ) -> Self {
        let operations = vec![0; minutes];
        Self { kind, outages, lock_life, record: None, lock: None, operations }
    }

    /// How an operation begun now ends, and how long it takes.
    pub(super) fn operates(
        &mut self,
        timeout: Duration,
        chance: &mut Chance,
        now: BootTime,
    ) -> (Health, Duration) {
        let time = now.since(START);
        if let Some(count) = self.operations.get_mut(super::scenario::minute_of(time)) {
            *count += 1;
        }
        if self.kind == Kind::File {
            return (Health::Fine, FILE_LATENCY);
        }
        let latency = SERVER_LATENCY + chance.exponential(MEAN_SERVER_LATENCY);
        match self.outages.iter().any(|outage| outage.covers(time)) {
            false => (Health::Fine, latency),
            true if chance.unit() < REFUSED_SHARE => (Health::Refused, latency),
            true => (Health::Silent, timeout),
        }
    }

    pub(super) fn load(&mut self, now: BootTime) -> Option<Kept> {
        let is_over = |kept: &mut Kept| kept.ends_at.is_some_and(|at| at <= now);
        self.record.take_if(is_over);
        self.record.clone()
    }

    /// Saves a record for `life`.
    pub(super) fn save(&mut self, kept: Kept, life: Duration, now: BootTime) {
        let ends_at = (self.kind == Kind::Redis).then(|| now.after(life));
        self.record = Some(Kept { ends_at, ..kept });
    }

    /// Changes the record, whose life stays the same, if there still is one.
    pub(super) fn change(&mut self, asked: &Asked, now: BootTime) {
        if self.load(now).is_some() {
            if let Some(kept) = &mut self.record {
                kept.asked = asked.clone();
            }
        }
    }

    pub(super) fn try_lock(&mut self, owner: u64, now: BootTime) -> Tried<()> {
        self.lock.take_if(|(_, ends_at)| *ends_at <= now);
        match self.lock {
            None => {
                self.renew_lock(owner, now);
                Tried::Taken(())
            }
            Some(_) if self.kind == Kind::File => Tried::Held(Holder::default()),
            Some((id, ends_at)) => {
                let record_left = self.load(now).and_then(|kept| kept.ends_at);
                let record_left = record_left.map(|at| at.until(now));
                Tried::Held(Holder { id, left: Some(ends_at.until(now)), record_left })
            }
        }
    }

    /// Holds the lock, for the time of an attempt.
    pub(super) fn renew_lock(&mut self, owner: u64, now: BootTime) {
        if self.lock.is_none_or(|(of, _)| of == owner) {
            self.lock = Some((owner, now.after(self.lock_life)));
        }
    }

    pub(super) fn unlock(&mut self, owner: u64) {
        self.lock.take_if(|(of, _)| *of == owner);
    }
}
