# Sourced by run.sh: a library for another machine, below a directory that stands for its "/".
#
# The other machine is this one: what a compiler searches for in the sysroot is a link to it.

make_sysroot() {
    local directory
    mkdir "$work/root"
    for directory in usr lib lib32 lib64; do
        if [[ -e /$directory ]]; then ln -s "/$directory" "$work/root/$directory"; fi
    done
    DESTDIR=$work/root PREFIX=/opt/vendor "$root/packaging/install.sh"
    [[ ! -e /opt/vendor/include/tu_token.h ]]
}

# As cross builds set it. A sysroot is often a link to its current version.
below_sysroot() { # sysroot, library's directory of .pc files, command...
    PKG_CONFIG_SYSROOT_DIR=$1 PKG_CONFIG_LIBDIR=$2 "${@:3}"
}

flags_lie_below() { # sysroot
    local cflags libs
    cflags=$(pkg --cflags) libs=$(pkg --libs-only-L)
    [[ $cflags =~ ^"-I$1"/+opt/vendor/include\ *$ && $libs =~ ^"-L$1"/+opt/vendor/lib\ *$ ]] ||
        { echo "the flags are $cflags$libs"; return 1; }
}

try_flags_below() { # name, sysroot, ways to build a static program...
    local below=(below_sysroot "$2" "$work/root/opt/vendor/lib/pkgconfig") how
    pkgconfig=
    expect_success "$1, pkg-config, flags" "${below[@]}" flags_lie_below "$2"
    expect_success "$1, pkg-config, shared" \
        "${below[@]}" build_and_try shared shared cc "$work/program.c" "$work/root/opt/vendor/lib"
    for how in "${@:3}"; do
        expect_success "$1, pkg-config, $how" "${below[@]}" \
            build_and_try "$how" static cc "$work/program.c" "$work/root/opt/vendor/lib"
    done
}

cmake_finds_below() { # build directory, how it is told of the sysroot...
    cmake -S "$work" -B "$1" -DCMAKE_PREFIX_PATH=/opt/vendor -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -DWITH_CXX=OFF "${@:2}"
    cmake --build "$1"
    # A program for another machine: CMake strips the sysroot from the paths it records in it.
    export LD_LIBRARY_PATH=$work/root/opt/vendor/lib
    try_program "$1/shared_c" shared "$work/root/opt/vendor/lib"
    try_program "$1/static_c" static "$work/root/opt/vendor/lib"
}

try_sysroot() {
    expect_success "installs below a sysroot" make_sysroot
    if has pkg-config; then
        try_flags_below "sysroot" "$work/root" static static_package
        ln -s root "$work/linked-root"
        # Not by a variable: some versions of pkgconf prepend such a sysroot twice.
        try_flags_below "sysroot that is a link" "$work/linked-root" static_package
    fi
    if has cmake; then
        expect_success "CMAKE_FIND_ROOT_PATH" cmake_finds_below "$work/find-root" \
            "-DCMAKE_FIND_ROOT_PATH=$work/root"
        expect_success "CMAKE_SYSROOT" cmake_finds_below "$work/sysroot-build" \
            "-DCMAKE_SYSROOT=$work/root"
    fi
}
