"""Waits for a token in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import functools
import sys
import weakref

from . import _native
from ._native import Token
from ._options import Seconds, Texts


class _Way:
    """The way from the library's threads to one event loop, and those who wait at its end.

    The loop keeps it, as what is to be called when there are answers, and nobody else does: so the
    tasks that wait live as long as their loop is open, whoever else has forgotten them, and are
    garbage with it when it is closed.
    """

    __slots__ = ("bridge", "waits", "__weakref__")

    def __init__(self) -> None:
        self.bridge = _native.Bridge()
        self.waits: set[_native.Wait] = set()

    def drain(self) -> None:
        self.bridge.drain()


# To each event loop that has waited.
_ways: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Way]]
_ways = weakref.WeakKeyDictionary()


def after_fork_in_child() -> None:
    # A loop is the parent's, and so are those who wait in it.
    _ways.clear()


async def get(
    client: _native.Client, scope: Texts | None, timeout: Seconds | None, min_ttl: Seconds | None
) -> Token:
    """A token that is not at hand."""
    in_thread = functools.partial(client.get, scope, timeout, min_ttl)
    # First: in trio's guest mode there is a loop of asyncio's as well, which is not the task's.
    if _is_trio():
        import trio

        return await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True)
    loop = _running_loop()
    try:
        way = _way_to(loop)
    except NotImplementedError:
        # It looks at no descriptors.
        return await asyncio.to_thread(in_thread)
    begun, left = loop.time(), timeout
    while True:
        token = await _wait(client, way, loop, scope, left, min_ttl)
        # The loop may have been busy with other tasks for longer than the token lived.
        if token.expires_in > 0:
            return token
        if timeout is not None:
            # Never zero, which would be "do not wait".
            left = max(0.001, _seconds(timeout) - (loop.time() - begun))


async def _wait(
    client: _native.Client,
    way: _Way,
    loop: asyncio.AbstractEventLoop,
    scope: Texts | None,
    timeout: Seconds | None,
    min_ttl: Seconds | None,
) -> Token:
    wait = client._begin(way.bridge, scope, timeout, min_ttl)
    if isinstance(wait, Token):
        return wait
    way.waits.add(wait)
    try:
        future: asyncio.Future[Token] = loop.create_future()
        wait.answers(future)
        return await future
    finally:
        way.waits.discard(wait)
        wait.abandon()


def _seconds(time: Seconds) -> float:
    return time.total_seconds() if isinstance(time, datetime.timedelta) else time


def _is_trio() -> bool:
    # Trio cannot run without it.
    sniffio = sys.modules.get("sniffio")
    if sniffio is None:
        return False
    try:
        return bool(sniffio.current_async_library() == "trio")
    except sniffio.AsyncLibraryNotFoundError:
        return False


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as none:
        raise RuntimeError(
            f"{none}: a wait for a token is a task of asyncio's or of trio's. Elsewhere a thread can "
            "wait, in get() or token()"
        ) from None


def _way_to(loop: asyncio.AbstractEventLoop) -> _Way:
    known = _ways.get(loop)
    way = known() if known is not None else None
    if way is None:
        way = _Way()
        # Not in this task's context: the loop would keep that as long as it lives.
        contextvars.Context().run(loop.add_reader, way.bridge.fileno(), way.drain)
        _ways[loop] = weakref.ref(way)
    return way
