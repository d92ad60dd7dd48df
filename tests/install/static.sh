# Sourced by run.sh: the checks specific to the static library.

# Where -static cannot link, there is nothing to check.
can_link_static() {
    printf 'int main(void) { return 0; }\n' >"$work/empty.c"
    cc -static "$work/empty.c" -o "$work/empty" 2>/dev/null
}

loads_nothing() { # program
    if readelf -l "$1" | grep INTERP; then
        echo "it is no static program"
        return 1
    fi
}

build_fully_static() { # compiler, source, program, flags...
    rm -f "$3"
    "$1" "${warnings[@]}" -static "$2" -o "$3" "${@:4}"
    loads_nothing "$3"
    "$3"
}

cmake_builds_fully_static() { # package directory
    cmake_build "$work/fully-static" "$1" -DWITH_CXX=OFF -DCMAKE_EXE_LINKER_FLAGS=-static \
        -DTuToken_USE_STATIC=ON
    loads_nothing "$work/fully-static/static_c"
    loads_nothing "$work/fully-static/shared_c"
    "$work/fully-static/static_c"
    "$work/fully-static/shared_c"
}

# shellcheck disable=SC2046 # several words
try_static() { # library directory
    expect_success "the archive shows what symbols.txt lists alone" \
        shows_listed_names_alone "$1/libtu_token.a"
    expect_success "what a program does not use is left out by --gc-sections" \
        leaves_out_what_is_not_used "$1"
    has pkg-config || return 0
    if ! can_link_static; then
        echo "SKIPPED: fully static programs: cc -static links none here"
        return
    fi
    pkgconfig=$1/pkgconfig
    expect_success "fully static, variable static_libs, C" build_fully_static cc \
        "$work/program.c" "$work/program" $(pkg --cflags) $(pkg --variable=static_libs)
    expect_success "fully static, pkg-config --static, C" build_fully_static cc \
        "$work/program.c" "$work/program" $(pkg --static --cflags --libs)
    if has c++; then
        expect_success "fully static, tu_token_static, C++" build_fully_static c++ \
            "$work/program.cpp" "$work/program" $(pkg_of tu_token_static --cflags --libs)
    fi
    if has cmake; then
        expect_success "fully static, CMake" cmake_builds_fully_static "$1/cmake/TuToken"
    fi
}

shows_listed_names_alone() { # archive
    nm -g --defined-only "$1" | awk 'NF > 1 { print $NF }' | sort -u >"$work/shown"
    sed -e '/^#/d' -e '/^$/d' "$root/packaging/symbols.txt" | awk '{ print $1 }' | sort |
        diff - "$work/shown"
}

# The whole archive is about 2 MB.
leaves_out_what_is_not_used() { # library directory
    printf '#include <tu_token.h>\nint main(void) { return *tu_version() == 0; }\n' \
        >"$work/version.c"
    cc -s -Wl,--gc-sections -I"$1/../include" "$work/version.c" -o "$work/version" \
        "$1/libtu_token.a"
    "$work/version"
    local size
    size=$(wc -c <"$work/version")
    ((size < 200000)) || { echo "a program that asks for the version has $size bytes"; return 1; }
}

# --- with other Rust libraries ----------------------------------------------------------------

# Two of them: an ordinary one, and one made like libtu_token.a.
build_other_libraries() {
    local name
    for name in plain hidden; do
        NAME=$name rustc --edition 2024 --crate-type staticlib -C opt-level=s -C lto=fat \
            -C codegen-units=1 -o "$work/lib$name.a" "$here/panics.rs"
    done
    echo hidden_panics >"$work/hidden-names"
    "$root/packaging/one-object.sh" "$work/libhidden.a" "$work/hidden-names" "$work/libhid.a"
}

# In both orders: a linker takes the first definition of a name and rejects the second.
links_beside_rust() { # library directory, flags...
    local ours=$1/libtu_token.a others=("$work/libplain.a" "$work/libhid.a")
    shift
    cc "${warnings[@]}" "$@" "$work/beside_rust.c" -o "$work/before" "$ours" "${others[@]}" -lm
    cc "${warnings[@]}" "$@" "$work/beside_rust.c" -o "$work/after" "${others[@]}" "$ours" -lm
    "$work/before"
    "$work/after"
}

try_beside_rust() { # library directory
    if ! has rustc; then
        echo "SKIPPED: beside other libraries of Rust's: there is no rustc"
        return
    fi
    expect_success "other libraries of Rust's build" build_other_libraries
    expect_success "beside two other libraries of Rust's" links_beside_rust "$1" "-I$1/../include"
    if can_link_static; then
        expect_success "beside two other libraries of Rust's, fully static" \
            links_beside_rust "$1" "-I$1/../include" -static
    fi
}
