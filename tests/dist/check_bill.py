#!/usr/bin/env python3
"""Is a bill of materials whole, and such as CycloneDX's schema has it (where the validator is installed)?"""

import json
import sys

document = open(sys.argv[1]).read()
bill = json.loads(document)
names = {component["name"] for component in bill["components"]}
assert {"ring", "rustls", "rust-std"} <= names, f"something is missing among {sorted(names)}"
for component in bill["components"]:
    assert component.get("licenses"), f"{component['name']} has no licence"
    # This project's own crates come from no registry.
    if component["bom-ref"].startswith("pkg:cargo/") and not component["name"].startswith("tu-token"):
        assert component.get("hashes"), f"{component['name']} has no checksum"
references = {entry["bom-ref"] for entry in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
for entry in bill["dependencies"]:
    assert {entry["ref"], *entry["dependsOn"]} <= references, f"{entry['ref']} leads nowhere"
try:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
except ImportError:
    print(f"{len(names)} parts; not held against the schema, for cyclonedx-python-lib is not here")
else:
    wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(document)
    assert wrong is None, wrong
    print(f"{len(names)} parts, as the schema has it")
