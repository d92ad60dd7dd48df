#!/usr/bin/env bash
# Compiles programs that include only tu_token.h or tu_token.hpp in every version of C and C++ that
# these support, with every available compiler and all warnings as errors.
#
#   tests/header/check.sh [INCLUDE_DIRECTORY]     default: include
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
include=${1:-$here/../../include}
passed=0
failed=0

both=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual
    -Wwrite-strings)
only_c=(-Wstrict-prototypes -Wmissing-prototypes -Wc++-compat)
only_cpp=(-Wold-style-cast -Wextra-semi -Wnon-virtual-dtor)

compile() { # what it is, command...
    local what=$1
    shift
    local log
    if log=$("$@" -c -o /dev/null "-I$include" 2>&1); then
        echo "ok      $what"
        passed=$((passed + 1))
    else
        printf '%s\n' "$log"
        echo "FAILED  $what"
        failed=$((failed + 1))
    fi
}

is_here() {
    command -v "$1" >/dev/null && return
    echo "SKIPPED: there is no $1"
    return 1
}

check_c() { # compiler
    is_here "$1" || return 0
    local standard
    for standard in c99 c11 c17; do
        compile "tu_token.h, $1 -std=$standard" \
            "$1" "-std=$standard" "${both[@]}" "${only_c[@]}" "$here/only_header.c"
    done
}

check_cpp() { # compiler
    is_here "$1" || return 0
    local standard
    for standard in c++17 c++20 c++2b; do
        compile "tu_token.h, $1 -std=$standard" \
            "$1" "-std=$standard" "${both[@]}" "${only_cpp[@]}" -x c++ "$here/only_header.c"
        compile "tu_token.hpp, $1 -std=$standard" \
            "$1" "-std=$standard" "${both[@]}" "${only_cpp[@]}" "$here/only_header.cpp"
        compile "tu_token.hpp: what compiles, $1 -std=$standard" \
            "$1" "-std=$standard" "${both[@]}" "${only_cpp[@]}" "$here/refused.cpp"
        compile "tu_token.hpp, $1 -std=$standard -fno-exceptions -fno-rtti" \
            "$1" "-std=$standard" -fno-exceptions -fno-rtti "${both[@]}" "${only_cpp[@]}" \
            "$here/no_exceptions.cpp"
    done
}

check_c gcc
check_c clang
check_cpp g++
check_cpp clang++
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
