#!/usr/bin/env bash
# `make dist`: everything that is released to users, into dist/.
#
#   packaging/dist.sh ["TARGET..."]     default: all of packaging/dist/targets.txt
#
# A target whose standard library is not available is named and skipped. SHA256SUMS is written last:
# a dist/ without it is incomplete.
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/dist/common.sh"

parts=$root/packaging/dist
left_out=()

has_standard_library() { # target
    [[ -d $("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$1/lib ]]
}

get_standard_library() { # target
    has_standard_library "$1" && return
    command -v rustup >/dev/null 2>&1 && rustup target add "$1" >"$work/rustup.log" 2>&1
    has_standard_library "$1"
}

build_target() { # target
    local target=$1
    "$parts/library.sh" "$target"
    [[ -z $(column "$target" command) ]] || "$parts/command.sh" "$target"
    "$parts/wheels.sh" "$target"
    "$parts/debian.sh" "$target"
    # Only a build's results are needed.
    rm -rf "$build/$target"
}

# Everything that compiles takes the crates of Cargo.lock from here on, so this alone needs their registry.
get_crates() { # targets...
    local flags=()
    for target in "$@"; do flags+=(--target "$target"); done
    cargo fetch --locked --manifest-path "$root/Cargo.toml" "${flags[@]}" >"$work/crates.log" 2>&1 ||
        fail "the registry of crates cannot be reached or lacks something (target/dist/crates.log); go online, then try again"
}

# Rebuilds the artifacts of this machine's own target in another directory and compares the bytes.
build_again() {
    local again=$work/again/elsewhere target=$host file
    rm -rf "$work/again"
    mkdir -p "$again"
    (cd "$root" && tar -cf - --exclude=./target --exclude=./dist --exclude=./.git .) | tar -xf - -C "$again"
    # The tools are the same; that they are in another place does not matter.
    mkdir -p "$again/target/dist" "$again/dist"
    ln -s "$work/venv" "$work/zig" "$work/zigbuild" "$again/target/dist"
    "$again/packaging/dist/library.sh" "$target"
    "$again/packaging/dist/wheels.sh" "$target"
    "$again/packaging/dist/debian.sh" "$target"
    while read -r file; do
        cmp "$again/dist/$file" "$dist/$file" ||
            fail "$file has other bytes when it is built in another directory"
    done < <(cd "$again/dist" && find . -type f | sort)
    say "built twice, the same bytes: $(cd "$again/dist" && find . -type f | wc -l) files for $target"
    rm -rf "$work/again"
}

need python3 "install python3 and python3-venv"
need cargo "install Rust by rustup (https://rustup.rs)"
need cc "install gcc, which links what cargo runs while it builds"
need readelf "install binutils"
need go "install Go 1.24 or later"
need dpkg-deb "install the package dpkg"
tar --version 2>/dev/null | grep GNU >/dev/null || fail "GNU tar is missing: install the package tar"
asked=$(targets_of "${1:-}")
mkdir -p "$work"
find_strip

built=()
for target in $asked; do
    if get_standard_library "$target"; then
        built+=("$target")
    else
        left_out+=("$target")
        say "LEFT OUT: $target: this toolchain has no standard library for it, and \`rustup target add $target\` brings none"
    fi
done
[[ ${#built[@]} -gt 0 ]] || fail "nothing to build: go online, so that rustup can get the standard library of a target"
get_crates "${built[@]}"
enter_environment
rm -rf "$dist" "$work/stage" "$work/logs"
mkdir -p "$dist"
for target in "${built[@]}"; do build_target "$target"; done
"$parts/wheels.sh" sdist
"$parts/go.sh" "${built[@]}"
[[ " ${built[*]} " != *" $host "* ]] || build_again
(cd "$dist" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum) >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" "$dist/SHA256SUMS"
say "dist/ has $(wc -l <"$dist/SHA256SUMS") files for ${built[*]}${left_out[*]:+; left out: ${left_out[*]}}"
