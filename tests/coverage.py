#!/usr/bin/env python3
"""Judges a coverage report (lcov): tests/coverage.sh."""

import fnmatch
import pathlib
import re
import sys

# Decisions without I/O, threads or clocks: every line is executed, or listed with a reason.
CORE = """
cache/*
config/*
endpoint/cut_off.rs
endpoint/headers.rs
endpoint/hidden.rs
endpoint/interim.rs
endpoint/layer.rs
endpoint/lookups.rs
endpoint/pem.rs
endpoint/pieces.rs
endpoint/readings.rs
endpoint/redact.rs
endpoint/remarks.rs
endpoint/request.rs
endpoint/response.rs
endpoint/unreachable.rs
error.rs
files/again.rs
life.rs
lists.rs
scope.rs
secret.rs
store/circuit.rs
store/holder.rs
store/record.rs
store/redis/wire.rs
store/seal.rs
token.rs
""".split()
# Code of tests.
TESTS = "*_tests.rs */tests.rs *_properties.rs endpoint/redact/* cache/core/scenes/* schedules/* simulation/* " \
    "fuzzing/* store/scripted.rs */lock_counts.rs"
LEAST_OF_ALL = 90.0


def is_one_of(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def end_of_code(source):
    """The number of the line where the tests of a file begin."""
    lines = source.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line == "#[cfg(test)]" and re.match(r"mod \w+ \{", lines[number]):
            return number
    return len(lines) + 1


def read(report, src):
    """Of each file: the lines with their counts, and branches taken and found."""
    files = {}
    for record in pathlib.Path(report).read_text().split("end_of_record"):
        name = re.search(r"^SF:(.*)$", record, re.M)
        if not name or not name[1].startswith(src + "/"):
            continue
        name = name[1][len(src) + 1:]
        if is_one_of(name, TESTS.split()):
            continue
        end = end_of_code(pathlib.Path(src, name))
        lines = {int(n): int(count) for n, count in re.findall(r"^DA:(\d+),(\d+)", record, re.M) if int(n) < end}
        branches = [taken not in ("-", "0") for n, taken in
                    re.findall(r"^BRDA:(\d+),[^,]*,[^,]*,(\S+)", record, re.M) if int(n) < end]
        files[name] = lines, branches
    return files


def exceptions(path):
    """(file, the line's text) -> reason. A line of the list: `file: text of the line # reason`."""
    listed = {}
    for line in pathlib.Path(path).read_text().splitlines():
        if line and not line.startswith("#"):
            place, _, reason = line.rpartition(" # ")
            name, _, text = place.partition(": ")
            listed[name, text.strip()] = reason
    return listed


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def row(name, lines, branches):
    done, taken = sum(count > 0 for count in lines), sum(branches)
    return (f"{name:42} {done:6} of {len(lines):6} lines {percent(done, len(lines)):6.1f} %"
            f"   branches {percent(taken, len(branches)):6.1f} %")


def main(report, src, path):
    files, listed = read(report, src), exceptions(path)
    is_core = {name: is_one_of(name, CORE) for name in files}
    totals = {True: ([], []), False: ([], [])}
    missing, used = [], set()
    gone = [pattern for pattern in CORE if not any(fnmatch.fnmatch(name, pattern) for name in files)]
    for name, (lines, branches) in sorted(files.items()):
        totals[is_core[name]][0].extend(lines.values())
        totals[is_core[name]][1].extend(branches)
        text = pathlib.Path(src, name).read_text().splitlines()
        print(row(("* " if is_core[name] else "  ") + name, lines.values(), branches))
        for number in sorted(n for n, count in lines.items() if count == 0 and is_core[name]):
            line = text[number - 1].strip()
            # A brace alone belongs to the line before it.
            if not re.search(r"\w", line):
                continue
            if (name, line) in listed:
                used.add((name, line))
            else:
                missing.append(f"src/{name}:{number}: {line}")
    core, rest = totals[True], totals[False]
    whole = core[0] + rest[0]
    print(row("* the pure core", *core))
    print(row("  everything", whole, core[1] + rest[1]))
    unused = [f"{name}: {text}" for name, text in listed if (name, text) not in used]
    for line in missing:
        print(f"not executed by any test: {line}")
    for line in unused:
        print(f"{path} lists a line that is executed, or no longer there: {line}")
    for pattern in gone:
        print(f"{pattern} is in the list of the pure core, and is no file")
    share = percent(sum(count > 0 for count in whole), len(whole))
    if share < LEAST_OF_ALL:
        print(f"only {share:.1f} % of all lines are executed; {LEAST_OF_ALL} % is the least")
    print(f"{len(listed) - len(unused)} lines of the core are excepted: {path}")
    failed = len(missing) + len(unused) + len(gone) + (share < LEAST_OF_ALL)
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
