#!/usr/bin/env python3
"""Searches everything that the library shows, stores and leaves in memory for secrets and tokens.

    run.py [c] [command] [python]     default: all of them

A program in C, the command and a program in Python get tokens, are refused, and fail, at an endpoint that repeats the
secret in its answers. Searched are their output with every log, event, error and `repr`, the files of the token store,
and a core dump of the C program, made after it has released everything.
"""

import json
import os
import pathlib
import resource
import secrets
import shutil
import signal
import string
import subprocess
import sys
import tempfile

import endpoint
import needles

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAGE = ROOT / "target/stage"
SPECIAL = "~/+=%&"

passed = failed = 0


def check(what: str, problems: list[str]) -> None:
    global passed, failed
    passed, failed = passed + (not problems), failed + bool(problems)
    print(f"{'FAILED ' if problems else 'ok     '} {what}", *problems, sep="\n        ", flush=True)


def secret(special: str = SPECIAL) -> str:
    """Random, with signs that each encoding writes in its own way."""
    text = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))
    return text[:13] + special[: len(special) // 2] + text[13:27] + special[len(special) // 2 :] + text[27:]


class Scene:
    """The secrets, the servers and the environment that lead to them."""

    def __init__(self, place: pathlib.Path) -> None:
        self.place = place
        self.secrets = {name: secret() for name in ("secret", "second secret", "secret in a file", "value of params")}
        self.secrets["proxy password"] = secret("~")
        # Signs that a header may have.
        self.secrets["token"] = endpoint.Endpoint.token = secret("~/+-_.")
        secure = f"https://localhost:{endpoint.serve(endpoint.Endpoint, endpoint.certificate(place))}"
        plain = f"http://127.0.0.1:{endpoint.serve(endpoint.Endpoint)}"
        self.urls = [f"{secure}/token", f"{plain}/token", *(f"{secure}/{path}" for path in endpoint.PATHS)]
        (place / "secret").write_text(self.secrets["secret in a file"])
        (place / "secret").chmod(0o600)
        login = f"user:{endpoint.quoted(self.secrets['proxy password'])}"
        proxies = [f"http://{login}@127.0.0.1:{endpoint.serve(proxy)}" for proxy in (endpoint.Proxy, endpoint.RefusingProxy)]
        hush = self.secrets["second secret"]
        # Options whose values may contain a secret, with a mistake in each.
        self.mistakes = [
            ("client_secret", f"{hush}\n"),
            ("token_url", f"https://user:{hush}@auth.example/token"),
            ("token_url", f"https://auth.example/to ken?secret={endpoint.quoted(hush)}"),
            ("proxy", f"http://user:{hush}@proxy.example:port"),
            ("proxy", f"ftp://user:{endpoint.quoted(hush)}@proxy.example"),
            ("store", f"redis://:{hush}@cache.example:port"),
            ("store", f"rediss://user:{endpoint.quoted(hush)}@"),
            ("params", f"{hush}"),
            ("params", f"assertion={endpoint.quoted(hush)}&scope=x"),
        ]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.upper().startswith("TRACKUNIT_")},
            "LD_LIBRARY_PATH": str(STAGE / "lib"),
            "TRACKUNIT_CLIENT_ID": "tukey_secrecy",
            "TRACKUNIT_CLIENT_SECRET": self.secrets["secret"],
            "TRACKUNIT_SCOPE": "asset.view",
            "TRACKUNIT_CA_FILE": str(place / "root.pem"),
            "SECOND_SECRET": self.secrets["second secret"],
            "SECRET_FILE": str(place / "secret"),
            "STORE": f"file:{place}/store",
            "PARAMS": f"assertion={endpoint.quoted(self.secrets['value of params'])}",
            "GOOD_PROXY": proxies[0],
            "BAD_PROXY": proxies[1],
            "MISTAKES": json.dumps(self.mistakes),
        }

    def found(self, data: bytes, piece: int, but: str = "") -> list[str]:
        return [
            place
            for name, text in self.secrets.items()
            if name != but
            for place in needles.found(name, text, data, piece)
        ]

    def check_output(self, what: str, output: bytes, *must_have: bytes, but: str = "") -> None:
        problems = self.found(output, 6, but)
        problems += [f"does not contain {text!r}" for text in must_have if text not in output]
        if problems:
            (ROOT / "target/secrecy").mkdir(exist_ok=True)
            (ROOT / "target/secrecy/output").write_bytes(output)
            problems.append("see target/secrecy/output")
        check(f"{what}: {len(output):,} bytes", problems)

    def check_store(self, what: str) -> None:
        records = [path for path in (self.place / "store").iterdir() if path.suffix == ".token"]
        problems = [] if records else ["no record was written"]
        for path in (self.place / "store").iterdir():
            problems += self.found(path.read_bytes(), 8) + self.found(path.name.encode(), 8)
        check(f"{what}: {len(records)} records of the token store", problems)
        shutil.rmtree(self.place / "store")


# --- A program in C, and its memory.


