# shellcheck shell=bash disable=SC2154,SC2034
cargo build --quiet -p tu-token-conformance --features testee --bin tu-token-testee --target-dir "$built"
command=("$built/debug/tu-token-testee")
