#!/usr/bin/env bash
# Prints the variables for building and running Go with the C library in a directory:
#   eval "$(scripts/go-env.sh PKG-CONFIG-DIRECTORY LIBRARY-DIRECTORY)"
#
# Go's build cache considers neither headers nor pkg-config's output, but it does consider these
# variables: a checksum in them keeps it from mixing two libraries.
set -euo pipefail

include=$(PKG_CONFIG_PATH=$1 pkg-config --variable=includedir tu_token)
key=$(cat "$1"/tu_token*.pc "$include/tu_token.h" | cksum | cut -d ' ' -f 1)
cat <<VARIABLES
export PKG_CONFIG_PATH=$(printf %q "$1") LD_LIBRARY_PATH=$(printf %q "$2")
export CGO_CFLAGS=$(printf %q "-O2 -g -DTUTOKEN_LIBRARY=$key")
export GOTOOLCHAIN=local
VARIABLES
