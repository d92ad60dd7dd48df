#!/usr/bin/env bash
# Builds and runs a program outside the tree against the installed library: shared, static and fully
# static, C and C++, found by pkg-config and by CMake, relocated, below a sysroot, and together with
# other Rust libraries.
#
#   tests/install/run.sh            installs into temporary directories, and tries those
#   tests/install/run.sh PREFIX     tests what is installed in PREFIX
#
# The library has to be built: make library
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
warnings=(-Wall -Wextra -Wpedantic -Werror)

# All that a program may load: no system TLS, HTTP or other library.
allowed='linux-vdso|linux-gate|ld-linux|ld64|libc|libm|libgcc_s|libpthread|libdl|librt|libutil'
allowed+='|libstdc\+\+|libtu_token'

# Not from this machine's environment: the programs must find the library by what was installed.
unset LD_LIBRARY_PATH PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
unset CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH LIBRARY_PATH CMAKE_PREFIX_PATH

ok() {
    echo "ok      $1"
    passed=$((passed + 1))
}

not_ok() { # what it is, what was said
    printf '%s\n' "$2"
    echo "FAILED  $1"
    failed=$((failed + 1))
}

# Runs a command as one case; prints its output only if it failed.
expect_success() { # what it is, command...
    local what=$1
    shift
    local log
    # Not in a condition, where `set -e` would have no effect.
    set +e
    log=$(set -e; "$@" 2>&1)
    local status=$?
    set -e
    if ((status == 0)); then ok "$what"; else not_ok "$what" "$log"; fi
}

has() {
    command -v "$1" >/dev/null
}

# shellcheck source=tests/install/static.sh
. "$here/static.sh"
# shellcheck source=tests/install/sysroot.sh
. "$here/sysroot.sh"

# --- what each program is asked ---------------------------------------------------------------

loads_nothing_else() { # program
    local others
    others=$(ldd "$1" | awk '{ print $1 }' | sed 's:.*/::' |
        grep -v -E "^($allowed)([.-]|\$)" || true)
    if [[ -n $others ]]; then
        echo "it loads" $others
        return 1
    fi
}

# Checks that the program loads this installation's shared library, or none.
loads_right_library() { # program, shared|static, library directory
    local found
    found=$(ldd "$1" | sed -n 's/^[[:space:]]*libtu_token[^ ]* => \(.*\) (0x.*$/\1/p')
    if [[ $2 == static ]]; then
        [[ -z $found ]] || { echo "linked static, but loads $found"; return 1; }
    else
        [[ -n $found && $(realpath "$(dirname "$found")") == $(realpath "$3") ]] ||
            { echo "loads '$found', not the library in $3"; return 1; }
    fi
}

try_program() { # program, shared|static, library directory
    loads_nothing_else "$1"
    loads_right_library "$1" "$2" "$3"
    "$1"
}

# --- pkg-config -------------------------------------------------------------------------------

# What pkg-config needs to know about a tree that was moved after its installation.
moved_to=()

pkg() { # options...
    pkg_of tu_token "$@"
}

pkg_of() { # package, options...
    PKG_CONFIG_PATH=$pkgconfig pkg-config ${moved_to[@]+"${moved_to[@]}"} "${@:2}" "$1"
}

build_shared() { # compiler, source, program
    # shellcheck disable=SC2046 # several words
    "$1" "${warnings[@]}" "$2" -o "$3" $(pkg --cflags --libs)
}

build_static() { # compiler, source, program
    # shellcheck disable=SC2046 # several words
    "$1" "${warnings[@]}" "$2" -o "$3" $(pkg --cflags) $(pkg --variable=static_libs)
}

# Like tools that ignore pkg-config's variables.
build_static_package() { # compiler, source, program
    # shellcheck disable=SC2046 # several words
    "$1" "${warnings[@]}" "$2" -o "$3" $(pkg_of tu_token_static --cflags --libs)
}

# For installations with the static library only: there the usual flags name it.
build_archive_only() { # compiler, source, program
    # shellcheck disable=SC2046 # several words
    "$1" "${warnings[@]}" "$2" -o "$3" $(pkg --static --cflags --libs)
}

