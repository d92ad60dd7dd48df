"""Callbacks of the program: credentials, events, the logger."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Emulator, in_threads

import tu_token

ID = os.environ.get("TRACKUNIT_CLIENT_ID", "")
SECRET = os.environ.get("TRACKUNIT_CLIENT_SECRET", "")


def events_of(**options: Any) -> tuple[tu_token.Client, queue.Queue[tu_token.Event]]:
    events: queue.Queue[tu_token.Event] = queue.Queue()
    return tu_token.Client(on_event=events.put, **options), events


def test_credentials_from_a_function(emulator: Emulator) -> None:
    asked: list[bool] = []

    def credentials(refused: bool) -> tuple[str, str]:
        asked.append(refused)
        return ID, SECRET if refused else "old"

    assert tu_token.Client(credentials=credentials).token()
    assert asked == [False, True]


def test_an_exception_of_a_credentials_function_reaches_one_caller(emulator: Emulator) -> None:
    class VaultError(Exception):
        pass

    def credentials(refused: bool) -> tuple[str, str]:
        raise VaultError("the vault is sealed")

    client = tu_token.Client(credentials=credentials)
    with pytest.raises(tu_token.CredentialsError) as failed:
        client.token()
    assert isinstance(failed.value.__cause__, VaultError)
    assert "sealed" not in str(failed.value)
    with pytest.raises(tu_token.CredentialsError) as remembered:
        client.token()
    assert remembered.value.__cause__ is None
    assert emulator.requests() == 0


# Exceptions that elsewhere end a thread, a program or a generator.
ENDINGS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration]


@pytest.mark.parametrize("ending", ENDINGS)
def test_system_exit_from_credentials_is_a_cause_like_others(
    ending: type[BaseException], emulator: Emulator
) -> None:
    def credentials(refused: bool) -> tuple[str, str]:
        if not known:
            raise ending("of the function")
        return ID, SECRET

    known: list[bool] = []
    client, events = events_of(credentials=credentials)
    with pytest.raises(tu_token.CredentialsError) as failed:
        client.token()
    assert type(failed.value.__cause__) is ending
    known.append(True)
    client.wake()
    with pytest.raises(tu_token.CredentialsError) as failed:
        asyncio.run(tu_token.Client(credentials=lambda refused: next(iter([]))).token_async())
    assert type(failed.value.__cause__) is StopIteration
    # The library's threads continue.
    assert tu_token.Client(credentials=credentials).token()
    while events.get(timeout=10).kind is not tu_token.EventKind.FETCH_FAILED:
        pass


@pytest.mark.parametrize("ending", ENDINGS)
def test_system_exit_from_an_event_function_ends_nothing(
    ending: type[BaseException], monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    unraisable: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr(sys, "unraisablehook", unraisable.put)

    def on_event(event: tu_token.Event) -> None:
        told.put(event.kind)
        raise ending

    told: queue.Queue[tu_token.EventKind] = queue.Queue()
    client = tu_token.Client(on_event=on_event)
    assert client.token() and asyncio.run(client.token_async("site.view"))
    for _ in range(2):
        assert told.get(timeout=10) is tu_token.EventKind.FETCH_STARTED
        assert told.get(timeout=10) is tu_token.EventKind.FETCH_SUCCEEDED
    raised = [unraisable.get(timeout=10) for _ in range(4)]
    assert {one.exc_type for one in raised} == {ending} and raised[0].object is on_event


EXITING = """
import asyncio, sys, threading, tu_token

def on_event(event):
    told.append(event.kind.name)
    sys.exit("from on_event")

told = []
sys.unraisablehook = lambda ignored: told.append(ignored.exc_type.__name__)
client = tu_token.Client(on_event=on_event, credentials=lambda refused: sys.exit("from credentials"))
for wait in (client.token, lambda: asyncio.run(client.token_async("site.view"))):
    try:
        wait()
    except tu_token.CredentialsError as error:
        print(repr(error.__cause__))
while len(told) < 8:
    pass
