//! The error type: small, cheap to clone, with a message for people.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The kind of an [`Error`]. Each kind has a fixed number and name in the C API.
///
/// ```
/// use tu_token::ErrorKind;
///
/// // Numbers and names are the same in every language.
/// assert_eq!((ErrorKind::InvalidScope.status(), ErrorKind::InvalidScope.name()), (301, "TU_INVALID_SCOPE"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An invalid argument: NULL, invalid UTF-8, a scope with forbidden characters.
    InvalidArgument,
    /// An option is unknown, invalid, missing or contradicts another one.
    Config,
    /// The client was closed.
    Closed,
    /// This caller's wait timed out; the fetch continues.
    Timeout,
    /// This caller's wait was cancelled; the fetch continues.
    Cancelled,
    /// No valid token yet, and the call does not wait; a fetch has been started.
    Pending,
    /// Name resolution, connect, connection reset, or a network timeout.
    Network,
    /// Certificate, host name, or no trust store.
    Tls,
    /// The client id or secret is not available (file, callback).
    Credentials,
    /// The proxy refused the login (407) or the request (403).
    Proxy,
    /// The token endpoint refused the client id and secret: `invalid_client`,
    /// `unauthorized_client`, or 401 without an OAuth error.
    InvalidClient,
    /// The token endpoint refused the scope, or granted less than requested.
    InvalidScope,
    /// Another OAuth 2.0 error code (RFC 6749 section 5.2).
    OAuth,
    /// Status 429, or a `Retry-After` that has not passed yet.
    RateLimited,
    /// A 5xx response, or `server_error` or `temporarily_unavailable`.
    Server,
    /// A response that is not a token, or a redirect.
    BadResponse,
    /// This client's own limit on token requests per minute.
    Budget,
    /// A contained bug in this library; if retryable, a thread could not be started (process limit,
    /// memory).
    Internal,
}

impl ErrorKind {
    /// Every kind, in ascending order of [`ErrorKind::status`].
    ///
    /// ```
    /// assert!(tu_token::ErrorKind::ALL.contains(&tu_token::ErrorKind::Timeout));
    /// ```
    pub const ALL: [ErrorKind; 18] = [
        Self::InvalidArgument,
        Self::Config,
        Self::Closed,
        Self::Timeout,
        Self::Cancelled,
        Self::Pending,
        Self::Network,
        Self::Tls,
        Self::Credentials,
        Self::Proxy,
        Self::InvalidClient,
        Self::InvalidScope,
        Self::OAuth,
        Self::RateLimited,
        Self::Server,
        Self::BadResponse,
        Self::Budget,
        Self::Internal,
    ];

    /// The `tu_status` number of the C API. Numbers are never reused.
    ///
    /// ```
    /// assert_eq!(tu_token::ErrorKind::Internal.status(), 900);
    /// ```
    pub const fn status(self) -> i32 {
        match self {
            Self::InvalidArgument => 1,
            Self::Config => 2,
            Self::Closed => 3,
            Self::Timeout => 100,
            Self::Cancelled => 101,
            Self::Pending => 102,
            Self::Network => 200,
            Self::Tls => 201,
            Self::Credentials => 202,
            Self::Proxy => 203,
            Self::InvalidClient => 300,
            Self::InvalidScope => 301,
            Self::OAuth => 302,
            Self::RateLimited => 303,
            Self::Server => 304,
            Self::BadResponse => 305,
            Self::Budget => 400,
            Self::Internal => 900,
        }
    }

    /// The name of the status in the C API, such as `TU_INVALID_CLIENT`.
    ///
    /// ```
    /// assert_eq!(tu_token::ErrorKind::Budget.name(), "TU_BUDGET");
    /// ```
    pub const fn name(self) -> &'static str {
        // The list of C strings is the only one; this is the same text without its NUL.
        match self.c_name().to_str() {
            Ok(name) => name,
            Err(_) => "",
        }
    }

    pub(crate) const fn c_name(self) -> &'static std::ffi::CStr {
        match self {
            Self::InvalidArgument => c"TU_INVALID_ARGUMENT",
            Self::Config => c"TU_CONFIG",
            Self::Closed => c"TU_CLOSED",
            Self::Timeout => c"TU_TIMEOUT",
            Self::Cancelled => c"TU_CANCELLED",
            Self::Pending => c"TU_PENDING",
            Self::Network => c"TU_NETWORK",
            Self::Tls => c"TU_TLS",
            Self::Credentials => c"TU_CREDENTIALS",
            Self::Proxy => c"TU_PROXY",
            Self::InvalidClient => c"TU_INVALID_CLIENT",
            Self::InvalidScope => c"TU_INVALID_SCOPE",
            Self::OAuth => c"TU_OAUTH",
            Self::RateLimited => c"TU_RATE_LIMITED",
            Self::Server => c"TU_SERVER",
            Self::BadResponse => c"TU_BAD_RESPONSE",
            Self::Budget => c"TU_BUDGET",
            Self::Internal => c"TU_INTERNAL",
        }
    }

    /// Whether a later retry can help, unless the failure says otherwise.
    const fn usually_retryable(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Cancelled
                | Self::Pending
                | Self::Network
                | Self::Credentials
                | Self::Proxy
                | Self::RateLimited
                | Self::Server
                | Self::BadResponse
                | Self::Budget
        )
    }
}

/// A failure: its kind, a one-line message, and the token endpoint's error code and status.
///
/// Cheap to clone: all callers that waited for one fetch share one error. The message contains no
/// secret and no token.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
/// let error = client.get(&options).unwrap_err();
/// assert_eq!(error.oauth_code(), Some("invalid_scope"));
/// assert!(error.to_string().contains("site.update"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Error {
    detail: Arc<Detail>,
    /// Not shared: the remaining wait differs between callers.
    retry_after: Option<Duration>,
}

