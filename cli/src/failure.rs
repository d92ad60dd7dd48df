//! Why a run ends early: an exit code, one line for a person, and a hint.

use std::process::ExitCode;

use tu_token::{Error, ErrorKind};

use crate::output;

pub const USAGE: u8 = 2;
pub const REFUSED: u8 = 3;
pub const LATER: u8 = 4;
pub const TLS: u8 = 5;
pub const INTERNAL: u8 = 70;

/// Why a run ends early.
pub struct Failure {
    code: u8,
    /// Empty: all has been said.
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// A failure that has been told already.
    pub fn silent(code: u8) -> Self {
        Self::new(code, "")
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what happened on stderr, in one line whatever it is about; the exit code.
    pub fn tell(self) -> ExitCode {
        if !self.message.is_empty() {
            // A name that was given may hold line breaks, and what a terminal obeys.
            let plain = |c: char| if c.is_control() { ' ' } else { c };
            let message: String = self.message.chars().map(plain).collect();
            output::say(&format!("tu-token: {message}"));
        }
        if let Some(hint) = self.hint {
            output::say(&format!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Failure::new(exit_code(error.kind()), error.message());
        match hint(&error) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

/// The exit code of a kind of failure.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind.status() {
        1 | 2 => USAGE,
        203 | 300..=302 => REFUSED,
        201 => TLS,
        100..=299 | 303..=400 => LATER,
        _ => INTERNAL,
    }
}

fn hint(error: &Error) -> Option<String> {
    let wait = error.retry_after().map(|wait| format!("try again in {} s", wait.as_secs() + 1));
    Some(match error.kind() {
        ErrorKind::InvalidArgument if error.message().starts_with("no scope") => {
            "set --scope or TRACKUNIT_SCOPE, for example to asset.view".to_owned()
        }
        ErrorKind::InvalidArgument | ErrorKind::Config => {
            "`tu-token options` shows every option and where its value comes from".to_owned()
        }
        ErrorKind::InvalidClient => {
            "`tu-token doctor` says where id and secret come from, and looks further".to_owned()
        }
        ErrorKind::InvalidScope => {
            "allow the scope for the key in the API Keys application, or ask \
                                    for less; `tu-token doctor` finds out which"
                .to_owned()
        }
        // Not the doctor: it would be one more login.
        ErrorKind::Proxy if !error.is_retryable() => {
            "mend user and password in the proxy's URL first: every run logs in again, and each \
             login may lock the account"
                .to_owned()
        }
        // A token in the store is none at hand before it has been looked for.
        ErrorKind::Pending => {
            "a run begins without a token: let it wait, by a --timeout (TRACKUNIT_TIMEOUT) above 0"
                .to_owned()
        }
        ErrorKind::BadResponse if matches!(error.http_status(), Some(404 | 405)) => {
            "check the path of --token-url or TRACKUNIT_TOKEN_URL: another try does not mend that"
                .to_owned()
        }
        ErrorKind::RateLimited | ErrorKind::Budget => wait?,
        ErrorKind::Internal if error.is_retryable() => {
            "raise the limit (ulimit -u, or the container's pids limit), or try again when other \
             programs have ended"
                .to_owned()
        }
        ErrorKind::Internal => "this is a bug of tu-token: please report it".to_owned(),
        _ => "`tu-token doctor` finds out how far a request gets".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        let codes: Vec<u8> = ErrorKind::ALL.into_iter().map(exit_code).collect();
        assert_eq!(codes, [2, 2, 70, 4, 4, 4, 4, 5, 4, 3, 3, 3, 3, 4, 4, 4, 4, 70]);
    }
}
