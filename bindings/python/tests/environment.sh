# To be sourced: creates target/venv-python with the tests' requirements and puts it on the PATH.
# Changes to the repository's root directory.

cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 1
python=${PYTHON:-python3}
"$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
  echo "SKIPPED: Python 3.10 or later with its venv module is missing"
  exit 77
}

# environment DIRECTORY REQUIREMENTS: recreates it if it does not match the file.
environment() {
  if ! cmp -s "$2" "$1/requirements.txt" || ! "$1/bin/python" -c '' 2>/dev/null; then
    rm -rf "$1"
    "$python" -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    cp "$2" "$1/requirements.txt"
  fi
}

environment target/venv-python bindings/python/tests/requirements.txt
export VIRTUAL_ENV=$PWD/target/venv-python PATH=$PWD/target/venv-python/bin:$PATH

# Builds the module for development and installs it there.
install_module() {
  rm -rf target/wheels/development
  maturin build --quiet --manifest-path bindings/python/Cargo.toml --out target/wheels/development
  pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
    target/wheels/development/*.whl
}
