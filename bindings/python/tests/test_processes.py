"""Forks, spawned processes, and interpreter shutdown."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Emulator

import tu_token

# From Python 3.12 on, forking a process with threads gives a warning. Here that is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.. may lead to deadlocks")


def in_child(function: Any) -> int:
    """Run a function in a forked child; return its exit status, or -1 if it hung."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def test_a_child_has_its_parents_token(client: tu_token.Client, emulator: Emulator) -> None:
    token = client.token()

    def child() -> None:
        assert client.token() == token
        client.invalidate(token)
        assert client.token() != token
        assert client.get("site.view").value

    assert in_child(child) == 0
    assert client.token() is token
    assert emulator.requests() == 3


def test_forks_while_others_fetch(emulator: Emulator) -> None:
    """Whatever the parent's threads are doing, the child gets a token."""
    client = tu_token.Client(max_requests_per_minute=1_000_000, on_event=lambda event: None)
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            client.invalidate(client.token("site.view"))
            tu_token.Client().token()

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        ended = [in_child(lambda: client.token()) for _ in range(40)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert ended == [0] * 40


def test_forks_while_events_are_delivered(emulator: Emulator) -> None:
    """A library thread that attaches to the interpreter takes one of its locks without the GIL; a child
    forked at that moment must not wait for it."""
    for _ in range(150):
        client = tu_token.Client(on_event=lambda event: None)
        client.token()
        assert in_child(client.token) == 0


def test_a_signal_handler_that_forks_during_a_wait(
    held: tu_token.Client, emulator: Emulator
) -> None:
    """The child returns into its parent's wait, and starts its own."""

    def interrupt() -> None:
        while emulator.requests() < 1:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGUSR1)
        while not children:
            time.sleep(0.005)
        emulator.release()

    children: list[int] = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: children.append(os.fork()))
    interrupting = threading.Thread(target=interrupt)
    parent, token = os.getpid(), ""
    try:
        interrupting.start()
        token = held.token()
    finally:
        if os.getpid() != parent:
            os._exit(0 if token else 1)
        signal.signal(signal.SIGUSR1, former)
    interrupting.join()
    _, status = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(status) == 0


FORKS_OF_C = """
import ctypes, logging, os, signal, sys, time
import tu_token
logging.basicConfig(level=logging.INFO, stream=open(os.devnull, "w"))
fork = getattr(ctypes, sys.argv[1])(None).fork
client = tu_token.Client(on_event=lambda event: None)
client.token()
longest, hung = 0.0, 0
for _ in range(30):
    # Events, so that a library thread is inside the interpreter.
    for _ in range(60):
        client.rotate(os.environ["TRACKUNIT_CLIENT_ID"], os.environ["TRACKUNIT_CLIENT_SECRET"])
    began = time.monotonic()
    child = fork()
    if child == 0:
        logging.getLogger("tu_token").warning("in the child")
        client.get("site.view")
        os._exit(0)
    longest = max(longest, time.monotonic() - began)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.002)
    if ended == (0, 0):
        hung += 1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
print(hung, longest < 1)
os._exit(0 if sys.stdout.flush() is None else 1)
"""


@pytest.mark.parametrize("holds_the_interpreter", [True, False])
def test_forks_that_c_code_makes(
    holds_the_interpreter: bool, run_program: Any, emulator: Emulator
) -> None:
    """Python does not notice them: neither before, to let threads leave the interpreter, nor afterwards, to
    reset its locks."""
    ended = run_program(FORKS_OF_C, "PyDLL" if holds_the_interpreter else "CDLL")
    assert ended.stdout == "0 True\n", ended


