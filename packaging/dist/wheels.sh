#!/usr/bin/env bash
# Builds the wheels for a target: the module and, if the command was built for it, the command.
#
#   packaging/dist/wheels.sh TARGET
#   packaging/dist/wheels.sh sdist      the source distribution
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/common.sh"

target=$1
manifest=$root/bindings/python/Cargo.toml
wheels=$dist/wheels

# On glibc, Python up to 3.13 ends threads by pthread_exit, and the system's libgcc_s unwinds them through the
# module's frames. The module must then unwind with the same library: zig's own, linked in, would be handed frames of
# libgcc_s and crash. zig brings no libgcc_s, so the module is linked with a stub of that name.
unwinder() {
    local place=$work/unwinder/$target name names=(Backtrace DeleteException FindEnclosingFunction GetCFA GetDataRelBase
        GetGR GetIP GetIPInfo GetLanguageSpecificData GetRegionStart GetTextRelBase RaiseException Resume
        Resume_or_Rethrow SetGR SetIP VRS_Get VRS_Set)
    mkdir -p "$place"
    {
        for name in "${names[@]}"; do echo "void _Unwind_$name(void) {}"; done
        # Those of 32-bit ARM.
        for name in __gnu_unwind_frame __aeabi_unwind_cpp_pr{0,1,2}; do echo "void $name(void) {}"; done
    } >"$place/stub.c"
    python -m ziglang cc -target "$(sed -e 's/^armv7/arm/' -e 's/-unknown//' <<<"$target")" -shared -nostdlib \
        -Wl,-soname,libgcc_s.so.1 "$place/stub.c" -o "$place/libgcc_s.so.1"
    echo "$place/libgcc_s.so.1"
}

build_module() { # directory
    local flags
    flags=$(flags_of_shared "$target")
    [[ $target == *musl* ]] || flags+=$'\x1f'-Clink-arg=$(unwinder)
    CARGO_TARGET_DIR=$build CARGO_ENCODED_RUSTFLAGS=$flags \
        maturin build --locked --release --zig --compatibility "$compatibility" --target "$target" \
        --manifest-path "$manifest" --out "$1"
}

module_wheel() {
    local made=$work/stage/$target/wheel documents=$work/stage/$target/wheel-documents
    rm -rf "$made"
    if [[ -z $host_part ]]; then
        logged "wheel for $target" build_module "$made"
    else
        mkdir -p "$made"
        cp "$root"/target/wheels/release/tu_token-*.whl "$made"
    fi
    put_documents "$documents" tu_token --package tu-token-python --target "$target"
    python3 "$root/packaging/dist/wheel.py" add "$(echo "$made"/*.whl)" "$documents"
    mv "$made"/*.whl "$wheels"
}

# A static file runs on glibc and on musl.
command_wheel() {
    local staged tags=$platform
    staged=$(echo "$work/stage/$target/command/"*)
    [[ $target != *musl* ]] || tags=manylinux2014_${target%%-*}.$platform
    [[ -z $host_part ]] || tags=linux_${target%%-*}
    say "$(python3 "$root/packaging/dist/wheel.py" command --binary "$staged/bin/tu-token" --tags "$tags" \
        --version "$version" --documents "$staged/share/doc/tu-token" --output "$wheels")"
}

enter_environment
mkdir -p "$wheels"
if [[ $target == sdist ]]; then
    logged "source distribution" maturin sdist --manifest-path "$manifest" --out "$wheels"
    exit
fi
platform=$(column "$target" wheel)
# manylinux2014_x86_64 is manylinux2014 to maturin.
case $platform in
    *_x86_64) compatibility=${platform%_x86_64} ;;
    *) compatibility=${platform%_*} ;;
esac
module_wheel
[[ ! -d $work/stage/$target/command ]] || command_wheel
