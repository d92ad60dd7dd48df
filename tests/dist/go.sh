# To be sourced by run.sh: the Go modules, as a program gets them from a module proxy.
# shellcheck shell=bash

# With Go and a C compiler, without pkg-config.
as_gopher() { # command...
    local tools
    tools=$(dirname "$(command -v go)")
    env -i PATH="$tools:/usr/bin:/bin:${VIRTUAL_ENV:+$VIRTUAL_ENV/bin}" HOME="$scratch/home" \
        GOPATH="$scratch/gopath" GOCACHE="$(go env GOCACHE)" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
        ${ZIG_GLOBAL_CACHE_DIR:+ZIG_GLOBAL_CACHE_DIR="$ZIG_GLOBAL_CACHE_DIR"} \
        GOPROXY="file://$dist/go,$(go env GOPROXY)" GONOSUMDB="$go_module,$go_module/*" PKG_CONFIG=/bin/false \
        "${go_variables[@]}" "$@"
}

gets_the_module() {
    rm -rf "$scratch/gopher"
    mkdir "$scratch/gopher"
    cp "$(scripts/code-blocks.sh go "$scratch/go-blocks" | grep '/README-1\.go$')" "$scratch/gopher/main.go"
    cd "$scratch/gopher"
    as_gopher go mod init program
    as_gopher go get "$go_module@v$version"
    # The module brings no dependencies.
    [[ $(as_gopher go list -m all) == "program
$go_module v$version" ]]
}

builds_and_runs() { # target or host, tags, flags of the linker, CC
    local machine program=$scratch/gopher/program
    go_variables=(CGO_ENABLED=1)
    if [[ -n $4 ]]; then
        case $1 in x86_64*) machine=amd64 ;; aarch64*) machine=arm64 ;; armv7*) machine=arm ;; esac
        go_variables+=(GOOS=linux GOARCH="$machine" CC="$4" CGO_LDFLAGS="${5:-}")
    fi
    rm -f "$program"
    (cd "$scratch/gopher" && as_gopher go build -tags "$2" -ldflags "$3" -o program .)
    if [[ $1 == *musl* ]] && readelf -l "$program" | grep INTERP; then return 1; fi
    ((can_run)) || return 0
    rm -rf "$scratch/run"
    mkdir "$scratch/run"
    cp "$program" "$scratch/run"
    run_for "$1" "$scratch/run" program
}

vendors() {
    go_variables=(CGO_ENABLED=1)
    (cd "$scratch/gopher" && as_gopher go mod vendor && as_gopher go build -mod=vendor -o program .)
    rm -rf "$scratch/gopher/vendor"
    as_user "$scratch/gopher/program"
}

takes_the_shared_library() {
    local tree
    tree=$(unpacked_library "$host")
    go_variables=(CGO_ENABLED=1 PKG_CONFIG=pkg-config PKG_CONFIG_LIBDIR="$tree/lib/pkgconfig")
    (cd "$scratch/gopher" && as_gopher go build -tags tu_token_shared -o program .)
    readelf -d "$scratch/gopher/program" | grep 'libtu_token.so.0' >/dev/null
    as_user env LD_LIBRARY_PATH="$tree/lib" "$scratch/gopher/program"
}

with_oauth2() {
    go_variables=(CGO_ENABLED=1)
    rm -rf "$scratch/oauth2"
    mkdir "$scratch/oauth2"
    cp "$(scripts/code-blocks.sh go "$scratch/go-blocks" | xargs grep -l oauth2source | head -n 1)" "$scratch/oauth2/main.go"
    (cd "$scratch/oauth2" && as_gopher go mod init program && as_gopher go get "$go_module/oauth2source@v$version" &&
        as_gopher go build -o program .)
    as_user "$scratch/oauth2/program"
}

# A platform without an archive gets a file that says so; 32-bit ARM with musl is one.
says_that_there_is_no_archive() {
    local said
    go_variables=(CGO_ENABLED=1 GOOS=linux GOARCH=arm)
    said=$(cd "$scratch/gopher" && as_gopher go list -tags tu_token_musl -f '{{.GoFiles}} {{.CgoFiles}}' "$go_module")
    echo "$said"
    grep -q -w 'link_no_archive_musl.go' <<<"$said"
    if grep -q link_archive <<<"$said"; then return 1; fi
    [[ $host_part == 1 ]] || return 0
    go_variables=(CGO_ENABLED=1)
    if said=$(cd "$scratch/gopher" && as_gopher go build -tags tu_token_musl -o program . 2>&1); then return 1; fi
    echo "$said"
    grep -q 'there is no archive of the C library for this platform' <<<"$said"
}

try_go() {
    local target zip name
    [[ -d $dist/go ]] || return 0
    go_module=$(sed -n 's/^module //p' bindings/go/go.mod)
    zip=go/$go_module/@v/v$version.zip
    go_variables=(CGO_ENABLED=1)
    try "go: the module comes from the proxy" gets_the_module
    worked || return 0
    for target in $(all_targets); do
        [[ -d $(unpacked_library "$target") ]] || continue
        name="go: $target, the archive inside"
        get_ready "$target"
        case $target in
            "$host") try "$name" builds_and_runs "$target" "" "" "" ;;
            *musl*)
                try "$name, static" builds_and_runs "$target" tu_token_musl '-linkmode external -extldflags -static' \
                    "$(compiler_for "$target" C)" -lunwind ;;
            *) try "$name" builds_and_runs "$target" "" "" "$(compiler_for "$target" C)" -lunwind ;;
        esac
        if worked && ((can_run)); then ran "$zip" "$(column "$target" go): $(where "$target")"; fi
    done
    if [[ -d $(unpacked_library "$host") ]]; then
        try "go: the shared library by a tag" takes_the_shared_library
        try "go: vendored" vendors
        try "go: with golang.org/x/oauth2" with_oauth2
        if worked; then ran "go/$go_module/oauth2source/@v/v$version.zip" "built and run: this machine"; fi
    fi
    try "go: no archive, and what it says" says_that_there_is_no_archive
}
