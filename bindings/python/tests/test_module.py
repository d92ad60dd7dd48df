"""The module as it is installed."""

from __future__ import annotations

import importlib.metadata
import pathlib
import subprocess
import sys
from typing import Any

import pytest

import tu_token
from tu_token import _native


def test_nothing_of_the_c_library_is_exported() -> None:
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(_native.__file__)],
        capture_output=True,
        text=True,
        check=True,
    )
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert names == ["PyInit__native"]


def test_it_is_typed_and_says_its_version() -> None:
    assert (pathlib.Path(tu_token.__file__).parent / "py.typed").exists()
    assert tu_token.__version__ == importlib.metadata.version("tu-token")


def test_all_names_are_there() -> None:
    assert set(tu_token.__all__) <= set(dir(tu_token))
    assert {"RequestsAuth", "HttpxAuth"} <= set(dir(tu_token))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tu_token.nothing


@pytest.mark.parametrize(("adapter", "package"), [("RequestsAuth", "requests"), ("HttpxAuth", "httpx")])
def test_an_adapter_without_its_package(adapter: str, package: str, run_program: Any) -> None:
    program = f"""
import sys
sys.modules[{package!r}] = None
import tu_token
try:
    tu_token.{adapter}
except ImportError as missing:
    print(missing)
"""
    ended = run_program(program)
    assert ended.stdout == f"{adapter} needs {package}: pip install 'tu-token[{package}]'\n", ended


def test_importing_it_imports_neither_adapters_package(run_program: Any) -> None:
    ended = run_program(
        "import sys, tu_token; print(sorted({'requests', 'httpx', 'asyncio'} & set(sys.modules)))"
    )
    assert "requests" not in ended.stdout and "httpx" not in ended.stdout


def test_no_test_clock_in_an_installed_module() -> None:
    assert not hasattr(_native, "_advance_test_clock_ms")
    assert sys.version_info >= (3, 10)
