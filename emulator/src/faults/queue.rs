//! Which request meets which fault: the oldest fault on its route, as long as it lasts.

use std::sync::Arc;

use serde::Serialize;

use super::{Fault, FaultError};
use crate::route;

/// So many faults can wait; a script that piles up more has lost its way.
const MOST: usize = 10_000;

/// A fault that waits for requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueuedFault {
    /// Its number; the journal names it.
    pub id: u64,
    /// How many requests it will still meet; `None`: until cleared.
    pub left: Option<u64>,
    /// The fault itself.
    #[serde(flatten)]
    pub fault: Arc<Fault>,
}

/// Faults in the order they came.
#[derive(Default)]
pub(crate) struct Queue {
    last_id: u64,
    faults: Vec<QueuedFault>,
}

impl Queue {
    /// Puts a fault behind the others.
    pub(crate) fn push(&mut self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        if self.faults.len() >= MOST {
            return Err(FaultError(format!("{MOST} faults are waiting already: clear them first")));
        }
        self.last_id += 1;
        let (id, left) = (self.last_id, fault.count);
        self.faults.push(QueuedFault { id, left, fault: Arc::new(fault) });
        Ok(id)
    }

    /// The fault this request meets, counted as met.
    pub(crate) fn take(&mut self, path: &str) -> Option<(u64, Arc<Fault>)> {
        let hit = |queued: &QueuedFault| route::matches(queued.fault.pattern(), path);
        let at = self.faults.iter().position(hit)?;
        let queued = &mut self.faults[at];
        let taken = (queued.id, Arc::clone(&queued.fault));
        queued.left = queued.left.map(|left| left.saturating_sub(1));
        if queued.left == Some(0) {
            self.faults.remove(at);
        }
        Some(taken)
    }

    /// Forgets all faults.
    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Those that still wait.
    pub(crate) fn list(&self) -> Vec<QueuedFault> {
        self.faults.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(queue: &mut Queue, paths: &[&str]) -> Vec<Option<u16>> {
        paths.iter().map(|path| queue.take(path).and_then(|(_, fault)| fault.status)).collect()
    }

    #[test]
    fn faults_are_met_in_order_each_as_often_as_it_says() {
        let mut queue = Queue::default();
        for fault in [
            Fault::status(500).times(2),
            Fault::status(404).on("/api").once(),
            Fault::status(503),
            Fault::status(504),
        ] {
            queue.push(fault).expect("taken");
        }
        let t = "/token/v2";
        let met = statuses(&mut queue, &[t, "/api/x", "/api/x", t, t, t, "/other"]);
        assert_eq!(met, [Some(500), Some(404), None, Some(500), Some(503), Some(503), None]);
        assert_eq!(queue.list().len(), 2);
        queue.clear();
        assert_eq!(queue.take(t), None);
    }

    #[test]
    fn the_list_shows_what_is_left() {
        let mut queue = Queue::default();
        queue.push(Fault::status(500).times(2)).expect("taken");
        queue.take("/token/v2");
        let json = serde_json::to_string(&queue.list()).expect("JSON");
        assert_eq!(json, r#"[{"id":1,"left":1,"count":2,"status":500}]"#);
    }
}
