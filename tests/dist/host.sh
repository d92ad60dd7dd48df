#!/usr/bin/env bash
# The host's part of `make dist-test`, in `make test`: the builds of the other steps are packed twice, as
# `make dist` does it, and used the way users do. Other targets, an old glibc and musl need builds of their own,
# so only `make dist` covers them.
#
# Needs target/release (make library), target/wheels/release, target/debug (cargo build).
set -euo pipefail
cd "$(dirname "$0")/../.."

export HOST_PART=1
host=$(rustc -vV | sed -n 's/^host: //p')

pack_all() { # directory for the artifacts, directory for the work
    export DIST=$PWD/$1 DIST_WORK=$PWD/$2
    rm -rf "$1"
    mkdir -p "$1"
    local part
    for part in library command wheels debian; do packaging/dist/$part.sh "$host"; done
    packaging/dist/go.sh "$host"
    (cd "$1" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum >SHA256SUMS)
}

grep -q "^$host " packaging/dist/targets.txt || { echo "SKIPPED: dist: nothing is made for $host"; exit 77; }
pack_all target/dist-host/again target/dist-host/work-again
pack_all target/dist-host/dist target/dist-host/work
cmp target/dist-host/again/SHA256SUMS target/dist-host/dist/SHA256SUMS
rm -rf target/dist-host/again target/dist-host/work-again
tests/dist/run.sh
