#!/usr/bin/env bash
# Builds the module for development, installs it into target/venv-python, checks its types and runs its
# tests; with arguments, which are pytest's, only the tests. Needs a running emulator:
#   scripts/emulator.sh bindings/python/tests/run.sh [-k PART-OF-A-NAME]
set -euo pipefail
# shellcheck source=bindings/python/tests/environment.sh
. "$(dirname "$0")/environment.sh"

install_module

# From the root, where Python finds no sources of the module: checks what is installed.
if [ $# = 0 ]; then
  python -m mypy --config-file bindings/python/pyproject.toml --cache-dir target/mypy \
    bindings/python/tu_token bindings/python/tests examples/python benches/python \
    tests/conformance/testees/python.py tests/redis/fleet.py tests/sanitized.py
  MYPYPATH='' python -m mypy.stubtest tu_token
fi
exec python -m pytest -c bindings/python/pyproject.toml --rootdir bindings/python \
  -p no:cacheprovider --timeout 60 "$@" bindings/python/tests
