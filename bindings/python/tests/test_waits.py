"""Waits of threads: Ctrl-C ends them, and the GIL is released meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from conftest import Emulator, in_threads

import tu_token


def test_64_threads_make_one_request(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="200ms", count=1)
    start = threading.Barrier(64)
    tokens: list[str] = []

    def ask() -> None:
        start.wait()
        tokens.append(client.token())

    in_threads(64, ask)
    assert len(tokens) == 64 and len(set(tokens)) == 1
    assert emulator.requests() == 1


def test_ctrl_c_ends_a_wait_and_not_the_fetch(held: tu_token.Client, emulator: Emulator) -> None:
    sent = []

    # Not by a timer: a signal that came before the wait would end the whole test run.
    def interrupt() -> None:
        while held.stats().waits < 1:
            time.sleep(0.005)
        time.sleep(0.2)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupting.start()
        held.token()
    # The aim is 100 ms.
    assert time.monotonic() - sent[0] < 5
    interrupting.join()
    # However often it checked for signals, it was a single wait.
    assert held.stats().waits == 1
    while emulator.requests() < 1:
        time.sleep(0.005)
    emulator.release()
    assert held.token()
    assert emulator.requests() == 1


def test_a_wait_continues_after_a_signal_handler(
    held: tu_token.Client, emulator: Emulator
) -> None:
    def interrupt() -> None:
        while emulator.requests() < 1:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGUSR1)
        while not seen:
            time.sleep(0.005)
        emulator.release()

    seen: list[int] = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        assert held.token()
        interrupting.join()
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert seen == [signal.SIGUSR1]
    assert held.stats().waits == 1


@pytest.mark.parametrize("of_main_thread", [True, False])
def test_other_threads_run_during_a_wait(
    held: tu_token.Client, emulator: Emulator, of_main_thread: bool
) -> None:
    waited: list[str] = []

    def wait() -> None:
        waited.append(held.token())

    def tick() -> None:
        while emulator.requests() < 1:
            time.sleep(0.001)
        for _ in range(100):
            time.sleep(0.001)
        assert not waited
        emulator.release()

    other = threading.Thread(target=tick if of_main_thread else wait)
    other.start()
    (wait if of_main_thread else tick)()
    other.join()
    assert len(waited) == 1


def test_a_client_dropped_by_others_while_one_waits(emulator: Emulator) -> None:
    emulator.fault(delay="200ms", count=1)
    clients = [tu_token.Client()]
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(clients[0].token()))
    waiting.start()
    while emulator.requests() == 0:
        time.sleep(0.005)
    clients.clear()
    waiting.join()
    assert len(got) == 1


def test_many_threads_on_a_warm_cache(client: tu_token.Client) -> None:
    token = client.token()
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(20_000):
            if client.token() is not token:
                wrong.append(None)

    in_threads(4, ask)
    assert not wrong


def test_renewal_and_readers_at_once(client: tu_token.Client, emulator: Emulator) -> None:
    """Every returned token was issued, and was not invalidated before the call."""
    done = threading.Event()
    seen: set[str] = set()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            while not done.is_set():
                seen.add(client.token())
        except BaseException as raised:
            failures.append(raised)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        token = client.token()
        client.invalidate(token)
        assert client.token() != token
    done.set()
    for thread in threads:
        thread.join()
    assert not failures and len(seen) <= emulator.requests() <= 4
