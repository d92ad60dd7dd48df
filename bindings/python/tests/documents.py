"""The Python code in the documents.

As a program: runs one block, such as ``bindings/python/README.md:1``, in this interpreter.
"""

from __future__ import annotations

import os
import pathlib
import re
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "bindings" / "python" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"^```python pytest\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> dict[str, str]:
    """Return the code blocks by document and number."""
    return {
        f"{document.relative_to(ROOT)}:{number}": code
        for document in DOCUMENTS
        for number, code in enumerate(BLOCK.findall(document.read_text()), 1)
    }


def page_tests() -> dict[str, str]:
    """The tests for pytest in the documents: each starts ``tu-token emulator`` itself."""
    return {
        str(document.relative_to(ROOT)): code
        for document in DOCUMENTS
        for code in TEST.findall(document.read_text())
    }


def against(emulator_url: str, code: str, other: Mapping[str, str] | None = None) -> str:
    """Fill in the placeholders, and replace the service by the emulator."""
    environment = {**os.environ, **(other or {})}
    for name in ("client_id", "client_secret"):
        value = environment[f"TRACKUNIT_{name.upper()}"]
        code = code.replace(f'{name}="..."', f'{name}="{value}"')
    return code.replace("https://iris.trackunit.com", emulator_url)


if __name__ == "__main__":
    exec(against(os.environ["EMULATOR_URL"], blocks()[sys.argv[1]]), {"__name__": "__main__"})
