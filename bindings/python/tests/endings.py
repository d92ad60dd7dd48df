"""Short programs, each run many times to its end: whatever threads of the library's are doing when
the interpreter ends, the program ends as it would without them.

``endings.py [RUNS [NAME...]]``. Needs the emulator beside it. It is the installed module that is looked at:
an optimised one behaves otherwise here than one that is built for development.
"""

from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import re
import subprocess
import sys
import time

START = """
import asyncio, atexit, builtins, os, sys, threading, time
late = []
# Registered before the package is imported: called after what the package does at the end.
atexit.register(lambda: [call() for call in late])
import tu_token
ID, SECRET = os.environ["TRACKUNIT_CLIENT_ID"], os.environ["TRACKUNIT_CLIENT_SECRET"]
async def get(client):
    return await client.token_async()
class Slow:
    def __init__(self, seconds):
        self.seconds = seconds
    def __del__(self, sleep=time.sleep):
        sleep(self.seconds)
def waits_in_a_thread(client):
    def wait():
        try:
            client.get("site.view")
        except tu_token.ClosedError:
            pass
    threading.Thread(target=wait, daemon=True).start()
    while client.stats("site.view").waits == 0:
        time.sleep(0.001)
"""

PROGRAMS = {
    "sync": "print(tu_token.Client().token())",
    "asyncio": "print(asyncio.run(get(tu_token.Client())))",
    "asyncio twice": "client = tu_token.Client()\nfor scope in ('asset.view', 'site.view'):\n"
    "    print(asyncio.run(client.token_async(scope)))",
    "asyncio, a thousand tasks": """
async def main(client):
    return await asyncio.gather(*(client.token_async() for _ in range(1000)))
print(*set(asyncio.run(main(tu_token.Client()))))
""",
    "asyncio in a thread": """
client = tu_token.Client()
thread = threading.Thread(target=lambda: print(asyncio.run(get(client))))
thread.start()
""",
    "asyncio, cancelled": """
async def main(client):
    task = asyncio.ensure_future(client.token_async())
    await asyncio.sleep(0)
    task.cancel()
asyncio.run(main(tu_token.Client()))
print(1)
""",
    "httpx": """
import httpx
with httpx.Client(auth=tu_token.HttpxAuth(tu_token.Client())) as http:
    print(http.get(os.environ["EMULATOR_URL"] + "/api/asset/v2/assets?size=1").status_code)
""",
    "httpx, async": """
import httpx
async def main():
    async with httpx.AsyncClient(auth=tu_token.HttpxAuth(tu_token.Client())) as http:
        return await http.get(os.environ["EMULATOR_URL"] + "/api/asset/v2/assets?size=1")
print(asyncio.run(main()).status_code)
""",
    "events": """
client = tu_token.Client(on_event=lambda event: print(event.kind))
print(client.token())
""",
    "events, asyncio": "print(asyncio.run(get(tu_token.Client(on_event=lambda event: None))))",
    "events to the log": """
import logging
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
print(tu_token.Client().token())
""",
    "an event function is inside for long": """
client = tu_token.Client(on_event=lambda event: time.sleep(20))
print(client.token())
""",
    "an event function comes back too late": """
client = tu_token.Client(on_event=lambda event: time.sleep(1.3))
print(client.token())
builtins.slow = Slow(1)
""",
    "what an event function leaves comes back too late": """
class Listener:
    def __call__(self, event):
        time.sleep(0.1)
    def __del__(self, sleep=time.sleep):
        sleep(1.3)
client = tu_token.Client(on_event=Listener())
print(client.token())
del client
builtins.slow = Slow(1.7)
""",
    "an event function raises SystemExit": """
sys.unraisablehook = lambda unraisable: None
def on_event(event):
    raise SystemExit(3) if event.kind == 1 else KeyboardInterrupt
print(tu_token.Client(on_event=on_event).token())
""",
    "credentials": "print(tu_token.Client(credentials=lambda refused: (ID, SECRET)).token())",
    "credentials, asyncio": """
print(asyncio.run(get(tu_token.Client(credentials=lambda refused: (ID, SECRET)))))
""",
    "credentials, inside": """
def credentials(refused):
    asked.set()
    time.sleep(0.02)
    return ID, SECRET
asked = threading.Event()
client = tu_token.Client(credentials=credentials)
threading.Thread(target=client.token, daemon=True).start()
print(asked.wait(10))
""",
    "credentials that raise": """
try:
    tu_token.Client(credentials=lambda refused: 1 / 0).token()
except tu_token.CredentialsError as error:
    print(type(error.__cause__))
""",
    "closed in finally": """
client = tu_token.Client(on_event=lambda event: None)
try:
    print(client.token())
finally:
    client.close()
""",
    "closed while it is waited for": """
client = tu_token.Client(on_event=lambda event: None)
waits_in_a_thread(client)
client.close()
print(1)
""",
    "an exception on the way": """
sys.excepthook = lambda *raised: None
client = tu_token.Client(on_event=lambda event: None)
print(client.token())
raise LookupError  # exits with 1
""",
    "sys.exit": "print(asyncio.run(get(tu_token.Client())))\nsys.exit(7)  # exits with 7",
    "sys.exit in a task": """
async def main(client):
    print(await client.token_async())
    sys.exit(7)  # exits with 7
asyncio.run(main(tu_token.Client()))
""",
    "a daemon thread waits": """
client = tu_token.Client(on_event=lambda event: None)
waits_in_a_thread(client)
print(1)
""",
    "a thread waits": """
client = tu_token.Client(on_event=lambda event: None)
threading.Thread(target=lambda: print(client.token())).start()
""",
    "a forked child": """
client = tu_token.Client(on_event=lambda event: None)
token = client.token()
import warnings
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    sys.exit(client.get("site.view").value == token)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    "multiprocessing": """
import multiprocessing, warnings
warnings.simplefilter("ignore")
client = tu_token.Client(on_event=lambda event: None)
client.token()
child = multiprocessing.get_context("fork").Process(target=client.get, args=("site.view",))
child.start()
child.join()
print(child.exitcode)
""",
    "os._exit": """
client = tu_token.Client(on_event=lambda event: None)
print(client.token(), flush=True)
os._exit(0)
""",
    "a token at the very end": """
client = tu_token.Client(on_event=lambda event: None)
late.append(lambda: print(client.token(), asyncio.run(client.token_async("site.view"))))
""",
    "credentials at the very end": """
def ask(client=tu_token.Client(credentials=lambda refused: (ID, SECRET))):
    try:
        client.token()
    except tu_token.CredentialsError as error:
        assert "the interpreter is ending" in str(error) and "gave none" not in str(error)
        print(1)
late.append(ask)
""",
    "a token when modules go": """
class Last:
    def __del__(self, get=tu_token.Client(on_event=lambda event: None).token, write=os.write):
        try:
            write(1, get().encode())
        except BaseException as raised:
            write(1, repr(raised).encode())
builtins.last = Last()
""",
}


def run(program: str) -> str | None:
    """What is wrong with how a program ended."""
    command = [sys.executable, "-W", "error", "-c", START + program]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=45)
    except subprocess.TimeoutExpired:
        return "it hangs"
    expected = re.search(r"exits with (\d)", program)
    if ended.stdout and not ended.stderr and ended.returncode == int(expected[1] if expected else 0):
        return None
    return f"exit {ended.returncode}, stdout {ended.stdout!r}, stderr {ended.stderr!r}"


def main(runs: int, names: list[str]) -> int:
    failed = 0
    if importlib.util.find_spec("httpx") is None:
        for name in [name for name in PROGRAMS if name.startswith("httpx")]:
            del PROGRAMS[name]
    programs = {name: PROGRAMS[name] for name in names} or PROGRAMS
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for name, program in programs.items():
            began = time.monotonic()
            wrong = [what for what in pool.map(run, [program] * runs) if what is not None]
            took = time.monotonic() - began
            print(f"{name}: {len(wrong)} of {runs} ended badly ({took:.1f} s)", *wrong[:1], flush=True)
            failed += bool(wrong)
    print(f"{len(programs) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:]))
