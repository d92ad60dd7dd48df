# To be sourced by run.sh: where the artifacts are used. The emulator is the one in dist/; the systems of
# other machines are Debian, unpacked by debootstrap and run by qemu-user.
# shellcheck shell=bash

# The release of this machine, if it runs Debian.
here_is=$(. /etc/os-release 2>/dev/null; [[ ${ID:-} == debian ]] && echo "${VERSION_CODENAME:-}" || true)
suite=${here_is:-bookworm}
# The mirror this machine installs from.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$suite" '$1 == suite { print $2; exit }' || true)}
chroots=$work/chroot

unpack_tarballs() {
    local archive
    for archive in $(compgen -G "$dist/*.tar.gz" || true); do tar -xzf "$archive" -C "$scratch/unpacked"; done
}

unpacked_library() { # target
    echo "$scratch/unpacked/libtu_token-$version-$1"
}

unpacked_command() { # target
    echo "$scratch/unpacked/tu-token-$version-$1"
}

# Starts the emulator of a command in dist/, and sets `service` to the variables that point to it.
start_emulator() {
    local target program=
    for target in $(all_targets); do
        if is_native "$target" && [[ -x $(unpacked_command "$target")/bin/tu-token ]]; then
            program=$(unpacked_command "$target")/bin/tu-token
        fi
    done
    if [[ -z $program ]]; then
        program=$root/target/debug/tu-token-emulator
        [[ -x $program ]] || fail "no command in dist/ runs on this machine, and there is no other emulator: make emulator"
        "$program" --port 0 --env-file "$scratch/env" >"$scratch/emulator.log" 2>&1 &
    else
        "$program" emulator --port 0 --env-file "$scratch/env" >"$scratch/emulator.log" 2>&1 &
    fi
    emulator_pid=$!
    for _ in $(seq 1200); do
        [[ ! -f $scratch/env ]] || break
        kill -0 "$emulator_pid" 2>/dev/null || break
        sleep 0.05
    done
    [[ -f $scratch/env ]] || { cat "$scratch/emulator.log" >&2; fail "the emulator did not start"; }
    # shellcheck disable=SC1091
    mapfile -t service < <(. "$scratch/env"; env | grep -E '^(TRACKUNIT_|IRIS_URL)')
    emulator_url=$(. "$scratch/env"; echo "${TRACKUNIT_TOKEN_URL%/token/v2}")
    service+=("IRIS_URL=$emulator_url")
}

can_chroot() {
    [[ $(id -u) == 0 && -n $mirror ]] && command -v debootstrap >/dev/null
}

# A Debian for another machine: unpacked but not configured, which is enough for the programs here.
foreign_system() { # debian architecture
    local place=$chroots/$1 package log=$work/logs/debootstrap-$1.log
    [[ ! -e $place/unpacked ]] || return 0
    rm -rf --one-file-system "$place"
    mkdir -p "$place" "$work/logs"
    debootstrap --foreign --arch="$1" --variant=minbase --include=ca-certificates,python3 \
        "$suite" "$place" "$mirror" >"$log" 2>&1 || { tail -n 5 "$log"; return 1; }
    for package in "$place"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$place"; done
    rm -f "$place"/var/cache/apt/archives/*.deb
    cp "$(command -v "$(qemu_of "$1")")" "$place/usr/bin/"
    touch "$place/unpacked"
}

# A musl program that loads libraries needs musl's loader. zig compiles C++ for musl 1.2.5, so it is the one
# of Debian 13, downloaded with settings that leave the machine's own lists alone.
musl_loader() { # target
    local machine place
    machine=$(debian_machine "$1") place=$work/musl-$(debian_machine "$1")
    if [[ ! -d $place/usr/lib ]]; then
        rm -rf "$place"
        mkdir -p "$place/state/lists/partial" "$place/cache/archives/partial"
        echo "deb $mirror trixie main" >"$place/list"
        (cd "$place" && apt_for "$machine" "$place" update && apt_for "$machine" "$place" download musl &&
            dpkg-deb -x musl_*.deb .) >"$work/logs/musl-$machine.log" 2>&1 || return 1
        rm -rf "$place/state" "$place/cache"
    fi
    echo "$place/usr/lib/ld-musl-$(machine_of "$1").so.1"
}

apt_for() { # debian architecture, directory, arguments of apt-get...
    apt-get -o Dir::Etc::SourceList="$2/list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State="$2/state" \
        -o Dir::Cache="$2/cache" -o APT::Architecture="$1" -o APT::Architectures="$1" -o Acquire::Languages=none \
        -o APT::Sandbox::User=root "${@:3}"
}

qemu_of() { # debian architecture
    case $1 in arm64) echo qemu-aarch64-static ;; armhf) echo qemu-arm-static ;; amd64) echo qemu-x86_64-static ;; esac
}

debian_machine() { # target
    case $1 in x86_64*) echo amd64 ;; aarch64*) echo arm64 ;; armv7*) echo armhf ;; esac
}

# Sets can_run: whether programs for this target run here. Creates the system for them once, or reports why not.
declare -A runs_here
get_ready() { # target
    local machine
    machine=$(debian_machine "$1")
    if is_native "$1"; then
        can_run=1
        return
    fi
    if [[ -z ${runs_here[$machine]:-} ]]; then
        runs_here[$machine]=0
        if ! can_chroot; then
            skip "programs for $machine: they take root and debootstrap"
        elif ! command -v "$(qemu_of "$machine")" >/dev/null; then
            skip "programs for $machine: qemu-user-static is missing"
        else
            try "Debian for $machine (qemu-user)" foreign_system "$machine"
            if worked; then runs_here[$machine]=1; fi
        fi
    fi
    can_run=${runs_here[$machine]}
}

where() { # target
    if is_native "$1"; then echo "this machine"; else echo "Debian $suite $(debian_machine "$1"), qemu-user"; fi
}

# Where a program finds a directory that run_for copies for it.
place_of() { # target, directory
    if is_native "$1"; then echo "$2"; else echo /try; fi
}

# Runs a program of a target. Its files are below $scratch; a foreign system gets a copy of their directory.
run_for() { # target, directory with the program, program in it, arguments...
    local target=$1 directory=$2 program=$3 place
    shift 3
    if is_native "$target"; then
        as_user "$directory/$program" "$@"
        return
    fi
    place=$chroots/$(debian_machine "$target")
    rm -rf --one-file-system "$place/try"
    cp -a "$directory" "$place/try"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 LD_LIBRARY_PATH="${LIBRARIES:-}" "${service[@]}" \
        chroot "$place" "/usr/bin/$(qemu_of "$(debian_machine "$target")")" "/try/$program" "$@"
}
