# shellcheck shell=bash disable=SC2154,SC2034,SC1091
. bindings/python/tests/environment.sh
rm -rf target/wheels/conformance
maturin build --quiet --manifest-path bindings/python/Cargo.toml --features test-clock \
  --target-dir "$built" --out target/wheels/conformance
[ -x target/conformance-venv/bin/python ] || "$python" -m venv target/conformance-venv
target/conformance-venv/bin/pip install --quiet --disable-pip-version-check --force-reinstall \
  --no-deps target/wheels/conformance/*.whl
command=(target/conformance-venv/bin/python -W error tests/conformance/testees/python.py)
