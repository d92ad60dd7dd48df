//! A failed run: an exit code, a one-line message and a hint.

use tu_token::{Error, ErrorKind};

use crate::output;

pub const USAGE: u8 = 2;
pub const REFUSED: u8 = 3;
pub const LATER: u8 = 4;
pub const TLS: u8 = 5;
pub const INTERNAL: u8 = 70;

/// A failed run.
pub struct Failure {
    code: u8,
    /// Empty if the failure has already been reported.
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// A failure that has already been reported.
    pub fn silent(code: u8) -> Self {
        Self::new(code, "")
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Reports the failure on stderr, always in one line, and returns the exit code.
    pub fn tell(self) -> u8 {
        if !self.message.is_empty() {
            output::say(&format!("tu-token: {}", output::one_line(&self.message)));
        }
        if let Some(hint) = self.hint {
            output::say(&format!("hint: {hint}"));
        }
        self.code
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

/// The exit code for a kind of error.
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
            "`tu-token doctor` shows where id and secret come from, and checks the rest".to_owned()
        }
        ErrorKind::InvalidScope => {
            "allow the scope for the key in the API Keys application, or request fewer scopes; \
             `tu-token doctor` finds out which one is refused"
                .to_owned()
        }
        // Not the doctor: it would log in once more.
        ErrorKind::Proxy if !error.is_retryable() => {
            "correct user and password in the proxy's URL first: every run logs in again, and each \
             login may lock the account"
                .to_owned()
        }
        // A stored token is not cached before the store has been read.
        ErrorKind::Pending => {
            "a run starts without a token: let it wait, with a --timeout (TRACKUNIT_TIMEOUT) above 0"
                .to_owned()
        }
        ErrorKind::BadResponse if matches!(error.http_status(), Some(404 | 405)) => {
            "check the path of --token-url or TRACKUNIT_TOKEN_URL: retrying does not help".to_owned()
        }
        ErrorKind::RateLimited | ErrorKind::Budget => wait?,
        ErrorKind::Internal if error.is_retryable() => {
            "raise the limit (ulimit -u, or the container's pids limit), or try again once other \
             programs have ended"
                .to_owned()
        }
        ErrorKind::Internal => "this is a bug in tu-token: please report it".to_owned(),
        _ => "`tu-token doctor` finds out where the request fails".to_owned(),
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
