"""The installed module."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import sysconfig
from typing import Any

import pytest

import tu_token
from conftest import Emulator
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


# What takes longer to import than all of this package.
HEAVY = ["asyncio", "dataclasses", "datetime", "enum", "functools", "httpx", "inspect", "logging"]
HEAVY += ["re", "requests", "ssl", "threading", "typing", "urllib", "weakref"]


def test_importing_it_imports_nothing_heavy(run_program: Any) -> None:
    program = f"""
import sys
before = set(sys.modules)
import tu_token
print([name for name in {HEAVY} if name in sys.modules.keys() - before])
client = tu_token.Client(timeout="5s")
client.token(), client.token("site.view"), client.get().header
print([name for name in {HEAVY} if name in sys.modules.keys() - before])
"""
    ended = run_program(program)
    assert ended.stdout == "[]\n[]\n", ended


def test_all_names_can_be_imported(run_program: Any) -> None:
    ended = run_program("from tu_token import *; import tu_token; print(len(tu_token.__all__), TLSError.status)")
    assert ended.stdout == f"{len(tu_token.__all__)} 201\n", ended


def test_events_reach_a_logger_that_is_imported_later(run_program: Any, emulator: Emulator) -> None:
    program = """
import sys, tu_token
client = tu_token.Client()
client.token()
assert "logging" not in sys.modules
import logging, queue
from logging.handlers import QueueHandler
records = queue.Queue()
logging.getLogger("tu_token").addHandler(QueueHandler(records))
logging.getLogger("tu_token").setLevel(logging.INFO)
client.invalidate(client.token())
client.token()
while records.get(timeout=10).tu_kind is not tu_token.EventKind.FETCH_SUCCEEDED:
    pass
"""
    ended = run_program(program)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_no_test_clock_in_an_installed_module() -> None:
    assert not hasattr(_native, "_advance_test_clock_ms")
    assert sys.version_info >= (3, 10)


IMPORT_ELSEWHERE = """
import os, sys
if "first" in sys.argv:
    import tu_token
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
for isolated in (True, False):
    try:
        interpreter = interpreters.create("isolated" if isolated else "legacy")
    except TypeError:
        interpreter = interpreters.create(isolated=isolated)
    for name in ("tu_token", "tu_token._native"):
        program = f"try: import {name}"
        program += "; print('imported', flush=True)" + chr(10)
        program += "except ImportError as refused: print(refused, flush=True)"
        interpreters.run_string(interpreter, program)
import tu_token
assert tu_token.Client(on_event=lambda event: None).token()
# Python 3.12.1 aborts at exit after any isolated interpreter that has imported asyncio.
os._exit(0)
"""


@pytest.mark.parametrize("order", ["first", "later"])
def test_other_interpreters_get_an_explaining_error(
    order: str, run_program: Any, emulator: Any
) -> None:
    ended = run_program(IMPORT_ELSEWHERE, order)
    assert ended.returncode == 0 and ended.stderr == "", ended
    said = ended.stdout.splitlines()
    assert len(said) == 4
    for line in said:
        assert line.startswith("tu_token works only in the main interpreter of a process")
        assert line.endswith("WSGIApplicationGroup %{GLOBAL}")


EMBEDDING = """
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **values) {
    void *python = dlopen(values[1], RTLD_NOW | RTLD_GLOBAL);
    void (*begin)(int) = (void (*)(int))dlsym(python, "Py_InitializeEx");
    int (*run)(const char *) = (int (*)(const char *))dlsym(python, "PyRun_SimpleString");
    int (*end)(void) = (int (*)(void))dlsym(python, "Py_FinalizeEx");
    for (int i = 2; i < count; i++) {
        begin(0);
        if (run(values[i]) != 0 || end() != 0) return 1;
    }
    puts("ended");
    return 0;
}
"""


def test_an_interpreter_that_is_finalized_and_restarted(
    tmp_path: pathlib.Path, emulator: Any
) -> None:
    library = pathlib.Path(
        sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    )
    if not library.is_file() or library.suffix == ".a":
        pytest.skip("this Python is no shared library: it cannot be embedded")
    (tmp_path / "embedding.c").write_text(EMBEDDING)
    subprocess.run(["cc", "embedding.c", "-o", "embedding", "-ldl"], cwd=tmp_path, check=True)
    path = f"import sys; sys.path[:0] = {sys.path!r}\n"
    use = path + (
        "import tu_token, asyncio\n"
        "client = tu_token.Client(on_event=lambda event: None)\n"
        "assert client.token() and asyncio.run(client.token_async('site.view'))\n"
    )
    again = path + "try:\n  import tu_token\nexcept ImportError as refused:\n  print(refused, flush=True)\n"
    ended = subprocess.run(
        [tmp_path / "embedding", library, use, again, "import json", again],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONHOME": sys.base_prefix},
    )
    assert ended.returncode == 0 and ended.stderr == "", ended
    first, second, last = ended.stdout.splitlines()
    assert first == second and "cannot be imported again" in first
    assert last == "ended"
