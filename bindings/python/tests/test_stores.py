"""Tokens shared through a Redis server, which the wheels can do."""

from __future__ import annotations

import pickle
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Emulator

import tu_token

PASSWORD = "hush-Redis"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a server with a password."""
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        pytest.skip("tests with a Redis server: neither redis-server nor valkey-server is installed")
    path = str(tmp_path / "redis.sock")
    options = ["--port", "0", "--save", "", "--dir", str(tmp_path), "--requirepass", PASSWORD]
    with subprocess.Popen([server, *options, "--unixsocket", path], stdout=subprocess.DEVNULL) as running:
        try:
            deadline = time.monotonic() + 30
            with socket.socket(socket.AF_UNIX) as probe:
                while probe.connect_ex(path):
                    assert running.poll() is None and time.monotonic() < deadline
                    time.sleep(0.01)
            yield f"redis://:{PASSWORD}@{path}"
        finally:
            running.kill()


PROGRAM = """
import sys, tu_token
with tu_token.Client(store=sys.argv[1], store_timeout=10) as client:
    print(client.token())
"""


def test_two_processes_make_one_request(redis: str, emulator: Emulator, run_program: Run) -> None:
    first, second = run_program(PROGRAM, redis), run_program(PROGRAM, redis)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout != ""
    assert emulator.requests() == 1


def test_a_store_that_fails_costs_one_event_and_no_token(redis: str, emulator: Emulator) -> None:
    events: list[tu_token.Event] = []
    wrong = redis.replace(PASSWORD, "hush-wrong")
    with tu_token.Client(store=wrong, store_timeout=10, on_event=events.append) as client:
        assert client.token()
        client.invalidate(client.token())
        assert client.token()
        texts = [repr(client), str(client), repr(client.stats())]
    deadline = time.monotonic() + 10
    while not (failures := [event for event in events if "store failure" in event.message]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(failures) == 1
    assert "refuses the user or password" in failures[0].message
    for text in [*texts, *map(repr, events), *map(str, events)]:
        assert "hush" not in text


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": "soon"},
        {"stor": "redis://:hush@x"},
        {"store": "redis://:hush@x", "token_url": "ftp://x"},
        {"store": "unix://:hush@x"},
        {"store": b"redis://:hush@x"},
        {"store": "redis://:hush\ud800@x"},
    ],
)
def test_no_error_shows_the_password(options: dict[str, object]) -> None:
    given: dict[str, object] = {"store": f"redis://:{PASSWORD}@host", **options}
    with pytest.raises((tu_token.Error, TypeError, ValueError)) as raised:
        tu_token.Client(**given)  # type: ignore[arg-type]
    error: BaseException | None = raised.value
    while error is not None:
        assert "hush" not in repr(error) + str(error) + repr(error.__dict__)
        error = error.__cause__ or error.__context__


def test_a_client_with_a_store_is_not_pickled(redis: str, emulator: Emulator) -> None:
    with tu_token.Client(store=redis) as client, pytest.raises(TypeError) as raised:
        pickle.dumps(client)
    assert "hush" not in str(raised.value)


CRASHES = {
    "an exception": "client.get(scope='')",
    "a warning at the end": "del client",
    "a fatal error": "import faulthandler; faulthandler.enable(); import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
}


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_shows_no_password(redis: str, emulator: Emulator, run_program: Run, crash: str) -> None:
    program = f"""
import resource, sys, tu_token
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
client = tu_token.Client(store=sys.stdin.read(), store_timeout=10, log="info")
client.token()
{CRASHES[crash]}
"""
    ended = run_program(program, input=redis)
    assert "hush" not in ended.stdout + ended.stderr
    assert "store miss" in ended.stderr
