#!/usr/bin/env bash
# Makes the Debian packages: the library, the development files, the command.
#
#   packaging/dist/debian.sh TARGET
#
# Each is made if its tree is in target/dist/stage/TARGET.
# shellcheck source=packaging/dist/common.sh
. "$(dirname "$0")/common.sh"

target=$1
stage=$work/stage/$target
revision=$version-1
maintainer='The tu-token maintainers <maintainers@users.noreply.tu-token.example>'
date=$(date -u -R -d "@$SOURCE_DATE_EPOCH")

# The part of the tree that all packages have in common.
begin() { # package, architecture
    package=$1 architecture=$2
    tree=$stage/deb/$package
    documents=$tree/usr/share/doc/$package
    rm -rf "$tree"
    mkdir -p "$tree/DEBIAN" "$documents"
}

# changelog.Debian is that of the package; the product's changelog is installed next to it.
put_papers() { # directory with the licences of what is inside
    {
        echo "tu-token ($revision) unstable; urgency=medium"
        echo
        echo "  * Packaged by the makers of tu-token; what is new in it: changelog.gz."
        echo
        echo " -- $maintainer  $date"
    } | gzip -n -9 >"$documents/changelog.Debian.gz"
    gzip -n -9 <"$root/CHANGELOG.md" >"$documents/changelog.gz"
    {
        echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
        echo "Upstream-Name: tu-token"
        echo
        echo "Files: *"
        sed -n 's/^Copyright (c) /Copyright: /p' "$root/LICENSE-MIT"
        echo "License: Expat or Apache-2.0"
        echo
        echo "License: Expat"
        sed -e '1,/^Copyright/d' -e '/./!s/^/./' -e 's/^/ /' "$root/LICENSE-MIT" | sed -e '1{/^ \.$/d}'
        echo
        echo "License: Apache-2.0"
        echo " On Debian systems the text is in /usr/share/common-licenses/Apache-2.0."
        if [[ -n $1 ]]; then
            echo
            echo "Comment: What else is inside of the binaries is under the terms in"
            echo " /usr/share/doc/$package/THIRD-PARTY-LICENSES.txt.gz."
        fi
    } >"$documents/copyright"
    if [[ -n $1 ]]; then
        gzip -n -9 <"$1/THIRD-PARTY-LICENSES.txt" >"$documents/THIRD-PARTY-LICENSES.txt.gz"
        gzip -n -9 <"$1/sbom.cdx.json" >"$documents/sbom.cdx.json.gz"
    fi
}

control() { # section, lines with Depends..., description, long description
    {
        echo "Package: $package"
        echo "Source: tu-token"
        echo "Version: $revision"
        echo "Architecture: $architecture"
        echo "Maintainer: $maintainer"
        echo "Installed-Size: $(du -k -s --apparent-size "$tree/usr" | cut -f 1)"
        [[ -z $2 ]] || printf '%s\n' "$2"
        echo "Section: $1"
        echo "Priority: optional"
        echo "Homepage: $(sed -n 's/^repository = "\(.*\)"$/\1/p' "$root/Cargo.toml")"
        echo "Description: $3"
        sed 's/^/ /' <<<"$4"
    } >"$tree/DEBIAN/control"
}

