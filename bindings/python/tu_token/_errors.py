"""The exceptions: one for each status, with a common base class."""

from __future__ import annotations

import builtins
import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Status(enum.IntEnum):
    """The library's status numbers, the same in every language."""

    OK = 0
    INVALID_ARGUMENT = 1
    CONFIG = 2
    CLOSED = 3
    TIMEOUT = 100
    CANCELLED = 101
    PENDING = 102
    NETWORK = 200
    TLS = 201
    CREDENTIALS = 202
    PROXY = 203
    INVALID_CLIENT = 300
    INVALID_SCOPE = 301
    OAUTH = 302
    RATE_LIMITED = 303
    SERVER = 304
    BAD_RESPONSE = 305
    BUDGET = 400
    INTERNAL = 900


class Error(Exception):
    """Base class of all errors of this package.

    The message is one line of text and never contains a secret. If the program's credentials
    function raised an exception, that is the ``__cause__`` for one of the waiting callers.
    """

    status: Status = Status.INTERNAL
    """The kind of failure."""
    oauth_code: str | None = None
    """The ``error`` member of the token endpoint's response (RFC 6749 section 5.2)."""
    http_status: int | None = None
    """The HTTP status of the token endpoint's response, if there was one."""
    retryable: bool = False
    """Whether the same call may succeed later without any change."""
    retry_after: float | None = None
    """Seconds until the client would send the next token request, if known."""

    def __init__(
        self,
        message: str = "",
        *,
        status: Status | None = None,
        oauth_code: str | None = None,
        http_status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        # Each class has its own defaults.
        self.status = self.status if status is None else status
        self.oauth_code = oauth_code
        self.http_status = http_status
        self.retryable = self.retryable if retryable is None else retryable
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Callable[..., Error], tuple[object, ...]]:
        return _restored, (type(self), self.args, dict(self.__dict__))


def _restored(kind: type[Error], args: tuple[object, ...], members: dict[str, object]) -> Error:
    # Without calling `__init__`, whose signature a subclass may change.
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error


class ArgumentError(Error, ValueError):
    """An argument is invalid, such as a scope with forbidden characters or a negative time."""

    status = Status.INVALID_ARGUMENT


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has the wrong type."""


class ConfigError(Error, ValueError):
    """An option is unknown, invalid, missing, or contradicts another one."""

    status = Status.CONFIG


class ConfigTypeError(ConfigError, TypeError):
    """An option has the wrong type."""


class ClosedError(Error):
    """The client was closed."""

    status = Status.CLOSED


class TimeoutError(Error, builtins.TimeoutError):
    """This caller's wait timed out; the fetch continues."""

    status = Status.TIMEOUT
    retryable = True


class PendingError(TimeoutError):
    """The call does not wait and no token is cached yet; one is being fetched."""

    status = Status.PENDING


class NetworkError(Error, ConnectionError):
    """Name resolution or the connection failed, or the endpoint was too slow."""

    status = Status.NETWORK
    retryable = True


class ProxyError(NetworkError):
    """The proxy refused the login, which is not retryable, or the connection."""

    status = Status.PROXY
    retryable = False


class TLSError(Error):
    """The certificate, the host name or the trust store is at fault."""

    status = Status.TLS


class CredentialsError(Error):
    """The client id or secret is not available from its source."""

    status = Status.CREDENTIALS
    retryable = True


class InvalidClientError(Error):
    """The token endpoint refused the client id and secret.

    It answered ``invalid_client``, ``unauthorized_client``, or 401 without an OAuth error.
    """

    status = Status.INVALID_CLIENT


class InvalidScopeError(Error):
    """The token endpoint refused the scope, or granted less than requested."""

    status = Status.INVALID_SCOPE


class OAuthError(Error):
    """Any other OAuth 2.0 error: see ``oauth_code``."""

    status = Status.OAUTH


class RateLimitedError(Error):
    """The endpoint answered 429, or an earlier ``Retry-After`` still applies."""

    status = Status.RATE_LIMITED
    retryable = True


class ServerError(Error):
    """The endpoint answered 5xx or with an OAuth code for a server error."""

    status = Status.SERVER
    retryable = True


class BadResponseError(Error):
    """The response is not a token, or is a redirect."""

    status = Status.BAD_RESPONSE
    retryable = True


class BudgetError(Error):
    """The client's own limit of token requests per minute is reached."""

    status = Status.BUDGET
    retryable = True


class InternalError(Error):
    """A bug in this package; if ``retryable``, no thread can be started."""

    status = Status.INTERNAL


_BY_STATUS: dict[int, type[Error]] = {
    kind.status: kind
    for kind in (
        ArgumentError,
        ConfigError,
        ClosedError,
        TimeoutError,
        PendingError,
        NetworkError,
        TLSError,
        CredentialsError,
        ProxyError,
        InvalidClientError,
        InvalidScopeError,
        OAuthError,
        RateLimitedError,
        ServerError,
        BadResponseError,
        BudgetError,
        InternalError,
    )
}


def from_core(
    status: int,
    message: str,
    oauth_code: str | None,
    http_status: int | None,
    retryable: bool,
    retry_after: float | None,
) -> Error:
    """Return the exception for a failure reported by the native module."""
    return _BY_STATUS.get(status, Error)(
        message,
        status=Status(status),
        oauth_code=oauth_code,
        http_status=http_status,
        retryable=retryable,
        retry_after=retry_after,
    )