print(sorted(set(told)))
"""


def test_a_function_that_exits_ends_no_program(run_program: Any, emulator: Emulator) -> None:
    ended = run_program(EXITING)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    cause = "SystemExit('from credentials')\n"
    assert ended.stdout == cause * 2 + "['FETCH_FAILED', 'FETCH_STARTED', 'SystemExit']\n"


def test_one_of_many_callers_gets_the_cause(emulator: Emulator) -> None:
    def credentials(refused: bool) -> tuple[str, str]:
        raise LookupError

    client = tu_token.Client(credentials=credentials)
    start = threading.Barrier(16)
    causes: list[BaseException | None] = []

    def ask() -> None:
        start.wait()
        try:
            client.token()
        except tu_token.CredentialsError as error:
            causes.append(error.__cause__)

    in_threads(16, ask)
    assert len(causes) == 16
    assert [type(cause) for cause in causes if cause is not None] == [LookupError]


def test_no_credentials_for_now() -> None:
    client = tu_token.Client(credentials=lambda refused: None)
    with pytest.raises(tu_token.CredentialsError, match="gave none") as none:
        client.token()
    assert none.value.__cause__ is None and none.value.retryable


@pytest.mark.parametrize(
    "answer", ["id", ("hush",), ("hush", None), ["hush", "hush"], ("id", b"hush"), ("i", "hush\udc80")]
)
def test_answers_that_are_no_credentials(answer: Any) -> None:
    client = tu_token.Client(credentials=lambda refused: answer)
    with pytest.raises(tu_token.CredentialsError) as failed:
        client.token()
    cause = failed.value.__cause__
    assert isinstance(cause, TypeError) and "two str in a tuple" in str(cause)
    assert "hush" not in repr(cause) and cause.__cause__ is None and cause.__context__ is None


@pytest.mark.parametrize("name", ["credentials", "on_event"])
def test_coroutine_functions_are_refused(name: str) -> None:
    async def function(argument: object) -> None:
        raise AssertionError

    class Callable_:
        async def __call__(self, argument: object) -> None:
            raise AssertionError

    given: Any
    for given in (function, Callable_()):
        with pytest.raises(tu_token.ConfigError, match=f"{name} is a coroutine function"):
            tu_token.Client(**{name: given})
    with pytest.raises(tu_token.ConfigError, match=f"{name} must be a function, not int") as raised:
        tu_token.Client(**{name: 5})  # type: ignore[arg-type]
    assert isinstance(raised.value, TypeError)


def test_a_coroutine_returned_by_a_plain_function() -> None:
    async def later() -> tuple[str, str]:
        raise AssertionError

    function: Any = lambda refused: later()
    with pytest.raises(tu_token.CredentialsError) as failed:
        tu_token.Client(credentials=function).token()
    assert "coroutine" in str(failed.value.__cause__)


def test_a_credentials_function_may_not_wait_for_itself() -> None:
    said: list[BaseException] = []

    def credentials(refused: bool) -> tuple[str, str]:
        try:
            client.token()
        except tu_token.ArgumentError as error:
            said.append(error)
        return ID, SECRET

    client = tu_token.Client(credentials=credentials)
    assert client.token()
    assert "cannot wait for a token of the client it serves" in str(said[0])


def test_events_in_order(emulator: Emulator) -> None:
    client, events = events_of(name="reports")
    token = client.token()
    client.rotate("a", "b")
    client.invalidate(token)
    kinds = [events.get(timeout=10) for _ in range(4)]
    assert [event.kind for event in kinds] == [
        tu_token.EventKind.FETCH_STARTED,
        tu_token.EventKind.FETCH_SUCCEEDED,
        tu_token.EventKind.ROTATED,
        tu_token.EventKind.INVALIDATED,
    ]
    assert [event.level for event in kinds] == [logging.DEBUG] + 3 * [logging.INFO]
    succeeded = kinds[1]
    assert (succeeded.client, succeeded.scope, succeeded.http_status) == ("reports", "asset.view", 200)
    assert succeeded.attempt == 1 and 0 < succeeded.duration < 10
    assert succeeded.fingerprint is not None and len(succeeded.fingerprint) == 8
    assert token not in repr(kinds) and SECRET not in repr(kinds)


def test_an_event_function_that_raises_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    unraisable: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr(sys, "unraisablehook", unraisable.put)

    def on_event(event: tu_token.Event) -> None:
        if event.kind in (tu_token.EventKind.FETCH_STARTED, tu_token.EventKind.ROTATED):
            raise LookupError(event.kind)

    client = tu_token.Client(on_event=on_event)
    assert client.token()
    client.rotate(ID, SECRET)
    first, second = (unraisable.get(timeout=10) for _ in range(2))
    assert first.exc_type is second.exc_type is LookupError
    assert first.object is on_event
    client.invalidate(client.token())
    assert client.token()


def test_an_event_function_may_use_the_client_and_drop_it(emulator: Emulator) -> None:
    done = threading.Event()
    clients: list[tu_token.Client] = []

    def on_event(event: tu_token.Event) -> None:
        if event.kind is tu_token.EventKind.FETCH_SUCCEEDED:
            clients[0].get(timeout=0)
            clients.clear()
            gc.collect()
            done.set()

    clients.append(tu_token.Client(on_event=on_event))
    asking = clients[0]
    asking.token()
    del asking
    assert done.wait(10)


def test_garbage_is_collected_during_calls(emulator: Emulator) -> None:
    def credentials(refused: bool) -> tuple[str, str]:
        gc.collect()
        return ID, SECRET

    for _ in range(5):
        client = tu_token.Client(credentials=credentials, on_event=lambda event: gc.collect())
        assert client.token()
        del client
        gc.collect()


@pytest.mark.parametrize("name", ["credentials", "on_event"])
def test_a_cycle_of_client_and_function_is_collected(name: str) -> None:
    class Owner:
        def function(self, argument: object) -> None:
            return None

    owner: Any = Owner()
    owner.client = tu_token.Client(**{name: owner.function})
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_a_function_lives_as_long_as_its_client(emulator: Emulator) -> None:
    class Function:
        def __call__(self, event: object) -> None:
            return None

    function = Function()
    gone = weakref.ref(function)
    client = tu_token.Client(on_event=function)
    del function
    gc.collect()
    assert gone() is not None
    del client
    gc.collect()
    assert gone() is None


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: queue.Queue[Any] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)


@pytest.fixture
def records() -> Any:
    logger = logging.getLogger("tu_token")
    handler = Records()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.records
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def next_of(records: queue.Queue[Any], name: str, matches: Callable[[Any], bool]) -> Any:
    """Skips the records of other tests' clients."""
    while True:
        record = records.get(timeout=10)
        if record.tu_client == name and matches(record):
            return record


