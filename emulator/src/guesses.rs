//! Slows down guessing of secrets (RFC 6749, section 2.3.1).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::oauth::{Decision, Refusal};

/// Consecutive wrong secrets without a delay: programs under test make mistakes, too.
const FREE: u32 = 100;
/// The delay of each further refusal.
pub(crate) const HOLD: Duration = Duration::from_millis(250);

/// Consecutive wrong secrets by client id. Unknown ids are not counted: there is nothing to guess.
#[derive(Default)]
pub(crate) struct Guesses(BTreeMap<String, u32>);

impl Guesses {
    /// Counts a decision and returns how long to delay its response.
    pub(crate) fn count(&mut self, decision: &Decision) -> Option<Duration> {
        let id = decision.client_id.as_ref()?;
        match decision.outcome {
            Err(Refusal::InvalidClient { .. }) => {
                let wrong = self.0.entry(id.clone()).or_default();
                *wrong = wrong.saturating_add(1);
                (*wrong > FREE).then_some(HOLD)
            }
            // A malformed request says nothing about the secret.
            Err(Refusal::InvalidRequest(_) | Refusal::UnsupportedGrantType) => None,
            _ => {
                self.0.remove(id);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Grant;

    fn decision(id: Option<&str>, outcome: Result<Grant, Refusal>) -> Decision {
        Decision { client_id: id.map(str::to_owned), scope: None, outcome }
    }

    #[test]
    fn many_consecutive_wrong_secrets_are_delayed_until_a_right_one() {
        let mut guesses = Guesses::default();
        let wrong = |id| decision(id, Err(Refusal::InvalidClient { by_header: false }));
        for _ in 0..FREE {
            assert_eq!(guesses.count(&wrong(Some("id"))), None);
        }
        assert_eq!(guesses.count(&wrong(Some("id"))), Some(HOLD));
        let malformed = decision(Some("id"), Err(Refusal::InvalidRequest("x")));
        assert_eq!(guesses.count(&malformed), None);
        assert_eq!(guesses.count(&wrong(Some("id"))), Some(HOLD));
        for other in [Some("other"), None] {
            assert_eq!(guesses.count(&wrong(other)), None);
        }
        // A right secret with a scope that is not allowed is a right secret.
        assert_eq!(guesses.count(&decision(Some("id"), Err(Refusal::InvalidScope))), None);
        assert_eq!(guesses.count(&wrong(Some("id"))), None);
    }
}
