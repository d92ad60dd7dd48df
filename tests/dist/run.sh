#!/usr/bin/env bash
# `make dist-test`: uses every artifact in dist/ as its users do, where there is no Rust and no checkout.
#
#   tests/dist/run.sh            what is in dist/
#   tests/dist/run.sh PART...    these alone: library, command, wheels, go, packages, chroot
#
# What cannot run here (no root for a chroot, no qemu) is named as SKIPPED. Two tables close the output, also in
# target/dist/table.md and sizes.md: each artifact with its size, the lowest glibc and what ran where; and what is
# inside, unpacked.
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/../../packaging/dist/common.sh"

here=$root/tests/dist
dist=${DIST:-$dist}
scratch=$(mktemp -d)
emulator_pid=
# shellcheck disable=SC2317 # called by the trap
end() {
    [[ -z $emulator_pid ]] || { kill "$emulator_pid" && wait "$emulator_pid"; } 2>/dev/null || true
    rm -rf --one-file-system "$scratch"
}
trap end EXIT
passed=0
failed=0
skipped=0

# try NAME COMMAND...: one case; what it said is shown if it failed. Never call it in a condition, where
# `set -e` would not hold in the command: `worked` says how the last one ended.
try() {
    local name=$1 log=$scratch/log from=$SECONDS
    shift
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    outcome=$?
    set -e
    if worked; then
        echo "ok      $name ($((SECONDS - from)) s)"
        passed=$((passed + 1))
    else
        tail -n 40 "$log"
        echo "FAILED  $name"
        failed=$((failed + 1))
    fi
}

worked() {
    ((outcome == 0))
}

skip() {
    echo "SKIPPED: dist: $*"
    skipped=$((skipped + 1))
}

# What the table says of an artifact.
ran() { # artifact, where and what
    printf '%s\t%s\n' "$1" "$2" >>"$scratch/ran"
}

glibc_of() { # artifact, version
    printf '%s\t%s\n' "$1" "$2" >>"$scratch/glibc"
}

# A user's shell: no Rust, and of the variables here only those that point to the emulator.
as_user() {
    env -i PATH="/usr/bin:/bin" HOME="$scratch/home" LANG=C.UTF-8 "${service[@]}" "$@"
}

# --- what files say of themselves ---------------------------------------------------------------

highest_glibc() { # ELF file
    { readelf -W --version-info "$1" | grep -o 'GLIBC_[0-9][0-9.]*' || true; } | sed 's/GLIBC_//' | sort -V | tail -n 1
}

# Not newer than what the target promises, and no libraries but those of the C library.
loads_what_it_may() { # target, ELF file, artifact
    local target=$1 file=$2 promised found other
    promised=$(column "$target" glibc)
    other=$(readelf -d "$file" | sed -n 's/^.*(NEEDED).*\[\(.*\)\]$/\1/p' |
        grep -v -x -E 'lib(c|m)\.so\.6|lib(dl|rt|util|pthread)\.so\.[0-2]|libgcc_s\.so\.1|libc\.so|ld-linux.*' || true)
    [[ -z $other ]] || { echo "$file loads $other"; return 1; }
    found=$(highest_glibc "$file")
    if [[ -z $promised || $host_part == 1 ]]; then
        [[ -n $promised || -z $found ]] || { echo "$file is for musl, and wants glibc $found"; return 1; }
    else
        [[ $(printf '%s\n' "$promised" "$found" | sort -V | tail -n 1) == "$promised" ]] ||
            { echo "$file needs glibc $found, newer than $promised"; return 1; }
    fi
    glibc_of "$3" "${found:--}"
}

has_documents() { # directory
    local file
    for file in LICENSE-MIT LICENSE-APACHE THIRD-PARTY-LICENSES.txt sbom.cdx.json; do
        [[ -s $1/$file ]] || { echo "$1 has no $file"; return 1; }
    done
    grep -q '^ring ' "$1/THIRD-PARTY-LICENSES.txt"
    python3 "$here/check_bill.py" "$1/sbom.cdx.json"
}

# --- what runs programs of another machine ------------------------------------------------------

machine_of() { # target
    echo "${1%%-*}" | sed 's/armv7/arm/'
}

is_native() { # target
    [[ $(machine_of "$1") == "$(machine_of "$host")" ]]
}

