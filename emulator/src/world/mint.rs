//! Issues a token for a grant and builds the response.

use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use crate::clock::milliseconds;
use crate::faults::Fault;
use crate::reply::Members;
use crate::state::{KeptToken, StateError, digest_of};
use crate::tokens::{Grant, Minted};

impl World {
    /// Issues a token for a grant, and returns the members of the success body in the documented order, as changed by the
    /// fault.
    pub(crate) fn mint(&self, grant: Grant, fault: &Fault) -> Result<Members, StateError> {
        let grant = fault.narrowed(grant);
        let now = self.clock.now();
        let newest = || self.tokens.lock().newest(&grant, now);
        let again = fault.same_token.then(newest).flatten();
        let asked = grant.asked.clone();
        let (text, seconds) = match again {
            Some((text, left)) => (text, left.as_secs()),
            None => self.issue(grant, fault, now)?,
        };
        Ok(success(&text, seconds, &asked, fault))
    }

    /// Issues, stores and counts a new token; returns it with its lifetime.
    fn issue(
        &self,
        grant: Grant,
        fault: &Fault,
        now: Duration,
    ) -> Result<(String, u64), StateError> {
        let text = match fault.access_token.as_ref().and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => self.tokens.lock().text(),
        };
        let given = fault.expires_in.as_ref().and_then(Value::as_u64);
        let seconds = given.unwrap_or(self.settings.expires_in);
        let life = Duration::from_secs(seconds);
        let single = self.settings.readings.single_token;
        let unix_ms = self.clock.unix_ms();
        let kept = KeptToken {
            digest: digest_of(&text),
            client_id: grant.client_id.clone(),
            scopes: grant.scopes.iter().cloned().collect(),
            expires: unix_ms.saturating_add(milliseconds(life)),
        };
        self.account.lock().minted(&kept, single, unix_ms)?;
        let expires = now.saturating_add(life);
        let mut tokens = self.tokens.lock();
        if single {
            tokens.end_all_of(&grant.client_id);
        }
        let minted = Minted { client_id: grant.client_id, scopes: grant.scopes, expires };
        tokens.keep(&text, minted, now);
        Ok((text, seconds))
    }
}

/// The members in the order of the service's documentation.
fn success(token: &str, seconds: u64, scope: &str, fault: &Fault) -> Members {
    let or = |given: &Option<Value>, usual: Value| given.clone().unwrap_or(usual);
    let usual = [
        ("token_type", or(&fault.token_type, json!("Bearer"))),
        ("expires_in", or(&fault.expires_in, json!(seconds))),
        ("access_token", or(&fault.access_token, json!(token))),
        ("scope", or(&fault.scope, json!(scope))),
    ];
    let mut members: Vec<(String, Value)> =
        usual.map(|(name, value)| (name.to_owned(), value)).into();
    members.retain(|(name, _)| !fault.omit.contains(name));
    members.extend(fault.extra.clone());
    Members(members)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::world;
    use super::*;

    fn mint(world: &World, asked: &str, fault: &Fault) -> Members {
        world.mint(grant(asked), fault).expect("nothing to write")
    }

    fn grant(asked: &str) -> Grant {
        let scopes: BTreeSet<String> = asked.split(' ').map(str::to_owned).collect();
        Grant { client_id: "id".into(), asked: asked.into(), scopes }
    }

    fn text(members: &Members) -> String {
        serde_json::to_string(members).expect("JSON")
    }

    fn token(members: &Members) -> String {
        let found = members.0.iter().find(|(name, _)| name == "access_token").expect("a token");
        found.1.as_str().expect("text").to_owned()
    }

    #[test]
    fn members_come_in_the_documented_order() {
        let members = mint(&world(), "b a", &Fault::default());
        let expected = format!(
            r#"{{"token_type":"Bearer","expires_in":1200,"access_token":"{}","scope":"b a"}}"#,
            token(&members)
        );
        assert_eq!(text(&members), expected);
    }

    #[test]
    fn faults_change_the_members() {
        let cases = [
            (
                r#"{"expires_in":null,"access_token":"t"}"#,
                r#"{"token_type":"Bearer","expires_in":null,"access_token":"t","scope":"b a"}"#,
            ),
            (
                r#"{"expires_in":"5","access_token":1,"token_type":"DPoP"}"#,
                r#"{"token_type":"DPoP","expires_in":"5","access_token":1,"scope":"b a"}"#,
            ),
            (
                r#"{"omit":["expires_in","scope"],"access_token":"t"}"#,
                r#"{"token_type":"Bearer","access_token":"t"}"#,
            ),
            (
                r#"{"narrow":true,"access_token":"t","omit":["expires_in"]}"#,
                r#"{"token_type":"Bearer","access_token":"t","scope":"b"}"#,
            ),
            (
                r#"{"narrow":["a","x"],"access_token":"t","omit":["expires_in"]}"#,
                r#"{"token_type":"Bearer","access_token":"t","scope":"a"}"#,
            ),
            (
                r#"{"scope":["a"],"access_token":"t","extra":{"refresh_token":"r"}}"#,
                r#"{"token_type":"Bearer","expires_in":1200,"access_token":"t","scope":["a"],"refresh_token":"r"}"#,
            ),
        ];
        for (fault, answer) in cases {
            let fault: Fault = serde_json::from_str(fault).expect(fault);
            assert_eq!(text(&mint(&world(), "b a", &fault)), answer);
        }
    }

    #[test]
    fn a_given_lifetime_holds_and_a_narrow_token_is_narrow() {
        let world = world();
        let fault: Fault =
            serde_json::from_str(r#"{"expires_in":3,"narrow":["a"]}"#).expect("a fault");
        let minted = token(&mint(&world, "b a", &fault));
        let found = world.find_token(&minted).expect("good");
        assert_eq!(found.scopes, BTreeSet::from(["a".to_owned()]));
        world.clock.advance(Duration::from_secs(3)).expect("turned");
        assert_eq!(world.find_token(&minted), None);
        let endless: Fault =
            serde_json::from_str(r#"{"expires_in":18446744073709551615}"#).expect("a fault");
        let minted = token(&mint(&world, "a", &endless));
        assert!(world.find_token(&minted).is_some());
    }

    #[test]
    fn the_same_token_is_returned_with_its_remaining_life() {
        let world = world();
        let again = Fault { same_token: true, ..Fault::default() };
        let first = token(&mint(&world, "a", &again));
        world.clock.advance(Duration::from_secs(200)).expect("turned");
        let answer = text(&mint(&world, "a", &again));
        assert!(answer.contains(&first) && answer.contains("\"expires_in\":999,"), "{answer}");
        world.clock.advance(Duration::from_secs(1000)).expect("turned");
        assert_ne!(token(&mint(&world, "a", &again)), first);
    }
}
