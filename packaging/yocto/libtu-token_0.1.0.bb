# Installs the tarball that `make dist` builds on a Yocto image. NOT RUN: no Yocto was available.
#
# Put the tarballs where SRC_URI finds them (your mirror, or files/ next to this recipe), and their checksums from
# SHA256SUMS below. PACKAGECONFIG:append:pn-libtu-token = " redis" takes those with the store for Redis and Valkey, which
# `make dist REDIS=1` makes under the same names: put them into a directory redis/ there. The command is not included:
# take tu-token-gateway-VERSION-TARGET.tar.gz for that.

SUMMARY = "Access tokens for Trackunit's IRIS APIs, for C and C++ (not affiliated with Trackunit)"
HOMEPAGE = "https://tu-token.example/tu-token"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://share/doc/tu-token/LICENSE-MIT;md5=ce3dda2c8ceec11a4c4c4e0a47dffe9d"

# 32-bit ARM only with hardware floating point.
COMPATIBLE_HOST = "(x86_64|aarch64|arm).*-linux(-gnueabi|-musl)?"
COMPATIBLE_HOST:arm = "${@bb.utils.contains('TUNE_FEATURES', 'callconvention-hard', '.*-linux-gnueabi', 'null', d)}"
COMPATIBLE_HOST:libc-musl:arm = "null"

TU_TARGET:x86-64 = "x86_64-unknown-linux-gnu"
TU_TARGET:aarch64 = "aarch64-unknown-linux-gnu"
TU_TARGET:arm = "armv7-unknown-linux-gnueabihf"
TU_TARGET:libc-musl:x86-64 = "x86_64-unknown-linux-musl"
TU_TARGET:libc-musl:aarch64 = "aarch64-unknown-linux-musl"

PACKAGECONFIG ??= ""
PACKAGECONFIG[redis] = ""
TU_REDIS = "${@bb.utils.contains('PACKAGECONFIG', 'redis', 'redis/', '', d)}"

TU_TREE = "libtu_token-${PV}-${TU_TARGET}"
SRC_URI = "file://${TU_REDIS}${TU_TREE}.tar.gz;name=${TU_TARGET}"
SRC_URI[x86_64-unknown-linux-gnu.sha256sum] = ""
SRC_URI[aarch64-unknown-linux-gnu.sha256sum] = ""
SRC_URI[armv7-unknown-linux-gnueabihf.sha256sum] = ""
SRC_URI[x86_64-unknown-linux-musl.sha256sum] = ""
SRC_URI[aarch64-unknown-linux-musl.sha256sum] = ""

# Since Yocto 5.1 sources are unpacked below UNPACKDIR.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/${TU_TREE}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${libdir}/pkgconfig ${D}${includedir} ${D}${libdir}/cmake
    cp -P ${S}/lib/libtu_token.so* ${D}${libdir}/
    install -m 0644 ${S}/lib/libtu_token.a ${D}${libdir}/
    install -m 0644 ${S}/include/tu_token.h ${S}/include/tu_token.hpp ${D}${includedir}/
    cp -R --no-preserve=ownership ${S}/lib/cmake/TuToken ${D}${libdir}/cmake/
    # The sysroot is put in front of the prefix.
    for file in tu_token tu_token_static; do
        sed -e 's|^prefix=.*|prefix=${prefix}|' ${S}/lib/pkgconfig/$file.pc >${D}${libdir}/pkgconfig/$file.pc
    done
}

# Built and stripped elsewhere.
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INSANE_SKIP:${PN} = "already-stripped"
