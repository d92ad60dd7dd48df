#!/usr/bin/env bash
# Prints what the figures of `make bench` depend on: the machine, its load, the versions. Lines of key and value,
# separated by a tab.
set -uo pipefail
cd "$(dirname "$0")/.."

fact() {
  printf '%s\t%s\n' "$1" "${2:-unknown}"
}

of_lscpu() {
  lscpu | sed -n "s/^ *$1: *//p" | head -n 1
}

version_in_go() {
  sed -n "s|.*$1 \(v[^ ]*\).*|\1|p" benches/go/go.mod benches/go/peers/go.mod | head -n 1
}

# How many processors other programs use. Not the load average, which still remembers the build.
busy() {
  local all_before idle_before all idle
  read -r all_before idle_before < <(awk '/^cpu / {for (i = 2; i <= 9; i++) all += $i; print all, $5 + $6}' /proc/stat)
  sleep 3
  read -r all idle < <(awk '/^cpu / {for (i = 2; i <= 9; i++) all += $i; print all, $5 + $6}' /proc/stat)
  awk -v all=$((all - all_before)) -v idle=$((idle - idle_before)) -v processors="$(nproc)" \
    'BEGIN {printf "%.2f", (all - idle) / all * processors}'
}

fact date "$(date -u +%Y-%m-%d)"
fact mode "$([ "${FULL:-}" = 1 ] && echo full || echo short)"
fact processor "$(of_lscpu 'Model name')"
fact processors "$(nproc)"
fact caches "L1d $(of_lscpu 'L1d cache'), L2 $(of_lscpu 'L2 cache'), L3 $(of_lscpu 'L3 cache')"
fact hypervisor "$(of_lscpu 'Hypervisor vendor')"
fact memory "$(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)"
fact system "$(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), $(ldd --version | sed -n '1s/.* /glibc /p')"
fact busy "$(busy)"
fact certificates "$(grep -c 'BEGIN CERT' "$(benches/system-roots.sh)")"
fact tu-token "$(git describe --always --dirty 2>/dev/null || sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
fact C "$(cc --version | head -n 1)"
fact Rust "$(rustc --version)"
fact Go "$(go version 2>/dev/null | cut -d ' ' -f 3)"
fact Python "$(python3 --version 2>/dev/null | cut -d ' ' -f 2)"
fact libcurl "$(curl-config --version 2>/dev/null | cut -d ' ' -f 2), $(openssl version 2>/dev/null | cut -d ' ' -f 1,2)"
fact x/oauth2 "$(version_in_go golang.org/x/oauth2)"
fact 'MSAL for Go' "$(version_in_go microsoft-authentication-library-for-go)"
fact google-cloud-auth "$(sed -n '/^name = "google-cloud-auth"/{n;s/version = "\(.*\)"/\1/p}' benches/rust-peers/Cargo.lock)"
for package in Authlib azure-identity google-auth msal requests; do
  fact "$package" "$(sed -n "s/^$package==//p" benches/python/requirements.txt)"
done