def test_events_reach_the_logger(records: queue.Queue[Any], emulator: Emulator) -> None:
    emulator.fault(status=500, count=1)
    client = tu_token.Client(name="logged")
    token = client.token()
    began = next_of(records, "logged", lambda record: True)
    assert began.levelno == logging.DEBUG == began.tu_level
    assert began.tu_kind is tu_token.EventKind.FETCH_STARTED
    failed = next_of(records, "logged", lambda record: record.levelno == logging.WARNING)
    assert failed.tu_kind is tu_token.EventKind.FETCH_FAILED and failed.tu_http_status == 500
    assert failed.tu_status is tu_token.Status.SERVER and failed.tu_attempt == 1
    assert failed.tu_wait is not None
    got = next_of(
        records, "logged", lambda record: record.tu_kind is tu_token.EventKind.FETCH_SUCCEEDED
    )
    assert got.levelno == logging.INFO and got.name == "tu_token"
    assert got.getMessage().startswith("logged: ")
    assert "[scope asset.view]" in got.getMessage()
    for record in (failed, got):
        shown = record.getMessage() + repr(vars(record))
        assert token not in shown and SECRET not in shown


def test_a_disabled_log_level_creates_no_event(
    records: queue.Queue[Any], monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    from tu_token import _events

    made: list[tuple[Any, ...]] = []
    original = _events.Event

    def counted(*members: Any) -> Any:
        made.append(members)
        return original(*members)

    monkeypatch.setattr(_events, "Event", counted)
    logging.getLogger("tu_token").setLevel(logging.ERROR)
    heard, events = events_of(name="heard")
    silent = tu_token.Client(name="silent")
    silent.token()
    heard.token()
    # Events are delivered in order: those of the silent client have passed by now.
    while events.get(timeout=10).kind is not tu_token.EventKind.FETCH_SUCCEEDED:
        pass
    assert made and all(members[2] == "heard" for members in made)


def test_without_logging_nothing_is_written(run_program: Any, emulator: Emulator) -> None:
    program = """
import tu_token, threading
done = threading.Event()
client = tu_token.Client(client_secret="wrong", on_event=lambda event: event.kind == 3 and done.set())
try:
    client.token()
except tu_token.InvalidClientError:
    done.wait(10)
"""
    ended = run_program(program)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
