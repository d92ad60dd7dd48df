//! Decides which request meets which fault: the oldest pending fault that applies to it.

use std::sync::Arc;

use serde::Serialize;

use super::reach::Approach;
use super::{Fault, FaultError};

/// Maximum number of pending faults; a script that queues more has a bug.
const MAX_FAULTS: usize = 10_000;
/// Maximum size of all pending faults as JSON, because they are listed in one response.
const MAX_SIZE: usize = 4 * 1024 * 1024;

/// A pending fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueuedFault {
    /// Its id, which also appears in the journal.
    pub id: u64,
    /// How many more requests it will affect; `None` means until cleared.
    pub left: Option<u64>,
    /// The fault itself.
    #[serde(flatten)]
    pub fault: Arc<Fault>,
}

impl Fault {
    /// Its size as JSON in bytes.
    fn size(&self) -> usize {
        serde_json::to_string(self).map_or(0, |text| text.len())
    }
}

/// Pending faults in order of arrival.
#[derive(Default)]
pub(crate) struct Queue {
    last_id: u64,
    faults: Vec<QueuedFault>,
    /// The total size of the faults.
    size: usize,
}

impl Queue {
    /// Appends faults and returns their ids. If one is invalid or there is not enough room, none is accepted.
    pub(crate) fn add(&mut self, faults: Vec<Fault>) -> Result<Vec<u64>, FaultError> {
        for fault in &faults {
            fault.check()?;
        }
        let size = self.size + faults.iter().map(Fault::size).sum::<usize>();
        if self.faults.len() + faults.len() > MAX_FAULTS || size > MAX_SIZE {
            return Err(FaultError(format!(
                "{} faults are pending, and there is no room for all of these: clear some first",
                self.faults.len()
            )));
        }
        self.size = size;
        Ok(faults.into_iter().map(|fault| self.push(fault)).collect())
    }

    fn push(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        let (id, left) = (self.last_id, fault.count);
        self.faults.push(QueuedFault { id, left, fault: Arc::new(fault) });
        id
    }

    /// Takes the fault that this request meets.
    pub(crate) fn take(&mut self, request: &Approach<'_>) -> Option<(u64, Arc<Fault>)> {
        let at = self.faults.iter().position(|queued| queued.fault.can_meet(request))?;
        let queued = &mut self.faults[at];
        let taken = (queued.id, Arc::clone(&queued.fault));
        queued.left = queued.left.map(|left| left.saturating_sub(1));
        if queued.left == Some(0) {
            self.faults.remove(at);
            self.size -= taken.1.size();
        }
        Some(taken)
    }

    /// Clears all faults.
    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.size = 0;
    }

    /// The pending faults.
    pub(crate) fn list(&self) -> Vec<QueuedFault> {
        self.faults.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &mut Queue, path: &str) -> Option<(u64, Arc<Fault>)> {
        queue.take(&Approach {
            path,
            is_head: false,
            is_look: false,
            grant: None,
            repeats: &|_| false,
        })
    }

    fn statuses(queue: &mut Queue, paths: &[&str]) -> Vec<Option<u16>> {
        paths.iter().map(|path| take(queue, path).and_then(|(_, fault)| fault.status)).collect()
    }

    #[test]
    fn faults_are_met_in_order_each_as_often_as_it_says() {
        let mut queue = Queue::default();
        let faults = vec![
            Fault::status(500).times(2),
            Fault::status(404).on("/api").once(),
            Fault::status(503),
            Fault::status(504),
        ];
        assert_eq!(queue.add(faults), Ok(vec![1, 2, 3, 4]));
        let t = "/token/v2";
        let met = statuses(&mut queue, &[t, "/api/x", "/api/x", t, t, t, "/other"]);
        assert_eq!(met, [Some(500), Some(404), None, Some(500), Some(503), Some(503), None]);
        assert_eq!(queue.list().len(), 2);
        queue.clear();
        assert_eq!(take(&mut queue, t), None);
        assert_eq!(queue.size, 0);
    }

    #[test]
    fn the_list_shows_what_is_left() {
        let mut queue = Queue::default();
        queue.add(vec![Fault::status(500).times(2)]).expect("taken");
        take(&mut queue, "/token/v2");
        let json = serde_json::to_string(&queue.list()).expect("JSON");
        assert_eq!(json, r#"[{"id":1,"left":1,"count":2,"status":500}]"#);
    }

    #[test]
    fn a_list_without_enough_room_is_refused_whole() {
        let mut queue = Queue::default();
        queue.add(vec![Fault::status(500).once(); MAX_FAULTS - 2]).expect("taken");
        let refused = queue.add(vec![Fault::status(501); 10]).expect_err("too many");
        assert!(refused.to_string().contains("9998 faults are pending"), "{refused}");
        assert_eq!(queue.list().len(), MAX_FAULTS - 2);
        queue.add(vec![Fault::status(501); 2]).expect("there is room for two");
        queue.clear();
        let large = || Fault::body("x".repeat(MAX_SIZE / 2)).once();
        queue.add(vec![large()]).expect("taken");
        assert!(queue.add(vec![Fault::status(500), large()]).is_err());
        assert_eq!(queue.list().len(), 1);
        take(&mut queue, "/token/v2").expect("met");
        queue.add(vec![large()]).expect("what was met takes no room");
    }
}
