//! An in-memory store whose behavior a test controls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Found, HeldLock, Holder, Problem, Store, Tried};

/// How its operations behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Up,
    /// Every operation fails.
    Down,
    /// Writes fail.
    Full,
}

#[derive(Default)]
struct Content {
    health: Health,
    records: HashMap<String, Vec<u8>>,
    locks: HashMap<String, ()>,
    /// How often a lock was found held.
    refused: usize,
}

/// Clones share one store.
#[derive(Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<Content>>);

struct Lock(Scripted, String);

impl HeldLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().locks.remove(&self.1);
    }
}

impl Scripted {
    pub(crate) fn set_health(&self, health: Health) {
        self.0.lock().unwrap().health = health;
    }

    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().records.values().cloned().collect()
    }

    pub(crate) fn is_locked(&self) -> bool {
        !self.0.lock().unwrap().locks.is_empty()
    }

    /// How often a lock was found held.
    pub(crate) fn refused_locks(&self) -> usize {
        self.0.lock().unwrap().refused
    }

    /// Modifies every record.
    pub(crate) fn tamper(&self, change: impl Fn(&mut Vec<u8>)) {
        self.0.lock().unwrap().records.values_mut().for_each(change);
    }

    fn well(&self, writes: bool) -> Result<std::sync::MutexGuard<'_, Content>, Problem> {
        let content = self.0.lock().unwrap();
        match content.health {
            Health::Down => Err(Problem::new("it is down")),
            Health::Full if writes => Err(Problem::new("it is full")),
            _ => Ok(content),
        }
    }
}

impl Store for Scripted {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        Ok(self.well(false)?.records.get(name).cloned().map(Found::lasting))
    }

    fn save(&self, name: &str, record: &[u8], _life: Duration) -> Result<(), Problem> {
        self.well(true)?.records.insert(name.to_owned(), record.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str, _record: &[u8]) -> Result<(), Problem> {
        self.well(true)?.records.remove(name);
        Ok(())
    }

    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        let mut content = self.well(false)?;
        let is_free = content.locks.insert(name.to_owned(), ()).is_none();
        content.refused += usize::from(!is_free);
        drop(content);
        Ok(match is_free {
            true => Tried::Taken(Box::new(Lock(self.clone(), name.to_owned()))),
            false => Tried::Held(Holder::default()),
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}
