//! Whoever guesses the secret of a key is slowed down (RFC 6749, section 2.3.1).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::oauth::{Decision, Refusal};

/// Wrong secrets in a row that cost nothing: programs under test make mistakes, too.
const FREE: u32 = 100;
/// How long each further refusal is held back.
pub(crate) const HOLD: Duration = Duration::from_millis(250);

/// Wrong secrets in a row, by the client id of a key. Ids that no key has are not counted: there is nothing to guess.
#[derive(Default)]
pub(crate) struct Guesses(BTreeMap<String, u32>);

impl Guesses {
    /// Counts a decision; how long its answer is to be held back.
    pub(crate) fn count(&mut self, decision: &Decision) -> Option<Duration> {
        let id = decision.client_id.as_ref()?;
        match decision.outcome {
            Err(Refusal::InvalidClient { .. }) => {
                let wrong = self.0.entry(id.clone()).or_default();
                *wrong = wrong.saturating_add(1);
                (*wrong > FREE).then_some(HOLD)
            }
            // A request that is malformed says nothing about the secret.
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
    fn many_wrong_secrets_in_a_row_are_held_back_and_a_right_one_ends_that() {
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
