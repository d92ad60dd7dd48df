#!/usr/bin/env python3
"""Python wheels, as far as maturin does not make them. The same input gives the same bytes.

    wheel.py add WHEEL DIRECTORY       puts the licences of all that is inside into a wheel, in place
    wheel.py command --binary FILE --tags TAG[.TAG...] --version V --documents DIRECTORY --output DIRECTORY
                                       makes the wheel that carries the command, and prints its name
"""

import argparse
import base64
import hashlib
import os
import tomllib
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOCUMENTS = ("LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-LICENSES.txt")
BILL = "sbom.cdx.json"


def write(path, files):
    """files: name -> (bytes, mode). RECORD is made here, and stands last, as wheels have it."""
    record_name = next(name for name in files if name.endswith(".dist-info/WHEEL"))
    record_name = record_name.removesuffix("WHEEL") + "RECORD"
    files.pop(record_name, None)
    lines = []
    for name in sorted(files):
        content = files[name][0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    lines.append(f"{record_name},,")
    when = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]
    new = path.with_suffix(".new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in [*sorted(files), record_name]:
            content, mode = files.get(name) or (("\n".join(lines) + "\n").encode(), 0o644)
            entry = zipfile.ZipInfo(name, when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content)
    new.replace(path)


def put_documents(files, info, directory):
    for name in DOCUMENTS:
        files[f"{info}/licenses/{name}"] = ((directory / name).read_bytes(), 0o644)
    files[f"{info}/sboms/{BILL}"] = ((directory / BILL).read_bytes(), 0o644)


def add(wheel, directory):
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            mode = (entry.external_attr >> 16) & 0o777 or 0o644
            files[entry.filename] = (archive.read(entry), mode)
    metadata = next(name for name in files if name.endswith(".dist-info/METADATA"))
    info = metadata.removesuffix("/METADATA")
    # maturin writes a bill of its own, with the build scripts in it, which are not inside.
    for name in [name for name in files if name.startswith(f"{info}/sboms/")]:
        del files[name]
    put_documents(files, info, directory)
    head, blank, body = files[metadata][0].decode().partition("\n\n")
    for name in DOCUMENTS:
        line = f"License-File: {name}"
        if line not in head.splitlines():
            head += f"\n{line}"
    files[metadata] = ((head + blank + body).encode(), 0o644)
    write(wheel, files)


def urls():
    """The links of the module's page are the command's too."""
    project = tomllib.loads((ROOT / "bindings/python/pyproject.toml").read_text())["project"]
    return [f"Project-URL: {name}, {url}" for name, url in project.get("urls", {}).items()]


def command(arguments):
    info = f"tu_token_cli-{arguments.version}.dist-info"
    metadata = [
        "Metadata-Version: 2.4",
        "Name: tu-token-cli",
        f"Version: {arguments.version}",
        "Summary: The command tu-token: access tokens for Trackunit's IRIS APIs at the shell, with an emulator",
        "License-Expression: MIT OR Apache-2.0",
        *[f"License-File: {name}" for name in DOCUMENTS],
        "Keywords: oauth2,access token,client credentials,trackunit",
        "Classifier: Development Status :: 4 - Beta",
        "Classifier: Environment :: Console",
        "Classifier: Operating System :: POSIX :: Linux",
        "Classifier: Programming Language :: Rust",
        *urls(),
        "Requires-Python: >=3.8",
        "Description-Content-Type: text/markdown",
        "",
        (HERE / "tu-token-cli.md").read_text(),
    ]
    tags = arguments.tags.split(".")
    wheel = ["Wheel-Version: 1.0", "Generator: tu-token", "Root-Is-Purelib: false"]
    wheel += [f"Tag: py3-none-{tag}" for tag in tags] + [""]
    files = {
        f"{info}/METADATA": ("\n".join(metadata).encode(), 0o644),
        f"{info}/WHEEL": ("\n".join(wheel).encode(), 0o644),
        f"tu_token_cli-{arguments.version}.data/scripts/tu-token": (arguments.binary.read_bytes(), 0o755),
    }
    put_documents(files, info, arguments.documents)
    path = arguments.output / f"tu_token_cli-{arguments.version}-py3-none-{arguments.tags}.whl"
    write(path, files)
    print(path.name)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="what", required=True)
    adding = commands.add_parser("add")
    adding.add_argument("wheel", type=Path)
    adding.add_argument("directory", type=Path)
    making = commands.add_parser("command")
    for name in ("binary", "documents", "output"):
        making.add_argument(f"--{name}", type=Path, required=True)
    making.add_argument("--tags", required=True)
    making.add_argument("--version", required=True)
    arguments = parser.parse_args()
    if arguments.what == "add":
        add(arguments.wheel, arguments.directory)
    else:
        command(arguments)


main()
