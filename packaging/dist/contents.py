#!/usr/bin/env python3
"""The contents of a build: the licences of everything in it, and a bill of materials (CycloneDX, JSON).

    contents.py --package tu-token [--features capi] [--no-default-features] --target TRIPLE...
                [--linked-by-zig] --name NAME --output DIRECTORY

writes DIRECTORY/THIRD-PARTY-LICENSES.txt and DIRECTORY/sbom.cdx.json. The crates linked
(no build scripts, no macros, no tests) and their directories come from cargo, the terms from the files
in them. The same build gives the same bytes: the time is SOURCE_DATE_EPOCH.
"""

import argparse
import datetime
import html.parser
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def fail(text):
    sys.exit(f"contents: {text}")


def output_of(*command):
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if run.returncode:
        fail(f"`{' '.join(command)}` failed:\n{run.stderr.strip()}")
    return run.stdout


# --- what cargo links ---------------------------------------------------------------------------


def linked(arguments):
    """(name, version) -> the names and versions that it depends on, of the crates that are linked."""
    graph = {}
    for target in arguments.target:
        command = ["cargo", "tree", "--locked", "--package", arguments.package, "--target", target]
        command += ["--edges", "normal,no-proc-macro", "--no-dedupe", "--prefix", "depth"]
        command += ["--format", " {p}"]
        if arguments.features:
            command += ["--features", arguments.features]
        if arguments.no_default_features:
            command.append("--no-default-features")
        above = []
        for line in output_of(*command).splitlines():
            depth, name, version = line.split()[:3]
            crate = (name, version.removeprefix("v"))
            graph.setdefault(crate, set())
            del above[int(depth) :]
            if above:
                graph[above[-1]].add(crate)
            above.append(crate)
    return graph


def described():
    """(name, version) -> what cargo knows of it; the checksums stand in Cargo.lock."""
    metadata = json.loads(output_of("cargo", "metadata", "--locked", "--format-version", "1"))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    for entry in lock["package"]:
        package = packages.get((entry["name"], entry["version"]))
        if package:
            package["checksum"] = entry.get("checksum")
    return packages


# --- licences -----------------------------------------------------------------------------------


class Notices:
    """Texts with those they are of. A text that many have stands there once."""

    def __init__(self):
        self.parts = []  # (heading, [number of a text])
        self.texts = []
        self.numbers = {}  # the words of a text, however they are broken into lines -> its number

    def add(self, heading, texts):
        self.parts.append((heading, sorted({self.number(text) for text in texts})))

    def number(self, text):
        words = " ".join(text.split())
        if words not in self.numbers:
            self.texts.append(text)
            self.numbers[words] = len(self.texts)
        return self.numbers[words]

    def write(self, name):
        rule = "=" * 79
        lines = [f"What is inside of {name} beside tu-token itself, and under which terms.", ""]
        for heading, numbers in self.parts:
            texts = ", ".join(map(str, numbers))
            lines.append(heading + (f"\n    text {texts}" if numbers else ""))
        for number, text in enumerate(self.texts, 1):
            lines += ["", rule, f"Text {number}", rule, "", text]
        return "\n".join(lines) + "\n"


def tidy(text):
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\f", "\n").split("\n")]
    return "\n".join(lines).strip("\n")


def licence_files(directory):
    for place, folders, files in os.walk(directory):
        folders.sort()
        for file in sorted(files):
            if LICENCE_FILE.match(file) and not file.endswith((".rs", ".py", ".toml")):
                yield Path(place, file)


def add_crate(notices, package):
    texts = [tidy(file.read_text(errors="replace")) for file in licence_files(Path(package["manifest_path"]).parent)]
    heading = f"{package['name']} {package['version']}: {package['license']}"
    if not texts:
        # A crate without the text: it says its terms, and this project has the text of two of them.
        ours = {"Apache-2.0": "LICENSE-APACHE", "MIT": "LICENSE-MIT"}
        known = [name for name in ours if re.search(rf"\b{re.escape(name)}\b", package["license"] or "")]
        if not known:
            fail(f"{heading}: it comes without a licence file, and its terms are not known here")
        holders = ", ".join(package["authors"]) or "its authors"
        heading += f" (used under {known[0]}; Copyright {holders})"
        texts = [tidy((ROOT / ours[known[0]]).read_text())]
    notices.add(heading, texts)


