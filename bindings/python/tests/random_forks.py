"""Forks at random points of a program that fetches, waits, runs an event loop, shares tokens in a file
store, creates and closes clients: by ``os.fork``, in a signal handler, and by ``posix_spawn``. A fifth of
the forks are made by C code, when only the library's threads are left: a child of such a fork hangs in CPython
itself if another thread of the program was waiting for the interpreter's lock. Each child gets a token, closes
and exits; one that hangs is shown with its stacks.

``random_forks.py FORKS [SEED]``. Needs a running emulator, and sees to it that tokens live for 8 s. The
points are drawn from the seed, which is printed.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable

import tu_token

AT_A_TIME = 16
HANGS_AFTER = 45.0
WAYS = {"os.fork": 8, "in a signal handler": 2, "posix_spawn": 0.1}
BY_C = "by C code"

# From Python 3.12 on, forking a process with threads gives a warning. Here that is what is tested.
warnings.simplefilter("ignore", DeprecationWarning)


class Program:
    """What is going on when a process is forked."""

    def __init__(self, directory: str) -> None:
        self.store = f"file:{directory}/store"
        self.shared = self.client()
        self.stored = self.client(store=self.store)
        self.silence = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.silent = self.client(token_url=f"http://127.0.0.1:{self.silence.getsockname()[1]}/token/v2")
        self.done = threading.Event()
        self.failed: list[BaseException] = []

    def client(self, **options: str) -> tu_token.Client:
        return tu_token.Client(
            connect_timeout=1,
            max_requests_per_minute=1_000_000,
            on_event=lambda event: None,
            **options,  # type: ignore[arg-type]
        )

    def renew(self) -> None:
        self.shared.invalidate(self.shared.token())
        self.shared.token()
        self.shared.get("site.view", min_ttl=7)

    def create_and_close(self) -> None:
        client = self.client(store=self.store)
        client.token()
        client.close()
        self.stored.token()

    def wait(self) -> None:
        try:
            self.silent.get(timeout=0.02)
        except (tu_token.TimeoutError, tu_token.NetworkError):
            pass

    def loop(self) -> None:
        async def main() -> None:
            await asyncio.gather(*(self.shared.token_async() for _ in range(4)))

        asyncio.run(main())

    def resolve(self) -> None:
        socket.getaddrinfo("localhost", 80)

    def busy_library(self) -> None:
        """Events, so that a library thread is inside the interpreter, and fetches."""
        self.shared.rotate(os.environ["TRACKUNIT_CLIENT_ID"], os.environ["TRACKUNIT_CLIENT_SECRET"])
        try:
            self.shared.get("scope1", timeout=0, min_ttl=7.9)
        except tu_token.PendingError:
            pass

    def repeat(self, action: Callable[[], None]) -> None:
        while not self.done.is_set():
            try:
                action()
            except BaseException as raised:
                self.failed.append(raised)
            time.sleep(0.01)

    def begin(self) -> list[threading.Thread]:
        actions = [self.renew, self.create_and_close, self.wait, self.loop, self.resolve]
        threads = [threading.Thread(target=self.repeat, args=(action,)) for action in actions]
        for thread in threads:
            thread.start()
        return threads


def act(program: Program, chance: random.Random) -> None:
    """What a child does; without a token it raises."""
    choice = chance.randrange(10)
    if choice < 4:
        program.shared.token()
    elif choice < 6:
        program.shared.get("asset.view site.view")
    elif choice == 6:
        program.stored.token()
    elif choice == 7:
        asyncio.run(program.shared.token_async())
    elif choice == 8:
        program.shared.invalidate(program.shared.token())
        program.shared.token()
    else:
        program.client(store=program.store).token()


def child(program: Program, seed: int) -> None:
    """Never returns. Writes with a system call: a lock of ``sys.stderr`` may have been inherited."""
    code = 1
    try:
        act(program, random.Random(seed))
        if seed % 2:
            program.shared.close()
        code = 0
    except BaseException as raised:
        os.write(2, f"{os.getpid()}: {raised!r}\n".encode())
    finally:
        os._exit(code)


SPAWNED = "import tu_token; tu_token.Client(store='STORE').token()"


class Forks:
    """Forks, and the children that have not ended."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program, self.chance = program, random.Random(seed)
        self.living: dict[int, tuple[float, str]] = {}
        self.counts = dict.fromkeys([*WAYS, BY_C], 0)
        self.hung = self.bad = 0
        self.handlers_child = 0
        self.childs_seed = 0
        # Python's own hooks for forks do not run.
        self.fork_of_c = ctypes.PyDLL(None).fork
        signal.signal(signal.SIGALRM, self.handle)

    def fork(self, fork: Callable[[], int]) -> int:
        pid = fork()
        if pid == 0:
            child(self.program, self.childs_seed)
        return pid

    def handle(self, number: int, frame: object) -> None:
        self.handlers_child = self.fork(os.fork)

    def interrupted(self) -> int:
        self.handlers_child = 0
        signal.setitimer(signal.ITIMER_REAL, self.chance.uniform(0.0001, 0.003))
        while not self.handlers_child:
            self.program.shared.token()
            self.program.shared.stats()
        return self.handlers_child

    def begin(self, way: str) -> int:
        self.childs_seed = self.chance.randrange(1 << 30)
        if way == "in a signal handler":
            return self.interrupted()
        if way == "posix_spawn":
            words = [sys.executable, "-c", SPAWNED.replace("STORE", self.program.store)]
            return os.posix_spawn(sys.executable, words, dict(os.environ))
        if way == BY_C:
            for _ in range(self.chance.randrange(20)):
                self.program.busy_library()
            return self.fork(self.fork_of_c)
        return self.fork(os.fork)

    def reap(self) -> None:
        for pid, (began, way) in list(self.living.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                if status != 0:
                    self.bad += 1
                    print(f"FAILED child {pid} ({way}) ended with status {status}", file=sys.stderr)
            elif time.monotonic() - began > HANGS_AFTER:
                self.hung += 1
                print(f"child {pid} ({way}) hangs", file=sys.stderr, flush=True)
                show_stacks(pid)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            else:
                continue
            del self.living[pid]

    def make(self, number: int, ways: dict[str, float]) -> None:
        for _ in range(number):
            time.sleep(self.chance.uniform(0, 0.002))
            way = self.chance.choices(list(ways), list(ways.values()))[0]
            while len(self.living) >= AT_A_TIME:
                self.reap()
                time.sleep(0.001)
            began = time.monotonic()
            self.living[self.begin(way)] = began, way
            self.counts[way] += 1
        while self.living:
            self.reap()
            time.sleep(0.001)


def show_stacks(pid: int) -> None:
    if shutil.which("gdb") is None:
        print(f"(no gdb: no stacks of process {pid})", file=sys.stderr)
        return
    subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt"], stdout=2)


def short_lives() -> None:
    """Let tokens live for 8 s: on a busy machine an answer takes a while."""
    fault = json.dumps({"route": "token", "expires_in": 8}).encode()
    url = f"{os.environ['EMULATOR_URL']}/_emulator/faults"
    urllib.request.urlopen(urllib.request.Request(url, fault, method="POST"), timeout=10).close()


def main(number: int, seed: int) -> int:
    short_lives()
    directory = tempfile.mkdtemp()
    program = Program(directory)
    threads = program.begin()
    forks = Forks(program, seed)
    began = time.monotonic()
    try:
        forks.make(number - number // 5, WAYS)
    finally:
        program.done.set()
        for thread in threads:
            thread.join()
    forks.make(number // 5, {BY_C: 1})
    shutil.rmtree(directory)
    took = time.monotonic() - began
    ways = ", ".join(f"{way}: {count}" for way, count in forks.counts.items())
    print(
        f"{number} forks from Python in {took:.0f} s ({ways}): {forks.hung} children hung, "
        f"{forks.bad} failed; {len(program.failed)} failed gets in the parent; seed {seed}",
        *map(repr, program.failed[:3]),
    )
    failures = [forks.hung, forks.bad, len(program.failed)]
    print(f"{failures.count(0)} passed, {3 - failures.count(0)} failed")
    return int(any(failures))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())))
