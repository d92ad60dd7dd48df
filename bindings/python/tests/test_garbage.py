"""Reference cycles through the package are garbage-collected."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
import uvloop
from conftest import Emulator

import tu_token
from tu_token import _loops

NewLoop = Callable[[], asyncio.AbstractEventLoop]
loops = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")


class Owner:
    """Refers to whatever it is given, to form cycles."""

    client: Any
    other: Any

    def function(self, argument: object) -> None:
        return None

    def raising(self, refused: bool) -> tuple[str, str]:
        raise LookupError("the vault is sealed")


@pytest.fixture(autouse=True)
def without_complaints() -> Iterator[None]:
    """asyncio warns about a pending task that is destroyed with its loop."""
    logger = logging.getLogger("asyncio")
    logger.disabled = True
    yield
    logger.disabled = False


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def begin_and_close(new_loop: NewLoop, ask: Callable[[], Any]) -> list[weakref.ref[Any]]:
    """Close a loop while one of its tasks waits, with references between task, local variables, context
    variables and loop."""
    watched: list[weakref.ref[Any]] = []

    async def wait() -> None:
        owner = Owner()
        owner.other = asyncio.current_task()
        watched.extend([weakref.ref(owner), weakref.ref(owner.other)])
        variable.set(owner)
        await ask()

    async def begin() -> None:
        asyncio.ensure_future(wait())
        watched.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.sleep(0.001)

    loop = new_loop()
    loop.run_until_complete(begin())
    loop.close()
    return watched


def left(watched: list[weakref.ref[Any]]) -> int:
    gc.collect()
    return sum(reference() is not None for reference in watched)


def until_nothing_is_left(watched: list[weakref.ref[Any]]) -> None:
    for _ in range(1000):
        if left(watched) == 0:
            return
        time.sleep(0.01)
    raise AssertionError(watched)


@loops
def test_a_loop_closed_during_waits_is_collected(
    new_loop: NewLoop, emulator: Emulator, held: tu_token.Client
) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: held.get_async(),
        lambda: held.token_async("site.view", timeout=20),
        lambda: asyncio.gather(*(held.token_async() for _ in range(10))),
        lambda: asyncio.shield(held.token_async()),
        lambda: asyncio.wait_for(held.token_async(), 20),
    ]
    for ask in asked[:2]:
        begin_and_close(new_loop, ask)
    gc.collect()
    # From here on, no connection is opened.
    emulator.await_requests(2)
    before = descriptors()
    watched = [part for _ in range(10) for ask in asked for part in begin_and_close(new_loop, ask)]
    assert len(watched) == 150 and left(watched) == 0
    assert len(_loops._ways) == 0 and descriptors() == before


@loops
def test_a_closed_loop_with_late_answers_is_collected(
    new_loop: NewLoop, emulator: Emulator, held: tu_token.Client
) -> None:
    watched = begin_and_close(new_loop, held.get_async)
    task = watched[2]()
    emulator.release()
    assert held.token()
    del task
    assert left(watched) == 0


@loops
def test_a_client_referenced_only_by_a_wait_is_collected(new_loop: NewLoop, emulator: Emulator) -> None:
    emulator.fault(delay="30s")

    def ask() -> Any:
        owner = Owner()
        owner.client = tu_token.Client(on_event=owner.function)
        clients.append(weakref.ref(owner.client))
        return owner.client.get_async()

    clients: list[weakref.ref[Any]] = []
    watched = [part for _ in range(5) for part in begin_and_close(new_loop, ask)]
    # The thread that delivers the events may still be at one.
    until_nothing_is_left([*watched, *clients])


def test_an_unclosed_loop_is_collected(held: tu_token.Client) -> None:
    watched: list[weakref.ref[Any]] = []

    class Unclosed(asyncio.SelectorEventLoop):
        def __del__(self) -> None:
            # Without the warning.
            self.close()

    async def begin() -> None:
        watched.append(weakref.ref(asyncio.ensure_future(held.token_async())))
        watched.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.sleep(0.001)

    loop = Unclosed()
    loop.run_until_complete(begin())
    del loop
    assert left(watched) == 0


# httpx itself has a coroutine that is awaited when it is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_waiting_with_httpx_is_collected(held: tu_token.Client) -> None:
    def ask() -> Any:
        http = httpx.AsyncClient(auth=tu_token.HttpxAuth(held), timeout=10)
        return http.get("http://127.0.0.1:9/")

    watched = begin_and_close(asyncio.new_event_loop, ask)
    assert left(watched) == 0


@loops
def test_a_wait_continues_while_its_loop_is_open(
    new_loop: NewLoop, emulator: Emulator, held: tu_token.Client
) -> None:
    tokens: list[str] = []

    async def wait() -> None:
        tokens.append(await held.token_async())

    async def main() -> None:
        for _ in range(100):
            asyncio.ensure_future(wait())
        while held.stats().waits < 100:
            await asyncio.sleep(0.001)
        gc.collect()
        emulator.release()
        while len(tokens) < 100:
            await asyncio.sleep(0.001)

    loop = new_loop()
    loop.run_until_complete(asyncio.wait_for(main(), 20))
    assert [way().waits for way in _loops._ways.values()] == [set()]  # type: ignore[union-attr]
    loop.close()


def test_collecting_garbage_during_waits(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="100ms", count=12)

    async def main() -> None:
        scopes = ["asset.view", "site.view"]
        for _ in range(3):
            tasks = [asyncio.create_task(client.token_async(scope)) for scope in scopes * 50]
            await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for scope in scopes:
                client.invalidate(client.token(scope))

    def collect() -> None:
        while not done.is_set():
            gc.collect()

    done = threading.Event()
    collecting = threading.Thread(target=collect)
    collecting.start()
    try:
        asyncio.run(main())
    finally:
        done.set()
        collecting.join()


@pytest.mark.parametrize("name", ["credentials", "on_event"])
def test_a_client_and_the_owner_of_its_function(name: str) -> None:
    owner = Owner()
    given: Any = {name: owner.function}
    owner.client = tu_token.Client(**given)
    del given
    watched: list[weakref.ref[Any]] = [weakref.ref(owner), weakref.ref(owner.client)]
    del owner
    assert left(watched) == 0


@pytest.mark.parametrize("name", ["credentials", "on_event"])
def test_a_closed_client_releases_its_function(name: str, emulator: Emulator) -> None:
    owner = Owner()
    given: Any = {name: owner.function}
    client = tu_token.Client(**given)
    with pytest.raises((tu_token.CredentialsError, tu_token.ClosedError)):
        client.token()
        client.close()
        client.token()
    client.close()
    watched: list[weakref.ref[Any]] = [weakref.ref(owner)]
    del owner, given
    # On a library thread, once all events have been delivered.
    until_nothing_is_left(watched)


def test_what_a_function_raised_for_a_wait_of_a_closed_loop() -> None:
    """Its traceback refers to frames, and through them possibly to the wait."""
    class Vault(Owner):
        def __init__(self) -> None:
            self.asked, self.answers = threading.Event(), threading.Event()

        def raising(self, refused: bool) -> tuple[str, str]:
            self.asked.set()
            self.answers.wait(10)
            raise LookupError("the vault is sealed")

    def ask() -> Any:
        vault.other.append(asyncio.current_task())
        return vault.client.get_async()

    watched: list[weakref.ref[Any]] = []
    for _ in range(2):
        vault = Vault()
        vault.client = tu_token.Client(credentials=vault.raising)
        vault.other = []
        watched += [weakref.ref(vault), *begin_and_close(asyncio.new_event_loop, ask)]
        assert vault.asked.wait(10)
        vault.answers.set()
        # The only waiter, so that no other caller receives the exception.
        while vault.client.stats().failures == 0:
            time.sleep(0.01)
        del vault
    # The fetching thread may not have ended yet.
    until_nothing_is_left(watched)


def test_a_subclass_and_what_its_instances_hold() -> None:
    watched: list[weakref.ref[Any]] = []

    def make() -> None:
        class Tenant(tu_token.Client):
            def __init__(self, **options: Any) -> None:
                super().__init__(on_event=self.told, **options)
                self.itself = self

            def told(self, event: object) -> None:
                return None

        watched.extend([weakref.ref(Tenant), weakref.ref(Tenant())])

    for _ in range(5):
        make()
    assert left(watched) == 0


def test_adapters() -> None:
    watched: list[weakref.ref[Any]] = []
    for _ in range(5):
        owner = Owner()
        owner.client = tu_token.Client(on_event=owner.function)
        session, http = requests.Session(), httpx.Client(auth=tu_token.HttpxAuth(owner.client))
        session.auth = tu_token.RequestsAuth(owner.client)
        owner.other = [session, http]
        watched.extend(weakref.ref(part) for part in (owner, owner.client, session, http))
        del owner, session, http
    assert left(watched) == 0


def test_what_an_event_function_was_told() -> None:
    """An event does not refer to the client, so keeping events does not keep a client alive."""
    told: list[tu_token.Event] = []
    client = tu_token.Client(on_event=told.append)
    client.rotate("a", "b")
    gone = weakref.ref(client)
    del client
    assert left([gone]) == 0
