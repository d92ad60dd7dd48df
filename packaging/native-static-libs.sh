#!/usr/bin/env bash
# The system libraries that a program has to link in addition to libtu_token.a.
#
#   packaging/native-static-libs.sh                   asks the Rust toolchain
#   packaging/native-static-libs.sh --target TRIPLE   asks it for another machine
#   packaging/native-static-libs.sh --check           compares that with native-static-libs.txt,
#                                                     which `install` uses so as not to compile
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
committed=$root/packaging/native-static-libs.txt

# Has its own target directory: the extra argument would make cargo discard the library that is
# about to be installed. Debug, because the list does not depend on the profile.
ask_toolchain() { # [--target TRIPLE]
    local target_dir=${CARGO_TARGET_DIR:-$root/target}/native-static-libs
    local log
    cd "$root"
    if ! log=$(CARGO_PROFILE_DEV_DEBUG=0 cargo rustc --locked \
        --target-dir "$target_dir" "$@" \
        --features capi -p tu-token --lib --crate-type staticlib --color never \
        -- --print native-static-libs 2>&1); then
        printf '%s\n' "$log" >&2
        echo "native-static-libs.sh: the library does not build" >&2
        return 1
    fi
    local line
    line=$(sed -n 's/^.*native-static-libs: *//p' <<<"$log" | tail -n 1)
    if [[ -z $line ]]; then
        printf '%s\n' "$log" >&2
        echo "native-static-libs.sh: the toolchain printed no list" >&2
        return 1
    fi
    printf '%s\n' "$line"
}

check() {
    local have want
    have=$(<"$committed")
    want=$(ask_toolchain)
    if [[ $have != "$want" ]]; then
        echo "$committed has:      $have" >&2
        echo "the toolchain says: $want" >&2
        return 1
    fi
}

case ${1:-} in
    '') ask_toolchain ;;
    --check) check ;;
    --target) ask_toolchain --target "${2:?}" ;;
    *)
        echo "usage: $0 [--check | --target TRIPLE]" >&2
        exit 2
        ;;
esac
