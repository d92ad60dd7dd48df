"""Measure what it takes to start: the shared library, ``import tu_token``, ``tu-token get``.

Needs a running endpoint (`make bench` has one). The processes alternate; shown are medians. Each is started, and its time
taken, by ``benches/spawn.c``, because Python takes a tenth of a millisecond of its own for that. Figures of an import
are the differences to an interpreter that imports nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median

from samples import samples

ROUNDS = 41
SPAWN = "target/bench/spawn"
LOADER = ["target/bench/start", "target/bench/loaded.so"]
COMMAND = ["target/bench/tu-token", "get"]
COMMANDS = [
    ("tu-token get, token in the file store", COMMAND),
    ("/bin/true, for comparison", ["/bin/true"]),
]
RESIDENT = "; print(open('/proc/self/statm').read().split()[1])"
PAGE_KIB = os.sysconf("SC_PAGESIZE") / 1024


def run(arguments: list[str]) -> tuple[float, str]:
    """Return the milliseconds that a process takes, from its start to its end, and its output."""
    ended = subprocess.run([SPAWN, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    *output, took = ended.stdout.splitlines()
    return float(took), "\n".join(output)


def python(code: str) -> tuple[float, float]:
    """Return the milliseconds and the KiB of memory that an interpreter needs."""
    took, pages = run([sys.executable, "-c", code + RESIDENT])
    return took, int(pages) * PAGE_KIB


def main() -> None:
    # Compiled code is part of an installed package.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows: dict[tuple[str, str], list[float]] = {}

    def add(row: str, unit: str, value: float) -> None:
        rows.setdefault((row, unit), []).append(value)

    with tempfile.TemporaryDirectory() as store:
        os.environ["TRACKUNIT_STORE"] = f"file:{store}"
        stored = run(COMMAND)[1]
        python("import tu_token")
        for number in range(ROUNDS):
            took, memory = map(float, run(LOADER)[1].split())
            add("load the shared library", "ms", took / 1e3)
            add("load the shared library: memory", "KiB", memory)
            nothing, imported = python("pass"), python("import tu_token")
            add("import tu_token", "ms", imported[0] - nothing[0])
            add("import tu_token: memory", "KiB", imported[1] - nothing[1])
            add("python -c pass, for comparison", "ms", nothing[0])
            # In turn first after the interpreter, which takes the processor's caches.
            for row, program in COMMANDS[:: 1 if number % 2 else -1]:
                took, output = run(program)
                if program is COMMAND and output != stored:
                    sys.exit("the token did not come from the store")
                add(row, "ms", took)
    for (row, unit), rounds in rows.items():
        samples("start", row, 1, unit, rounds)
        print(f"  {row:40} {median(rounds):10.2f} {unit}")


if __name__ == "__main__":
    main()
