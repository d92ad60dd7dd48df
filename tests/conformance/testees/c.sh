# shellcheck shell=bash disable=SC2154,SC2034,SC2086,SC2046
pkg-config --exists libcjson || { echo "SKIPPED: libcjson-dev is missing"; exit 77; }
tests/conformance/library.sh
cc -std=c11 -D_GNU_SOURCE $c_flags tests/conformance/testees/c.c -o "$built/testee-c" \
  $(pkg-config --cflags --libs libcjson) $c_libraries
command=("$built/testee-c")