# The packages of the libraries that a file loads; nothing for a static file.
needs() { # ELF file
    local loaded glibc
    loaded=$(readelf -d "$1" | sed -n 's/^.*(NEEDED).*\[\(.*\)\]$/\1/p')
    [[ -n $loaded ]] || return 0
    # Files that load a C library load glibc here.
    glibc=$(readelf -W --version-info "$1" | grep -o 'GLIBC_[0-9][0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -n 1)
    echo "libc6 (>= $glibc)$(if grep -q '^libgcc_s' <<<"$loaded"; then echo ', libgcc-s1'; fi)"
}

finish() {
    (cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    chmod -R u=rwX,go=rX "$tree"
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$dist/${package}_${revision}_$architecture.deb" >/dev/null
    say "${package}_${revision}_$architecture.deb"
}

about='Access tokens (OAuth 2.0, client credentials) for Trackunit IRIS APIs: got
once, kept, renewed in the background, and handed out to any number of threads
and processes. It is not affiliated with Trackunit.'

library_package() {
    local staged=$stage/debian/usr libdir=usr/lib/$multiarch
    begin libtu-token0 "$1"
    mkdir -p "$tree/$libdir"
    cp -a "$staged/lib/$multiarch/libtu_token.so."* "$tree/$libdir"
    chmod 644 "$tree/$libdir/libtu_token.so.$version"
    put_papers "$stage/tarball/libtu_token-$version-$target/share/doc/tu-token"
    echo "libtu_token 0 libtu-token0 (>= $version)" >"$tree/DEBIAN/shlibs"
    {
        echo "libtu_token.so.0 libtu-token0 #MINVER#"
        sed -e '/^#/d' -e '/^$/d' -e 's/^\([^ ]*\) \(.*\)$/ \1@Base \2/' "$root/packaging/symbols.txt" | sort
    } >"$tree/DEBIAN/symbols"
    echo "activate-noawait ldconfig" >"$tree/DEBIAN/triggers"
    control libs "Multi-Arch: same
Depends: $(needs "$tree/$libdir/libtu_token.so.$version")
Recommends: ca-certificates" "access tokens for Trackunit IRIS APIs (shared library)" "$about
.
This package has what programs load."
    finish
}

development_package() {
    local staged=$stage/debian/usr libdir=usr/lib/$multiarch
    begin libtu-token-dev "$1"
    mkdir -p "$tree/$libdir" "$tree/usr"
    cp -a "$staged/include" "$tree/usr/include"
    cp -a "$staged/lib/$multiarch/pkgconfig" "$staged/lib/$multiarch/cmake" "$tree/$libdir"
    cp -a "$staged/lib/$multiarch/libtu_token.a" "$staged/lib/$multiarch/libtu_token.so" "$tree/$libdir"
    # The link must not point through a link of another package.
    ln -sf "libtu_token.so.0" "$tree/$libdir/libtu_token.so"
    put_papers "$stage/tarball/libtu_token-$version-$target/share/doc/tu-token"
    control libdevel "Multi-Arch: same
Depends: libtu-token0 (= $revision), libc6-dev" "access tokens for Trackunit IRIS APIs (for building programs)" "$about
.
This package has the headers for C and C++, the static library, and what
pkg-config and CMake find them by."
    finish
}

command_package() {
    local staged
    staged=$(echo "$stage/command/"*)
    begin tu-token "$1"
    mkdir -p "$tree/usr/bin" "$tree/usr/share"
    install -m 755 "$staged/bin/tu-token" "$tree/usr/bin"
    cp -a "$staged/share/man" "$tree/usr/share"
    gzip -n -9 "$tree"/usr/share/man/man1/*.1
    install -D -m 644 -t "$tree/usr/share/bash-completion/completions" "$staged/share/bash-completion/completions/tu-token"
    install -D -m 644 -t "$tree/usr/share/zsh/vendor-completions" "$staged/share/zsh/site-functions/_tu-token"
    install -D -m 644 -t "$tree/usr/share/fish/vendor_completions.d" "$staged/share/fish/vendor_completions.d/tu-token.fish"
    put_papers "$staged/share/doc/tu-token"
    local depends="Recommends: ca-certificates" needed
    needed=$(needs "$tree/usr/bin/tu-token")
    [[ -z $needed ]] || depends="Depends: $needed
$depends"
    mkdir -p "$tree/usr/share/lintian/overrides"
    [[ -n $needed ]] || {
        echo "# One file that runs on every system, with the C library inside."
        echo "tu-token: statically-linked-binary [usr/bin/tu-token]"
    } >"$tree/usr/share/lintian/overrides/tu-token"
    rmdir --ignore-fail-on-non-empty "$tree/usr/share/lintian/overrides" "$tree/usr/share/lintian"
    control utils "$depends" "access tokens for Trackunit IRIS APIs at the shell" "$about
.
The command prints tokens, runs programs with one, and finds out what is wrong
(tu-token doctor). It also has an emulator of the service, to try it with."
    finish
}

need dpkg-deb "install the package dpkg"
multiarch=$(column "$target" multiarch)
if [[ -n $multiarch && -d $stage/debian ]]; then
    library_package "$(column "$target" debian)"
    development_package "$(column "$target" debian)"
fi
machine=$(column "$target" command)
[[ -z $host_part ]] || machine=$(column "$target" debian)
if [[ -n $machine && -d $stage/command ]]; then
    command_package "$machine"
fi
