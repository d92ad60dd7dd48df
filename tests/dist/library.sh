# To be sourced by run.sh: the tarballs with the C library.
# shellcheck shell=bash

# Programs for other machines and for musl are compiled with zig.
zig_triple() { # target
    local glibc
    glibc=$(column "$1" glibc)
    sed -e 's/^armv7/arm/' -e 's/-unknown//' <<<"$1${glibc:+.$glibc}"
}

compiler_for() { # target, C|C++
    local name
    case $2 in C) name=cc ;; *) name=c++ ;; esac
    if [[ $1 == "$host" ]]; then echo "$name"
    else echo "python -m ziglang $name -target $(zig_triple "$1")"; fi
}

pkg() { # tree, options...
    PKG_CONFIG_LIBDIR=$1/lib/pkgconfig pkg-config "${@:2}"
}

# The README's program.
compile() { # target, C|C++, shared|static, program
    local target=$1 tree source standard flags
    tree=$(unpacked_library "$target")
    case $2 in
        C) source=$work/readme/README-1.c standard=c11 ;;
        *) source=$work/readme/README-1.cpp standard=c++17 ;;
    esac
    # Where run_program puts the shared library.
    if [[ $3 == shared ]]; then flags="$(pkg "$tree" --cflags --libs tu_token) -Wl,-rpath,\$ORIGIN/lib"
    else flags="-Wl,--gc-sections $(pkg "$tree" --cflags --libs tu_token_static)"; fi
    # zig's linker does not add the unwinder by itself.
    [[ $target == "$host" || $3 == shared ]] || flags+=" -lunwind"
    # zig expects -static before the libraries.
    [[ $target != *musl* || $3 == shared ]] || flags="-static $flags"
    # shellcheck disable=SC2046,SC2086
    $(compiler_for "$target" "$2") -std=$standard -Wall -Wextra -Werror "$source" -o "$4" $flags
}

prints_a_token() {
    local said
    said=$("$@")
    echo "$said"
    grep -q -E '^[0-9]+ bytes, [0-9]+ ms left$' <<<"$said"
}

# The way users ship it: the program with the libraries next to it.
run_program() { # target, shared|static, program
    local directory=$scratch/run loader
    rm -rf "$directory"
    mkdir -p "$directory/lib"
    cp "$3" "$directory/program"
    [[ $2 == static ]] || cp -a "$(unpacked_library "$1")"/lib/libtu_token.so.* "$directory/lib"
    if [[ $1 == *musl* && $2 == shared ]]; then
        loader=$(musl_loader "$1") || { echo "Debian's package musl is not available"; return 1; }
        cp "$loader" "$directory/loader"
        prints_a_token run_for "$1" "$directory" loader "$(place_of "$1" "$directory")/program"
    else
        prints_a_token run_for "$1" "$directory" program
    fi
}

is_whole() { # target
    local tree
    tree=$(unpacked_library "$1")
    loads_what_it_may "$1" "$tree/lib/libtu_token.so.$version" "libtu_token-$version-$1.tar.gz"
    readelf -d "$tree/lib/libtu_token.so.$version" | grep 'soname: \[libtu_token.so.0\]' >/dev/null
    [[ $(readlink "$tree/lib/libtu_token.so") == libtu_token.so.0 ]]
    has_documents "$tree/share/doc/tu-token"
    # No trace of where it was built (the host's part is not built for others).
    if [[ -z $host_part ]] && grep -r -l -F -e "$root" -e "${CARGO_HOME:-$HOME/.cargo}" "$tree"; then
        echo "the files above name this machine's directories"
        return 1
    fi
}

program_works() { # target, C|C++, shared|static
    local program="$scratch/programs/$1-$2-$3"
    compile "$1" "$2" "$3" "$program"
    ((!runs)) || run_program "$1" "$3" "$program"
}

try_library() { # target
    local target=$1 tree language how kind name runs
    name=libtu_token-$version-$target.tar.gz
    [[ -f $dist/$name ]] || return 0
    [[ -d $work/readme ]] || { scripts/code-blocks.sh c "$work/readme" && scripts/code-blocks.sh cpp "$work/readme"; } >/dev/null
    try "library $target: files, symbols, licences" is_whole "$target"
    get_ready "$target"
    for language in C C++; do
        for how in shared static; do
            kind="library $target: $language, $how"
            runs=$can_run
            if ((!runs)); then kind+=", compiled"; fi
            try "$kind" program_works "$target" "$language" "$how"
            if worked && ((runs)); then
                ran "$name" "$language $how: $(where "$target")"
            elif worked; then
                ran "$name" "$language $how compiled, not run"
            fi
        done
    done
    if [[ $target == "$host" ]]; then
        tree=$(unpacked_library "$target")
        try "library $target: pkg-config and CMake, shared and static" tests/install/run.sh "$tree"
        if worked; then ran "$name" "CMake: this machine"; fi
    fi
}
