# To be sourced by run.sh: Python's wheels.
# shellcheck shell=bash

wheel_of() { # module name, target
    local platform found
    platform=$(column "$2" wheel)
    [[ $host_part != 1 || $2 != "$host" ]] || platform=
    found=$(compgen -G "$dist/wheels/$1-$version-*$platform*.whl" || true)
    head -n 1 <<<"$found"
}

# The verdict of auditwheel or, for musl, where that crashes, the dynamic section of the file.
wheel_is_honest() { # target, wheel
    local place=$scratch/wheel module said
    rm -rf "$place"
    mkdir "$place"
    python3 -m zipfile -e "$2" "$place"
    module=$(find "$place" -name '_native*.so')
    loads_what_it_may "$1" "$module" "$(basename "$2")"
    if [[ $1 == *musl* ]]; then
        readelf -d "$module" | grep NEEDED
    elif [[ $host_part != 1 ]]; then
        said=$(auditwheel show "$2")
        echo "$said"
        grep -q "manylinux_2_17_\|manylinux2014_" <<<"$said"
    fi
    documents_of_wheel "$place"
}

documents_of_wheel() { # unpacked wheel
    local info
    info=$(echo "$1"/*.dist-info)
    for file in LICENSE-MIT LICENSE-APACHE THIRD-PARTY-LICENSES.txt; do
        [[ -s $info/licenses/$file ]] || { echo "no $file"; return 1; }
    done
    python3 "$here/check_bill.py" "$info/sboms/sbom.cdx.json"
}

# The pip of a user, without an index: only dist/ is available.
pip_installs() { # what
    local venv=$scratch/venv
    rm -rf "$venv"
    /usr/bin/env python3 -m venv "$venv"
    as_user "$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$dist/wheels" "$1"
}

module_works_here() {
    pip_installs tu-token
    (cd "$scratch" && as_user "$scratch/venv/bin/python" -W error "$here/use_module.py")
    (cd "$scratch" && as_user "$scratch/venv/bin/python" -W error "$here/end_module.py")
}

# pip unpacks the wheel for another machine, and that machine's Python runs it.
module_works_there() { # target
    local place=$scratch/there platform machine program
    platform=$(column "$1" wheel)
    machine=$(debian_machine "$1")
    rm -rf "$place"
    python3 -m pip install --quiet --disable-pip-version-check --no-index --find-links "$dist/wheels" \
        --target "$place/site" --platform "$platform" --python-version 3.11 --only-binary :all: tu-token
    cp "$here"/{use,end}_module.py "$place"
    rm -rf --one-file-system "$chroots/$machine/try"
    cp -a "$place" "$chroots/$machine/try"
    for program in use end; do
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONPATH=/try/site "${service[@]}" \
            chroot "$chroots/$machine" "/usr/bin/$(qemu_of "$machine")" /usr/bin/python3 -W error "/try/${program}_module.py"
    done
}

command_wheel_works() {
    local said
    pip_installs tu-token-cli
    said=$(as_user "$scratch/venv/bin/tu-token" doctor)
    echo "$said"
    grep -q '^ok  *token ' <<<"$said"
    as_user "$scratch/venv/bin/tu-token" emulator --help | grep 'Usage: tu-token emulator' >/dev/null
}

command_wheel_is_whole() { # wheel
    local place=$scratch/wheel
    rm -rf "$place"
    mkdir "$place"
    python3 -m zipfile -e "$1" "$place"
    documents_of_wheel "$place"
    [[ -s $(echo "$place"/*.data/scripts/tu-token) ]]
}

try_wheels() { # target
    local target=$1 wheel name
    wheel=$(wheel_of tu_token "$target")
    if [[ -n $wheel ]]; then
        name=$(basename "$wheel")
        try "wheel $target: symbols, licences" wheel_is_honest "$target" "$wheel"
        get_ready "$target"
        if [[ $target == *musl* ]]; then
            ran "$name" "\`readelf -d\`, not run by a Python"
        elif ((!can_run)); then
            ran "$name" "not run"
        else
            if [[ $target == "$host" ]]; then
                try "wheel $target: pip, asyncio, threads, the end of Python" module_works_here
            else
                try "wheel $target: pip, asyncio, threads, the end of Python" module_works_there "$target"
            fi
            if worked; then ran "$name" "pip, 50 asyncio tasks, 16 threads, the end of Python: $(where "$target")"; fi
        fi
    fi
    wheel=$(wheel_of tu_token_cli "$target")
    [[ -n $wheel ]] || return 0
    try "command as a wheel $target: files, licences" command_wheel_is_whole "$wheel"
    if is_native "$target"; then
        try "command as a wheel $target: pip, doctor, emulator" command_wheel_works
        if worked; then ran "$(basename "$wheel")" "pip, \`tu-token doctor\`: this machine"; fi
    else
        ran "$(basename "$wheel")" "files; the program is that of the tarball"
    fi
}

source_distribution_is_whole() { # file
    local names
    names=$(tar -tzf "$1")
    for name in PKG-INFO pyproject.toml Cargo.lock LICENSE-MIT LICENSE-APACHE; do
        grep -q "/$name$" <<<"$names" || { echo "no $name"; return 1; }
    done
    if grep -E '/(target|tests/conformance)/' <<<"$names"; then return 1; fi
}

# The one artifact whose user needs Rust: pip builds it, with cargo and away from the sources.
source_distribution_builds() { # file
    local venv=$scratch/venv
    rm -rf "$venv"
    /usr/bin/env python3 -m venv "$venv"
    (cd "$scratch" && CARGO_TARGET_DIR=$build/sdist CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-binary tu-token "$1")
    (cd "$scratch" && as_user "$venv/bin/python" -W error "$here/use_module.py")
    rm -rf "$build/sdist"
}

try_source_distribution() {
    local file=$dist/wheels/tu_token-$version.tar.gz
    [[ -f $file ]] || return 0
    try "source distribution: files" source_distribution_is_whole "$file"
    try "source distribution: pip builds it, asyncio, threads" source_distribution_builds "$file"
    if worked; then ran "$(basename "$file")" "built by pip with Rust, 50 asyncio tasks, 16 threads: this machine"; fi
}
