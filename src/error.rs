//! What can go wrong, as one small cloneable value that reads like a sentence.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What kind of failure an [`Error`] is. Each kind has a fixed number and name in the C API.
///
/// ```
/// use tu_token::ErrorKind;
///
/// // Every kind has a number and a name that other languages share.
/// assert_eq!((ErrorKind::InvalidScope.status(), ErrorKind::InvalidScope.name()), (301, "TU_INVALID_SCOPE"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument cannot be used: a NULL, bad UTF-8, a scope with forbidden characters.
    InvalidArgument,
    /// An option is unknown, has a bad value, is missing or contradicts another one.
    Config,
    /// The client was closed.
    Closed,
    /// This caller's wait ended; the fetch it waited for goes on.
    Timeout,
    /// This caller's wait was cancelled; the fetch it waited for goes on.
    Cancelled,
    /// The caller does not wait and there is no token yet; a fetch has been started.
    Pending,
    /// Name resolution, connection, reset, or the endpoint was too slow.
    Network,
    /// The certificate, the host name or the trust store.
    Tls,
    /// The client id or secret cannot be had from where it is kept.
    Credentials,
    /// The proxy refuses: its login, or by its rules.
    Proxy,
    /// The token endpoint refused the client id and secret: `invalid_client`, `unauthorized_client`, or
    /// 401 without an OAuth error.
    InvalidClient,
    /// The token endpoint refused the scope, or granted less than was asked for.
    InvalidScope,
    /// Another OAuth 2.0 error code (RFC 6749 section 5.2).
    OAuth,
    /// Status 429, or a `Retry-After` that is still running.
    RateLimited,
    /// A 5xx answer, or an OAuth code that says the server is in trouble.
    Server,
    /// An answer that is not a token, or a redirect.
    BadResponse,
    /// This client's own limit of token requests a minute.
    Budget,
    /// A bug of this library, contained; or, if it is retryable, the system has no thread to give: a
    /// limit on processes, or memory.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the numbers.
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

    /// The `tu_status` number of the C API. Never reused for another meaning.
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
        // The C strings are the one list; this is the same text without its NUL.
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

    /// Whether trying again later can help when nothing else is known.
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

/// A failure: its kind, one line for a person, and what the token endpoint said.
///
/// Cloning is cheap; all callers that waited for one fetch share one error. The message holds
/// neither a secret nor a token.
///
/// ```
/// # let emulator = tu_token_emulator::Emulator::start()?;
/// # let client = emulator.client_options().iter()
/// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
/// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
/// let error = client.get(&options).unwrap_err();
/// assert_eq!(error.oauth_code(), Some("invalid_scope"));
/// assert!(error.to_string().contains("site.update"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Error {
    detail: Arc<Detail>,
    /// Not shared: the wait that is left differs from caller to caller.
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

/// What a function of the program failed with.
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

    /// As a fetch that failed tells it to those who waited. How long to wait is the whole message of
    /// a rate limit, so that one says it.
    pub(crate) fn told(self, wait: Option<Duration>) -> Self {
        match (self.kind(), wait) {
            (ErrorKind::RateLimited, Some(wait)) => self.with_next_try("", wait),
            _ => self.with_retry_after(wait),
        }
    }

    /// As it is told to those for whose sake nothing was asked.
    pub(crate) fn remembered(self, wait: Duration) -> Self {
        match self.kind() {
            // That is found out each time, and says how long.
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

    /// What kind of failure this is.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert_eq!(error.kind(), tu_token::ErrorKind::InvalidScope);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.detail.kind
    }

    /// One line that says what was being done, what was found and what to do.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert!(error.message().contains("asked for: site.update"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// The `error` member of the endpoint's answer (RFC 6749 section 5.2), cleaned of secrets.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert_eq!(error.oauth_code(), Some("invalid_scope"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn oauth_code(&self) -> Option<&str> {
        self.detail.oauth_code.as_deref()
    }

    /// The HTTP status of the endpoint's answer, if there was one.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert_eq!(error.http_status(), Some(400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn http_status(&self) -> Option<u16> {
        (self.detail.http_status != 0).then_some(self.detail.http_status)
    }

    /// Whether the same call may succeed later without anybody changing anything.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
    /// let options = tu_token::GetOptions { scope: Some("site.update"), ..Default::default() };
    /// let error = client.get(&options).unwrap_err();
    /// assert!(!error.is_retryable());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_retryable(&self) -> bool {
        self.detail.retryable
    }

    /// How long until this client would ask the endpoint again, if that is known.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
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
    /// What the program's credentials function failed with, for those who waited for that fetch;
    /// `None` for every other failure.
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
        // That is found out anew each time, and says how long by itself.
        assert_eq!(told(ErrorKind::Budget, 5000), "no");
    }

    #[test]
    fn only_a_rate_limit_says_how_long_when_it_is_news() {
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
