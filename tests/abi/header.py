#!/usr/bin/env python3
"""What a C header promises besides its functions, and a library of stubs made from it.

    header.py numbers HEADER           every constant, struct size and struct member: one a line, with its value
    header.py stubs HEADER BASELINE    C source that defines each function, for tools that read debug information;
                                       structs without the members appended since the baseline's header
    header.py plain HEADER             the header without comments
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

COMPILER = os.environ.get("CC", "cc")
# These are different in each version.
CHANGING = {"TU_VERSION_MAJOR", "TU_VERSION_MINOR", "TU_VERSION_PATCH", "TU_VERSION_NUMBER"}


def compiler(header: str, *options: str) -> str:
    command = [COMPILER, "-E", "-P", "-x", "c", *options, header]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def macros(header: str) -> list[tuple[str, str]]:
    """The macros of the header itself: names (with their parameters, if any) and texts."""
    found = re.findall(r"^#define (TU_\w+(?:\([^)]*\))?) ?(.*)$", compiler(header, "-dM"), re.MULTILINE)
    return sorted((name, text) for name, text in found if text and name not in CHANGING)


def structs(text: str) -> list[tuple[str, list[str]]]:
    """The structs with members: their names and those of the members, in order."""
    found = re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text, re.DOTALL)
    return [(name, re.findall(r"(\w+);", body)) for name, body in found]


def numbers(header: str) -> None:
    text = compiler(header)
    enumerators = re.findall(r"\b(TU_[A-Z0-9_]+) = ", text)
    printed, values = [], []
    for name, body in macros(header):
        if "(" in name or body.startswith("{"):
            values.append(f"{name.replace(' ', '')} macro")
        else:
            enumerators.append(name)
    for name in enumerators:
        printed.append(f'printf("{name} %lld\\n", (long long)({name}));')
    for name in re.findall(r"typedef \w+ (tu_\w+);", text):
        printed.append(f'printf("sizeof({name}) %zu\\n", sizeof({name}));')
    with_members = structs(text)
    for name, members in with_members:
        printed.append(f'printf("sizeof({name}) %zu\\n", sizeof({name}));')
        for member in members:
            printed.append(
                f'printf("{name}.{member} %zu+%zu\\n", offsetof({name}, {member}), sizeof((({name} *)0)->{member}));'
            )
    known = {name for name, _ in with_members}
    for name in re.findall(r"typedef struct (\w+) \1;", text):
        if name not in known:
            values.append(f"{name} opaque")
    source = f'#include <stdio.h>\n#include "{os.path.abspath(header)}"\nint main(void) {{\n'
    source += "\n".join(printed) + "\n  return 0;\n}\n"
    with tempfile.TemporaryDirectory() as place:
        (pathlib.Path(place) / "numbers.c").write_text(source)
        subprocess.run([COMPILER, f"{place}/numbers.c", "-o", f"{place}/numbers"], check=True)
        sys.stdout.write(subprocess.run([f"{place}/numbers"], check=True, capture_output=True, text=True).stdout)
    print("\n".join(values))


def stubs(header: str, baseline: str) -> None:
    text = compiler(header)
    lengths = {name: len(members) for name, members in structs(compiler(baseline))}

    def without_appended(found: re.Match[str]) -> str:
        members = re.findall(r"[^;]*;", found[2])
        return f"typedef struct {found[1]} {{{''.join(members[: lengths.get(found[1])])}\n}} {found[1]};"

    text = re.sub(r"typedef struct (\w+) \{(.*?)\} \1;", without_appended, text, flags=re.DOTALL)
    print(re.sub(r"^(?!typedef)([a-z_][\w\s*]*?\btu_\w+\([^;{}]*\));", r"\1 { __builtin_trap(); }", text, flags=re.MULTILINE))


def plain(header: str) -> None:
    sys.stdout.write(compiler(header, "-fpreprocessed", "-dD"))


match sys.argv[1:]:
    case ["numbers", header]:
        numbers(header)
    case ["stubs", header, baseline]:
        stubs(header, baseline)
    case ["plain", header]:
        plain(header)
    case _:
        sys.exit(__doc__)
