#!/usr/bin/env bash
# Writes every fenced code block of a language in the project's pages to a file of its own, so that
# the pages' code can be compiled and run. LANGUAGE is all that follows the fence, such as `c` or `go test`.
# Usage: scripts/code-blocks.sh LANGUAGE DIRECTORY      prints the names of the files
set -euo pipefail
cd "$(dirname "$0")/.."

language=$1 directory=$2
mkdir -p "$directory"
git ls-files --cached --others --exclude-standard '*.md' | while read -r page; do
  name=$(tr '/.' '--' <<<"${page%.md}")
  awk -v fence="\`\`\`$language" -v place="$directory/$name" -v ending="${language%% *}" '
    $0 == fence { inside = 1; file = place "-" ++count "." ending; printf "" >file; print file; next }
    /^```$/ { inside = 0 }
    inside { print >file }
  ' "$page"
done
