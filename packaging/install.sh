#!/usr/bin/env bash
# Installs what `make library` built (REDIS=1: with the store for Redis and Valkey), and the files by which other programs find it. Environment
# variables:
#
#   PREFIX      where it will live                      /usr/local
#   LIBDIR      library directory, below PREFIX         lib
#   DESTDIR     put in front of every path (packages)
#   TARGET_DIR  where the library was built             ${CARGO_TARGET_DIR:-target}/release
#   TARGET      what it was built for, as Rust names it this machine
#   PKG_CONFIG_PREFIX
#               what the files for pkg-config say of    PREFIX
#               where it lives
#   STRIP, NM, AR, LD, OBJCOPY
#               for libraries of another machine        strip, nm, ar; ld and objcopy as
#                                                       one-object.sh says
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
prefix=${PREFIX:-/usr/local}
destdir=${DESTDIR:-}
strip=${STRIP:-strip}
nm=${NM:-nm}

fail() {
    echo "install: $*" >&2
    exit 1
}

# The library directory relative to the prefix.
library_directory() {
    local directory=${LIBDIR:-lib}
    directory=${directory#"$prefix/"}
    directory=${directory%/}
    if [[ $directory == /* || /$directory/ == */../* ]]; then
        fail "LIBDIR ($directory) is not below PREFIX ($prefix)"
    fi
    printf '%s\n' "$directory"
}

# ".." for each component of a relative path.
way_up() {
    sed -e 's:[^/][^/]*:..:g' <<<"$1"
}

package_field() {
    sed -n "s/^$1 *= *\"\(.*\)\"\$/\1/p" "$root/Cargo.toml" | head -n 1
}

abi_number() {
    sed -n 's/^const ABI: &str = "\([0-9]*\)";$/\1/p' "$root/build.rs"
}

# The target of `rustc`, or without one, this machine as it describes itself.
this_machine() {
    local rust
    if rust=$("${RUSTC:-rustc}" -vV 2>/dev/null); then
        sed -n 's/^host: //p' <<<"$rust"
        return
    fi
    case $(uname -s) in
        Darwin) echo "$(uname -m)-apple-darwin" ;;
        Linux)
            if getconf GNU_LIBC_VERSION >/dev/null 2>&1; then echo "$(uname -m)-unknown-linux-gnu"
            else echo "$(uname -m)-unknown-linux-musl"; fi
            ;;
        *) uname -s ;;
    esac
}

# The lists are committed for the systems they are tested on; for any other, the toolchain is asked.
# Without -lgcc_s, which has no static version: a C compiler adds the right unwinder itself, with
# -static and without.
native_static_libs() {
    case $target in
        *-linux-gnu*) cat "$root/packaging/native-static-libs.txt" ;;
        *-linux-musl*) cat "$root/packaging/native-static-libs.musl.txt" ;;
        *) "$root/packaging/native-static-libs.sh" --target "$target" ;;
    esac | sed -e 's/-lgcc_s//' -e 's/  */ /g' -e 's/^ //' -e 's/ $//'
}

# Sets the names of the shared library (as built, as installed, as recorded by programs, as searched
# by linkers) and other values that depend on the system.
name_shared_library() {
    local version=$1 abi=$2
    case $target in
        *-apple-*)
            built=libtu_token.dylib
            installed=libtu_token.$version.dylib
            soname=libtu_token.$abi.dylib
            linkname=libtu_token.dylib
            strip_shared=(-x)
            elf=false
            exported=(-g)
            static_library='${libdir}/libtu_token.a'
            ;;
        *)
            built=libtu_token.so
            installed=libtu_token.so.$version
            soname=libtu_token.so.$abi
            linkname=libtu_token.so
            strip_shared=()
            elf=true
            exported=(-D)
            # Not by its path: pkg-config prefixes the sysroot only to paths in -L.
            static_library='-L${libdir} -l:libtu_token.a'
            ;;
    esac
}

find_target_directory() {
    local directory=${TARGET_DIR:-${CARGO_TARGET_DIR:-target}/release}
    [[ $directory == /* ]] || directory=$root/$directory
    printf '%s\n' "$directory"
}

# The library may exist but be the wrong one: the Rust API alone, or a build for tests.
require_built_library() {
    local file
    for file in "$built" libtu_token.a; do
        [[ -f $target_dir/$file ]] || fail "there is no $target_dir/$file; build it first:
    make library"
    done
    local symbols
    symbols=$("$nm" "${exported[@]}" "$target_dir/$built")
    grep -q ' T _\{0,1\}tu_version$' <<<"$symbols" ||
        fail "$target_dir/$built was built without the C API; build it again:
    make library"
    if grep -q ' T _\{0,1\}tu_test_' <<<"$symbols"; then
        fail "$target_dir/$built is a build for tests (feature test-clock); build it again:
    make library"
    fi
}

put() { # mode, source, path below the prefix
    local place=$destdir$prefix/$3
    mkdir -p "$(dirname "$place")"
    # Written to a new file and renamed: running programs keep the library they have loaded.
    install -m "$1" "$2" "$place.new"
    mv -f "$place.new" "$place"
    echo "  $place"
}

put_link() { # what it points to, path below the prefix
    local place=$destdir$prefix/$2
    ln -sf "$1" "$place"
    echo "  $place -> $1"
}

put_archive() { # path below the prefix
    if $elf; then
        "$root/packaging/one-object.sh" "$target_dir/libtu_token.a" \
            "$root/packaging/symbols.txt" "$scratch/archive"
    else
        "$strip" -S -o "$scratch/archive" "$target_dir/libtu_token.a"
    fi
    put 644 "$scratch/archive" "$1"
}

# For the right side of a sed command.
escaped() {
    sed -e 's/[\\&|]/\\&/g' <<<"$1"
}

# A space in a .pc file separates words unless it is preceded by a backslash.
prefix_for_pkgconfig() {
    if [[ -n ${PKG_CONFIG_PREFIX:-} ]]; then
        printf '%s\n' "$PKG_CONFIG_PREFIX"
    else
        sed -e 's/[ \\]/\\&/g' <<<"$prefix"
    fi
}

put_filled_in() { # template, path below the prefix
    sed -e "s|@VERSION@|$version|g" \
        -e "s|@PREFIX@|$(escaped "$(prefix_for_pkgconfig)")|g" \
        -e "s|@STATIC_LIBRARY@|$static_library|g" \
        -e "s|@DESCRIPTION@|$(package_field description)|g" \
        -e "s|@LIBDIR@|$libdir|g" \
        -e "s|@UP_FROM_CMAKE@|$(way_up "$libdir/cmake/TuToken")|g" \
        -e "s|@SHARED_FILE@|$installed|g" \
        -e "s|@SHARED_SONAME@|$soname|g" \
        -e "s|@NATIVE_STATIC_LIBS@|$native|g" \
        -e "s|@NATIVE_STATIC_LIBS_LIST@|${native// -/;-}|g" \
        "$root/packaging/$1" >"$scratch/filled-in"
    if grep -n '@[A-Z_]*@' "$scratch/filled-in" >&2; then
        fail "packaging/$1 has a place that nothing fills"
    fi
    put 644 "$scratch/filled-in" "$2"
}

[[ $prefix == /* ]] || fail "PREFIX ($prefix) has to begin with /"
while [[ $prefix == */ ]]; do prefix=${prefix%/}; done
libdir=$(library_directory)
version=$(package_field version)
abi=$(abi_number)
[[ -n $version ]] || fail "Cargo.toml names no version"
[[ -n $abi ]] || fail "build.rs names no ABI number"
target=${TARGET:-$(this_machine)}
name_shared_library "$version" "$abi"
target_dir=$(find_target_directory)
require_built_library
native=$(native_static_libs)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "tu_token $version:"
"$strip" ${strip_shared[@]+"${strip_shared[@]}"} -o "$scratch/shared" "$target_dir/$built"
put 755 "$scratch/shared" "$libdir/$installed"
put_link "$installed" "$libdir/$soname"
put_link "$soname" "$libdir/$linkname"
put_archive "$libdir/libtu_token.a"
put 644 "$root/include/tu_token.h" include/tu_token.h
put 644 "$root/include/tu_token.hpp" include/tu_token.hpp
put_filled_in tu_token.pc.in "$libdir/pkgconfig/tu_token.pc"
put_filled_in tu_token_static.pc.in "$libdir/pkgconfig/tu_token_static.pc"
put_filled_in TuTokenConfig.cmake.in "$libdir/cmake/TuToken/TuTokenConfig.cmake"
put_filled_in TuTokenConfigVersion.cmake.in "$libdir/cmake/TuToken/TuTokenConfigVersion.cmake"

if [[ -z $destdir && -z ${TARGET:-} && $target == *-linux-* ]]; then
    echo "If programs do not find $soname: run ldconfig, or set LD_LIBRARY_PATH=$prefix/$libdir"
fi