#[derive(Clone)]
struct Detail {
    kind: ErrorKind,
    message: String,
    oauth_code: Option<String>,
    http_status: u16,
    retryable: bool,
    cause: Option<Arc<Cause>>,
}

/// The error that a credentials function returned.
pub(crate) type Cause = dyn std::error::Error + Send + Sync;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            detail: Arc::new(Detail {
                kind,
                message: message.into(),
                oauth_code: None,
                http_status: 0,
                retryable: kind.usually_retryable(),
                cause: None,
            }),
            retry_after: None,
        }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn with_oauth_code(mut self, code: Option<&str>) -> Self {
        Arc::make_mut(&mut self.detail).oauth_code = code.map(str::to_owned);
        self
    }

    pub(crate) fn with_http_status(mut self, status: u16) -> Self {
        Arc::make_mut(&mut self.detail).http_status = status;
        self
    }

    pub(crate) fn with_retryable(mut self, retryable: bool) -> Self {
        Arc::make_mut(&mut self.detail).retryable = retryable;
        self
    }

    pub(crate) fn with_cause(mut self, cause: Option<Arc<Cause>>) -> Self {
        Arc::make_mut(&mut self.detail).cause = cause;
        self
    }

    pub(crate) fn take_cause(&mut self) -> Option<Arc<Cause>> {
        self.detail.cause.is_some().then(|| Arc::make_mut(&mut self.detail).cause.take())?
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The error as the waiters of the failed fetch receive it. Only a rate limit states the wait:
    /// it is the point of that message.
    pub(crate) fn told(self, wait: Option<Duration>) -> Self {
        match (self.kind(), wait) {
            (ErrorKind::RateLimited, Some(wait)) => self.with_next_try("", wait),
            _ => self.with_retry_after(wait),
        }
    }

    /// The error as later callers receive it, for which no request was made.
    pub(crate) fn remembered(self, wait: Duration) -> Self {
        match self.kind() {
            // Created for each caller, and its message already states the wait.
            ErrorKind::Budget => self.with_retry_after(Some(wait)),
            _ => self.with_next_try("remembered; ", wait),
        }
    }

    fn with_next_try(mut self, how: &str, wait: Duration) -> Self {
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        let detail = Arc::make_mut(&mut self.detail);
        detail.message += &format!(" ({how}next try in {seconds} s)");
        self.with_retry_after(Some(wait))
    }

    /// The kind of failure.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert_eq!(error.kind(), tu_token::ErrorKind::InvalidScope);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.detail.kind
    }

    /// One line: what was attempted, what was found, what to do. No secret, no token.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert!(error.message().contains("asked for: site.update"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// The `error` member of the token endpoint's response (RFC 6749 section 5.2), secrets removed.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert_eq!(error.oauth_code(), Some("invalid_scope"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn oauth_code(&self) -> Option<&str> {
        self.detail.oauth_code.as_deref()
    }

    /// The HTTP status of the token endpoint's response, if there was one.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert_eq!(error.http_status(), Some(400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn http_status(&self) -> Option<u16> {
        (self.detail.http_status != 0).then_some(self.detail.http_status)
    }

    /// Whether the same call may succeed later without any change to program or configuration.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert!(!error.is_retryable());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_retryable(&self) -> bool {
        self.detail.retryable
    }

    /// Time until this client would send the next token request, if known.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert!(error.retry_after().unwrap().as_secs() <= 60);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("message", &self.message())
            .field("oauth_code", &self.oauth_code())
            .field("http_status", &self.http_status())
            .field("retry_after", &self.retry_after)
            .finish()
    }
}

impl std::error::Error for Error {
    /// The error of the credentials function, for callers that waited for that fetch; `None` for
    /// every other failure.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.detail.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_rising() {
        let numbers: Vec<i32> = ErrorKind::ALL.iter().map(|kind| kind.status()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_remembered_error_says_so_and_how_long_in_whole_seconds() {
        let told = |kind: ErrorKind, ms: u64| {
            let live = Error::new(kind, "no");
            let later = live.clone().remembered(Duration::from_millis(ms));
            assert_eq!((live.message(), live.retry_after()), ("no", None));
            assert_eq!(later.retry_after(), Some(Duration::from_millis(ms)));
            later.message().to_owned()
        };
        assert_eq!(told(ErrorKind::Server, 12_001), "no (remembered; next try in 13 s)");
        assert_eq!(told(ErrorKind::Server, 13_000), "no (remembered; next try in 13 s)");
        assert_eq!(told(ErrorKind::InvalidClient, 1), "no (remembered; next try in 1 s)");
        // Its message already states the wait.
        assert_eq!(told(ErrorKind::Budget, 5000), "no");
    }

    #[test]
    fn among_new_failures_only_a_rate_limit_states_the_wait() {
        let wait = Some(Duration::from_secs(2));
        let told = |kind: ErrorKind, wait| Error::new(kind, "no").told(wait).message().to_owned();
        assert_eq!(told(ErrorKind::RateLimited, wait), "no (next try in 2 s)");
        assert_eq!(told(ErrorKind::RateLimited, None), "no");
        assert_eq!(told(ErrorKind::Server, wait), "no");
    }

    #[test]
    fn a_clone_with_another_wait_leaves_the_first_alone() {
        let error = Error::new(ErrorKind::Server, "x");
        let other = error.clone().with_retry_after(Some(Duration::from_secs(2)));
        assert_eq!(error.retry_after(), None);
        assert_eq!(other.retry_after(), Some(Duration::from_secs(2)));
    }
}
