//! Which request can meet a fault: one to which all of it can happen. Any other passes, and the fault waits for the next.

use std::collections::BTreeSet;

use super::{Fault, Narrow};
use crate::route;
use crate::tokens::Grant;

/// What decides whether a request meets a fault.
pub(crate) struct Approach<'a> {
    pub(crate) path: &'a str,
    /// The answer will have no body.
    pub(crate) is_head: bool,
    /// What the token endpoint would grant.
    pub(crate) grant: Option<&'a Grant>,
    /// Whether there is a token for a grant already.
    pub(crate) repeats: &'a dyn Fn(&Grant) -> bool,
}

impl Fault {
    /// Whether all of the fault can happen to this request.
    pub(crate) fn can_meet(&self, request: &Approach<'_>) -> bool {
        route::matches(self.pattern(), request.path)
            && !(self.cut && request.is_head)
            && (!self.changes_token_answer()
                || request.grant.is_some_and(|grant| self.can_change(grant, request.repeats)))
    }

    fn can_change(&self, grant: &Grant, repeats: &dyn Fn(&Grant) -> bool) -> bool {
        let narrowed = self.narrowed(grant.clone());
        (self.narrow.is_none() || narrowed.scopes != grant.scopes)
            && (!self.same_token || repeats(&narrowed))
    }

    /// What is left of a grant.
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
        fault.can_meet(&Approach { path, is_head, grant, repeats })
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
    fn what_has_no_body_is_not_cut() {
        for (is_head, met) in [(false, true), (true, false)] {
            assert_eq!(
                meets(r#"{"route":"/api","cut":true}"#, "/api/x", is_head, None, false),
                met
            );
        }
        assert!(meets(r#"{"route":"/api","html":true}"#, "/api/x", true, None, false));
        assert!(!meets(r#"{"route":"/api","html":true}"#, "/apis", false, None, false));
    }
}
