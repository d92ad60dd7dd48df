import asyncio
import datetime
from collections.abc import Callable
from typing import NoReturn, final

from typing_extensions import Self, disjoint_base

from ._events import Event
from ._types import Credentials, Seconds, Texts

__all__ = [
    "Bridge",
    "Client",
    "Token",
    "Wait",
    "__version__",
    "after_fork_in_parent",
    "at_exit",
    "before_fork",
    "option_keys",
    "recognized_text",
    "recognized_token",
]

__version__: str

def after_fork_in_parent() -> None: ...
def at_exit() -> None: ...
def before_fork() -> None: ...
def option_keys() -> list[str]: ...
def recognized_text(
    client: Client,
    scope: Texts | None,
    timeout: Seconds | None,
    min_ttl: Seconds | None,
    /,
) -> str | None: ...
def recognized_token(
    client: Client,
    scope: Texts | None,
    timeout: Seconds | None,
    min_ttl: Seconds | None,
    /,
) -> Token | None: ...
@final
class Token:
    """An access token and its metadata. Immutable."""

    @property
    def value(self) -> str:
        """The bare token."""
    @property
    def bearer(self) -> str:
        """``Bearer <token>``: the value of an ``Authorization`` header."""
    @property
    def header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer <token>"}``, for ``headers=``."""
    @property
    def scope(self) -> str:
        """The granted scopes, separated by spaces."""
    @property
    def expires_in(self) -> float:
        """Seconds until the token expires; 0 once it has. Time spent in suspend counts."""
    @property
    def fresh_for(self) -> float:
        """Seconds until the token is due for renewal. Do not cache a copy longer than that."""
    @property
    def expires_at(self) -> datetime.datetime:
        """Expiry by the wall clock, in UTC. For reporting only."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: object, /) -> Self: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce_ex__(self, _protocol: object, /) -> NoReturn: ...

@final
class Bridge:
    def __new__(cls) -> Self: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...

@final
class Wait:
    def answers(self, future: asyncio.Future[Token]) -> None: ...
    def abandon(self) -> None: ...

@disjoint_base
class Client:
    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def _make(
        self,
        options: list[tuple[str, str]],
        credentials: Credentials | None,
        on_event: Callable[[Event], object] | None,
    ) -> None: ...
    def token(self, scope: Texts | None = None) -> str:
        """Return the bare token: the same ``str`` object until it is renewed."""
    def get(
        self,
        scope: Texts | None = None,
        timeout: Seconds | None = None,
        min_ttl: Seconds | None = None,
    ) -> Token:
        """Return a token: the same object until it is renewed.

        ``scope`` defaults to the client's own and ``timeout`` to the client's ``timeout`` option; 0
        means do not wait. With ``min_ttl`` the token is, if possible, valid for at least that many
        more seconds.
        """
    def invalidate(self, token: Token | str) -> None:
        """Drop a token that an API answered with 401, so that it is not returned again.

        Does nothing if a newer token is already cached. Do not call it for 403 or 429.
        """
    def rotate(self, client_id: str, client_secret: str) -> None:
        """Use other credentials from the next token request on.

        Cached tokens stay in use; remembered refusals are cleared.
        """
    def wake(self) -> None:
        """Report that the network is back.

        Ends backoff immediately for waiting callers, and within five seconds for background
        renewals. A ``Retry-After`` from the server still applies.
        """
    def close(self) -> None:
        """Close the client.

        Waiting calls, and all later calls for a token or to rotate, raise ``ClosedError``. Never
        blocks.
        """
    def may_send_to(self, url: str) -> bool:
        """Return whether a token may be sent to this URL.

        True for https URLs of the hosts in ``api_hosts``, and for any URL of this machine.
        """
    def api_refused(self, url: str) -> None:
        """Report that an API also answered 401 to the token that replaced an invalidated one.

        An event then says, once per host, that the API may not accept API Tokens v2. For HTTP
        adapters.
        """
    def _at_hand(
        self, scope: Texts | None, timeout: Seconds | None, min_ttl: Seconds | None
    ) -> Token | None: ...
    def _text_at_hand(
        self, scope: Texts | None, timeout: Seconds | None, min_ttl: Seconds | None
    ) -> str | None: ...
    def _begin(
        self,
        bridge: Bridge,
        scope: Texts | None,
        timeout: Seconds | None,
        min_ttl: Seconds | None,
    ) -> Token | Wait: ...
    def _keep(self, scope: Texts | None, token: Token) -> Token: ...
    def _stats(
        self, scope: Texts | None
    ) -> tuple[tuple[int, int], tuple[float, float, float], tuple[int, int, int, int]]: ...
    def __reduce__(self) -> NoReturn: ...
