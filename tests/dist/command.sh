# To be sourced by run.sh: the tarballs with the command.
# shellcheck shell=bash

# One file that loads no library.
is_static() { # program
    local said
    said=$(file -L "$1")
    echo "$said"
    grep -q -E 'statically linked|static-pie linked' <<<"$said"
    if readelf -l "$1" | grep INTERP; then return 1; fi
    said=$(ldd "$1" 2>&1 || true)
    echo "$said"
    grep -q -E 'not a dynamic executable|statically linked' <<<"$said"
}

command_is_whole() { # target, tree, artifact
    local tree=$2 page shell said
    if [[ $1 == *musl* ]]; then is_static "$tree/bin/tu-token"; fi
    loads_what_it_may "$1" "$tree/bin/tu-token" "$3"
    has_documents "$tree/share/doc/tu-token"
    for page in "" -get -exec -doctor -options -completions; do
        page=$tree/share/man/man1/tu-token$page.1
        [[ -s $page ]] || { echo "no $page"; return 1; }
        command -v man >/dev/null || continue
        said=$(LC_ALL=C.UTF-8 man --warnings --local-file "$page" 2>&1 >/dev/null)
        [[ -z $said ]] || { echo "$page: $said"; return 1; }
    done
    bash -n "$tree/share/bash-completion/completions/tu-token"
    grep -q '^#compdef tu-token' "$tree/share/zsh/site-functions/_tu-token"
    grep -q 'complete -c tu-token' "$tree/share/fish/vendor_completions.d/tu-token.fish"
}

doctor_is_content() { # target, tree
    local said
    said=$(run_for "$1" "$2/bin" tu-token doctor)
    echo "$said"
    grep -q '^ok  *token ' <<<"$said"
    if grep -q '^failed' <<<"$said"; then return 1; fi
    said=$(run_for "$1" "$2/bin" tu-token --version)
    [[ $said == "tu-token $version" ]] || { echo "it says: $said"; return 1; }
}

has_no_emulator() { # target, tree, tree with the emulator
    local said status=0
    said=$(run_for "$1" "$2/bin" tu-token emulator 2>&1) || status=$?
    echo "$said"
    [[ $status == 2 ]]
    grep -q 'without the emulator' <<<"$said"
    [[ -e $3/share/man/man1/tu-token-emulator.1 ]]
    (($(stat -c %s "$2/bin/tu-token") < $(stat -c %s "$3/bin/tu-token")))
}

# In a root directory with only the program and a file of root certificates, as on the smallest image.
runs_in_an_empty_root() { # tree
    local empty=$scratch/empty server said
    rm -rf "$empty"
    mkdir "$empty"
    cp "$1/bin/tu-token" "$empty"
    python3 "$here/tls_endpoint.py" "$empty/ca.pem" "$scratch/tls-port" &
    server=$!
    for _ in $(seq 1200); do [[ ! -s $scratch/tls-port ]] || break; sleep 0.05; done
    said=$(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TRACKUNIT_CLIENT_ID=id TRACKUNIT_CLIENT_SECRET=secret TRACKUNIT_SCOPE=asset.view \
        TRACKUNIT_CA_FILE=/ca.pem \
        TRACKUNIT_TOKEN_URL="https://localhost:$(<"$scratch/tls-port")/token/v2" \
        chroot "$empty" /tu-token get --store memory 2>&1) || true
    kill "$server" && wait "$server" 2>/dev/null || true
    rm -f "$scratch/tls-port"
    echo "$said"
    [[ $said == a-token-over-tls ]]
}

try_gateway() {
    local name=tu-token-gateway-$version-$target.tar.gz
    try "command without emulator $target: the same" command_is_whole "$target" "$gateway" "$name"
    ((can_run)) || return 0
    try "command without emulator $target: doctor" doctor_is_content "$target" "$gateway"
    if worked; then ran "$name" "\`tu-token doctor\`: $(where "$target")"; fi
    try "command without emulator $target: says so" has_no_emulator "$target" "$gateway" "$tree"
}

try_command() { # target
    local target=$1 tree gateway name
    name=tu-token-$version-$target.tar.gz
    [[ -f $dist/$name ]] || return 0
    tree=$(unpacked_command "$target")
    gateway=$scratch/unpacked/tu-token-gateway-$version-$target
    try "command $target: no interpreter, pages, completions, licences" command_is_whole "$target" "$tree" "$name"
    get_ready "$target"
    if ((can_run)); then
        try "command $target: doctor" doctor_is_content "$target" "$tree"
        if worked; then ran "$name" "\`tu-token doctor\`: $(where "$target")"; fi
    fi
    if [[ -d $gateway ]]; then try_gateway; fi
    if [[ $target == *musl* ]] && is_native "$target"; then
        if [[ $(id -u) == 0 ]]; then
            try "command $target: in an empty root, with a CA file" runs_in_an_empty_root "$tree"
            if worked; then ran "$name" "TLS in an empty root with a CA file: this machine"; fi
        else
            skip "command $target in an empty root: takes root"
        fi
    fi
}