# shellcheck source=tests/dist/places.sh
. "$here/places.sh"
# shellcheck source=tests/dist/library.sh
. "$here/library.sh"
# shellcheck source=tests/dist/command.sh
. "$here/command.sh"
# shellcheck source=tests/dist/wheels.sh
. "$here/wheels.sh"
# shellcheck source=tests/dist/go.sh
. "$here/go.sh"
# shellcheck source=tests/dist/packages.sh
. "$here/packages.sh"

complete() {
    [[ -d $dist ]] || fail "there is no dist/: make dist"
    [[ -f $dist/SHA256SUMS ]] || fail "dist/ is half-built (no SHA256SUMS); build it again: make dist"
    (cd "$dist" && sha256sum --quiet --check SHA256SUMS) >"$scratch/sums" 2>&1 ||
        fail "dist/ is not what SHA256SUMS says ($(head -n 1 "$scratch/sums")); build it again: make dist"
}

# "C shared: here" and "C static: here" become "C shared, C static: here".
what_ran() { # artifact
    awk -F '\t' -v name="$1" '$1 == name && !seen[$2]++ { print $2 }' "$scratch/ran" | awk -F ': ' '
        { where = NF > 1 ? ": " $NF : ""; what = NF > 1 ? substr($0, 1, length($0) - length(where)) : $0 }
        !(where in all) { order[++places] = where; all[where] = what; next }
        { all[where] = all[where] ", " what }
        END { for (i = 1; i <= places; i++) printf("%s%s%s", (i > 1 ? "; " : ""), all[order[i]], order[i]) }'
}

table() {
    local file name size glibc
    echo "| artifact | size, MB | lowest glibc | what ran, and where |"
    echo "| --- | ---: | --- | --- |"
    while read -r _ file; do
        case $file in
            go/*.zip) name=$file ;;
            go/*) continue ;; # metadata of the zip
            *) name=$(basename "$file") ;;
        esac
        size=$(awk -v bytes="$(stat -c %s "$dist/$file")" 'BEGIN { printf "%.2f", bytes / 1e6 }')
        glibc=$(awk -F '\t' -v name="$name" '$1 == name { print $2 }' "$scratch/glibc" | sort -V | tail -n 1)
        echo "| \`$name\` | $size | ${glibc:--} | $(what_ran "$name") |"
    done <"$dist/SHA256SUMS"
}

mb() { # file
    if [[ -f $1 ]]; then awk -v bytes="$(stat -L -c %s "$1")" 'BEGIN { printf "%.2f", bytes / 1e6 }'; else echo -; fi
}

# What arrives on a device, stripped. The program is the README's in C, linked with -Wl,--gc-sections.
sizes() {
    local target tree gateway
    echo "| target | shared library, MB | static library, MB | C program with it inside, MB | command, MB | without the emulator, MB |"
    echo "| --- | ---: | ---: | ---: | ---: | ---: |"
    for target in $(all_targets); do
        tree=$(unpacked_library "$target")
        [[ -d $tree ]] || continue
        gateway=$scratch/unpacked/tu-token-gateway-$version-$target
        rm -f "$scratch/stripped"
        [[ ! -f $scratch/programs/$target-C-static ]] || "$strip" -o "$scratch/stripped" "$scratch/programs/$target-C-static"
        echo "| \`$target\` | $(mb "$tree/lib/libtu_token.so") | $(mb "$tree/lib/libtu_token.a") | $(mb "$scratch/stripped") |\
 $(mb "$(unpacked_command "$target")/bin/tu-token") | $(mb "$gateway/bin/tu-token") |"
    done
}

cd "$root"
complete
mkdir -p "$scratch/home" "$scratch/unpacked" "$scratch/programs"
touch "$scratch/ran" "$scratch/glibc"
service=()
[[ $host_part == 1 ]] || enter_environment
find_strip
unpack_tarballs
start_emulator
parts=" ${*:-library command wheels go packages chroot} "
for target in $(all_targets); do
    [[ $parts != *" library "* ]] || try_library "$target"
    [[ $parts != *" command "* ]] || try_command "$target"
    [[ $parts != *" wheels "* ]] || try_wheels "$target"
done
[[ $parts != *" wheels "* ]] || try_source_distribution
[[ $parts != *" go "* ]] || try_go
[[ $parts != *" packages "* ]] || try_packages
[[ $parts != *" chroot "* ]] || try_chroot

echo
mkdir -p "$work"
table | tee "$work/table.md"
echo
sizes | tee "$work/sizes.md"
echo
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
