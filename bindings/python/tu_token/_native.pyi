import asyncio
import datetime
from collections.abc import Callable
from typing import NoReturn, final

from typing_extensions import Self, disjoint_base

from ._client import Credentials
from ._events import Event
from ._options import Seconds, Texts

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
]

__version__: str

def after_fork_in_parent() -> None: ...
def at_exit() -> None: ...
def before_fork() -> None: ...
def option_keys() -> list[str]: ...
@final
class Token:
    """An access token with what is known of it. It does not change."""

    @property
    def value(self) -> str:
        """The bare token."""
    @property
    def bearer(self) -> str:
        """``Bearer <token>``: the value of an ``Authorization`` header."""
    @property
    def header(self) -> dict[str, str]:
        """``{"Authorization": "Bearer <token>"}``: for ``headers=``."""
    @property
    def scope(self) -> str:
        """The scopes that were granted, separated by blanks."""
    @property
    def expires_in(self) -> float:
        """Seconds of life left now; 0 when the token is dead. Time in suspend counts."""
    @property
    def fresh_for(self) -> float:
        """Seconds until the library would renew it: as long as a copy may be kept elsewhere."""
    @property
    def expires_at(self) -> datetime.datetime:
        """When it ends by the wall clock, in UTC. To report only."""
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
        """The bare token: the same object until it is renewed."""
    def get(
        self,
        scope: Texts | None = None,
        timeout: Seconds | None = None,
        min_ttl: Seconds | None = None,
    ) -> Token:
        """A token as asked for: of a scope (the client's own), within a time (the client's
        ``timeout``; 0: without waiting), good for at least so many more seconds (best effort)."""
    def invalidate(self, token: Token | str) -> None:
        """An API answered 401 to this token: it is not handed out again. If a newer one is cached
        already, nothing happens. Neither 403 nor 429 is a reason to call this."""
    def rotate(self, client_id: str, client_secret: str) -> None:
        """Uses other credentials from the next request on. Cached tokens stay in use; remembered
        refusals are forgotten."""
    def wake(self) -> None:
        """The network is back: pauses after failures end now for whoever waits, and within five
        seconds for renewals. What a server asked for by ``Retry-After`` still holds."""
    def close(self) -> None:
        """Ends the client: waits end with ``ClosedError``, and so does every later call that asks
        for a token or rotates. Never blocks."""
    def may_send_to(self, url: str) -> bool:
        """Whether a token may be sent to this URL: https to a host of ``api_hosts``, or any to
        this machine."""
    def api_refused(self, url: str) -> None:
        """An API at this URL answered 401 also to the token that followed the invalidated one.
        Says in an event, once a host, that it may not accept API Tokens v2. For HTTP adapters."""
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
    def _text_of(self, scope: Texts | None, token: Token) -> str: ...
    def _stats(
        self, scope: Texts | None
    ) -> tuple[tuple[int, int], tuple[float, float, float], tuple[int, int, int, int]]: ...
    def __reduce__(self) -> NoReturn: ...
