//! Whether a server that has failed is asked again: a decision without clocks and sockets.
//!
//! After three failures in a row the server is left alone for a while. Then one operation tries it,
//! and the others wait for its outcome.

use std::time::Duration;

use crate::clock::BootTime;

/// Number of consecutive failures after which a server is left alone.
const MOST_FAILURES: u32 = 3;
/// For how long it is left alone.
pub(crate) const REST: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Circuit {
    failures: u32,
    /// When it may be tried again.
    again_at: BootTime,
}

impl Circuit {
    /// Whether an operation may be tried now.
    pub(crate) fn may_try(&mut self, now: BootTime) -> bool {
        if self.failures < MOST_FAILURES {
            return true;
        }
        let is_probe = now >= self.again_at;
        if is_probe {
            // The probe's outcome decides. If it never becomes known, as in a child forked
            // meanwhile, there is another probe after the same time.
            self.again_at = now.after(REST);
        }
        is_probe
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn failed(&mut self, now: BootTime) {
        self.failures = self.failures.saturating_add(1);
        self.again_at = now.after(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::ZERO.after(Duration::from_secs(1000 + seconds))
    }

    fn failed(times: u32) -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..times {
            assert!(circuit.may_try(at(0)));
            circuit.failed(at(0));
        }
        circuit
    }

    #[test]
    fn after_three_failures_in_a_row_it_is_left_alone_then_probed_once() {
        let mut circuit = failed(2);
        assert!(circuit.may_try(at(0)));
        circuit.failed(at(0));
        assert!(!circuit.may_try(at(0)) && !circuit.may_try(at(29)));
        assert!(circuit.may_try(at(30)));
        assert!(!circuit.may_try(at(30)) && !circuit.may_try(at(31)));
        circuit.failed(at(31));
        assert!(!circuit.may_try(at(60)) && circuit.may_try(at(61)));
        circuit.succeeded();
        assert_eq!(circuit, Circuit::default());
        assert!(circuit.may_try(at(61)) && circuit.may_try(at(61)));
    }

    #[test]
    fn a_success_between_failures_counts_from_the_start() {
        let mut circuit = failed(2);
        circuit.succeeded();
        circuit.failed(at(0));
        circuit.failed(at(0));
        assert!(circuit.may_try(at(0)));
    }

    #[test]
    fn a_probe_whose_outcome_never_becomes_known_is_repeated() {
        let mut circuit = failed(3);
        assert!(circuit.may_try(at(30)));
        assert!(!circuit.may_try(at(59)) && circuit.may_try(at(60)));
    }

    #[test]
    fn operations_that_began_before_the_rest_prolong_it_at_most() {
        let mut circuit = failed(3);
        circuit.failed(at(5));
        assert!(!circuit.may_try(at(34)) && circuit.may_try(at(35)));
    }
}
