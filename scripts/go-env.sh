#!/usr/bin/env bash
# Prints the variables by which Go builds and runs with the C library of a directory:
#   eval "$(scripts/go-env.sh PKG-CONFIG-DIRECTORY LIBRARY-DIRECTORY)"
#
# Go's cache knows neither headers nor what pkg-config says, but it knows these variables: a checksum
# among them keeps it from mixing two libraries.
set -euo pipefail

include=$(PKG_CONFIG_PATH=$1 pkg-config --variable=includedir tu_token)
key=$(cat "$1"/tu_token*.pc "$include/tu_token.h" | cksum | cut -d ' ' -f 1)
cat <<VARIABLES
export PKG_CONFIG_PATH=$(printf %q "$1") LD_LIBRARY_PATH=$(printf %q "$2")
export CGO_CFLAGS=$(printf %q "-O2 -g -DTUTOKEN_LIBRARY=$key")
export GOTOOLCHAIN=local
VARIABLES
