#!/usr/bin/env bash
# Prints bindings/python/README.md for the package's page, where relative links would not work: they
# are replaced by links to the project's home. The result is committed as README.python.md.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$(sed -n 's/^repository = "\(.*\)"$/\1/p' Cargo.toml)
sed -E \
  -e "s#\]\(\.\./\.\./([^)]*/)?([^)/.]+)\)#](@TREE@/\1\2)#g" \
  -e "s#\]\(\.\./\.\./([^)]+)\)#](@FILE@/\1)#g" \
  -e "s#@TREE@#$home/tree/main#g; s#@FILE@#$home/blob/main#g" \
  bindings/python/README.md
