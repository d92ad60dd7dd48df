#!/usr/bin/env bash
# Builds the library for a target and packs it: shared, static, headers, pkg-config, CMake.
#
#   packaging/dist/library.sh TARGET        REDIS=1: with the store for Redis and Valkey
#
# Leaves the tree that the Debian packages and the Go module are made from in target/dist/stage/TARGET.
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/common.sh"

target=$1
name=libtu_token-$version-$target
stage=$work/stage/$target
built=$build/$target/release
[[ -z $host_part ]] || built=$root/target/release
rm -rf "$stage"

build_library() {
    local flags=()
    [[ $target != x86_64-* ]] || flags=(-Cforce-frame-pointers=yes) # as the Makefile does
    CARGO_TARGET_DIR=$build CARGO_ENCODED_RUSTFLAGS=$(flags_of_shared "$target" "${flags[@]}") \
        cargo-zigbuild rustc --locked --release --features "$features" -p tu-token --lib \
        --crate-type cdylib,staticlib --target "$(for_zig "$target")" \
        -- --print native-static-libs
}

# The list in the installed files must be what the compiler reports for this very target.
check_native_libs() { # committed list, log of the build
    local said
    said=$(sed -n 's/^.*native-static-libs: *//p' "$2" | tail -n 1)
    [[ -z $said || $said == $(<"$1") ]] ||
        fail "$(basename "$1") has '$(<"$1")', but for $target the compiler says '$said': correct the file"
}

put_library() { # directory, more variables of install.sh...
    env TARGET="$target" TARGET_DIR="$built" STRIP="$strip" DESTDIR="$1" "${@:2}" \
        "$root/packaging/install.sh" >/dev/null
}

enter_environment
find_strip
if [[ -z $host_part ]]; then
    logged "library for $target" build_library
    log="$work/logs/library for $target.log"
    case $target in
        *musl*) check_native_libs "$root/packaging/native-static-libs.musl.txt" "$log" ;;
        *) check_native_libs "$root/packaging/native-static-libs.txt" "$log" ;;
    esac
fi
# The tarball can be unpacked anywhere; a package is for /usr.
put_library "$stage/tarball/$name" PREFIX=/ PKG_CONFIG_PREFIX='${pcfiledir}/../..'
multiarch=$(column "$target" multiarch)
[[ -z $multiarch ]] || put_library "$stage/debian" PREFIX=/usr LIBDIR="lib/$multiarch"
put_documents "$stage/tarball/$name/share/doc/tu-token" libtu_token \
    --package tu-token --features "$features" --target "$target"
install -m 644 "$root/CHANGELOG.md" "$stage/tarball/$name/share/doc/tu-token"
pack "$stage/tarball/$name" "$dist/$name.tar.gz"
