#!/usr/bin/env python3
"""`make mutants`: changes the pure core one small thing at a time, and checks that a unit test notices.

The mutants are those of cargo-mutants, but all of them are compiled at once (tests/mutants/), each behind a switch, and
each is tried with the tests that execute its place, the fast ones first. So all fit into an hour.

    tests/mutants.py [FILE...]   these files of the core instead of all
    MUTANTS=3/8                  the fourth of eight parts
    MUTANTS_JOBS=1               how many run at a time

What no test notices is listed in target/mutants/survivors.txt. tests/mutants.txt has those that were judged: each with
the reason why no test needs to notice it. A survivor that is not in it fails.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target/mutants"
TREE = WORK / "tree"
CORE = """src/cache src/scope.rs src/life.rs src/lists.rs src/config src/endpoint/headers.rs src/endpoint/pieces.rs
    src/endpoint/readings.rs src/endpoint/redact.rs src/endpoint/remarks.rs src/endpoint/request.rs
    src/endpoint/response.rs src/store/record.rs src/store/seal.rs src/store/redis/wire.rs
    src/store/circuit.rs src/store/holder.rs""".split()
IS_TEST = re.compile(r"src/cache/core/scenes/|tests\.rs$|_properties\.rs$")
TESTS = "cache:: config:: endpoint:: scope:: life:: lists:: store:: secret:: token:: fuzzing::".split()
# Fewer cases of the property tests than in `make test`.
CASES = {"PROPTEST_CASES": "200"}
# Tests up to this many seconds run first, in one process.
FAST = 0.15
SECONDS = float(os.environ.get("MUTANTS_SECONDS", 3600))
BEGIN = time.monotonic()


def main():
    part, parts = map(int, os.environ.get("MUTANTS", "0/1").split("/"))
    mutants, program = build(core_files(sys.argv[1:]))
    tests, reached = trace(program)
    mine = [number for number in mutants if number % parts == part]
    print(f"{len(mutants)} mutants that compile, {len(tests)} tests; built after {clock()}", flush=True)
    outcomes = try_all(program, mine, reached, tests)
    sys.exit(report(mutants, mine, outcomes, f"{part}/{parts}"))


def clock():
    return f"{(time.monotonic() - BEGIN) / 60:.0f} min"


def core_files(names):
    files = []
    for name in names or CORE:
        path = ROOT / name
        files += sorted(path.rglob("*.rs")) if path.is_dir() else [path]
    names = [str(path.relative_to(ROOT)) for path in files]
    return [name for name in names if not IS_TEST.search(name)]


# --- building ---------------------------------------------------------------------------------


def build(files):
    """All mutants that compile, by number, and the test program with them."""
    tool = run(["cargo", "build", "--quiet", "--locked", "--manifest-path", "tests/mutants/Cargo.toml"], WORK / "tool")
    assert tool.returncode == 0, tool.stderr
    skipped_file = WORK / "skipped"
    skipped = set()
    for _ in range(12):
        copy_sources()
        skipped_file.write_text(" ".join(map(str, sorted(skipped))))
        rewrite = [str(WORK / "tool/debug/tu-token-mutants"), str(TREE), str(skipped_file), *files]
        lines = subprocess.run(rewrite, check=True, capture_output=True, text=True).stdout.splitlines()
        add_switch()
        done, messages = compile_tests()
        wrong = broken_by(done, messages)
        if not wrong:
            mutants = {int(number): rest for number, *rest in (line.split("\t") for line in lines)}
            return mutants, program_of(messages)
        skipped |= wrong
        print(f"{len(skipped)} mutants do not compile", flush=True)
    sys.exit("the copy with mutants does not compile")


def run(command, target):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def copy_sources():
    """The tracked files, with what is not committed. Only what changed is compiled again."""
    shutil.rmtree(TREE, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)


def add_switch():
    shutil.copy2(ROOT / "tests/mutants/switch.rs", TREE / "src/mutants.rs")
    with open(TREE / "src/lib.rs", "a") as library:
        library.write("\nmod mutants;\n")


def compile_tests():
    """The library's unit tests, which run faster if it is optimized a little. The dependencies are those of other tests."""
    cargo = ["cargo", "test", "--no-run", "--quiet", "--lib", "--package", "tu-token", "--features", "redis"]
    cargo += ["--config", "profile.dev.package.tu-token.opt-level=1", "--message-format", "json"]
    done = run([*cargo, "--manifest-path", str(TREE / "Cargo.toml")], ROOT / "target")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done, messages


def broken_by(done, messages):
    """The mutants in which there are errors."""
    if done.returncode == 0:
        return set()
    wrong, strange = set(), []
    for message in (message["message"] for message in messages if message["reason"] == "compiler-message"):
        if message["level"] != "error":
            continue
        found = {number for span in message["spans"] for number in mutants_at(span)}
        wrong |= found
        if not found and message["spans"]:
            strange.append(message["rendered"])
    if not wrong:
        sys.exit("".join(strange)[:4000] or done.stderr[-4000:])
    return wrong


