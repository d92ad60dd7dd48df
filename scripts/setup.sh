#!/usr/bin/env bash
# Finds out what is missing to build, test or demonstrate, and installs it if possible: Debian
# packages by apt when root. Otherwise it says what to install.
# Usage: scripts/setup.sh demo|test|dist-test
set -euo pipefail

missing=()

# need COMMAND PACKAGE
need() {
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

# need_pkg PKG-CONFIG-NAME PACKAGE
need_pkg() {
  command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$1" || missing+=("$2")
}

if ! command -v cargo >/dev/null 2>&1; then
  echo "Rust is missing: install rustup from https://rustup.rs (1.89 or later), then try again." >&2
  exit 1
fi

need cc gcc
need make make
need curl curl
need pkg-config pkg-config
need_pkg libcurl libcurl4-openssl-dev
if [ "${1:-test}" = test ]; then
  need c++ g++
  need clang++ clang
  need cmake cmake
  need valgrind valgrind
  need nm binutils
  need go golang-go
  need script bsdutils
  # Command-line completion.
  need zsh zsh
  need fish fish
  need chromium chromium
  need chromedriver chromium-driver
  # JSON for the programs that the conformance suite drives.
  need_pkg libcjson libcjson-dev
  need_pkg nlohmann_json nlohmann-json3-dev
  need python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  # Servers that run Python in ways of their own.
  need apache2 apache2-bin
  [ -e /usr/lib/apache2/modules/mod_wsgi.so ] || missing+=(libapache2-mod-wsgi-py3)
  need uwsgi uwsgi-core
  [ -e /usr/lib/uwsgi/plugins/python3_plugin.so ] || missing+=(uwsgi-plugin-python3)
  # Tools that inspect packages, and a system to install them in.
  need lintian lintian
  need debootstrap debootstrap
  need file file
  need man man-db
fi
if [ "${1:-test}" = dist-test ]; then
  need c++ g++
  need cmake cmake
  need go golang-go
  need debootstrap debootstrap
  need lintian lintian
  need file file
  need man man-db
  need qemu-aarch64-static qemu-user-static
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing: ${missing[*]}"
  log=$(mktemp)
  if (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      "${missing[@]}") >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 5 "$log" >&2
  rm -f "$log"
fi
echo "Missing: ${missing[*]} (names of Debian packages). Install them, then try again." >&2
# The caller finds out what works without some of them.
[ "${1:-test}" != demo ] && [[ " ${missing[*]} " != *" gcc "* ]]
