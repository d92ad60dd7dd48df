#!/usr/bin/env bash
# Moves a copy of the repository to another home: every name changes along, and what is built by
# those names builds. The C library is that of target/stage (see stage_package in tests/steps.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD copy=$PWD/target/home
home=https://forge.example/makers/tu-token

fail() {
  echo "$*"
  exit 1
}

diff <(scripts/python-readme.sh) bindings/python/README.python.md ||
  fail "README.python.md has drifted: scripts/python-readme.sh >bindings/python/README.python.md"
for module in bindings/go bindings/go/oauth2source; do
  for licence in LICENSE-MIT LICENSE-APACHE; do cmp "$licence" "$module/$licence"; done
done

rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z | xargs -0 tar -c --ignore-failed-read | tar -x -C "$copy"
cd "$copy"
git init -q . && git add -A
for wrong in '' http://forge.example/x https://forge.example/x/ https://forge.example/x.git forge.example/x \
    'https://forge.example/x y' https://forge.example 'https://user@forge.example/x'; do
  if said=$(scripts/set-home.sh "$wrong" 2>&1); then fail "accepts '$wrong' as a home"; fi
  [[ $(wc -l <<<"$said") = 1 && $said == *"https://HOST/OWNER/REPOSITORY"* ]] || fail "$said"
done
git diff --quiet || fail "a refused home changes something"

old=$(sed -n 's/^repository = "\(.*\)"$/\1/p' Cargo.toml)
old_go=$(sed -n 's/^module //p' bindings/go/go.mod)
scripts/set-home.sh "$home"
if git grep -nF -e "$old" -e "$old_go"; then fail "the old home is still named"; fi
if git grep -nE 'no home yet -->|nothing is on a public registry yet' -- '*.md'; then fail "pages still say that there is no home"; fi
git grep -qF "URL: $home" -- packaging/tu_token.pc.in || fail "tu_token.pc lacks the home"
grep -q "^module ${home#https://}/bindings/go$" bindings/go/go.mod || fail "go.mod lacks the home"
grep -q "^Source = \"$home\"$" bindings/python/pyproject.toml || fail "pyproject.toml lacks the home"
scripts/set-home.sh "$home" >/dev/null # nothing to do the second time
[[ -z $(gofmt -l bindings/go examples/go tests) ]] || fail "imports are not in gofmt's order"
cargo metadata --offline --no-deps --format-version 1 | grep -F "\"repository\":\"$home\"" >/dev/null || fail "cargo does not report the home"
python3 - "$home" <<'PYTHON'
import sys, tomllib
urls = tomllib.load(open("bindings/python/pyproject.toml", "rb"))["project"]["urls"]
assert all(url.startswith(sys.argv[1]) for url in urls.values()), urls
PYTHON
eval "$("$root/scripts/go-env.sh" "$root/target/stage/lib/pkgconfig" "$root/target/stage/lib")"
for module in bindings/go bindings/go/oauth2source examples/go tests/conformance/testees/go; do
  (cd "$module" && go vet ./...)
done
cd "$root" && rm -rf "$copy"
echo "1 passed, 0 failed"
