//! Whether a fault makes sense: a slip of the pen is told at once, not by a test that passes for the wrong reason.

use hyper::header::{self, HeaderName, HeaderValue};

use super::{Fault, FaultError};
use crate::route::{self, TOKEN};

impl Fault {
    pub(crate) fn pattern(&self) -> &str {
        self.route.as_deref().unwrap_or(TOKEN)
    }

    /// Says what is wrong with the fault, if anything is.
    pub(crate) fn check(&self) -> Result<(), FaultError> {
        let wrong = |text: &str| Err(FaultError(text.to_owned()));
        route::check_pattern(self.pattern()).map_err(FaultError)?;
        if self.count == Some(0) {
            return wrong(
                "a count of 0 would never do anything: leave it out for \"until cleared\"",
            );
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
            return wrong("only one of error, body, html and reject_v2 can be the answer");
        }
        let at_token = route::matches(self.pattern(), route::TOKEN_PATH);
        if self.reject_v2 && at_token {
            return wrong("reject_v2 needs a route that takes tokens, for example \"/api/asset\"");
        }
        if self.changes_token_answer() && !at_token {
            return wrong(
                "narrow, expires_in, token_type, access_token, scope, omit, extra and same_token belong to the token route",
            );
        }
        if !self.does_something() {
            return wrong("the fault does nothing: give it a delay, a status, an error ...");
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<(), FaultError> {
        let wrong = |text: String| Err(FaultError(text));
        for (name, value) in &self.headers {
            match HeaderName::try_from(name.as_str()) {
                Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) => {
                    return wrong(format!(
                        "the header {name} frames the answer and cannot be set; see cut"
                    ));
                }
                Ok(_) => {}
                Err(_) => return wrong(format!("{name:?} is not the name of a header")),
            }
            if HeaderValue::from_str(value).is_err() {
                return wrong(format!(
                    "the value of the header {name} has a character that headers cannot carry"
                ));
            }
        }
        for (member, value) in
            [("retry_after", &self.retry_after), ("content_type", &self.content_type)]
        {
            if value.as_deref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
                return wrong(format!("{member} has a character that headers cannot carry"));
            }
        }
        Ok(())
    }

    fn changes_token_answer(&self) -> bool {
        let members = [&self.expires_in, &self.token_type, &self.access_token, &self.scope];
        members.iter().any(|member| member.is_some())
            || self.narrow.is_some()
            || self.same_token
            || !self.omit.is_empty()
            || !self.extra.is_empty()
    }

    fn does_something(&self) -> bool {
        self.replaces_answer()
            || self.changes_token_answer()
            || self.delay.is_some()
            || !self.headers.is_empty()
            || self.cut
            || self.reset
    }

    /// Whether the route is not asked at all.
    pub(crate) fn replaces_answer(&self) -> bool {
        self.status.is_some()
            || self.retry_after.is_some()
            || self.error.is_some()
            || self.body.is_some()
            || self.html
            || self.reject_v2
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
    fn what_makes_no_sense_is_refused_with_a_reason() {
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
            (r#"{"route":"/_emulator/faults","status":500}"#, "control routes"),
            (r#"{"error_description":"x","status":400}"#, "needs an error"),
            (r#"{"html":true,"body":""}"#, "only one of"),
            (r#"{"reject_v2":true}"#, "needs a route"),
            (r#"{"route":"/api","expires_in":1}"#, "belong to the token route"),
            (r#"{"narrow":false}"#, "narrow must be true"),
            (r#"{"headers":{"a b":"c"}}"#, "not the name of a header"),
            (r#"{"headers":{"a":"b\nc"}}"#, "cannot carry"),
            (r#"{"headers":{"Content-Length":"1"}}"#, "frames the answer"),
            (r#"{"retry_after":"1\r\n"}"#, "cannot carry"),
        ];
        for (text, reason) in cases {
            let message = read(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn the_examples_of_the_manual_are_taken() {
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
