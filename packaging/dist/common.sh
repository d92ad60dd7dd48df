# To be sourced: paths, targets and tools that all parts of `make dist` and `make dist-test` share.
# shellcheck shell=bash

set -euo pipefail
umask 022
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The artifacts, and the intermediate files.
dist=${DIST:-$root/dist}
work=${DIST_WORK:-$root/target/dist}
build=$work/build
# With HOST_PART=1 (in `make test`) nothing is compiled for a release: the builds of the other steps of `make test`
# are packed in the same way. They need this machine's glibc.
host_part=${HOST_PART:-}
# What the C library is built with. REDIS=1: with the store for Redis and Valkey.
features=capi
[[ ${REDIS:-} != 1 ]] || features=capi,redis
table=$root/packaging/dist/targets.txt
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
host=$("${RUSTC:-rustc}" -vV 2>/dev/null | sed -n 's/^host: //p' || true)

fail() {
    echo "dist: $*" >&2
    exit 1
}

say() {
    echo "dist: $*"
}

# Times in the artifacts are the last commit's, so that every build has the same bytes.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || true)
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1735689600}

# --- targets ------------------------------------------------------------------------------------

all_targets() {
    grep -v -e '^#' -e '^$' "$table" | awk '{ print $1 }'
}

# The columns of targets.txt; "-" becomes nothing.
column() { # target, glibc|wheel|debian|multiarch|command|go
    local number
    case $2 in
        glibc) number=2 ;; wheel) number=3 ;; debian) number=4 ;; multiarch) number=5 ;;
        command) number=6 ;; go) number=7 ;;
    esac
    awk -v target="$1" -v number="$number" '$1 == target { if ($number != "-") print $number }' "$table"
}

# The targets asked for, or all of them.
targets_of() { # words of TARGETS
    local target
    [[ -n ${1// /} ]] || { all_targets; return; }
    for target in $1; do
        [[ -n $(column "$target" go) ]] ||
            fail "unknown target '$target'; TARGETS takes: $(all_targets | tr '\n' ' ')"
        echo "$target"
    done
}

# --- tools --------------------------------------------------------------------------------------

need() { # command, what to do
    command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"
}

# Puts zig, cargo-zigbuild, maturin and auditwheel onto the PATH.
enter_environment() {
    [[ -z $host_part ]] || return 0
    local venv=$work/venv list=$root/packaging/dist/requirements.txt
    if ! cmp -s "$list" "$venv/requirements.txt" || ! "$venv/bin/python" -c '' 2>/dev/null; then
        python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
            fail "Python 3.11 or later with its venv module is missing: install python3 and python3-venv"
        rm -rf "$venv"
        mkdir -p "$work"
        python3 -m venv "$venv"
        say "installing zig, cargo-zigbuild, maturin and auditwheel into target/dist/venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 -r "$list" >"$work/pip.log" 2>&1 ||
            fail "PyPI cannot be reached or lacks something (target/dist/pip.log); \
go online, or name another index by PIP_INDEX_URL, then try again"
        cp "$list" "$venv/requirements.txt"
    fi
    export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
    export ZIG_GLOBAL_CACHE_DIR=$work/zig CARGO_ZIGBUILD_CACHE_DIR=$work/zigbuild
}

# Strips ELF files of every machine: LLVM's objcopy acts as strip when it is called by that name.
find_strip() {
    local sysroot tool
    [[ -z $host_part ]] || { strip=strip; return; }
    sysroot=$("${RUSTC:-rustc}" --print sysroot)
    tool=$sysroot/lib/rustlib/$host/bin/rust-objcopy
    [[ -x $tool ]] || fail "this Rust toolchain has no rust-objcopy: use one installed by rustup"
    mkdir -p "$work/bin"
    cat >"$work/bin/llvm-strip" <<SCRIPT
#!/bin/bash
export LD_LIBRARY_PATH=$(printf %q "$sysroot/lib")
exec -a llvm-strip $(printf %q "$tool") "\$@"
SCRIPT
    chmod +x "$work/bin/llvm-strip"
    strip=$work/bin/llvm-strip
}

# --- building -----------------------------------------------------------------------------------

# The artifacts must not show the paths of the machine that built them.
rust_flags() { # more flags...
    local IFS=$'\x1f'
    local flags=("--remap-path-prefix=$root=/tu-token"
        "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" "$@")
    echo "${flags[*]}"
}

# A shared library on musl needs this: without it cargo makes none and still exits with 0.
flags_of_shared() { # target, more flags...
    case $1 in
        *musl*) rust_flags -Ctarget-feature=-crt-static "${@:2}" ;;
        *) rust_flags "${@:2}" ;;
    esac
}

# The target in cargo-zigbuild's notation, with the lowest glibc.
for_zig() { # target
    local glibc
    glibc=$(column "$1" glibc)
    echo "$1${glibc:+.$glibc}"
}

# Runs a command whose output is shown if it fails.
logged() { # name, command...
    local log=$work/logs/$1.log from=$SECONDS
    mkdir -p "$work/logs"
    if ! "${@:2}" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        fail "$1 failed (all of it: ${log#"$root/"})"
    fi
    say "$1 ($((SECONDS - from)) s)"
}

# --- packing ------------------------------------------------------------------------------------

# The licences of the product and of everything linked in, and the bill of materials.
put_documents() { # directory, name, arguments of contents.py...
    local directory=$1 name=$2
    mkdir -p "$directory"
    install -m 644 "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$directory"
    [[ -n $host_part ]] || set -- "$@" --linked-by-zig
    python3 "$root/packaging/dist/contents.py" --name "$name" --output "$directory" "${@:3}"
}

# The same files give the same bytes, independent of time and user.
pack() { # directory, archive
    chmod -R u=rwX,go=rX "$1"
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu \
        -C "$(dirname "$1")" -cf - "$(basename "$1")" | gzip -n -9 >"$2.new"
    mv "$2.new" "$2"
}
