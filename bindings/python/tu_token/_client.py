"""``Client``: the part that needs no native code."""

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
    # The native module notices forks made by C code itself.
    os.register_at_fork(
        before=_native.before_fork,
        after_in_parent=_native.after_fork_in_parent,
        after_in_child=_loops.after_fork_in_child,
    )


class Client(_native.Client):
    """Obtains, caches and renews the access tokens of one API key.

    The keyword arguments are the options; options not given come from ``TRACKUNIT_*`` variables.
    The constructor makes no request and reads only the files named in the options.

    ``credentials(refused)`` returns ``(client_id, client_secret)``, used instead of those options,
    or ``None`` if it has none; ``refused`` says whether the endpoint refused the previous
    credentials. ``on_event`` receives each :class:`Event`. Both run on the library's threads and may
    call the client, but ``credentials`` must not wait for one of its tokens. ``credentials`` may be
    slow: its time does not count against ``fetch_timeout``, and callers wait for it at most their
    own timeout. If a call has not returned after 10 s, another is started alongside.

    A client can be used by any number of threads and tasks at once, and in forked children.

    A subclass with its own ``__init__`` must call ``super().__init__(...)`` before using the client;
    until then only ``close`` may be called.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        on_event: Callable[[Event], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        # For cooperative multiple inheritance.
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
        """Like :meth:`get`, for asyncio.

        No thread waits. Cancelling the task cancels its wait, but not the fetch, which serves other
        callers. Under trio, one of trio's threads waits.
        """
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
        """Like :meth:`token`, for asyncio: see :meth:`get_async`."""
        text = self._text_at_hand(scope, timeout, min_ttl)
        if text is not None:
            return text
        return self._text_of(scope, await self.get_async(scope, timeout, min_ttl))

    def stats(self, scope: Texts | None = None) -> Stats:
        """Return the statistics of a scope, by default the client's own."""
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
        # Ends the waits of other tasks; does not block.
        self.close()


def _check_function(name: str, function: Callable[..., object] | None) -> None:
    if function is None:
        return
    if not callable(function):
        raise ConfigTypeError(f"{name} must be a function, not {type(function).__name__}")
    # An object's `__call__` may be a coroutine function as well.
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)
    ):
        raise ConfigTypeError(
            f"{name} is a coroutine function, but it is called on a library thread, where no event "
            "loop runs. Pass a plain function"
        )
