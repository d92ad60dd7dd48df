"""No thread can be started, or nothing opened, for a while: calls return in time, with a token or a retryable
error; whatever was accepted is answered; afterwards everything works again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Emulator

TESTS_OF_C = Path(__file__).parents[3] / "tests" / "c"

# `begin` and `end` are those of the shortage; each action takes part in it.
START = """
import asyncio, contextlib, ctypes, os, resource, sys, threading, time
import httpx, tu_token, trio

def threads(short):
    ctypes.CDLL(os.environ["LD_PRELOAD"]).set_no_threads(short)

def descriptors(short, usual=resource.getrlimit(resource.RLIMIT_NOFILE)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]) if short else usual)

kind, place, lasts = {"threads": threads, "descriptors": descriptors}[sys.argv[1]], sys.argv[2], float(sys.argv[3])
drops = []

def in_time(limit):
    @contextlib.contextmanager
    def measured():
        began = time.monotonic()
        try:
            yield
        except tu_token.Error as error:
            assert error.retryable or isinstance(error, tu_token.ConfigError), repr(error)
        assert time.monotonic() - began < limit + 10
    return measured()

class Listener:
    def __call__(self, event):
        pass
    def __del__(self):
        drops.append(1)

async def tasks(client):
    waits = [asyncio.ensure_future(client.token_async()) for _ in range(8)]
    await asyncio.sleep(0)
    waits[0].cancel()
    ended = await asyncio.gather(*waits, return_exceptions=True)
    for error in ended[1:]:
        assert isinstance(error, str) or error.retryable, repr(error)

# A token at hand needs neither a thread nor an asyncio loop.
async def authorizes(client):
    flow = tu_token.HttpxAuth(client).async_auth_flow(httpx.Request("GET", os.environ["IRIS_URL"]))
    assert "Authorization" in (await flow.__anext__()).headers
    await flow.aclose()

def credentials(refused):
    return os.environ["TRACKUNIT_CLIENT_ID"], os.environ["TRACKUNIT_CLIENT_SECRET"]

def in_child(client):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with in_time(1):
                client.token()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0

ACTIONS = {
    "creation": lambda client: tu_token.Client(),
    "get": lambda client: client.token(),
    "get again": lambda client: (client.invalidate(client.token()), client.token()),
    "no wait": lambda client: client.get(timeout=0),
    "asyncio": lambda client: asyncio.run(tasks(client)),
    "trio, hit": lambda client: trio.run(authorizes, client),
    "events": lambda client: tu_token.Client(on_event=Listener()).token(),
    "credentials": lambda client: tu_token.Client(credentials=credentials, timeout=1).token(),
    "store": lambda client: tu_token.Client(store="file:" + os.environ["STORE"], timeout=1).token(),
    "fork": lambda client: in_child(client),
}
"""

PROGRAM = """
client = tu_token.Client(timeout=1)
if place in ("get again", "trio, hit"):
    client.get(timeout=30)
ended = threading.Event()
def end():
    begun.wait()
    time.sleep(lasts)
    kind(False)
    ended.set()
begun = threading.Event()
if lasts:
    threading.Thread(target=end).start()
kind(True)
begun.set()
for _ in range(3):
    with in_time(1):
        try:
            ACTIONS[place](client)
        except tu_token.Error:
            raise
        except (OSError, RuntimeError) as error:
            # The loop's own: it takes descriptors.
            assert place == "asyncio" or (kind, place) == (descriptors, "trio, hit"), repr(error)
if not lasts:
    kind(False)
    ended.set()
ended.wait()
deadline = time.monotonic() + 20
while True:
    try:
        assert client.token()
        break
    except tu_token.Error:
        assert time.monotonic() < deadline
        time.sleep(0.01)
assert asyncio.run(client.token_async("site.view", timeout=30))
deadline = time.monotonic() + 20
while place == "events" and len(drops) < 3:
    assert time.monotonic() < deadline, drops
    time.sleep(0.01)
time.sleep(0.05)
print("ended", len(drops))
"""

PLACES = (
    "creation",
    "get",
    "get again",
    "no wait",
    "asyncio",
    "trio, hit",
    "events",
    "credentials",
    "store",
    "fork",
)


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that refuses threads, for the whole process: that of the C tests."""
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("a C compiler for Linux is missing")
    directory = tmp_path_factory.mktemp("scarce")
    source, library = directory / "scarce.c", directory / "scarce.so"
    source.write_text(
        '#include "scarce.h"\nvoid set_no_threads(int is_short) { no_threads(is_short); }\n'
    )
    command = ["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", f"-I{TESTS_OF_C}", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return str(library)


@pytest.mark.parametrize("kind", ["threads", "descriptors"])
def test_shortages(kind: str, preloaded: str, emulator: Emulator, tmp_path: Path) -> None:
    """All places at once: most of their time is spent waiting."""
    programs = {}
    for place in PLACES:
        for lasts in ("0.1", "0"):
            store = tmp_path / f"{place}-{lasts}".replace(" ", "-")
            environment = {**os.environ, "LD_PRELOAD": preloaded, "STORE": str(store)}
            programs[place, lasts] = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", START + PROGRAM, kind, place, lasts],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
    wrong = {}
    for name, program in programs.items():
        said, errors = program.communicate(timeout=50)
        drops = 3 if name[0] == "events" else 0
        if (program.returncode, said) != (0, f"ended {drops}\n"):
            wrong[name] = (program.returncode, said, errors[-1500:])
    assert wrong == {}


ENDS = """
import sys, threading, time
import tu_token

def hears(event):
    heard.set()
    time.sleep(0.2)

# Shutdown takes longer than the event function.
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(0.5)

sys.slow = Slow()
heard = threading.Event()
client = tu_token.Client(on_event=hears)
client.token()
heard.wait()
print("ended", flush=True)
if sys.argv[1] == "sys.exit":
    sys.exit(0)
if sys.argv[1] == "closed":
    client.close()
"""


@pytest.mark.parametrize("how", ["unclosed", "closed", "sys.exit"])
def test_a_program_ends_while_the_event_function_runs(how: str, emulator: Emulator) -> None:
    """Interpreter shutdown finds no thread of the library inside: it would end that thread wherever it is."""
    program = [sys.executable, "-c", ENDS, how]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")
