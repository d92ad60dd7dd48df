#!/usr/bin/env bash
# Moves the project to a new home: changes every name that depends on it in the files git tracks.
#
#   scripts/set-home.sh https://HOST/OWNER/REPOSITORY
#
# The address goes to the crates, the Python package, pkg-config and the pages; the Go modules are
# named after it and their directory, where Go looks for them. The current one is in Cargo.toml and
# bindings/go/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "set-home.sh: $*" >&2
  exit 2
}

new=${1:-}
[[ $# = 1 && $new =~ ^https://([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(/[A-Za-z0-9_][A-Za-z0-9._~-]*)+$ && $new != *.git ]] ||
  fail "'$new' is no home: give the address of the repository's page, as in https://HOST/OWNER/REPOSITORY (no / or .git at the end)"

old=$(sed -n 's/^repository = "\(.*\)"$/\1/p' Cargo.toml)
old_go=$(sed -n 's/^module //p' bindings/go/go.mod)
new_go=${new#https://}/bindings/go
[[ -n $old && -n $old_go ]] || fail "Cargo.toml has no line 'repository', or bindings/go/go.mod no line 'module'"

# replace OLD NEW: whole names only, not a prefix of a longer one.
replace() {
  local from
  from=$(sed 's/[.~]/\\&/g' <<<"$1")
  # A link would be replaced by a file.
  { git grep -lIF -e "$1" || true; } | while IFS= read -r file; do
    [[ -L $file ]] || sed -i -E "s#$from(\$|[^A-Za-z0-9._~-]|[.]([^A-Za-z0-9]|\$))#$2\\1#g" "$file"
  done
}
# Statements that hold only while there is no home.
{ git grep -lI -e '^<!-- no home yet -->$' || true; } | while IFS= read -r page; do
  sed -i '/^<!-- no home yet -->$/,/^<!-- \/no home yet -->$/d' "$page"
done
replace "$old" "$new"
replace "$old_go" "$new_go"
scripts/python-readme.sh >bindings/python/README.python.md
# Imports are sorted by name.
if command -v gofmt >/dev/null 2>&1; then
  git ls-files -z '*.go' | xargs -0 gofmt -w
else
  echo "set-home.sh: gofmt is missing; run it over the Go files before you commit" >&2
fi
echo "The home is $new, the Go module $new_go. Look at the change with \`git diff\`, and test it with \`make test\`."
