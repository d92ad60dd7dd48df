# To be sourced by run.sh: the Debian packages, and the README in a system that has nothing else.
# shellcheck shell=bash

lintian_is_content() { # packages...
    local said
    # Warnings too. The package goes to no archive, where the first upload would close a bug.
    said=$(lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$@" 2>&1) || { echo "$said"; return 1; }
    echo "$said"
}

try_packages() {
    local package packages glibc
    packages=$(compgen -G "$dist/*_*.deb" || true)
    [[ -n $packages ]] || return 0
    if ! command -v lintian >/dev/null; then
        skip "Debian packages: lintian is missing"
        return
    fi
    for package in $packages; do
        try "lintian $(basename "$package")" lintian_is_content "$package"
        glibc=$(dpkg-deb -f "$package" Depends | sed -n 's/.*libc6 (>= \([0-9.]*\)).*/\1/p')
        glibc_of "$(basename "$package")" "${glibc:--}"
        if worked; then ran "$(basename "$package")" lintian; fi
    done
    try_foreign_packages
}

# The packages for another machine: unpacked, as apt would, and used where they are.
unpack_packages() { # debian architecture
    local package
    for package in "$dist"/*_"$1".deb; do dpkg-deb -x "$package" "$scratch/packages-$1"; done
}

packaged_command_works() { # target, root of the unpacked packages
    local said
    said=$(run_for "$1" "$2" usr/bin/tu-token doctor)
    echo "$said"
    grep -q '^ok  *token ' <<<"$said"
}

packaged_library_works() { # target, root of the unpacked packages
    local libdir flags
    libdir=usr/lib/$(column "$1" multiarch)
    flags=$(PKG_CONFIG_LIBDIR=$2/$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$2 pkg-config --cflags --libs tu_token)
    # shellcheck disable=SC2086
    $(compiler_for "$1" C) -std=c11 "$work/readme/README-1.c" -o "$2/program" $flags
    LIBRARIES=/try/$libdir prints_a_token run_for "$1" "$2" program
}

try_foreign_packages() {
    local target machine place
    for target in $(all_targets); do
        machine=$(column "$target" debian)
        [[ -n $machine ]] && ! is_native "$target" && compgen -G "$dist/*_$machine.deb" >/dev/null || continue
        get_ready "$target"
        ((can_run)) || continue
        place=$scratch/packages-$machine
        unpack_packages "$machine"
        try "packages $machine: the library, by a C program" packaged_library_works "$target" "$place"
        if worked; then
            ran "libtu-token0_$version-1_$machine.deb" "C, unpacked: $(where "$target")"
            ran "libtu-token-dev_$version-1_$machine.deb" "C, unpacked: $(where "$target")"
        fi
        [[ -x $place/usr/bin/tu-token ]] || continue
        try "packages $machine: doctor" packaged_command_works "$target" "$place"
        if worked; then ran "tu-token_$version-1_$machine.deb" "\`tu-token doctor\`, unpacked: $(where "$target")"; fi
    done
}

# --- a Debian system without compiler and Rust ---------------------------------------------------

new_system() {
    local place=$chroots/plain
    if [[ ! -e $place/ready ]]; then
        rm -rf --one-file-system "$place"
        mkdir -p "$place"
        debootstrap --variant=minbase --include=ca-certificates,curl,python3,python3-venv \
            "$suite" "$place" "$mirror" >"$work/logs/debootstrap.log" 2>&1 || { tail -n 5 "$work/logs/debootstrap.log"; return 1; }
        touch "$place/ready"
    fi
    # Each run begins with an untouched copy.
    cp -a --reflink=auto "$place" "$scratch/system"
    cp /etc/resolv.conf "$scratch/system/etc/resolv.conf"
    mkdir -p "$scratch/system/dist/wheels"
    cp "$dist"/*_"$(debian_machine "$host")".deb "$scratch/system/dist"
    cp "$dist"/wheels/*.whl "$scratch/system/dist/wheels"
    ! in_system 'command -v cc || command -v gcc || command -v cargo'
}

in_system() { # script
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        "${service[@]}" chroot "$scratch/system" sh -euc "$1"
}

installs_packages() {
    in_system "cd /dist && apt-get install -y --no-install-recommends ./tu-token_*.deb ./libtu-token0_*.deb"
    in_system "ldconfig -p | grep libtu_token.so.0"
}

# The lines of the README that call the command, as they stand there, with the address of the emulator.
readme_shell() {
    local lines
    lines=$(awk '/^```sh/ { inside = 1; next } /^```$/ { inside = 0 } inside && /^tu-token (doctor|get|exec)/' README.md |
        sed 's#https://iris.trackunit.com#$IRIS_URL#')
    [[ $(wc -l <<<"$lines") -ge 3 ]] || { echo "the README has these lines alone: $lines"; return 1; }
    echo "$lines"
    # The script that `exec` runs is the reader's.
    in_system "cd /root
printf '%s\n' '#!/bin/sh' 'test -n \"\$TRACKUNIT_TOKEN\" && test -z \"\${TRACKUNIT_CLIENT_SECRET:-}\"' >report.sh
chmod +x report.sh
$lines"
}

readme_python() {
    local block
    block=$(scripts/code-blocks.sh python "$scratch/blocks" | grep '/README-1\.python$')
    cp "$block" "$scratch/system/root/readme.py"
    in_system "cd /root && python3 -m venv venv && venv/bin/pip install --quiet --no-index --find-links /dist/wheels tu-token &&
venv/bin/python readme.py"
}

readme_c() {
    cp "$work/readme/README-1.c" "$scratch/system/root/program.c"
    in_system "cd /dist && apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev pkg-config ./libtu-token-dev_*.deb"
    in_system 'cd /root
cc program.c $(pkg-config --cflags --libs tu_token) -o program && ./program
cc program.c $(pkg-config --cflags --libs tu_token_static) -o static && ./static'
}

packages_go_again() {
    in_system "apt-get purge -y tu-token libtu-token0 && ! ls /usr/bin/tu-token /usr/lib/*/libtu_token.so* /usr/share/doc/libtu-token0 2>/dev/null"
}

try_chroot() {
    local machine
    machine=$(debian_machine "$host")
    compgen -G "$dist/tu-token_*_$machine.deb" >/dev/null && compgen -G "$dist/libtu-token0_*_$machine.deb" >/dev/null || return 0
    if [[ -n $host_part && -z $here_is ]]; then
        skip "Debian without compiler or Rust: what is built on this machine needs its glibc"
        return
    fi
    if ! can_chroot; then
        skip "Debian without compiler or Rust: takes root and debootstrap"
        return
    fi
    try "Debian $suite without compiler or Rust" new_system
    worked || return 0
    try "Debian: apt install ./*.deb" installs_packages
    worked || return 0
    try "Debian: the README's shell lines" readme_shell
    if worked; then ran "tu-token_$version-1_$machine.deb" "apt, the README's shell lines: Debian without compiler and Rust"; fi
    try "Debian: the README's Python lines" readme_python
    try "Debian: the README's C program, with gcc" readme_c
    if worked; then
        ran "libtu-token0_$version-1_$machine.deb" "apt, the README's C program: Debian without Rust"
        ran "libtu-token-dev_$version-1_$machine.deb" "apt, the README's C program: Debian without Rust"
    fi
    try "Debian: purged, nothing stays" packages_go_again
}
