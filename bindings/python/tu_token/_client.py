"""``Client``: what the native module has no use for being native."""

from __future__ import annotations

import atexit
import inspect
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from . import _loops, _native
from ._errors import ConfigTypeError, Status
from ._events import Event
from ._native import Token
from ._options import Options, Seconds, Texts, as_text
from ._stats import State, Stats

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

Credentials: TypeAlias = Callable[[bool], tuple[str, str] | None]

atexit.register(_native.at_exit)
if hasattr(os, "register_at_fork"):
    # Forks that C code makes are seen by the native module itself.
    os.register_at_fork(
        before=_native.before_fork,
        after_in_parent=_native.after_fork_in_parent,
        after_in_child=_loops.after_fork_in_child,
    )


class Client(_native.Client):
    """Gets, keeps and hands out the access tokens of one API key.

    Keywords are the options; what is not given comes from ``TRACKUNIT_*`` variables. Makes no
    request and reads no file but those the options name.

    ``credentials(refused)`` gives ``(client_id, client_secret)``, or ``None`` if it has none, in
    the place of these options; it is told whether the pair it gave last was refused. ``on_event``
    is told what happens. Both run on threads of the library's and may call the client, but
    ``credentials`` may not wait for a token of it. It may take its time: that is not taken from
    ``fetch_timeout``, and callers wait for it at most their own timeout; one that has not returned
    after 10 s is called again beside that.

    One client may be used by any number of threads and tasks at once, and by forked children.

    A subclass with an ``__init__`` of its own calls ``super().__init__(...)`` before it uses the
    client; until then there is nothing to call but ``close``.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        on_event: Callable[[Event], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        # For what a subclass has beside it.
        super().__init__()
        _check_function("credentials", credentials)
        _check_function("on_event", on_event)
        self._make(as_text(options), credentials, on_event)

    async def get_async(
        self,
        scope: Texts | None = None,
        timeout: Seconds | None = None,
        min_ttl: Seconds | None = None,
    ) -> Token:
        """As :meth:`get`, for asyncio. No thread waits; cancelling the task cancels its wait, and
        not the fetch, which serves the others. Under trio a thread of trio's waits."""
        token = self._at_hand(scope, timeout, min_ttl)
        if token is not None:
            return token
        return await _loops.get(self, scope, timeout, min_ttl)

    async def token_async(
        self,
        scope: Texts | None = None,
        timeout: Seconds | None = None,
        min_ttl: Seconds | None = None,
    ) -> str:
        """As :meth:`token`, for asyncio: see :meth:`get_async`."""
        text = self._text_at_hand(scope, timeout, min_ttl)
        if text is not None:
            return text
        return self._text_of(scope, await self.get_async(scope, timeout, min_ttl))

    def stats(self, scope: Texts | None = None) -> Stats:
        """What has happened for a scope; the client's own if ``None``."""
        (state, last_status), times, counts = self._stats(scope)
        return Stats(State(state), Status(last_status), *times, *counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Ends the waits of other tasks and waits for nothing itself.
        self.close()


def _check_function(name: str, function: Callable[..., object] | None) -> None:
    if function is None:
        return
    if not callable(function):
        raise ConfigTypeError(f"{name} is a function, not {type(function).__name__}")
    # An object's `__call__` may be a coroutine function, too.
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)
    ):
        raise ConfigTypeError(
            f"{name} is a coroutine function: it is called by a thread of the library's, where no "
            "event loop runs. Give a plain function"
        )
