#!/usr/bin/env bash
# Installs like a user: builds a wheel from the directory with pip, installs it and the source distribution,
# each into a fresh environment, and runs the README's first lines against the emulator. Then checks how
# short programs end with the optimised wheel: a few times each with this Python, once with the newest other
# one; ENDINGS_RUNS times with each Python if that is set.
set -euo pipefail
# shellcheck source=bindings/python/tests/environment.sh
. "$(dirname "$0")/environment.sh"

# installs WHAT...: into a fresh environment.
installs() {
  local fresh=target/venv-fresh
  rm -rf "$fresh"
  "$python" -m venv "$fresh"
  env -u VIRTUAL_ENV "$fresh/bin/pip" install --quiet --disable-pip-version-check --no-deps "$@"
  # Outside the sources, so that only the installed package is found.
  (cd target && "$OLDPWD/$fresh/bin/python" -W error "$OLDPWD/bindings/python/tests/documents.py" \
    bindings/python/README.md:1)
  rm -rf "$fresh"
}

wheels=target/wheels/release
rm -rf $wheels target/wheels/source
pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $wheels ./bindings/python
wheel=$(basename $wheels/*.whl)
case $wheel in
  tu_token-*-cp310-abi3-*.whl) echo "a wheel: $wheel" ;;
  *) echo "not a wheel for every Python from 3.10 on: $wheel"; exit 1 ;;
esac
installs $wheels/*.whl

# endings PYTHON RUNS: with that Python's packages and the wheel.
endings() {
  echo "$("$1" --version):"
  PYTHONPATH=$PWD/target/wheels/site "$1" bindings/python/tests/endings.py "$2"
}

# The other Pythons, oldest first: python3.N, and those of pyenv.
other_pythons() {
  local python
  for python in $(compgen -c python3. | grep -x 'python3\.[0-9]*') \
      "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    "$python" -c 'import sys
if sys.version_info >= (3, 10) and getattr(sys, "_is_gil_enabled", lambda: True)():
    print(*sys.version_info[:2], sys.executable)' 2>/dev/null || true
  done | sort -k1,1n -k2,2n -u | grep -v "^$("$1" -c 'import sys; print(*sys.version_info[:2])') " |
    cut -d' ' -f3
}

rm -rf target/wheels/site
pip install --quiet --disable-pip-version-check --no-deps --target target/wheels/site $wheels/*.whl
endings python "${ENDINGS_RUNS:-3}"
for other in $(other_pythons python | tail -n "${ENDINGS_RUNS:-1}"); do
  endings "$other" "${ENDINGS_RUNS:-1}"
done

maturin sdist --manifest-path bindings/python/Cargo.toml --out target/wheels/source
# Outside the repository. For speed, it keeps its build directory and does not optimise. The timestamps in
# the archive mean nothing, so its files must be rebuilt.
rm -rf target/sdist/debug/.fingerprint/tu-token*
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
cp target/wheels/source/*.tar.gz "$outside"
CARGO_TARGET_DIR=$PWD/target/sdist MATURIN_PEP517_ARGS="--profile dev" installs "$outside"/*.tar.gz
echo "2 passed, 0 failed"
