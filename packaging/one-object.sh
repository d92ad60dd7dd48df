#!/usr/bin/env bash
# Turns a Rust static library into one that exposes only its public functions: every such library
# contains Rust's runtime, and two of them in one program would clash ("multiple definition of
# rust_eh_personality"). ELF only.
#
#   packaging/one-object.sh ARCHIVE NAMES RESULT
#
#   NAMES      a file with the functions to export, one per line (further words and # lines are
#              ignored)
#   LD, OBJCOPY, AR, NM   for libraries of another machine: ld, objcopy, ar, nm. Where the first
#              two fail, those of the Rust toolchain are used, which support every machine
set -euo pipefail

[[ $# == 3 ]] || { echo "usage: $0 ARCHIVE NAMES RESULT" >&2; exit 2; }
archive=$1 names=$2 result=$3
object=$(basename "$archive" .a).o
object=${object#lib}
nm=${NM:-nm}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "one-object: $*" >&2
    exit 1
}

# The members that the functions need, as one object that keeps all their sections, so that a
# program's --gc-sections drops what it does not use. Without section groups: a linker keeps only
# one group of a name, which could be another library's.
link() { # linker, with what it needs...
    local name undefined=()
    while read -r name; do undefined+=(-u "$name"); done <"$scratch/names"
    "$@" -r --force-group-allocation "${undefined[@]}" -o "$scratch/linked.o" "$archive"
}

# Keeps the names of functions for debuggers, and removes what only the compiler reads.
hide() { # objcopy
    "$@" --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd \
        --keep-global-symbols="$scratch/names" "$scratch/linked.o" "$scratch/$object"
}

# The toolchain's tools are next to its libraries, but do not find them by themselves.
rust_tool() { # name, arguments...
    local sysroot host
    sysroot=$("${RUSTC:-rustc}" --print sysroot)
    host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
    LD_LIBRARY_PATH=$sysroot/lib "$sysroot/lib/rustlib/$host/bin/$1" "${@:2}"
}

# shellcheck disable=SC2086 # LD and OBJCOPY may come with arguments
make_object() {
    link ${LD:-ld} && hide ${OBJCOPY:-objcopy} && return
    link rust_tool rust-lld -flavor gnu && hide rust_tool rust-objcopy
}

symbols() { # options of nm..., file
    "$nm" "$@" | awk 'NF > 1 { print $NF }' | sort -u
}

check() {
    symbols -g --defined-only "$result" >"$scratch/exported"
    diff "$scratch/names" "$scratch/exported" >&2 ||
        fail "$archive does not export what $names lists; build it again:
    make library"
    # A missing Rust symbol could only come from another library, or from none.
    if symbols -u "$result" | grep -E '^(_R|_ZN|__rust|rust_)' >&2; then
        fail "$archive lacks the functions above"
    fi
}

export LC_ALL=C
sed -e '/^#/d' -e '/^[[:space:]]*$/d' "$names" | awk '{ print $1 }' | sort >"$scratch/names"
make_object 2>"$scratch/log" || {
    cat "$scratch/log" >&2
    fail "neither ${LD:-ld} and ${OBJCOPY:-objcopy} nor what comes with the Rust toolchain can make
one object of $archive; name others by LD and OBJCOPY"
}
rm -f "$result"
"${AR:-ar}" rcsD "$result" "$scratch/$object"
check
