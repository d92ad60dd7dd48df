"""Waits of asyncio tasks."""

from __future__ import annotations

import asyncio
import datetime
import gc
import pathlib
import threading
from typing import Any, cast

import pytest
from conftest import Emulator

import tu_token
from tu_token import _loops, _native


def threads() -> int:
    return len(list(pathlib.Path("/proc/self/task").iterdir()))


def test_10_000_tasks_make_one_request_and_no_thread(
    held: tu_token.Client, emulator: Emulator
) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(held.token_async()) for _ in range(10_000)]
        while held.stats().waits < 10_000:
            await asyncio.sleep(0.01)
        # The library's own: one that fetches, one for timers, one for events.
        assert threads() <= before + 3
        emulator.release()
        tokens = await asyncio.gather(*tasks)
        assert len(set(map(id, tokens))) == 1

    before = threads()
    asyncio.run(main())
    assert emulator.requests() == 1


def test_a_cached_token_is_returned_without_a_wait(client: tu_token.Client) -> None:
    token = client.token()
    coroutine = client.token_async()

    async def main() -> None:
        assert await coroutine is token
        assert (await client.get_async()).value == token
        assert await client.token_async("site.view") is client.token("site.view")

    asyncio.run(main())
    assert client.stats().waits == 1


class Counting(asyncio.SelectorEventLoop):
    """Counts the futures created by it."""

    def __init__(self) -> None:
        super().__init__()
        self.futures = 0

    def create_future(self) -> asyncio.Future[Any]:
        self.futures += 1
        return super().create_future()


def test_no_future_is_created_for_a_cached_token(
    client: tu_token.Client, emulator: Emulator
) -> None:
    async def main() -> None:
        emulator.fault(delay="200ms")
        token = await client.token_async()
        assert loop.futures > 0
        loop.futures = 0
        assert await client.token_async() is token
        assert await client.token_async(timeout=0, min_ttl=60) is token
        assert await client.token_async(["asset.view"]) == token
        assert (await client.get_async(min_ttl=60)).value == token
        # Too short-lived and too young to be renewed: the library must decide.
        assert await client.token_async(min_ttl=3600) is token
        assert (await client.get_async(min_ttl=3600)).value == token
        assert loop.futures == 0

    loop = Counting()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert emulator.requests() == 1


def test_a_hit_takes_one_step_and_checks_what_it_is_given(client: tu_token.Client) -> None:
    token = client.token()
    for arguments in ({}, {"min_ttl": 60}, {"timeout": datetime.timedelta(seconds=1)}):
        coroutine = client.token_async(**arguments)
        with pytest.raises(StopIteration) as answer:
            coroutine.send(None)
        assert answer.value.value is token
    with pytest.raises(tu_token.ArgumentError):
        client.token_async(timeout=-1).send(None)
    with pytest.raises(tu_token.ArgumentError):
        client.token_async(min_ttl=-1).send(None)

    async def main() -> None:
        # A coroutine, as other code that awaits it expects.
        tasks = [asyncio.create_task(client.token_async()) for _ in range(3)]
        tokens = await asyncio.gather(*tasks, client.token_async(min_ttl=60))
        tokens.append(await asyncio.wait_for(client.token_async(), 5))
        assert all(answer is token for answer in tokens)

    asyncio.run(main())
    assert client.stats().waits == 1


def test_a_client_is_closed_at_the_end_of_async_with(emulator: Emulator) -> None:
    emulator.fault(delay="9s", count=1)

    async def main() -> None:
        with pytest.raises(KeyError, match="mine"):
            async with tu_token.Client() as client:
                wait = asyncio.create_task(client.token_async())
                while client.stats().waits < 1:
                    await asyncio.sleep(0.01)
                raise KeyError("mine")
        # It has ended the other task's wait before the answer arrives.
        with pytest.raises(tu_token.ClosedError):
            await wait
        with pytest.raises(tu_token.ClosedError):
            await client.token_async()
        emulator.release()

    asyncio.run(main())


def test_cancelling_a_task_cancels_only_its_wait(
    held: tu_token.Client, emulator: Emulator
) -> None:
    async def main() -> None:
        given_up = asyncio.create_task(held.token_async())
        patient = asyncio.create_task(held.token_async())
        while held.stats().waits < 2:
            await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        emulator.release()
        assert await patient

    asyncio.run(main())
    assert emulator.requests() == 1


