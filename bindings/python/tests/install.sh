#!/usr/bin/env bash
# What a user does: makes a wheel of the directory by pip, and installs it and the source
# distribution, each into a fresh environment; then the README's first lines, against the emulator
# beside it. And how short programs end with the wheel, which is optimised: a few times each with
# this Python, once with the newest other one here; ENDINGS_RUNS times with each Python if that is set.
set -euo pipefail
# shellcheck source=bindings/python/tests/environment.sh
. "$(dirname "$0")/environment.sh"

# installs WHAT...: into a fresh environment.
installs() {
  local fresh=target/venv-fresh
  rm -rf "$fresh"
  "$python" -m venv "$fresh"
  env -u VIRTUAL_ENV "$fresh/bin/pip" install --quiet --disable-pip-version-check --no-deps "$@"
  # Away from the sources: nothing but what is installed is found.
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

# endings PYTHON RUNS: with what that Python has, and the wheel.
endings() {
  echo "$("$1" --version):"
  PYTHONPATH=$PWD/target/wheels/site "$1" bindings/python/tests/endings.py "$2"
}

# What else there is, oldest first: python3.N, and those of pyenv.
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
# Outside of the repository; its build directory stays, and the optimiser is left out, for speed. The
# times of files in the archive say nothing: what is built of them is to be built anew.
rm -rf target/sdist/debug/.fingerprint/tu-token*
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
cp target/wheels/source/*.tar.gz "$outside"
CARGO_TARGET_DIR=$PWD/target/sdist MATURIN_PEP517_ARGS="--profile dev" installs "$outside"/*.tar.gz
echo "2 passed, 0 failed"
