"""Hits: what calls return from the cache, and what that costs."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Emulator, in_threads

import tu_token
from tu_token import _native


def spelled(scope: str) -> str:
    """Return another ``str`` object with this text."""
    return "".join(list(scope))


ALLOCATED = """
import os
import sys
import tracemalloc

import tu_token
from tu_token import _native


def allocated(call):
    # The library's events need some memory as well.
    def once():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before

    return min(once() for _ in range(30))


client = tu_token.Client()
client.token(), client.get().bearer, client.token("site.view"), client.get("site.view").bearer
tracemalloc.start()
nothing = allocated(lambda: None)
calls = {
    "token()": lambda: client.token(),
    "token(scope)": lambda: client.token("site.view"),
    "get()": lambda: client.get(),
    "get(scope)": lambda: client.get("site.view"),
    "get().value": lambda: client.get().value,
    "get().bearer": lambda: client.get().bearer,
    "recognized_text()": lambda: _native.recognized_text(client, None, None, None),
    "recognized_text(scope)": lambda: _native.recognized_text(client, "site.view", None, None),
    "recognized_token()": lambda: _native.recognized_token(client, None, None, None),
    "another str": lambda: "".join(list("site.view")),
}
print([name for name, call in calls.items() if allocated(call) > nothing])
sys.stdout.flush()
# Tracing never stops: in Python 3.11, a thread that enters the interpreter meanwhile may crash it.
os._exit(0)
"""


def test_a_hit_allocates_nothing(emulator: Emulator, run_program: Any) -> None:
    ended = run_program(ALLOCATED)
    assert (ended.returncode, ended.stdout) == (0, "['another str']\n"), ended.stderr


def test_the_token_object_is_the_same_until_it_is_renewed(client: tu_token.Client) -> None:
    for scope in (None, "site.view"):
        first = client.get(scope)
        assert client.get(scope) is first
        assert client.get(scope, timeout=0) is first and client.get(scope, min_ttl=60) is first
        assert client.token(scope) is first.value
        assert asyncio.run(client.get_async(scope)) is first
        client.invalidate(first)
        second = client.get(scope)
        assert second is not first and second != first and client.get(scope) is second
        assert client.token(scope) is second.value


def test_tasks_that_waited_get_the_object_that_later_calls_return(client: tu_token.Client) -> None:
    async def wait() -> list[tu_token.Token]:
        return await asyncio.gather(*(client.get_async(["site.view"]) for _ in range(5)))

    tokens = asyncio.run(wait())
    assert all(token is client.get("site.view") for token in tokens)
    assert tokens[0].value is client.token("site.view")


def test_a_list_may_change_during_a_wait(client: tu_token.Client) -> None:
    async def wait(scopes: list[Any]) -> str:
        waiting = asyncio.ensure_future(client.token_async(scopes))
        await asyncio.sleep(0)
        scopes[0] = 7
        return await waiting

    assert asyncio.run(wait(["site.view"])) is client.token("site.view")


def test_a_late_task_does_not_replace_a_newer_token(client: tu_token.Client) -> None:
    first = client.get()
    client.invalidate(first)
    second = client.get()
    assert client._keep(None, first) == first
    assert client.get() is second and client.token() is second.value


def test_a_token_of_another_client_is_not_kept(emulator: Emulator) -> None:
    class Fallback(tu_token.Client):
        other: tu_token.Client | None = tu_token.Client(scope="site.view")

        async def get_async(self, *arguments: Any, **named: Any) -> tu_token.Token:
            if self.other is None:
                return await super().get_async(*arguments, **named)
            return await self.other.get_async(*arguments, **named)

    with Fallback() as client:
        theirs = asyncio.run(client.token_async())
        client.other = None
        mine = client.token()
        assert mine != theirs and client.get().value == mine == client.get().bearer[7:]
        assert asyncio.run(client.token_async()) == mine


def test_the_str_and_the_object_share_their_text(client: tu_token.Client) -> None:
    text = client.token()
    assert client.get().value is text


def test_a_scope_is_recognized_however_it_is_given(client: tu_token.Client) -> None:
    class Text(str):
        pass

    token = client.token("site.view")
    given: list[Any] = [spelled("site.view"), Text("site.view"), ["site.view"], ("site.view",)]
    for scope in given * 2:
        assert client.token(scope) is token
        assert client.get(scope).value is token
        assert asyncio.run(client.token_async(scope)) is token


def test_a_list_may_change_between_two_calls(client: tu_token.Client) -> None:
    scopes = ["asset.view"]
    first = client.token(scopes)
    scopes[0] = "site.view"
    assert client.token(scopes) is client.token("site.view") is not first


def test_more_spellings_than_are_recognized(client: tu_token.Client) -> None:
    token = client.token("site.view")
    # All alive at once, so that each has an address of its own.
    spellings = [spelled("site.view") for _ in range(300)]
    for _ in range(2):
        assert all(client.token(spelling) is token for spelling in spellings)
    assert client.stats("site.view").requests == 1


def test_objects_that_name_a_scope_are_released(client: tu_token.Client) -> None:
    spelling = spelled("site.view")
    before = sys.getrefcount(spelling)
    client.token(spelling)
    client.token(spelling)
    assert sys.getrefcount(spelling) == before + 1
    client.close()
    assert sys.getrefcount(spelling) == before


def test_a_closed_client_keeps_no_token(client: tu_token.Client) -> None:
    text, token = client.token(), client.get("site.view")
    kept = sys.getrefcount(text), sys.getrefcount(token)
    client.close()
    assert (sys.getrefcount(text), sys.getrefcount(token)) == (kept[0] - 1, kept[1] - 1)


def test_a_task_that_resumes_after_the_close_keeps_no_token(client: tu_token.Client) -> None:
    tokens = {scope: client.get(scope) for scope in (None, "site.view")}
    client.close()
    for scope, token in tokens.items():
        late = client._keep(scope, token)
        assert late == token
        # Of `late` and the argument.
        assert sys.getrefcount(late) == 2


@pytest.mark.parametrize("recognized", [_native.recognized_text, _native.recognized_token])
def test_what_is_not_recognized_is_left_to_the_ordinary_methods(
    recognized: Callable[..., object], client: tu_token.Client
) -> None:
    unmade = tu_token.Client.__new__(tu_token.Client)
    assert recognized(client, None, None, None) is None
    client.token(), client.get(), client.token("site.view"), client.get("site.view")
    assert recognized(client, None, None, None) is not None
    assert recognized(client, "site.view", None, None) is not None
    for arguments in (
        (),
        (client,),
        (client, None, None, None, None),
        (client, None, 1, None),
        (client, None, None, 1),
        (client, "never asked", None, None),
        (client, ["site.view"], None, None),
        (client, 1, None, None),
        (unmade, None, None, None),
        (None, None, None, None),
        ("client", None, None, None),
    ):
        assert recognized(*arguments) is None, arguments
    client.invalidate(client.token())
    assert recognized(client, None, None, None) is None
    # As C code may call it: no arguments, and a null pointer in place of them.
    vectorcall = ctypes.pythonapi.PyObject_Vectorcall
    vectorcall.restype = ctypes.py_object
    vectorcall.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    assert vectorcall(recognized, None, 0, None) is None


def test_threads_with_scopes_of_their_own(client: tu_token.Client) -> None:
    scopes = ["asset.view", "site.view", "asset.view site.view"]
    expected = {scope: client.token(scope) for scope in scopes}
    wrong: list[str] = []

    def work() -> None:
        for turn in range(3000):
            scope = scopes[turn % 3]
            if client.token(spelled(scope) if turn % 2 else scope) is not expected[scope]:
                wrong.append(scope)

    in_threads(8, work)
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_asks_again(client: tu_token.Client, emulator: Emulator) -> None:
    text, token = client.token("site.view"), client.get()
    child = os.fork()
    if child == 0:
        # The parent's objects are not served before the child has noticed the fork.
        is_so = _native.recognized_text(client, "site.view", None, None) is None
        is_so = is_so and client.token("site.view") == text and client.get() == token
        os._exit(0 if is_so else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.token("site.view") is text and client.get() is token