build_and_try() { # how, shared|static, compiler, source, library directory
    local program=$work/program
    rm -f "$program"
    "build_$1" "$3" "$4" "$program"
    LD_LIBRARY_PATH=$5 try_program "$program" "$2" "$5"
}

try_pkg_config() { # name of the installation, library directory
    if ! has pkg-config; then
        echo "SKIPPED: there is no pkg-config"
        return
    fi
    pkgconfig=$2/pkgconfig
    expect_success "$1, pkg-config, version" is_version_of_header "$(pkg --variable=includedir)"
    local name compiler source
    for name in C C++; do
        if [[ $name == C ]]; then compiler=cc source=$work/program.c
        else compiler=c++ source=$work/program.cpp; fi
        if ! has "$compiler"; then
            echo "SKIPPED: $name with pkg-config: there is no $compiler"
            continue
        fi
        expect_success "$1, pkg-config, shared, $name" \
            build_and_try shared shared "$compiler" "$source" "$2"
        expect_success "$1, pkg-config, static, $name" \
            build_and_try static static "$compiler" "$source" "$2"
        expect_success "$1, pkg-config, tu_token_static, $name" \
            build_and_try static_package static "$compiler" "$source" "$2"
    done
}

is_version_of_header() { # include directory
    local part version=
    for part in MAJOR MINOR PATCH; do
        version+=.$(sed -n "s/^#define TU_VERSION_$part //p" "$1/tu_token.h")
    done
    [[ $(pkg --modversion) == "${version#.}" ]] ||
        { echo "pkg-config says $(pkg --modversion), the header ${version#.}"; return 1; }
}

try_archive_only() { # library directory of an installation
    has pkg-config || return 0
    local prefix=$work/archive-only
    mkdir -p "$prefix"
    cp -R "$1/.." "$prefix"
    rm -f "$prefix"/lib/libtu_token.so* "$prefix"/lib/libtu_token*.dylib
    pkgconfig=$prefix/lib/pkgconfig
    # What pkg-config offers for moved trees whose library directory is lib.
    moved_to=(--define-prefix)
    expect_success "archive only, pkg-config --static, C" \
        build_and_try archive_only static cc "$work/program.c" "$prefix/lib"
    moved_to=()
}

# --- CMake ------------------------------------------------------------------------------------

cmake_build() { # build directory, package directory, further arguments...
    local build=$1 package=$2
    shift 2
    cmake -S "$work" -B "$build" -DTuToken_DIR="$package" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_FLAGS="${warnings[*]}" -DCMAKE_CXX_FLAGS="${warnings[*]}" "$@"
    cmake --build "$build"
}

# How a user's project finds it, where CMake searches a prefix itself.
cmake_finds_by_prefix() { # prefix
    cmake -S "$work" -B "$work/by-prefix" -DCMAKE_PREFIX_PATH="$1" -DWITH_CXX=OFF
    grep "^TuToken_DIR:PATH=$1/" "$work/by-prefix/CMakeCache.txt"
}

cmake_refuses_version() { # package directory, version
    mkdir -p "$work/refused"
    printf 'cmake_minimum_required(VERSION 3.10)\nproject(p NONE)\n%s\n%s\n' \
        "find_package(TuToken $2 QUIET)" 'message("found: ${TuToken_FOUND}")' \
        >"$work/refused/CMakeLists.txt"
    local log
    log=$(cmake -S "$work/refused" -B "$work/refused/build" -DTuToken_DIR="$1" 2>&1)
    printf '%s\n' "$log"
    grep -q -x 'found: 0' <<<"$log"
}