class Plain(html.parser.HTMLParser):
    """The words of a page, and apart from them the texts that are set as they stand (<pre>)."""

    def __init__(self):
        super().__init__()
        self.words, self.blocks, self.block = [], [], None

    def handle_starttag(self, tag, attributes):
        if tag == "pre":
            self.block = []
        elif tag in ("p", "h1", "h2", "h3", "h4", "div", "li", "br", "summary"):
            self.words.append("\n")

    def handle_endtag(self, tag):
        if tag == "pre" and self.block is not None:
            self.blocks.append(tidy("".join(self.block)))
            self.block = None

    def handle_data(self, data):
        if self.block is not None:
            self.block.append(data)
        else:
            self.words.append(re.sub(r"\s+", " ", data))

    def plain(self):
        lines = [line.strip() for line in "".join(self.words).split("\n")]
        return "\n".join(line for line in lines if line)


def add_standard_library(notices, version):
    """What the toolchain says of the library that it links into everything."""
    documents = Path(output_of("rustc", "--print", "sysroot").strip()) / "share/doc/rust"
    heading = f"Rust's standard library {version}: MIT OR Apache-2.0"
    page = documents / "COPYRIGHT-library.html"
    if page.exists():
        plain = Plain()
        plain.feed(page.read_text())
        licences = [tidy(file.read_text()) for file in sorted((documents / "licenses").glob("*.txt"))
                    if file.stem in ("Apache-2.0", "BSD-2-Clause", "MIT", "LLVM-exception", "Unicode-3.0")]
        notices.add(heading, [plain.plain(), *plain.blocks, *licences])
    else:
        notices.add(heading, [tidy((ROOT / f"LICENSE-{name}").read_text()) for name in ("APACHE", "MIT")])


def zig_parts(targets):
    """What zig links beside the crates: (name, licence, file)."""
    import ziglang  # in the environment that `make dist` makes

    place = Path(ziglang.__file__).parent
    parts = [("zig's compiler-rt", "MIT", place / "LICENSE")]
    parts.append(("LLVM's libunwind", "Apache-2.0 WITH LLVM-exception", place / "lib/libunwind/LICENSE.TXT"))
    if any(target.endswith("musl") for target in targets):
        parts.append(("musl", "MIT", place / "lib/libc/musl/COPYRIGHT"))
    return parts


# --- bill of materials --------------------------------------------------------------------------


def component(package):
    crate = f"pkg:cargo/{package['name']}@{package['version']}"
    entry = {"type": "library", "bom-ref": crate, "name": package["name"], "version": package["version"]}
    entry["purl"] = crate
    if package.get("description"):
        entry["description"] = " ".join(package["description"].split())
    if package.get("license"):
        # "MIT/Apache-2.0" is how it was written once.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package.get("checksum"):
        entry["hashes"] = [{"alg": "SHA-256", "content": package["checksum"]}]
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def runtime_component(name, version, licence):
    entry = {"type": "library", "bom-ref": name, "name": name, "licenses": [{"expression": licence}]}
    if version:
        entry["version"] = version
    return entry


def bill(arguments, graph, packages, runtime):
    top = next(crate for crate in graph if crate[0] == arguments.package)
    reference = lambda crate: f"pkg:cargo/{crate[0]}@{crate[1]}"  # noqa: E731
    subject = component(packages[top])
    subject["name"] = arguments.name
    subject["type"] = "application" if arguments.package == "tu-token-cli" else "library"
    subject["properties"] = [{"name": "target", "value": target} for target in arguments.target]
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    time = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": subject},
        "components": [component(packages[crate]) for crate in sorted(graph) if crate != top] + runtime,
        "dependencies": [
            {"ref": reference(crate), "dependsOn": sorted(map(reference, graph[crate]))} for crate in sorted(graph)
        ],
    }
    # The number is the content's: the same build has the same one.
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}"
    return json.dumps(document, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", required=True)
    parser.add_argument("--features", default="")
    parser.add_argument("--no-default-features", action="store_true")
    parser.add_argument("--target", required=True, nargs="+")
    parser.add_argument("--linked-by-zig", action="store_true")
    parser.add_argument("--name", required=True)
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()

    graph, packages = linked(arguments), described()
    unknown = [crate for crate in graph if crate not in packages]
    if unknown:
        fail(f"cargo links {unknown}, and describes them nowhere")
    notices = Notices()
    for crate in sorted(graph):
        if packages[crate]["source"]:  # the others are this project's
            add_crate(notices, packages[crate])
    version = output_of("rustc", "--version").split()[1]
    add_standard_library(notices, version)
    runtime = [runtime_component("rust-std", version, "MIT OR Apache-2.0")]
    for name, licence, file in zig_parts(arguments.target) if arguments.linked_by_zig else []:
        notices.add(f"{name}: {licence}", [tidy(file.read_text())])
        runtime.append(runtime_component(name, None, licence))

    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "THIRD-PARTY-LICENSES.txt").write_text(notices.write(arguments.name))
    (arguments.output / "sbom.cdx.json").write_text(bill(arguments, graph, packages, runtime))


main()