def mutants_at(span):
    path = TREE / span["file_name"]
    if not path.exists():
        return
    text = path.read_bytes()
    begin, end = span["byte_start"], span["byte_end"]
    # The innermost region that holds the error; a region has no other of a mutant that could be on at the same time.
    before = text[:begin].rfind(b"/*<")
    while before >= 0:
        number = text[before + 3 : text.index(b"*/", before)]
        close = text.find(b"/*>" + number + b"*/", before)
        if close >= end:
            yield int(number)
            return
        if begin - before > 20_000:
            return
        before = text[:before].rfind(b"/*<")


def program_of(messages):
    [program] = [message["executable"] for message in messages if message.get("executable")]
    shutil.copy2(program, WORK / "tests")
    return str(WORK / "tests")


# --- running ----------------------------------------------------------------------------------


def start(program, names, seconds, **variables):
    """Runs some tests; `None`: they took too long."""
    environment = {**os.environ, **CASES, **variables}
    command = [program, "--exact", "--test-threads=1", *names]

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    try:
        done = subprocess.run(
            command, cwd=TREE, env=environment, preexec_fn=limit, timeout=3 * seconds + 10, capture_output=True
        )
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode in (-24, -9) else done.returncode


def trace(program):
    """Each test with its seconds and whether a panic in it is a failure, and the tests that reach each mutant."""
    listed = subprocess.run([program, "--list", *TESTS], check=True, capture_output=True, text=True).stdout
    names = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
    path = WORK / "trace"
    tests, reached = {}, {}
    for name in names:
        path.unlink(missing_ok=True)
        variables = {"MUTANT": "trace", "MUTANT_TRACE": str(path)}
        begin = time.monotonic()
        status = start(program, [name], 60, **variables, MUTANT_ENDS_AT_PANIC="1")
        ends_at_panic = status == 0
        if not ends_at_panic:
            status = start(program, [name], 60, **variables)
        if status != 0:
            print(f"left out, because it fails without a mutant: {name}")
            continue
        tests[name] = (time.monotonic() - begin, ends_at_panic)
        for number in set(path.read_text().split()) if path.exists() else ():
            reached.setdefault(int(number), []).append(name)
    return tests, reached


def try_one(program, number, names, tests):
    """What becomes of a mutant: caught, too slow, or survived."""
    groups = {}
    for name in names:
        seconds, ends_at_panic = tests[name]
        groups.setdefault((seconds > FAST, not ends_at_panic), []).append(name)
    for (_, panics), group in sorted(groups.items()):
        seconds = sum(tests[name][0] for name in group)
        variables = {} if panics else {"MUTANT_ENDS_AT_PANIC": "1"}
        status = start(program, group, 3 * seconds + 3, MUTANT=str(number), **variables)
        if status != 0:
            return "too slow" if status is None else "caught"
    return "survived" if names else "not reached"


def try_all(program, mine, reached, tests):
    outcomes = {}

    def one(number):
        if time.monotonic() - BEGIN < SECONDS:
            outcomes[number] = try_one(program, number, reached.get(number, []), tests)
            with open(WORK / "log", "a") as log:
                log.write(f"{number} {outcomes[number]} {time.monotonic() - BEGIN:.1f}\n")

    (WORK / "log").unlink(missing_ok=True)
    # In an order in which files alternate: what is left out after an hour is not one file.
    order = sorted(mine, key=lambda number: (number * 7919) % 10_007)
    jobs = int(os.environ.get("MUTANTS_JOBS", os.cpu_count()))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, order))
    return outcomes


def report(mutants, mine, outcomes, part):
    count = {outcome: list(outcomes.values()).count(outcome) for outcome in ("caught", "too slow", "survived", "not reached")}
    left = len(mine) - len(outcomes)
    survivors = {
        "{0}: {2}".format(*mutants[number]): f"{mutants[number][0]}:{mutants[number][1]} ({outcome})"
        for number, outcome in sorted(outcomes.items())
        if outcome in ("survived", "not reached")
    }
    (WORK / "survivors.txt").write_text("".join(f"{text} # {place}\n" for text, place in survivors.items()))
    judged = [line for line in (ROOT / "tests/mutants.txt").read_text().splitlines() if line and line[0] != "#"]
    judged = {line.split(" # ")[0] for line in judged}
    print(
        f"part {part}: of {len(mine)} mutants {count['caught']} caught, {count['too slow']} caught by their time limit, "
        f"{count['survived']} survived, {count['not reached']} reached by no test; "
        f"{left} not tried ({clock()})"
    )
    new = [(text, place) for text, place in survivors.items() if text not in judged]
    if new:
        print("survivors that were not judged (tests/mutants.txt):")
        print("\n".join(f"{text}  [{place}]" for text, place in new))
    return 1 if new else 0


if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    main()
