"""``Client``: the part that needs no native code."""

from __future__ import annotations

import atexit
import os
import sys

from . import _native
from ._native import recognized_text, recognized_token
from ._options import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._events import Event
    from ._native import Token
    from ._stats import Stats
    from ._types import Credentials, Options, Seconds, Texts

# Otherwise it is imported at the first wait in a loop: it imports asyncio, which takes 20 ms.
if "asyncio" in sys.modules:
    from . import _loops as _loops


def _after_fork_in_child() -> None:
    loops = sys.modules.get("tu_token._loops")
    # Incomplete if another thread was importing it.
    clear = getattr(loops, "after_fork_in_child", None)
    if clear is not None:
        clear()


atexit.register(_native.at_exit)
if hasattr(os, "register_at_fork"):
    # The native module notices forks made by C code itself.
    os.register_at_fork(
        before=_native.before_fork,
        after_in_parent=_native.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
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
        if on_event is not None or "logging" in sys.modules:
            # Here rather than on the library's thread when the first event happens.
            from . import _events as _events
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
        token = recognized_token(self, scope, timeout, min_ttl)
        if token is not None:
            return token
        token = self._at_hand(scope, timeout, min_ttl)
        if token is not None:
            return token
        from . import _loops

        return await _loops.get(self, scope, timeout, min_ttl)

    async def token_async(
        self,
        scope: Texts | None = None,
        timeout: Seconds | None = None,
        min_ttl: Seconds | None = None,
    ) -> str:
        """Like :meth:`token`, for asyncio: see :meth:`get_async`."""
        text = recognized_text(self, scope, timeout, min_ttl)
        if text is not None:
            return text
        text = self._text_at_hand(scope, timeout, min_ttl)
        if text is not None:
            return text
        return (await self.get_async(scope, timeout, min_ttl)).value

    def stats(self, scope: Texts | None = None) -> Stats:
        """Return the statistics of a scope, by default the client's own."""
        from ._errors import Status
        from ._stats import State, Stats

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
    import inspect

    from ._errors import ConfigTypeError

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
