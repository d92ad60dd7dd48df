"""Run the Python code in the documents, and the examples, unchanged against the emulator."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import Emulator
from documents import ROOT, against, blocks, page_tests


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


@pytest.mark.parametrize("where", blocks())
def test_a_block_runs(where: str, emulator: Emulator) -> None:
    ended = run("-c", against(emulator.url, blocks()[where]))
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("where", blocks())
def test_a_block_that_gets_no_token_fails(where: str, emulator: Emulator) -> None:
    wrong = {"TRACKUNIT_CLIENT_SECRET": "tusec_another"}
    ended = run("-c", against(emulator.url, blocks()[where], wrong), **wrong)
    assert ended.returncode != 0 and "invalid_client" in ended.stderr


@pytest.mark.parametrize("where", page_tests())
def test_a_test_in_a_document_passes(where: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "test_page.py").write_text(page_tests()[where])
    # The command, of which the test needs the emulator alone.
    command = tmp_path / "tu-token"
    emulator = ROOT / "target" / "debug" / "tu-token-emulator"
    command.write_text(f'#!/bin/sh\nshift\nexec "{emulator}" "$@"\n')
    command.chmod(0o700)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ended = run("-m", "pytest", "-p", "no:cacheprovider", str(tmp_path), PATH=path)
    assert ended.returncode == 0 and "5 passed" in ended.stdout, ended.stdout


@pytest.mark.parametrize("name", ["fleet_poll.py", "fleet_poll_async.py"])
def test_an_example_lists_the_fleet(name: str, emulator: Emulator) -> None:
    example = str(ROOT / "examples" / "python" / name)
    # A token that the API refuses once must not make it fail.
    emulator.fault(route="/api/asset", reject_v2=True, count=1)
    ended = run(example)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[-1] == "42 machines" and len(set(lines)) == 43
    assert emulator.requests() == 2


@pytest.mark.parametrize("name", ["fleet_poll.py", "fleet_poll_async.py"])
def test_an_example_says_what_is_wrong(name: str, emulator: Emulator) -> None:
    example = str(ROOT / "examples" / "python" / name)
    ended = run(example, TRACKUNIT_CLIENT_SECRET="wrong")
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith("no token: ") and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["fleet_poll.py", "fleet_poll_async.py"])
@pytest.mark.parametrize("fault", [{"html": True}, {"body": "{}"}, {"body": "[]"}, {"body": "1"}])
def test_an_example_does_not_accept_a_web_page(
    name: str, fault: dict[str, object], emulator: Emulator
) -> None:
    emulator.fault(route="/api/asset", **fault)
    ended = run(str(ROOT / "examples" / "python" / name), IRIS_URL=f"{emulator.url}/")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is IRIS_URL right?" in ended.stderr and ended.stderr.count("\n") == 1
