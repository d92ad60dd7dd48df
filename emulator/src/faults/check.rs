//! Validates faults: a mistake is reported at once, instead of letting a test pass for the wrong reason.

use std::collections::HashSet;

use hyper::header::{self, HeaderName, HeaderValue};

use super::{Fault, FaultError};
use crate::route::{self, TOKEN};

impl Fault {
    pub(crate) fn pattern(&self) -> &str {
        self.route.as_deref().unwrap_or(TOKEN)
    }

    /// Returns an error if the fault is invalid.
    pub(crate) fn check(&self) -> Result<(), FaultError> {
        let wrong = |text: &str| Err(FaultError(text.to_owned()));
        route::check_pattern(self.pattern()).map_err(FaultError)?;
        if self.count == Some(0) {
            return wrong("a count of 0 would have no effect: leave it out for \"until cleared\"");
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return wrong("status must be between 200 and 599");
        }
        self.check_headers()?;
        if self.error_description.is_some() && self.error.is_none() {
            return wrong("error_description needs an error to describe");
        }
        if self.content_type.is_some() && self.body.is_none() {
            return wrong("content_type needs a body");
        }
        let bodies = [self.error.is_some(), self.body.is_some(), self.html, self.reject_v2];
        if bodies.iter().filter(|given| **given).count() > 1 {
            return wrong("only one of error, body, html and reject_v2 can be the response");
        }
        if self.delay.is_some_and(|delay| delay.is_zero()) {
            return wrong("a delay of 0 has no effect: leave it out");
        }
        let at_token = route::matches(self.pattern(), route::TOKEN_PATH);
        if self.reject_v2 && at_token {
            return wrong(
                "reject_v2 needs a route that accepts tokens, for example \"/api/asset\"",
            );
        }
        if self.changes_token_answer() && !at_token {
            return wrong(
                "narrow, expires_in, token_type, access_token, scope, omit, extra and same_token need the token route",
            );
        }
        self.check_combination()?;
        if !self.does_something() {
            return wrong("the fault does nothing: give it a delay, a status, an error ...");
        }
        Ok(())
    }

    /// Refuses members that prevent each other from taking effect: the journal would name a fault that did not happen.
    fn check_combination(&self) -> Result<(), FaultError> {
        let wrong = |text: String| Err(FaultError(text));
        let (replacing, changing) = (self.replacing(), self.changing());
        if self.reset
            && (replacing.is_some() || changing.is_some() || !self.headers.is_empty() || self.cut)
        {
            return wrong(
                "a reset leaves no response: combine it only with route, count and delay".into(),
            );
        }
        if let (Some(replacing), Some(changing)) = (replacing, changing) {
            return wrong(format!(
                "{changing} changes a token response, but {replacing} replaces it: leave out one of them"
            ));
        }
        if self.reject_v2 && self.status.is_some() {
            return wrong("reject_v2 answers with 401: leave out the status".into());
        }
        let has_body = self.error.is_some() || self.body.is_some() || self.html;
        if self.has_no_body() && (has_body || self.cut) {
            return wrong(
                "a response with status 204 or 304 has no body: error, body, html and cut need another status".into(),
            );
        }
        self.check_token_answer()
    }

    fn check_token_answer(&self) -> Result<(), FaultError> {
        let wrong = |text: String| Err(FaultError(text));
        // Even if omitted from the response, a number is still the token's lifetime and a string still its text.
        let hidden = [
            ("token_type", self.token_type.is_some()),
            ("expires_in", self.expires_in.as_ref().is_some_and(|value| !value.is_u64())),
            ("access_token", self.access_token.as_ref().is_some_and(|value| !value.is_string())),
            ("scope", self.scope.is_some()),
        ];
        for name in &self.omit {
            if self.extra.contains_key(name) {
                return wrong(format!("{name} is in both omit and extra: leave out one of them"));
            }
            match hidden.iter().find(|(known, _)| known == name) {
                Some((_, false)) => {}
                Some((_, true)) => {
                    return wrong(format!("{name} cannot be both set and omitted"));
                }
                None => {
                    return wrong(format!(
                        "omit {name:?}: a token response has token_type, expires_in, access_token and scope"
                    ));
                }
            }
        }
        if self.same_token && self.access_token.is_some() {
            return wrong(
                "same_token and access_token contradict each other: leave out one of them".into(),
            );
        }
        if self.same_token && self.expires_in.as_ref().is_some_and(serde_json::Value::is_u64) {
            return wrong(
                "same_token keeps the token's remaining life, which a whole number for expires_in would change: leave out one of them".into(),
            );
        }
        Ok(())
    }

    /// Whether responses with this status never have a body.
    pub(super) fn has_no_body(&self) -> bool {
        matches!(self.status, Some(204 | 304))
    }