try_cmake() { # name of the installation, library directory
    if ! has cmake; then
        echo "SKIPPED: there is no cmake"
        return
    fi
    local package=$2/cmake/TuToken languages=(c cpp) with_cxx=ON
    if ! has c++; then
        echo "SKIPPED: C++ with CMake: there is no c++"
        languages=(c) with_cxx=OFF
    fi
    local build=$work/cmake static_build=$work/cmake-static language
    rm -rf "$build" "$static_build"
    expect_success "$1, CMake, builds" cmake_build "$build" "$package" -DWITH_CXX=$with_cxx
    expect_success "$1, CMake, builds with TuToken_USE_STATIC" \
        cmake_build "$static_build" "$package" -DWITH_CXX=$with_cxx -DTuToken_USE_STATIC=ON
    for language in "${languages[@]}"; do
        expect_success "$1, CMake, shared, $language" \
            try_program "$build/shared_$language" shared "$2"
        expect_success "$1, CMake, static, $language" \
            try_program "$build/static_$language" static "$2"
        expect_success "$1, CMake, TuToken_USE_STATIC, $language" \
            try_program "$static_build/shared_$language" static "$2"
    done
}

try_cmake_search() { # prefix
    has cmake || return 0
    expect_success "CMake finds it by CMAKE_PREFIX_PATH" cmake_finds_by_prefix "$1"
    expect_success "CMake refuses a newer version" \
        cmake_refuses_version "$1/lib/cmake/TuToken" 0.999
    expect_success "CMake refuses another major version" \
        cmake_refuses_version "$1/lib/cmake/TuToken" 1.0
}

# --- the installations ------------------------------------------------------------------------

# The prefix appears only where pkg-config needs it, to prepend a sysroot; the build and staging
# directories appear nowhere.
names_prefix_for_pkgconfig_alone() { # tree, prefix, library directory in it, other places...
    local tree=$1 prefix=$2 directory=$3 place file
    shift 3
    for place in "$@"; do
        if grep -r -I -F -n -e "$place" "$tree"; then return 1; fi
    done
    if grep -r -I -F -n --exclude=*.pc -e "$prefix" "$tree"; then return 1; fi
    for file in tu_token tu_token_static; do
        grep -x -F "prefix=$prefix" "$tree/$directory/pkgconfig/$file.pc"
        [[ $(grep -c -F "$prefix" "$tree/$directory/pkgconfig/$file.pc") == 1 ]]
    done
}

install_plain() {
    PREFIX=$work/plain "$root/packaging/install.sh"
}

# As for a package: a distribution's library directory, and a tree that ends up elsewhere than it
# was built.
install_staged() {
    DESTDIR=$work/stage PREFIX=/opt/tu LIBDIR=lib/some-arch "$root/packaging/install.sh"
    [[ ! -e /opt/tu/lib/some-arch ]]
    mkdir "$work/moved"
    mv "$work/stage/opt/tu" "$work/moved/tree"
}

try_installation() { # name, library directory
    try_pkg_config "$1" "$2"
    try_cmake "$1" "$2"
}

# Where the list of system libraries in the installed files comes from.
try_native_list() {
    if ! has cargo; then
        echo "SKIPPED: the list of system libraries: there is no cargo"
    elif ! getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
        echo "SKIPPED: the list of system libraries is that of glibc"
    else
        expect_success "native-static-libs.txt is what the toolchain says" \
            "$root/packaging/native-static-libs.sh" --check
    fi
}

cp "$here/program.c" "$here/beside_rust.c" "$here/CMakeLists.txt" "$work"
cp "$here/program.c" "$work/program.cpp"
cd "$work"

if [[ $# -gt 0 ]]; then
    try_installation "$1" "$(realpath "$1")/lib"
else
    expect_success "installs with PREFIX" install_plain
    if ((failed == 0)); then
        try_installation PREFIX "$work/plain/lib"
        try_cmake_search "$work/plain"
        try_archive_only "$work/plain/lib"
        try_static "$work/plain/lib"
        try_beside_rust "$work/plain/lib"
    fi
    expect_success "installs with DESTDIR and LIBDIR" install_staged
    if [[ -d $work/moved/tree ]]; then
        expect_success "no installed text names a place but pkg-config's its prefix" \
            names_prefix_for_pkgconfig_alone "$work/moved/tree" /opt/tu lib/some-arch \
            "$work" "$root"
        moved_to=("--define-variable=prefix=$work/moved/tree")
        try_installation "DESTDIR, moved" "$work/moved/tree/lib/some-arch"
        moved_to=()
    fi
    try_sysroot
    try_native_list
fi

echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
