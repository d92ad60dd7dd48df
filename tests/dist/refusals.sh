#!/usr/bin/env bash
# When something is missing or wrong, `make dist` and `make dist-test` print one line that says what to do.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0
host=$(rustc -vV | sed -n 's/^host: //p')

# refuses NAME PATTERN COMMAND...: fails, and the last of its lines, the only one of its kind, has the pattern.
refuses() {
  local name=$1 pattern=$2 said status=0
  shift 2
  said=$("$@" 2>&1 </dev/null) || status=$?
  if [ "$status" != 0 ] && [ "$(grep -c '^dist: ' <<<"$said")" = "${lines:-1}" ] &&
    [ "$(wc -l <<<"$said")" = "${lines:-1}" ] && grep -q -E "$pattern" <<<"$said"; then
    echo "ok      $name"
    passed=$((passed + 1))
  else
    echo "$said"
    echo "FAILED  $name: status $status, and this is what it said"
    failed=$((failed + 1))
  fi
}

# Nothing here may touch what was built.
export DIST=$scratch/dist DIST_WORK=$scratch/work

refuses "unknown target" "unknown target 'amiga'; TARGETS takes: .*aarch64-unknown-linux-musl" packaging/dist.sh amiga
refuses "unknown among known ones" "unknown target 'amiga'" packaging/dist.sh "$host amiga"

# This machine's tools except one.
mkdir "$scratch/bin"
for tool in awk bash cat cmp dirname env git grep head mkdir rm rustc sed tail tr; do
  ln -s "$(command -v $tool)" "$scratch/bin/$tool"
done
for tool in python3 cargo cc readelf go dpkg-deb; do
  refuses "no $tool" "$tool is missing: install " env PATH="$scratch/bin" packaging/dist.sh
  ln -s "$(command -v $tool)" "$scratch/bin/$tool"
done
printf '#!/bin/sh\necho "bsdtar 3.6"\n' >"$scratch/bin/tar"
chmod +x "$scratch/bin/tar"
refuses "another tar" 'GNU tar is missing: install' env PATH="$scratch/bin" packaging/dist.sh

refuses "no dist/" 'there is no dist/: make dist' tests/dist/run.sh
mkdir "$DIST"
echo half >"$DIST/a.tar.gz"
refuses "half-built dist/" 'half-built.*make dist' tests/dist/run.sh
(cd "$DIST" && sha256sum a.tar.gz >SHA256SUMS && echo other >a.tar.gz)
refuses "changed dist/" 'not what SHA256SUMS says.*make dist' tests/dist/run.sh

# No network: to the registry of crates, to PyPI (a port without a listener), to where rustup gets its libraries.
refuses "no crates" 'the registry of crates cannot be reached.*go online' \
  env CARGO_HOME="$scratch/cargo" CARGO_NET_OFFLINE=true packaging/dist.sh "$host"
lines=2 refuses "PyPI out of reach" 'PyPI cannot be reached' \
  env PIP_INDEX_URL=http://127.0.0.1:9/ PIP_RETRIES=0 packaging/dist.sh "$host"
mkdir -p "$scratch/sysroot/lib/rustlib/$host"
ln -s "$(rustc --print sysroot)/lib/rustlib/$host/bin" "$scratch/sysroot/lib/rustlib/$host/bin"
cat >"$scratch/rustc" <<SCRIPT
#!/bin/sh
if [ "\$*" = "--print sysroot" ]; then echo "$scratch/sysroot"; else exec rustc "\$@"; fi
SCRIPT
printf '#!/bin/sh\nexit 1\n' >"$scratch/rustup"
chmod +x "$scratch/rustc" "$scratch/rustup"
mkdir "$scratch/offline"
mv "$scratch/rustup" "$scratch/offline"
lines=2 refuses "no standard library" "LEFT OUT: $host: .*rustup target add" \
  env RUSTC="$scratch/rustc" PATH="$scratch/offline:$PATH" packaging/dist.sh "$host"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
