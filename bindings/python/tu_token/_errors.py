"""What can go wrong: one exception for each status, below one base."""

from __future__ import annotations

import builtins
import enum
from collections.abc import Callable


class Status(enum.IntEnum):
    """The status numbers of the library, the same in every language."""

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
    """Any failure of this package.

    The message is one line for a person and holds no secret. When the program's credentials
    function raised, its exception is the ``__cause__``, at one of the callers that waited.
    """

    status: Status = Status.INTERNAL
    """What kind of failure it is, as a number."""
    oauth_code: str | None = None
    """The ``error`` member of the token endpoint's answer (RFC 6749 section 5.2)."""
    http_status: int | None = None
    """The HTTP status of the endpoint's answer, if there was one."""
    retryable: bool = False
    """Whether the same call may succeed later without anybody changing anything."""
    retry_after: float | None = None
    """Seconds until the client would ask the endpoint again, if that is known."""

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
        # Of each kind its own, if not told.
        self.status = self.status if status is None else status
        self.oauth_code = oauth_code
        self.http_status = http_status
        self.retryable = self.retryable if retryable is None else retryable
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Callable[..., Error], tuple[object, ...]]:
        return _restored, (type(self), self.args, dict(self.__dict__))


def _restored(kind: type[Error], args: tuple[object, ...], members: dict[str, object]) -> Error:
    # Not by its `__init__`, which takes what it likes.
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error


class ArgumentError(Error, ValueError):
    """An argument cannot be used: a scope with forbidden characters, a negative time."""

    status = Status.INVALID_ARGUMENT


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of a type that cannot be used."""


class ConfigError(Error, ValueError):
    """An option is unknown, has a bad value, is missing, or contradicts another one."""

    status = Status.CONFIG


class ConfigTypeError(ConfigError, TypeError):
    """An option's value is of a type that cannot be used."""


class ClosedError(Error):
    """The client was closed."""

    status = Status.CLOSED


class TimeoutError(Error, builtins.TimeoutError):
    """This caller's wait ended; the fetch that it waited for goes on."""

    status = Status.TIMEOUT
    retryable = True


class PendingError(TimeoutError):
    """The call does not wait and there is no token yet; a fetch has been started."""

    status = Status.PENDING


class NetworkError(Error, ConnectionError):
    """Name resolution, connection, reset, or an endpoint that is too slow."""

    status = Status.NETWORK
    retryable = True


class ProxyError(NetworkError):
    """The proxy refuses: its login, which is not retryable, or by its rules."""

    status = Status.PROXY
    retryable = False


class TLSError(Error):
    """The certificate, the host name or the trust store."""

    status = Status.TLS


class CredentialsError(Error):
    """The client id or secret cannot be had from where it is kept."""

    status = Status.CREDENTIALS
    retryable = True


class InvalidClientError(Error):
    """The token endpoint refused the client id and secret: ``invalid_client``,
    ``unauthorized_client``, or 401 without an OAuth error."""

    status = Status.INVALID_CLIENT


class InvalidScopeError(Error):
    """The token endpoint refused the scope, or granted less than was asked for."""

    status = Status.INVALID_SCOPE


class OAuthError(Error):
    """Another OAuth 2.0 error: see ``oauth_code``."""

    status = Status.OAUTH


class RateLimitedError(Error):
    """Status 429, or a ``Retry-After`` that is still running."""

    status = Status.RATE_LIMITED
    retryable = True


class ServerError(Error):
    """A 5xx answer, or an OAuth code that says the server is in trouble."""

    status = Status.SERVER
    retryable = True


class BadResponseError(Error):
    """An answer that is not a token, or a redirect."""

    status = Status.BAD_RESPONSE
    retryable = True


class BudgetError(Error):
    """The client's own limit of token requests a minute."""

    status = Status.BUDGET
    retryable = True


class InternalError(Error):
    """A bug of this package, contained; if ``retryable``: no thread can be started."""

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
    """The exception for a failure of the native module's."""
    return _BY_STATUS.get(status, Error)(
        message,
        status=Status(status),
        oauth_code=oauth_code,
        http_status=http_status,
        retryable=retryable,
        retry_after=retry_after,
    )
