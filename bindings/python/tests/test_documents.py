"""The Python code in the documents, and the examples, run as they are against the emulator."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import Emulator

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "bindings" / "python" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    return [
        (f"{document.relative_to(ROOT)}:{number}", code)
        for document in DOCUMENTS
        for number, code in enumerate(BLOCK.findall(document.read_text()), 1)
    ]


def against(emulator: Emulator, code: str) -> str:
    """What a reader would fill in, filled in; and the service on this machine."""
    for name in ("client_id", "client_secret"):
        value = os.environ[f"TRACKUNIT_{name.upper()}"]
        code = code.replace(f'{name}="..."', f'{name}="{value}"')
    return code.replace("https://iris.trackunit.com", emulator.url)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **environment},
    )


def test_there_are_blocks_to_run() -> None:
    assert len(blocks()) >= 6


@pytest.mark.parametrize(("where", "code"), blocks(), ids=[where for where, _ in blocks()])
def test_a_block_runs(where: str, code: str, emulator: Emulator) -> None:
    ended = run("-c", against(emulator, code))
    assert (ended.returncode, ended.stderr) == (0, ""), f"{where}: {ended.stderr}"


@pytest.mark.parametrize("name", ["fleet_poll.py", "fleet_poll_async.py"])
def test_an_example_lists_the_fleet(name: str, emulator: Emulator) -> None:
    example = str(ROOT / "examples" / "python" / name)
    # A token that the API refuses at first is no reason to fail.
    emulator.fault(route="/api/asset", reject_v2=True, count=1)
    ended = run(example, IRIS_URL=emulator.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[-1] == "42 machines" and len(set(lines)) == 43
    assert emulator.requests() == 2


@pytest.mark.parametrize("name", ["fleet_poll.py", "fleet_poll_async.py"])
def test_an_example_says_what_is_wrong(name: str, emulator: Emulator) -> None:
    example = str(ROOT / "examples" / "python" / name)
    ended = run(example, IRIS_URL=emulator.url, TRACKUNIT_CLIENT_SECRET="wrong")
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith("no token: ") and ended.stderr.count("\n") == 1
