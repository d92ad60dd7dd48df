#!/usr/bin/env bash
# `make audit`: checks the crates that the workspace depends on by the rules of deny.toml: licences, sources, duplicates,
# and known vulnerabilities where the database of RustSec can be obtained.
#
#   ADVISORY_DB=DIRECTORY   a clone of that database, for a machine that cannot fetch it
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=$PWD/target/tools
# cargo-deny's name for the database, from its address.
database=$tools/advisory-dbs/advisory-db-3157b0e258782691

if ! cargo deny --version >/dev/null 2>&1 && [ ! -x "$tools/bin/cargo-deny" ]; then
  echo "Building cargo-deny $version into target/tools (some minutes) ..."
  cargo install --quiet --locked --no-default-features --root "$tools" --version $version cargo-deny || {
    echo "SKIPPED: cargo-deny cannot be built here"
    exit 77
  }
fi
PATH=$PATH:$tools/bin

cargo deny --offline check licenses sources bans
crates=$(cargo metadata --locked --format-version 1 | grep -o '"id":"registry+' | wc -l)
echo "$crates crates from the registry"

mkdir -p "$tools/advisory-dbs"
if [ -n "${ADVISORY_DB:-}" ]; then
  rm -rf "$database"
  git clone --quiet --depth 1 "file://$(realpath "$ADVISORY_DB")" "$database"
  touch "$database/.git/FETCH_HEAD"
elif ! GIT_TERMINAL_PROMPT=0 timeout 120 cargo deny fetch db >"$tools/advisory-dbs.log" 2>&1; then
  echo "SKIPPED: known vulnerabilities: the database cannot be fetched (target/tools/advisory-dbs.log); set ADVISORY_DB"
  exit
fi
echo "the database is of $(git -C "$database" log -1 --format=%cs): $(ls "$database/crates" | wc -l) crates with advisories"
cargo deny --offline check advisories
