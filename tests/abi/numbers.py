#!/usr/bin/env python3
"""Compares the numbers in a header with packaging/constants.txt and with those of the baseline's header.

    numbers.py HEADER BASELINE-HEADER LIST

Exit status 1: the header breaks a promise of docs/abi-policy.md, or the list is incomplete.
"""

import re
import subprocess
import sys
from pathlib import Path

LINE = re.compile(r"(\S+) (\S+) (\d+\.\d+\.\d+)")
# Values are unique among the names that begin with these; the status values are the other names.
FAMILIES = ("TU_STATE_", "TU_EVENT_", "TU_SEVERITY_")
OPTIONS = {"TU_NO_WAIT"}

problems: list[str] = []


def facts(header: str) -> dict[str, str]:
    script = Path(__file__).with_name("header.py")
    said = subprocess.run([sys.executable, script, "numbers", header], check=True, capture_output=True, text=True)
    return dict(line.split(" ", 1) for line in said.stdout.splitlines())


def listed(path: str) -> dict[str, list[str]]:
    """For each name its values; only a struct's size may have several."""
    found: dict[str, list[str]] = {}
    for line in Path(path).read_text().splitlines():
        if line and not line.startswith("#"):
            fields = LINE.fullmatch(line)
            if fields:
                found.setdefault(fields[1], []).append(fields[2])
            else:
                problems.append(f'{path}: not "name value version": {line}')
    for name, values in found.items():
        rising = name.startswith("sizeof(") and sorted(set(values), key=int) == values
        if len(values) > 1 and not rising:
            problems.append(f"{path}: more than one line for {name}")
    return found


def compare_with_list(now: dict[str, str], lines: dict[str, list[str]]) -> None:
    for name, value in now.items():
        if name not in lines:
            problems.append(f"{name} is in the header but not in the list: add `{name} {value} <version>`")
        elif lines[name][-1] != value:
            problems.append(f"{name} is {value} in the header and {lines[name][-1]} in the list")
    problems.extend(f"{name} is in the list but not in the header" for name in lines if name not in now)


def compare_with_baseline(now: dict[str, str], before: dict[str, str]) -> None:
    for name, value in before.items():
        if name not in now:
            problems.append(f"the baseline has {name}, the header does not")
        elif name.startswith("sizeof(tu_") and int(now[name]) >= int(value):
            continue
        elif now[name] != value:
            problems.append(f"{name} was {value} in the baseline and is {now[name]}")


def find_reused(now: dict[str, str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for name, value in now.items():
        if name.startswith("TU_") and name not in OPTIONS and value != "macro":
            family = next((family for family in FAMILIES if name.startswith(family)), "status")
            other = seen.setdefault((family, value), name)
            if other != name:
                problems.append(f"{other} and {name} are both {value}")


if len(sys.argv) != 4:
    sys.exit(__doc__)
header, baseline, list_file = sys.argv[1:]
now = facts(header)
compare_with_list(now, listed(list_file))
compare_with_baseline(now, facts(baseline))
find_reused(now)
for problem in problems:
    print(f"numbers: {problem}", file=sys.stderr)
if problems:
    sys.exit(1)
print(f"{len(now)} constants, sizes and members: as promised")
