"""Waiting for a token in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import functools
import sys
import weakref

from . import _native
from ._native import Token
from ._types import Seconds, Texts


class _Way:
    """The path from the library's threads to one event loop, with the waits in that loop.

    Only the loop refers to it, as a reader callback. So waiting tasks stay alive as long as their
    loop is open, even without other references, and become garbage with it once it is closed.
    """

    __slots__ = ("bridge", "waits", "__weakref__")

    def __init__(self) -> None:
        self.bridge = _native.Bridge()
        self.waits: set[_native.Wait] = set()

    def drain(self) -> None:
        self.bridge.drain()


# By event loop, for each loop in which a task has waited.
_ways: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Way]]
_ways = weakref.WeakKeyDictionary()


def after_fork_in_child() -> None:
    # The loops and the tasks waiting in them belong to the parent.
    _ways.clear()


async def get(
    client: _native.Client, scope: Texts | None, timeout: Seconds | None, min_ttl: Seconds | None
) -> Token:
    """Wait for a token that is not cached."""
    if isinstance(scope, list):
        # The program may change it meanwhile.
        scope = tuple(scope)
    in_thread = functools.partial(client.get, scope, timeout, min_ttl)
    # Checked first: in trio's guest mode there is also an asyncio loop, which is not the task's.
    if _is_trio():
        import trio

        return await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True)
    loop = _running_loop()
    try:
        way = _way_to(loop)
    except NotImplementedError:
        # This loop cannot watch file descriptors.
        return await asyncio.to_thread(in_thread)
    begun, left = loop.time(), timeout
    while True:
        token = await _wait(client, way, loop, scope, left, min_ttl)
        # The loop may have been busy with other tasks until the token expired.
        if token.expires_in > 0:
            return client._keep(scope, token)
        if timeout is not None:
            # Never 0, which means "do not wait".
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
    # Trio always imports sniffio.
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
            f"{none}: only asyncio and trio tasks can wait here. Elsewhere, call get() or token() "
            "in a thread"
        ) from None


def _way_to(loop: asyncio.AbstractEventLoop) -> _Way:
    known = _ways.get(loop)
    way = known() if known is not None else None
    if way is None:
        way = _Way()
        # In an empty context: the loop would keep this task's context alive.
        contextvars.Context().run(loop.add_reader, way.bridge.fileno(), way.drain)
        _ways[loop] = weakref.ref(way)
    return way
