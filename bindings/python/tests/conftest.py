"""Common fixtures: the emulator and clients for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tu_token


class Emulator:
    """The emulator, used through its control routes."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fault(self, **members: object) -> None:
        """Add a fault for token requests, or for those of a ``route``."""
        self._control("POST", "faults", json.dumps(members).encode())

    def release(self) -> None:
        """Clear the faults; held requests continue."""
        self._control("DELETE", "faults")

    def clear(self) -> None:
        self.release()
        self._control("DELETE", "journal")

    def requests(self, route: str = "/token/v2") -> int:
        """Return the number of requests since the test began."""
        return int(self._control("GET", f"count?route={route}"))

    def await_requests(self, number: int) -> None:
        """Wait until so many have come. One that comes after the end of a test counts for the next."""
        while self.requests() < number:
            time.sleep(0.005)

    def _control(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
            return content


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the summary that `make test` parses."""

    def count(*outcomes: str) -> int:
        return sum(len(terminalreporter.stats.get(outcome, [])) for outcome in outcomes)

    for skipped in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"SKIPPED: {skipped.longrepr[2].removeprefix('Skipped: ')}")
    terminalreporter.write_line(f"{count('passed')} passed, {count('failed', 'error')} failed")


def in_threads(count: int, work: Callable[[], object]) -> None:
    """Do this work in so many threads at once, and wait for all of them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    url = os.environ.get("EMULATOR_URL")
    if url is None:
        pytest.fail("no emulator: run the tests as `scripts/emulator.sh pytest bindings/python`")
    emulator = Emulator(url)
    emulator.clear()
    yield emulator
    emulator.clear()


@pytest.fixture
def client(emulator: Emulator) -> Iterator[tu_token.Client]:
    with tu_token.Client() as client:
        yield client


@pytest.fixture
def held(emulator: Emulator) -> Iterator[tu_token.Client]:
    """A client whose token requests are held until the emulator is told to `release` them."""
    emulator.fault(delay="30s")
    with tu_token.Client(fetch_timeout=40, request_timeout=40, connect_timeout=40, timeout=60) as client:
        yield client


@pytest.fixture
def run_program() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a Python program in a separate process, where warnings are errors."""

    def run(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=50,
            **options,
        )

    return run