def test_a_fetch_with_cancelled_waiters_serves_later_callers(
    held: tu_token.Client, emulator: Emulator
) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(held.token_async(), 0.05)
        while emulator.requests() < 1:
            await asyncio.sleep(0.01)
        emulator.release()
        assert await held.token_async()

    asyncio.run(main())
    assert emulator.requests() == 1


def test_failures_reach_the_task(client: tu_token.Client, emulator: Emulator) -> None:
    async def main() -> None:
        with pytest.raises(tu_token.InvalidScopeError):
            await client.token_async("site.update")
        with pytest.raises(tu_token.ArgumentError):
            await client.token_async(timeout=-1)
        emulator.fault(delay="30s", count=1)
        with pytest.raises(tu_token.PendingError):
            await client.token_async(timeout=0)
        with pytest.raises(tu_token.TimeoutError):
            await client.get_async(timeout=0.05)

    asyncio.run(main())


def test_closing_ends_the_waits_of_tasks(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="30s", count=1)

    async def main() -> None:
        tasks = [asyncio.create_task(client.token_async()) for _ in range(10)]
        # A request that came later would be counted by the next test.
        while client.stats().waits < 10 or emulator.requests() < 1:
            await asyncio.sleep(0.01)
        client.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, tu_token.ClosedError) for outcome in outcomes)

    asyncio.run(main())


def test_several_loops_in_several_threads(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="300ms", count=1)
    tokens: list[str] = []

    async def main() -> None:
        tokens.extend(await asyncio.gather(*(client.token_async() for _ in range(50))))

    loops = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert len(tokens) == 200 and len(set(tokens)) == 1
    assert emulator.requests() == 1


def test_a_loop_that_is_closed_before_the_answer(
    client: tu_token.Client, emulator: Emulator
) -> None:
    emulator.fault(delay="200ms", count=1)

    async def begin() -> None:
        waits.append(asyncio.ensure_future(client.token_async()))
        await asyncio.sleep(0.05)

    waits: list[asyncio.Task[str]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    # The answer arrives when no task waits any more.
    assert client.token()
    assert emulator.requests() == 1
    # No other task awaits it; a warning at its destruction would be about this.
    waits[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = waits[0].get_coro()
    coroutine.close()


def test_a_destroyed_loop_is_released(client: tu_token.Client) -> None:
    from tu_token._loops import _ways

    asyncio.run(_token(client, "site.view"))
    gc.collect()
    assert len(_ways) == 0


async def _token(client: tu_token.Client, scope: str) -> str:
    return await client.token_async(scope)


def test_threads_and_tasks_wait_for_one_fetch(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="300ms", count=1)
    tokens: list[str] = []
    thread = threading.Thread(target=lambda: tokens.append(client.token()))
    thread.start()
    tokens.append(asyncio.run(_token(client, "asset.view")))
    thread.join()
    assert len(set(tokens)) == 1 and emulator.requests() == 1


def test_the_loop_is_not_blocked_by_a_wait(held: tu_token.Client, emulator: Emulator) -> None:
    async def main() -> None:
        task = asyncio.create_task(held.token_async())
        while emulator.requests() < 1:
            await asyncio.sleep(0.001)
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert not task.done()
        emulator.release()
        assert await task

    asyncio.run(main())


def test_a_token_that_expired_while_the_loop_was_busy_is_not_returned() -> None:
    class Token:
        def __init__(self, expires_in: float) -> None:
            self.expires_in = expires_in

    class Wait:
        def __init__(self, token: Token) -> None:
            self.token = token

        def answers(self, future: Any) -> None:
            future.set_result(self.token)

        def abandon(self) -> None:
            pass

    class Native:
        """Answers at once, as seen by its tasks: first with an expired token."""

        def __init__(self) -> None:
            self.answers = [Token(0.0), Token(0.0), Token(5.0)]
            self.timeouts: list[float] = []

        def _begin(self, _bridge: object, *asked: Any) -> Wait:
            self.timeouts.append(asked[1])
            return Wait(self.answers.pop(0))

        def get(self) -> None: ...

        def _keep(self, _scope: object, token: Token) -> Token:
            return token

    native = Native()
    client = cast(_native.Client, native)
    token = asyncio.run(_loops.get(client, None, 30.0, None))
    assert token.expires_in == 5.0
    first, *others = native.timeouts
    assert first == 30.0 and len(others) == 2 and all(0 < left <= 30.0 for left in others)