    fn check_headers(&self) -> Result<(), FaultError> {
        let wrong = |text: String| Err(FaultError(text));
        let mut names = HashSet::new();
        for (name, value) in &self.headers {
            match HeaderName::try_from(name.as_str()) {
                Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) => {
                    return wrong(format!(
                        "the header {name} frames the response and cannot be set; see cut"
                    ));
                }
                Ok(known) if !names.insert(known.clone()) => {
                    return wrong(format!("the header {known} is set twice"));
                }
                Ok(_) => {}
                Err(_) => return wrong(format!("{name:?} is not the name of a header")),
            }
            if HeaderValue::from_str(value).is_err() {
                return wrong(format!(
                    "the value of the header {name} has a character that is not allowed in headers"
                ));
            }
        }
        for (member, name, value) in [
            ("retry_after", header::RETRY_AFTER, &self.retry_after),
            ("content_type", header::CONTENT_TYPE, &self.content_type),
        ] {
            if value.is_some() && names.contains(&name) {
                return wrong(format!(
                    "{member} and headers both set {name}: leave out one of them"
                ));
            }
            if value.as_deref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
                return wrong(format!("{member} has a character that is not allowed in headers"));
            }
        }
        Ok(())
    }

    fn does_something(&self) -> bool {
        self.replaces_answer()
            || self.changes_token_answer()
            || self.delay.is_some()
            || !self.headers.is_empty()
            || self.cut
            || self.reset
    }

    /// Whether the route itself is not called at all.
    pub(crate) fn replaces_answer(&self) -> bool {
        self.replacing().is_some()
    }

    /// A member that replaces the route's response.
    fn replacing(&self) -> Option<&'static str> {
        let members = [
            ("status", self.status.is_some()),
            ("retry_after", self.retry_after.is_some()),
            ("error", self.error.is_some()),
            ("body", self.body.is_some()),
            ("html", self.html),
            ("reject_v2", self.reject_v2),
        ];
        members.iter().find(|(_, given)| *given).map(|(name, _)| *name)
    }

    pub(super) fn changes_token_answer(&self) -> bool {
        self.changing().is_some()
    }

    /// A member that changes a token response.
    fn changing(&self) -> Option<&'static str> {
        let members = [
            ("narrow", self.narrow.is_some()),
            ("expires_in", self.expires_in.is_some()),
            ("token_type", self.token_type.is_some()),
            ("access_token", self.access_token.is_some()),
            ("scope", self.scope.is_some()),
            ("omit", !self.omit.is_empty()),
            ("extra", !self.extra.is_empty()),
            ("same_token", self.same_token),
        ];
        members.iter().find(|(_, given)| *given).map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Fault, String> {
        let fault: Fault = serde_json::from_str(json).map_err(|error| error.to_string())?;
        fault.check().map_err(|error| error.to_string())?;
        Ok(fault)
    }

    #[test]
    fn invalid_faults_are_refused_with_a_reason() {
        let cases = [
            (r#"{"stauts":503}"#, "unknown field `stauts`"),
            (r#"{}"#, "does nothing"),
            (r#"{"count":3}"#, "does nothing"),
            (r#"{"status":503,"count":0}"#, "count of 0"),
            (r#"{"status":99}"#, "between 200 and 599"),
            (r#"{"status":"503"}"#, "invalid type"),
            (r#"{"delay":"soon"}"#, "not a duration"),
            (r#"{"delay":true}"#, "duration must be"),
            (r#"{"route":"api","status":500}"#, "must be \"token\" or"),
            (r#"{"route":"/_emulator/faults","status":500}"#, "emulator's own routes"),
            (r#"{"error_description":"x","status":400}"#, "needs an error"),
            (r#"{"html":true,"body":""}"#, "only one of"),
            (r#"{"reject_v2":true}"#, "needs a route"),
            (r#"{"route":"/api","expires_in":1}"#, "need the token route"),
            (r#"{"narrow":false}"#, "narrow must be true"),
            (r#"{"headers":{"a b":"c"}}"#, "not the name of a header"),
            (r#"{"headers":{"a":"b\nc"}}"#, "not allowed in headers"),
            (r#"{"headers":{"Content-Length":"1"}}"#, "frames the response"),
            (r#"{"retry_after":"1\r\n"}"#, "not allowed in headers"),
            (r#"{"cut":true,"status":204}"#, "204 or 304 has no body"),
            (r#"{"cut":true,"status":304}"#, "204 or 304 has no body"),
            (r#"{"body":"x","status":204}"#, "204 or 304 has no body"),
            (r#"{"reset":true,"status":500}"#, "leaves no response"),
            (r#"{"reset":true,"cut":true}"#, "leaves no response"),
            (r#"{"reset":true,"headers":{"a":"b"}}"#, "leaves no response"),
            (r#"{"status":200,"expires_in":3}"#, "but status replaces it"),
            (r#"{"html":true,"narrow":true}"#, "narrow changes a token response"),
            (r#"{"route":"/api","reject_v2":true,"status":403}"#, "with 401"),
            (r#"{"omit":["expries_in"]}"#, "omit \"expries_in\""),
            (r#"{"omit":["scope"],"scope":"a"}"#, "set and omitted"),
            (r#"{"omit":["expires_in"],"expires_in":"3"}"#, "set and omitted"),
            (r#"{"omit":["scope"],"extra":{"scope":"a"}}"#, "both omit and extra"),
            (r#"{"same_token":true,"access_token":"t"}"#, "contradict each other"),
            (r#"{"same_token":true,"expires_in":3}"#, "remaining life"),
            (r#"{"headers":{"A":"b","a":"c"}}"#, "set twice"),
            (r#"{"headers":{"Retry-After":"1"},"retry_after":2}"#, "both set retry-after"),
            (r#"{"headers":{"Content-Type":"a/b"},"body":"","content_type":"c/d"}"#, "both set"),
            (r#"{"delay":0}"#, "has no effect"),
            (r#"{"route":"/api?x=1","status":500}"#, "without a query"),
            (r#"{"route":"/a b","status":500}"#, "percent-encoded"),
        ];
        for (text, reason) in cases {
            let message = read(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn the_examples_in_the_readme_are_accepted() {
        let manual = include_str!("../../README.md");
        let table =
            manual.split("## Faults").nth(1).and_then(|rest| rest.split("## Journal").next());
        let examples: Vec<&str> = table
            .expect("a section about faults")
            .split('`')
            .filter(|text| text.starts_with('{'))
            .collect();
        assert!(examples.len() >= 16, "{examples:?}");
        for example in examples {
            read(example).expect(example);
        }
    }
}
