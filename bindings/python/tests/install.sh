#!/usr/bin/env bash
# What a user does: makes a wheel of the directory by pip, and installs it and the source
# distribution, each into a fresh environment; then the README's first lines, against the emulator beside it.
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

maturin sdist --manifest-path bindings/python/Cargo.toml --out target/wheels/source
# Outside of the repository; its build directory stays, and the optimiser is left out, for speed. The
# times of files in the archive say nothing: what is built of them is to be built anew.
rm -rf target/sdist/debug/.fingerprint/tu-token*
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
cp target/wheels/source/*.tar.gz "$outside"
CARGO_TARGET_DIR=$PWD/target/sdist MATURIN_PEP517_ARGS="--profile dev" installs "$outside"/*.tar.gz
echo "2 passed, 0 failed"
