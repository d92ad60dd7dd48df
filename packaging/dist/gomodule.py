#!/usr/bin/env python3
"""The Go modules in their released form: with the C library inside, so that `go build` needs only a C
compiler. Laid out as a file-system module proxy (GOPROXY=file://...).

    gomodule.py --version vX --documents DIRECTORY --output DIRECTORY
                --archive PLATFORM=FILE=FLAGS...       PLATFORM: linux_amd64, linux_amd64_musl

In the repository the module finds the library by pkg-config; here the archive for the platform is the
default, the tag tu_token_musl takes the one for musl, and tu_token_shared the library that pkg-config finds.
"""

import argparse
import datetime
import json
import os
import re
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "bindings/go"
# How the repository's form links; the released form has other files for it.
LINKING = ("link_shared.go", "link_static.go")


def link_file(tags, *lines):
    return "\n".join([f"//go:build {tags}", "", "package tutoken", "", *lines, ""]).encode()


def linking(archives):
    """The files that say how the module is linked: name -> content."""
    include = "// #cgo CFLAGS: -I${SRCDIR}"
    files = {
        "link_shared.go": link_file("tu_token_shared", "// #cgo pkg-config: tu_token", 'import "C"'),
    }
    have = {False: [], True: []}
    for platform, (_, flags) in archives.items():
        system, machine, *musl = platform.split("_")
        have[bool(musl)].append(f"({system} && {machine})")
        tags = "!tu_token_shared && " + ("tu_token_musl" if musl else "!tu_token_musl")
        # Go reads the platform from the end of the name.
        name = f"link_archive_musl_{system}_{machine}.go" if musl else f"link_archive_{system}_{machine}.go"
        ldflags = f"// #cgo LDFLAGS: ${{SRCDIR}}/libtu_token_{platform}.a {flags}".rstrip()
        files[name] = link_file(tags, include, ldflags, 'import "C"')
    for musl, name in ((False, "link_no_archive.go"), (True, "link_no_archive_musl.go")):
        tags = "!tu_token_shared && " + ("tu_token_musl" if musl else "!tu_token_musl")
        if have[musl]:
            tags += f" && !({' || '.join(have[musl])})"
        text = "there is no archive of the C library for this platform in the module: " \
            "install the library and build with -tags tu_token_shared"
        files[name] = link_file(
            f"cgo && {tags}",
            "// Makes the build fail, and the compiler's message about this line says why.",
            f'const _ int = "{text}"',
        )
    return files


def module_path(go_mod):
    return re.search(r"^module (\S+)$", go_mod, re.MULTILINE).group(1)


def released_go_mod(text, base, version):
    """Without `replace`, and with the version that this release has."""
    lines = [line for line in text.splitlines() if not re.match(rf"replace {re.escape(base)}\b", line)]
    text = "\n".join(lines).strip() + "\n"
    return re.sub(rf"^(\s*(?:require )?{re.escape(base)}) v\S+", rf"\1 {version}", text, flags=re.MULTILINE)


def sources(directory):
    for file in sorted(directory.iterdir()):
        if file.is_file() and file.suffix in (".go", ".c", ".h", ".s", ".md", ".sum") and not file.name.endswith("_test.go"):
            yield file


class Proxy:
    def __init__(self, place, version):
        self.place, self.version = place, version
        self.epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))

    def put(self, module, go_mod, files):
        # The protocol escapes capital letters, for file systems that ignore case.
        path = re.sub(r"[A-Z]", lambda letter: "!" + letter.group().lower(), module)
        directory = self.place / path / "@v"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "list").write_text(self.version + "\n")
        (directory / f"{self.version}.mod").write_text(go_mod)
        stamp = datetime.datetime.fromtimestamp(self.epoch, datetime.timezone.utc)
        info = {"Version": self.version, "Time": stamp.strftime("%Y-%m-%dT%H:%M:%SZ")}
        (directory / f"{self.version}.info").write_text(json.dumps(info) + "\n")
        files["go.mod"] = go_mod.encode()
        when = time.gmtime(max(self.epoch, 315532800))[:6]
        with zipfile.ZipFile(directory / f"{self.version}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(f"{module}@{self.version}/{name}", when)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, files[name])


def licences(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", required=True)
    parser.add_argument("--documents", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--archive", action="append", default=[])
    arguments = parser.parse_args()
    archives = {}
    for archive in arguments.archive:
        platform, file, flags = archive.split("=", 2)
        archives[platform] = (Path(file), flags)
    proxy = Proxy(arguments.output, arguments.version)

    go_mod = (SOURCE / "go.mod").read_text()
    base = module_path(go_mod)
    files = {file.name: file.read_bytes() for file in sources(SOURCE) if file.name not in LINKING}
    for file in sources(SOURCE / "internal/boot"):
        files[str(file.relative_to(SOURCE))] = file.read_bytes()
    files |= licences(arguments.documents) | linking(archives)
    for platform, (file, _) in archives.items():
        files[f"libtu_token_{platform}.a"] = file.read_bytes()
    files["tu_token.h"] = (ROOT / "include/tu_token.h").read_bytes()
    # Without the files that only tests use.
    proxy.put(base, go_mod, files)

    for directory in sorted(SOURCE.glob("*/go.mod")):
        directory = directory.parent
        go_mod = released_go_mod((directory / "go.mod").read_text(), base, arguments.version)
        files = {file.name: file.read_bytes() for file in sources(directory)}
        for name in ("LICENSE-MIT", "LICENSE-APACHE"):
            files[name] = (ROOT / name).read_bytes()
        proxy.put(module_path(go_mod), go_mod, files)


main()
