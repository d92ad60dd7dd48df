#!/usr/bin/env bash
# Finds out what is missing to build, test or demonstrate, and installs it if possible: Debian
# packages by apt when root. Otherwise it says what to install.
# Usage: scripts/setup.sh demo|test|dist-test|GROUP... (the groups are in `see_to`)
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

# What `make demo`, `make test`, `make dist-test` and single steps of `make test` (tests/run.sh) need.
see_to() { # GROUP
  case $1 in
    demo)
      see_to base
      see_to pkg-config
      see_to libcurl
      ;;
    test)
      see_to demo
      local group
      for group in c++ clang cmake valgrind redis-server binutils abigail go shells browser json python python-servers \
          packages; do
        see_to "$group"
      done
      ;;
    dist-test)
      see_to demo
      see_to c++
      see_to cmake
      see_to go
      see_to packages
      need qemu-aarch64-static qemu-user-static
      ;;
    base)
      need cc gcc
      need make make
      need curl curl
      ;;
    pkg-config) need pkg-config pkg-config ;;
    libcurl) need_pkg libcurl libcurl4-openssl-dev ;;
    c++) need c++ g++ ;;
    clang) need clang++ clang ;;
    llvm) need llvm-symbolizer llvm ;;
    cmake) need cmake cmake ;;
    valgrind) need valgrind valgrind ;;
    # Valkey's server serves as well.
    redis-server) command -v valkey-server >/dev/null 2>&1 || need redis-server redis-server ;;
    binutils) need nm binutils ;;
    abigail) need abidiff abigail-tools ;;
    go)
      need go golang-go
      need pkg-config pkg-config
      ;;
    # Command-line completion, and a terminal for it.
    shells)
      need script bsdutils
      need zsh zsh
      need fish fish
      ;;
    browser)
      need chromium chromium
      need chromedriver chromium-driver
      ;;
    # JSON for the programs that the conformance suite drives.
    json)
      need_pkg libcjson libcjson-dev
      need_pkg nlohmann_json nlohmann-json3-dev
      ;;
    python)
      need python3 python3
      python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
      ;;
    # Servers that run Python in ways of their own.
    python-servers)
      need apache2 apache2-bin
      [ -e /usr/lib/apache2/modules/mod_wsgi.so ] || missing+=(libapache2-mod-wsgi-py3)
      need uwsgi uwsgi-core
      [ -e /usr/lib/uwsgi/plugins/python3_plugin.so ] || missing+=(uwsgi-plugin-python3)
      ;;
    # Tools that inspect packages, and a system to install them in.
    packages)
      need lintian lintian
      need debootstrap debootstrap
      need file file
      need man man-db
      ;;
    *)
      echo "scripts/setup.sh: unknown group '$1'" >&2
      exit 2
      ;;
  esac
}

for group in "${@:-test}"; do
  see_to "$group"
done
[ ${#missing[@]} -eq 0 ] && exit 0

# Debian starts the service of a package and enables it. Tests start the servers they need, so a service that comes with
# a package installed here is neither left running nor enabled.
install_packages() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt-get update &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" || exit
  case " ${missing[*]} " in *' redis-server '*) update-rc.d redis-server disable || true ;; esac
)

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing: ${missing[*]}"
  log=$(mktemp)
  if install_packages >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 5 "$log" >&2
  rm -f "$log"
fi
echo "Missing: ${missing[*]} (names of Debian packages). Install them, then try again." >&2
# The caller skips what it cannot do without them.
[ "${1:-test}" != demo ] && [[ " ${missing[*]} " != *" gcc "* ]]
