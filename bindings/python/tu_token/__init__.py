"""Obtain, cache and renew OAuth 2.0 access tokens for Trackunit's IRIS APIs.

    import tu_token

    client = tu_token.Client(client_id="...", client_secret="...", scope="asset.view")
    client.token()              # the bare token, cached or fetched once for all callers
    client.get().header         # {"Authorization": "Bearer ..."}

Options not given come from ``TRACKUNIT_*`` environment variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from . import _native as _native
except ImportError as _refused:
    # An isolated subinterpreter refuses the native module before that can raise its own error.
    if "subinterpreters" not in str(_refused):
        raise
    raise ImportError(
        "tu_token works only in the main interpreter of a process, and this is an isolated "
        "subinterpreter. Under mod_wsgi, run the application in the main one: "
        "WSGIApplicationGroup %{GLOBAL}"
    ) from None

from ._client import Client
from ._errors import (
    ArgumentError,
    BadResponseError,
    BudgetError,
    ClosedError,
    ConfigError,
    CredentialsError,
    Error,
    InternalError,
    InvalidClientError,
    InvalidScopeError,
    NetworkError,
    OAuthError,
    PendingError,
    ProxyError,
    RateLimitedError,
    ServerError,
    Status,
    TimeoutError,
    TLSError,
)
from ._events import Event, EventKind
from ._native import Token, __version__
from ._options import Options
from ._stats import State, Stats

if TYPE_CHECKING:
    from ._httpx import HttpxAuth as HttpxAuth
    from ._requests import RequestsAuth as RequestsAuth

# Without `RequestsAuth` and `HttpxAuth`: each needs a package that may not be installed.
__all__ = [
    "ArgumentError",
    "BadResponseError",
    "BudgetError",
    "Client",
    "ClosedError",
    "ConfigError",
    "CredentialsError",
    "Error",
    "Event",
    "EventKind",
    "InternalError",
    "InvalidClientError",
    "InvalidScopeError",
    "NetworkError",
    "OAuthError",
    "Options",
    "PendingError",
    "ProxyError",
    "RateLimitedError",
    "ServerError",
    "State",
    "Stats",
    "Status",
    "TLSError",
    "TimeoutError",
    "Token",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name == "RequestsAuth":
        from ._requests import RequestsAuth

        return RequestsAuth
    if name == "HttpxAuth":
        from ._httpx import HttpxAuth

        return HttpxAuth
    raise AttributeError(f"module 'tu_token' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "HttpxAuth", "RequestsAuth"])