def memory_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def memory_of(process: subprocess.Popen[bytes], place: pathlib.Path) -> tuple[str, bytes]:
    """A core dump by the kernel where it writes one here, otherwise a copy of the memory."""
    if not pathlib.Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/")):
        process.send_signal(signal.SIGABRT)
        process.wait()
        for path in place.glob("core*"):
            core = path.read_bytes()
            path.unlink()
            return "a core dump", core
    if process.poll() is not None:
        return "no core dump", b""
    copy = b""
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and "[v" not in line:
                memory.seek(begin)
                copy += memory.read(end - begin)
    process.kill()
    process.wait()
    return "a copy of the memory", copy


def without_empty_pages(memory: bytes) -> bytes:
    pages = (memory[at : at + 4096] for at in range(0, len(memory), 4096))
    return b"".join(page for page in pages if page.count(0) < len(page))


def run_program(scene: Scene, program: pathlib.Path, **more: str) -> tuple[bytes, str, bytes]:
    with open(scene.place / "output", "w+b") as output:
        process = subprocess.Popen(
            [program, *(scene.urls if not more else scene.urls[:1])],
            env=scene.environment | more,
            cwd=scene.place,
            stdout=subprocess.PIPE,
            stderr=output,
            preexec_fn=memory_limits,
        )
        # Every mapping is dumped, not only the anonymous ones.
        pathlib.Path(f"/proc/{process.pid}/coredump_filter").write_text("0x7f")
        assert process.stdout
        said = b""
        for line in process.stdout:
            said += line
            if line == b"freed\n":
                break
        how, memory = memory_of(process, scene.place)
        output.seek(0)
        return said + output.read(), how, without_empty_pages(memory)


def c(scene: Scene) -> None:
    program = scene.place / "program"
    # Functions are bound at the start: at its first call of one, the dynamic linker saves vector registers on the stack.
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    source = ROOT / "tests/secrecy/program.c"
    command = [*flags, f"-I{STAGE}/include", source, "-o", program, f"-L{STAGE}/lib", "-ltu_token", "-lpthread", "-Wl,-z,now"]
    subprocess.run([os.environ.get("CC", "cc"), *command], check=True)
    _, how, memory = run_program(scene, program, KEEP="1")
    kept = {place.split(" (")[0] for place in scene.found(memory, 8)}
    check(f"c: the search finds what is still in use in {how}", [] if {"secret", "token"} <= kept else [f"only {kept}"])
    shutil.rmtree(scene.place / "store")
    output, how, memory = run_program(scene, program)
    scene.check_output("c: messages, events and logs", output, b"token of scope", b"event TU_EVENT_STORE", b"freed\n")
    check(f"c: {how} after everything was freed, {len(memory):,} bytes", scene.found(memory, 8) or ["is empty"] * (not memory))
    scene.check_store("c")


# --- The command.


def command(scene: Scene) -> None:
    binary = ROOT / "target/debug/tu-token"
    log = ["--log", "info", "--store", scene.environment["STORE"]]

    def run(*arguments: str, shows_token: bool = False, url: str = scene.urls[0]) -> bytes:
        environment = scene.environment | {"TRACKUNIT_TOKEN_URL": url, "RUST_LOG": "trace", "RUST_BACKTRACE": "full"}
        environment["TRACKUNIT_PROXY"] = scene.environment["GOOD_PROXY"] if url.startswith("https") else "none"
        for name in ("SECOND_SECRET", "PARAMS", "GOOD_PROXY", "BAD_PROXY", "MISTAKES"):
            del environment[name]
        ran = subprocess.run([binary, *arguments], env=environment, capture_output=True, cwd=scene.place)
        return ran.stderr + (b"" if shows_token else ran.stdout)

    output = b""
    for url in scene.urls:
        output += run("get", *log, shows_token=True, url=url)
        output += run("doctor", *log, url=url)
    output += run("options") + run("options", "--client-secret", scene.secrets["second secret"])
    for key, value in scene.mistakes:
        output += run("get", f"--{key.replace('_', '-')}={value}", shows_token=True)
        output += run("options", f"--{key.replace('_', '-')}={value}")
    scene.check_output("command: get, doctor and options", output, b"client_secret")
    output = run("exec", *log, "--", "env")
    scene.check_output("command: a program's environment", output, b"TRACKUNIT_TOKEN=", but="token")
    scene.check_store("command")


# --- A program in Python.


def python(scene: Scene) -> None:
    environment = scene.environment | {"PYTHONPATH": str(ROOT / "target/secrecy/python")}
    command = [sys.executable, ROOT / "tests/secrecy/program.py", *scene.urls]
    ran = subprocess.run(command, env=environment, capture_output=True, cwd=scene.place)
    output = ran.stdout + ran.stderr
    scene.check_output("python: messages, events, logs, reprs and tracebacks", output, b"log record: DEBUG tu_token", b"the end\n")
    scene.check_store("python")


def main() -> None:
    parts = {"c": c, "command": command, "python": python}
    wanted = sys.argv[1:] or list(parts)
    with tempfile.TemporaryDirectory() as place:
        scene = Scene(pathlib.Path(place))
        for part in wanted:
            parts[part](scene)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
