#!/usr/bin/env bash
# Makes the Go modules with the libraries inside, as a file-system module proxy: dist/go.
#
#   packaging/dist/go.sh TARGET...      the targets whose libraries are included (from target/dist/stage/TARGET)
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/common.sh"

stage=$work/stage/go
rm -rf "$stage" "$dist/go"
mkdir -p "$stage"
enter_environment
archives=()
for target in "$@"; do
    tree=$work/stage/$target/tarball/libtu_token-$version-$target
    pc=$tree/lib/pkgconfig/tu_token_static.pc
    flags=$(sed -n 's/^Libs: .*-l:libtu_token\.a *//p' "$pc")
    archives+=("--archive=$(column "$target" go)=$tree/lib/libtu_token.a=$flags")
done
put_documents "$stage/documents" tutoken --package tu-token --features "$features" --target "$@"
python3 "$root/packaging/dist/gomodule.py" --version "v$version" --documents "$stage/documents" \
    --output "$dist/go" "${archives[@]}"
say "Go modules, with archives for: $(for target in "$@"; do column "$target" go; done | tr '\n' ' ')"
