"""Obtain, cache and renew OAuth 2.0 access tokens for Trackunit's IRIS APIs.

    import tu_token

    client = tu_token.Client(client_id="...", client_secret="...", scope="asset.view")
    client.token()              # the bare token, cached or fetched once for all callers
    client.get().header         # {"Authorization": "Bearer ..."}

Options not given come from ``TRACKUNIT_*`` environment variables.
"""

from __future__ import annotations

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
from ._native import Token, __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    from ._httpx import HttpxAuth as HttpxAuth
    from ._requests import RequestsAuth as RequestsAuth
    from ._stats import State, Stats
    from ._types import Options

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


# Everything else is loaded at its first use: what it imports (`enum`, `dataclasses`, `typing`) takes
# longer than all the rest.
_OTHERS = {
    "Event": "_events",
    "EventKind": "_events",
    "HttpxAuth": "_httpx",
    "Options": "_types",
    "RequestsAuth": "_requests",
    "State": "_stats",
    "Stats": "_stats",
}


def __getattr__(name: str) -> object:
    if name in _OTHERS:
        module = _OTHERS[name]
    elif name in __all__:
        module = "_errors"
    else:
        raise AttributeError(f"module 'tu_token' has no attribute {name!r}")
    value = getattr(__import__(module, globals(), None, [name], 1), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_OTHERS})
