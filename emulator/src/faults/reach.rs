//! Decides whether a request can meet a fault: only if all of the fault can take effect. Otherwise the fault stays pending.

use std::collections::BTreeSet;

use super::{Fault, Narrow};
use crate::route;
use crate::tokens::Grant;

/// The properties of a request that decide whether it can meet a fault.
pub(crate) struct Approach<'a> {
    pub(crate) path: &'a str,
    /// A `HEAD` request: no response has a body.
    pub(crate) is_head: bool,
    /// A probe by `tu-token doctor`: the route's own response has no body.
    pub(crate) is_look: bool,
    /// What the token endpoint would grant.
    pub(crate) grant: Option<&'a Grant>,
    /// Whether a token for a grant already exists.
    pub(crate) repeats: &'a dyn Fn(&Grant) -> bool,
}

impl Fault {
    /// Whether all of the fault can take effect on this request.
    pub(crate) fn can_meet(&self, request: &Approach<'_>) -> bool {
        route::matches(self.pattern(), request.path)
            && !(self.cut && (request.is_head || (request.is_look && !self.replaces_answer())))
            && (!self.changes_token_answer()
                || request.grant.is_some_and(|grant| self.can_change(grant, request.repeats)))
    }

    fn can_change(&self, grant: &Grant, repeats: &dyn Fn(&Grant) -> bool) -> bool {
        self.narrows(grant) && (!self.same_token || repeats(&self.bare(grant)))
    }

    /// Whether narrowing, if any, removes a scope. Compares only the set of scopes: there may be thousands of pending faults
    /// and thousands of requested words.
    fn narrows(&self, grant: &Grant) -> bool {
        match &self.narrow {
            None => true,
            Some(Narrow::Last) => !grant.scopes.is_empty(),
            Some(Narrow::To(_)) => self.left(grant).len() < grant.scopes.len(),
        }
    }

    fn left<'a>(&self, grant: &'a Grant) -> BTreeSet<&'a String> {
        match &self.narrow {
            None => grant.scopes.iter().collect(),
            Some(Narrow::Last) => {
                let last = grant.asked.split(' ').rfind(|word| !word.is_empty());
                grant.scopes.iter().filter(|scope| Some(scope.as_str()) != last).collect()
            }
            Some(Narrow::To(list)) => {
                list.iter().filter_map(|scope| grant.scopes.get(scope)).collect()
            }
        }
    }

    /// The narrowed grant, without its requested words.
    fn bare(&self, grant: &Grant) -> Grant {
        let scopes = self.left(grant).into_iter().cloned().collect();
        Grant { client_id: grant.client_id.clone(), asked: String::new(), scopes }
    }

    /// The narrowed grant.
    pub(crate) fn narrowed(&self, mut grant: Grant) -> Grant {
        let words = || grant.asked.split(' ').filter(|word| !word.is_empty());
        let kept: Vec<&str> = match &self.narrow {
            None => return grant,
            Some(Narrow::Last) => {
                let last = words().next_back();
                words().filter(|word| Some(*word) != last).collect()
            }
            Some(Narrow::To(list)) => {
                let list: BTreeSet<&str> = list.iter().map(String::as_str).collect();
                words().filter(|word| list.contains(word)).collect()
            }
        };
        grant.scopes = kept.iter().map(|word| (*word).to_owned()).collect();
        grant.asked = kept.join(" ");
        grant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(asked: &str) -> Grant {
        let scopes = asked.split(' ').map(str::to_owned).collect();
        Grant { client_id: "id".into(), asked: asked.into(), scopes }
    }

    fn meets(fault: &str, path: &str, is_head: bool, asked: Option<&str>, repeats: bool) -> bool {
        let fault: Fault = serde_json::from_str(fault).expect(fault);
        fault.check().expect("a fault that makes sense");
        let grant = asked.map(grant);
        let (grant, repeats) = (grant.as_ref(), &|_: &Grant| repeats);
        fault.can_meet(&Approach { path, is_head, is_look: false, grant, repeats })
    }

    #[test]
    fn a_change_of_a_token_answer_waits_for_a_token() {
        let t = "/token/v2";
        for fault in [r#"{"expires_in":3}"#, r#"{"route":"/","omit":["scope"],"delay":"1s"}"#] {
            assert!(meets(fault, t, false, Some("a"), false));
            assert!(!meets(fault, t, false, None, false));
        }
        assert!(meets(r#"{"status":500}"#, t, false, None, false));
        assert!(!meets(r#"{"same_token":true}"#, t, false, Some("a"), false));
        assert!(meets(r#"{"same_token":true}"#, t, false, Some("a"), true));
        for (asked, list, last) in [("a b", true, true), ("a", false, true), ("a a", false, true)] {
            assert_eq!(meets(r#"{"narrow":["a"]}"#, t, false, Some(asked), false), list);
            assert_eq!(meets(r#"{"narrow":true}"#, t, false, Some(asked), false), last, "{asked}");
        }
    }

    #[test]
    fn responses_without_a_body_are_not_cut() {
        for (is_head, met) in [(false, true), (true, false)] {
            assert_eq!(
                meets(r#"{"route":"/api","cut":true}"#, "/api/x", is_head, None, false),
                met
            );
        }
        assert!(meets(r#"{"route":"/api","html":true}"#, "/api/x", true, None, false));
        assert!(!meets(r#"{"route":"/api","html":true}"#, "/apis", false, None, false));
    }

    #[test]
    fn a_probe_answered_without_a_body_is_not_cut() {
        for (fault, met) in [
            (r#"{"cut":true}"#, false),
            (r#"{"cut":true,"delay":"1s"}"#, false),
            (r#"{"cut":true,"html":true}"#, true),
            (r#"{"status":500}"#, true),
        ] {
            let fault: Fault = serde_json::from_str(fault).expect(fault);
            let repeats = &|_: &Grant| false;
            let look =
                Approach { path: "/token/v2", is_head: false, is_look: true, grant: None, repeats };
            assert_eq!(fault.can_meet(&look), met, "{fault:?}");
        }
    }

    #[test]
    fn narrowing_is_the_same_with_and_without_the_words() {
        for asked in ["a", "a b", "a b a", "b a c b", "c c"] {
            for narrow in ["true", "[]", r#"["a"]"#, r#"["b","x","b"]"#, r#"["a","b","c"]"#] {
                let text = format!(r#"{{"narrow":{narrow}}}"#);
                let fault: Fault = serde_json::from_str(&text).expect("a fault");
                let (all, narrowed) = (grant(asked), fault.narrowed(grant(asked)));
                assert_eq!(fault.bare(&all).scopes, narrowed.scopes, "{asked} {narrow}");
                assert_eq!(fault.narrows(&all), narrowed.scopes != all.scopes, "{asked} {narrow}");
            }
        }
    }

    /// The emulator has one thread, which all other requests wait for.
    #[test]
    fn many_faults_and_a_long_list_of_scopes_are_passed_quickly() {
        let scopes: Vec<String> = (0..500).map(|n| format!("scope{n}")).collect();
        let asked = vec![scopes.join(" "); 20].join(" ");
        let grant = Grant { client_id: "id".into(), asked, scopes: scopes.into_iter().collect() };
        let fault: Fault =
            serde_json::from_str(r#"{"narrow":["scope1"],"same_token":true}"#).expect("a fault");
        let repeats = &|_: &Grant| false;
        let request = Approach {
            path: "/token/v2",
            is_head: false,
            is_look: false,
            grant: Some(&grant),
            repeats,
        };
        let begun = std::time::Instant::now();
        assert!((0..10_000).all(|_| !fault.can_meet(&request)));
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
