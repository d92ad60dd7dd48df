#!/usr/bin/env bash
# Builds the command for a target, with and without the emulator, and packs both with manual pages
# and completions. On musl it is one static file.
#
#   packaging/dist/command.sh TARGET
#
# Leaves the trees in target/dist/stage/TARGET/command and .../gateway.
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/common.sh"

target=$1
stage=$work/stage/$target

build_command() { # features...
    [[ -z $host_part ]] || return 0
    CARGO_TARGET_DIR=$build CARGO_ENCODED_RUSTFLAGS=$(rust_flags) \
        cargo-zigbuild build --locked --release -p tu-token-cli --target "$(for_zig "$target")" "$@"
}

# Manual pages and completions are the same for all targets, so a build for this machine writes them. It is not
# optimised, because it runs once.
write_pages() { # directory, features...
    local tool=$root/target/debug/tu-token
    mkdir -p "$1/share/man/man1" "$1/share/bash-completion/completions" \
        "$1/share/zsh/site-functions" "$1/share/fish/vendor_completions.d"
    local selected=(-p tu-token-cli --features __man "${@:2}")
    # What `make test` has built.
    [[ -z $host_part ]] || selected=(--workspace --bin tu-token --example tls-front --features tu-token-cli/__man)
    CARGO_TARGET_DIR=$root/target cargo build --locked "${selected[@]}"
    "$tool" man "$1/share/man/man1"
    "$tool" completions bash >"$1/share/bash-completion/completions/tu-token"
    "$tool" completions zsh >"$1/share/zsh/site-functions/_tu-token"
    "$tool" completions fish >"$1/share/fish/vendor_completions.d/tu-token.fish"
}

make_command() { # tree, name of the artifact, features...
    local tree=$stage/$1 name=$2
    shift 2
    logged "command ${name#tu-token-}" build_command "$@"
    rm -rf "$tree"
    mkdir -p "$tree/$name/bin"
    logged "pages ${name#tu-token-}" write_pages "$tree/$name" "$@"
    if [[ -z $host_part ]]; then
        "$strip" -o "$tree/$name/bin/tu-token" "$build/$target/release/tu-token"
    else
        "$strip" -o "$tree/$name/bin/tu-token" "$root/target/debug/tu-token"
    fi
    put_documents "$tree/$name/share/doc/tu-token" tu-token \
        --package tu-token-cli --target "$target" "$@"
    pack "$tree/$name" "$dist/$name.tar.gz"
}

enter_environment
find_strip
make_command command "tu-token-$version-$target"
[[ -n $host_part ]] ||
    make_command gateway "tu-token-gateway-$version-$target" --no-default-features
