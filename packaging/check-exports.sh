#!/usr/bin/env bash
# Checks the shared library's promises: compares its exports with symbols.txt and with the header,
# and checks what a linker sees of it. ELF only.
#
#   packaging/check-exports.sh [LIBRARY]     default: target/release/libtu_token.so
#
# MOST_BYTES: its size limit when stripped; "none" for a library with more in it than the default one has.
set -euo pipefail
export LC_ALL=C # the order of sort and comm, and the language of readelf

root=$(cd "$(dirname "$0")/.." && pwd)
library=${1:-${CARGO_TARGET_DIR:-$root/target}/release/libtu_token.so}
symbols=$root/packaging/symbols.txt
header=$root/include/tu_token.h
soname=libtu_token.so.$(sed -n 's/^const ABI: &str = "\([0-9]*\)";$/\1/p' "$root/build.rs")
# 2.2 MB, and a page more where the paths of sources are longer than here.
most_bytes=${MOST_BYTES:-2205000}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

wrong() {
    echo "check-exports: $*" >&2
    failed=1
}

exported_by_library() {
    nm -D --defined-only "$scratch/stripped" | awk '{ print $NF }' | sort
}

listed_symbols() {
    sed -e '/^#/d' -e '/^$/d' "$symbols" | awk '{ print $1 }' | sort
}

# Preprocessed: without comments, macros, and what only test builds have.
declared_in_header() {
    "${CC:-cc}" -E -P -x c "$header" | grep -o '\btu_[a-z0-9_]*(' | tr -d '(' | sort -u
}

expect_equal() { # file, what it is, file, what it is
    local only
    only=$(comm -23 "$1" "$3" | tr '\n' ' ')
    [[ -z $only ]] || wrong "in $2 but not in $4: $only"
    only=$(comm -13 "$1" "$3" | tr '\n' ' ')
    [[ -z $only ]] || wrong "in $4 but not in $2: $only"
}

check_list() {
    local bad
    bad=$(sed -e '/^#/d' -e '/^$/d' "$symbols" |
        grep -v -x -E 'tu_[a-z0-9_]+ [0-9]+\.[0-9]+\.[0-9]+' || true)
    [[ -z $bad ]] || wrong "symbols.txt: not \"name version\": $bad"
    bad=$(uniq -d "$scratch/listed" | tr '\n' ' ')
    [[ -z $bad ]] || wrong "symbols.txt: more than once: $bad"
}

check_exports() {
    exported_by_library >"$scratch/exported"
    listed_symbols >"$scratch/listed"
    declared_in_header >"$scratch/declared"
    check_list
    expect_equal "$scratch/exported" "the library" "$scratch/listed" symbols.txt
    expect_equal "$scratch/exported" "the library" "$scratch/declared" "the header"
}

check_size() {
    size=$(wc -c <"$scratch/stripped")
    [[ $most_bytes == none ]] || ((size <= most_bytes)) ||
        wrong "$size bytes when stripped, $((size - most_bytes)) more than $most_bytes"
}

# SONAME is what programs record. NODELETE keeps the code mapped after dlclose, because threads of
# the library may still be running.
check_dynamic_section() {
    local section
    section=$(readelf -d "$scratch/stripped")
    grep -q -F "Library soname: [$soname]" <<<"$section" || wrong "the SONAME is not $soname"
    grep -q -w NODELETE <<<"$section" || wrong "the flag NODELETE is missing"
}

if [[ ! -f $library ]]; then
    echo "check-exports: there is no $library; build it first:
    make library" >&2
    exit 1
fi
"${STRIP:-strip}" -o "$scratch/stripped" "$library"
check_exports
check_size
check_dynamic_section
((failed == 0)) || exit 1
echo "$(wc -l <"$scratch/exported") functions, $size bytes, $soname: as promised"
