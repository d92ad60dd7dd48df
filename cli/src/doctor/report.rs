//! A check and how it is shown: a line of text as soon as it is done, or one JSON object at the end.

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    /// Works, but needs attention.
    Warning,
    /// With the exit code.
    Failed(u8),
    Skipped,
}

impl State {
    pub fn is_failed(self) -> bool {
        matches!(self, State::Failed(_))
    }

    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed(_) => "failed",
            State::Skipped => "skipped",
        }
    }

    /// The colour, as an ANSI escape sequence.
    fn colour(self) -> &'static str {
        match self {
            State::Ok => "\x1b[32m",
            State::Warning => "\x1b[33m",
            State::Failed(_) => "\x1b[1;31m",
            State::Skipped => "\x1b[2m",
        }
    }
}

/// One check.
pub struct Check {
    name: &'static str,
    pub state: State,
    /// The finding, for programs.
    code: String,
    /// The finding, for people.
    why: String,
    remedy: Option<String>,
    details: Map<String, Value>,
}

impl Check {
    pub fn new(name: &'static str, state: State, code: &str, why: impl Into<String>) -> Self {
        let (code, why) = (code.to_owned(), why.into());
        Self { name, state, code, why, remedy: None, details: Map::new() }
    }

    pub fn ok(name: &'static str, code: &str, why: impl Into<String>) -> Self {
        Self::new(name, State::Ok, code, why)
    }

    pub fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, State::Skipped, "skipped", why)
    }

    /// Replaces the state.
    pub fn state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// What to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds a member to the JSON.
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a warning. A failed check stays failed.
    pub fn warn(mut self, code: &str, why: &str, remedy: impl Into<String>) -> Self {
        if !self.state.is_failed() {
            self.state = State::Warning;
            self.code = code.to_owned();
            self.why = format!("{}; {why}", self.why);
            self.remedy = Some(remedy.into());
        }
        self
    }

    fn line(&self, coloured: bool) -> String {
        let (state, name, why) = (self.state.word(), self.name, output::one_line(&self.why));
        let (on, off) = if coloured { (self.state.colour(), "\x1b[0m") } else { ("", "") };
        let mut line = format!("{on}{state:<8}{off} {name:<16} {why}");
        if let Some(remedy) = &self.remedy {
            line += &format!("\n{:<26}-> {remedy}", "");
        }
        line
    }

    fn object(&self) -> Value {
        let mut object = self.details.clone();
        object.insert("check".to_owned(), json!(self.name));
        object.insert("state".to_owned(), json!(self.state.word()));
        object.insert("code".to_owned(), json!(self.code));
        object.insert("why".to_owned(), json!(self.why));
        object.insert("what_to_do".to_owned(), json!(self.remedy));
        object.into()
    }
}

/// All checks of a run.
pub struct Report {
    json: bool,
    coloured: bool,
    checks: Vec<Check>,
}

impl Report {
    pub fn new(json: bool, coloured: bool) -> Self {
        Self { json, coloured, checks: Vec::new() }
    }

    /// Prints the check at once, because the next one may be slow.
    pub fn add(&mut self, check: Check) -> Result<(), Failure> {
        if !self.json {
            output::line(&check.line(self.coloured))?;
        }
        self.checks.push(check);
        Ok(())
    }

    /// Reports checks that could not be made.
    pub fn skip(&mut self, names: &[&'static str], why: &str) -> Result<(), Failure> {
        names.iter().try_for_each(|name| self.add(Check::skipped(name, why)))
    }

    /// Whether this check failed.
    pub fn has_failed(&self, name: &str) -> bool {
        self.checks.iter().any(|check| check.name == name && check.state.is_failed())
    }

    /// Ends the report. The exit code is that of the first failed check.
    pub fn finish(self) -> Result<(), Failure> {
        let code = self.checks.iter().find_map(|check| match check.state {
            State::Failed(code) => Some(code),
            _ => None,
        });
        if self.json {
            let checks: Vec<Value> = self.checks.iter().map(Check::object).collect();
            let report = json!({
                "ok": code.is_none(),
                "exit_code": code.unwrap_or(0),
                "version": env!("CARGO_PKG_VERSION"),
                "checks": checks,
            });
            output::line(&format!("{report:#}"))?;
        }
        match code {
            None => Ok(()),
            // The report has already printed the failure.
            Some(code) => Err(Failure::silent(code)),
        }
    }
}