def test_forks_at_random_points(emulator: Emulator) -> None:
    """Over TLS where the endpoint for it is built, as in `make test`. `make forks` makes more."""
    script = str(Path(__file__).with_name("random_forks.py"))
    front = Path(__file__).parents[3] / "target" / "debug" / "examples" / "tls-front"
    command = [str(front), "--name", "localhost"] if front.exists() else []
    ended = subprocess.run(
        [*command, sys.executable, script, "100"], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "100 forks from Python" in ended.stdout


def test_a_callback_does_not_block_a_fork(emulator: Emulator) -> None:
    """The callback that is running, and one that itself forks."""
    inside, done = threading.Event(), threading.Event()
    children: list[int] = []

    def on_event(event: tu_token.Event) -> None:
        inside.set()
        if event.kind is tu_token.EventKind.ROTATED:
            children.append(in_child(lambda: None))
            done.set()
        done.wait(30)

    client = tu_token.Client(on_event=on_event)
    client.token()
    assert inside.wait(10)
    began = time.monotonic()
    assert in_child(client.token) == 0
    # The aim is 100 ms.
    assert time.monotonic() - began < 5
    done.set()
    client.rotate("a", "b")
    while not children:
        time.sleep(0.005)
    assert children == [0]


def ask(scope: str) -> str:
    return tu_token.Client(scope=scope).token()


def ask_inherited(answers: Any) -> None:
    answers.put(INHERITED[0].token())


INHERITED: list[tu_token.Client] = []


def test_multiprocessing_by_fork(client: tu_token.Client, emulator: Emulator) -> None:
    context = multiprocessing.get_context("fork")
    INHERITED[:] = [client]
    token = client.token()
    answers = context.Queue()
    children = [context.Process(target=ask_inherited, args=(answers,)) for _ in range(4)]
    for child in children:
        child.start()
    assert [answers.get(timeout=30) for _ in children] == [token] * 4
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    INHERITED.clear()
    assert emulator.requests() == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing_by_a_new_process(method: str, emulator: Emulator) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        tokens = pool.map(ask, ["asset.view", "site.view"])
        pool.close()
        pool.join()
    assert len(set(tokens)) == 2


def test_an_exception_comes_back_from_a_process(emulator: Emulator) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(tu_token.InvalidScopeError) as refused:
            pool.apply(ask, ("site.update",))
        pool.close()
        pool.join()
    assert refused.value.http_status == 400


def test_asyncio_in_a_child(client: tu_token.Client, emulator: Emulator) -> None:
    import asyncio

    async def main(scope: str) -> str:
        return await client.token_async(scope)

    asyncio.run(main("asset.view"))
    assert in_child(lambda: asyncio.run(main("site.view"))) == 0


ENDINGS = {
    "a daemon thread waits": """
threading.Thread(target=client.token, daemon=True).start()
while client.stats().waits == 0:
    time.sleep(0.005)
""",
    "the answer comes while the interpreter ends": """
threading.Thread(target=client.token, daemon=True).start()
while client.stats().waits == 0:
    time.sleep(0.005)
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(1.5)
builtins.slow = Slow()
""",
    "an event function is slow": """
client = tu_token.Client(on_event=lambda event: time.sleep(20))
client.token()
""",
    "an event function comes back too late": """
client = tu_token.Client(on_event=lambda event: time.sleep(1.5))
client.token()
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(1.5)
builtins.slow = Slow()
""",
    "an event function writes": """
def write(event):
    for _ in range(200):
        print("x" * 9000)
client = tu_token.Client(on_event=write)
client.token()
""",
    "events come while the interpreter ends": """
client = tu_token.Client(on_event=lambda event: print(end=""))
try:
    client.get(timeout=0)
except tu_token.PendingError:
    pass
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(1.5)
builtins.slow = Slow()
""",
    "a credentials function runs": """
def credentials(refused):
    asked.set()
    time.sleep(30)
asked = threading.Event()
client = tu_token.Client(credentials=credentials)
threading.Thread(target=client.token, daemon=True).start()
asked.wait(10)
""",
    "tasks wait in a loop that is left": """
async def main():
    global task
    task = asyncio.ensure_future(client.token_async())
    task._log_destroy_pending = False
    await asyncio.sleep(0.1)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
builtins.loop = loop
loop.close()
task.get_coro().close()
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(1.5)
builtins.slow = Slow()
""",
    "a task waits when the interpreter is about to end": """
async def main():
    assert await client.token_async()
# Called among the last: it was registered before the package was imported.
late.append(lambda: asyncio.run(main()))
""",
    "the client goes with the interpreter": """
builtins.client = tu_token.Client(credentials=lambda refused: None, on_event=print)
""",
    "the main thread raises": """
threading.Thread(target=client.token, daemon=True).start()
sys.exit(7)
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_the_interpreter(ending: str, run_program: Any, emulator: Emulator) -> None:
    emulator.fault(delay="1s", count=1)
    program = (
        "import asyncio, atexit, builtins, sys, threading, time\nlate = []\n"
        "atexit.register(lambda: [call() for call in late])\nimport tu_token\n"
        "client = tu_token.Client()\n" + ENDINGS[ending]
    )
    began = time.monotonic()
    ended = run_program(program)
    expected = 7 if "sys.exit(7)" in program else 0
    assert (ended.returncode, ended.stderr) == (expected, ""), ended
    assert time.monotonic() - began < 20
