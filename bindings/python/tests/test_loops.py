"""Event loops other than asyncio's own, and no loop."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import Any

import httpx
import pytest
import trio
import uvloop
from conftest import Emulator

import tu_token

ASSETS = "/api/asset/v2/assets?size=1"


def result_of(coroutine: Any) -> Any:
    """Return the result of a coroutine that does not wait."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value.value


def test_a_cached_token_needs_no_loop(client: tu_token.Client) -> None:
    token = client.token()
    assert result_of(client.token_async()) is token
    assert result_of(client.get_async(min_ttl=1)).value == token
    assert client.stats().waits == 1


def test_the_error_without_a_loop_names_alternatives(client: tu_token.Client) -> None:
    coroutine = client.token_async()
    with pytest.raises(RuntimeError, match="no running event loop: only asyncio and trio tasks"):
        coroutine.send(None)
    assert client.stats().requests == 0


def test_bad_arguments_come_first(client: tu_token.Client) -> None:
    with pytest.raises(tu_token.ArgumentError):
        client.token_async(timeout=-1).send(None)


def test_under_trio_a_thread_waits(client: tu_token.Client, emulator: Emulator) -> None:
    tokens: list[str] = []
    emulator.fault(delay="300ms", count=1)

    async def get() -> None:
        tokens.append(await client.token_async())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(get)

    trio.run(main)
    assert len(tokens) == 100 and len(set(tokens)) == 1
    assert emulator.requests() == 1


def test_under_trio_a_wait_is_cancelled(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="9s", count=1)

    async def main() -> None:
        with trio.move_on_after(0.1) as scope:
            await client.token_async()
        assert scope.cancelled_caught
        emulator.release()
        assert await client.token_async()

    began = time.monotonic()
    trio.run(main)
    assert time.monotonic() - began < 8
    assert emulator.requests() == 1


def test_httpx_under_trio(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(route="/api/asset", reject_v2=True, count=1)

    async def main() -> None:
        async with httpx.AsyncClient(auth=tu_token.HttpxAuth(client), timeout=10) as http:
            for _ in range(2):
                assert (await http.get(emulator.url + ASSETS)).status_code == 200

    trio.run(main)
    assert emulator.requests() == 2


def test_uvloop(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="200ms", count=1)

    async def main() -> None:
        tokens = await asyncio.gather(*(client.token_async() for _ in range(1000)))
        assert len(set(tokens)) == 1
        assert await client.token_async("site.view")

    for _ in range(2):
        loop = uvloop.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    assert emulator.requests() == 2


def test_a_loop_that_cannot_watch_descriptors(
    client: tu_token.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_reader(*arguments: Any) -> None:
        raise NotImplementedError

    loop = asyncio.new_event_loop()
    monkeypatch.setattr(loop, "add_reader", add_reader)
    assert loop.run_until_complete(client.token_async())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_loop_keeps_nothing_of_the_task_that_waited_first(
    client: tu_token.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
    seen: list[bool] = []

    def add_reader(*arguments: Any) -> None:
        seen.append(variable in contextvars.copy_context())
        original(*arguments)

    async def main() -> None:
        variable.set("large")
        assert await client.token_async()

    loop = asyncio.new_event_loop()
    original = loop.add_reader
    monkeypatch.setattr(loop, "add_reader", add_reader)
    loop.run_until_complete(main())
    loop.close()
    assert seen == [False]


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import collections, json, os, sys, threading, urllib.request
import gevent, tu_token

def fault():
    fault = json.dumps({"delay": "1500ms", "count": 1}).encode()
    urllib.request.urlopen(os.environ["EMULATOR_URL"] + "/_emulator/faults", fault).close()

def tick():
    global ticks
    while True:
        gevent.sleep(0.005)
        ticks += 1

events, ticks = collections.deque(), 0
client = tu_token.Client(on_event=events.append)
ticking = gevent.spawn(tick)
fault()
ticks = 0
token = gevent.get_hub().threadpool.apply(client.token)
in_pool = ticks
assert client.token() == token
fault()
ticks = 0
client.get("site.view")
while len(events) < 4:
    gevent.sleep(0.005)
ticking.kill()
print(in_pool > 5, [event.kind.name for event in events])
"""


def test_under_gevent_its_pool_waits(run_program: Any, emulator: Emulator) -> None:
    ended = run_program(UNDER_GEVENT)
    kinds = ["FETCH_STARTED", "FETCH_SUCCEEDED"] * 2
    assert (ended.returncode, ended.stdout) == (0, f"True {kinds}\n"), ended
