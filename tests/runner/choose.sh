# To be sourced: the table of steps, and the selection of those that run.
# shellcheck shell=bash

ids=() names=() needs=() commands=()

# step NAME NEEDS COMMAND...: adds a step. A command may be a function of tests/steps.sh. NEEDS are words:
#   an id of `build`    that step runs first
#   c/PROGRAM           `build programs` builds this program of tests/c (or cpp-contract, quickstart, fleet, pages)
#   service             the command runs against an emulator, in scripts/emulator.sh
#   slow                the step may take twice as long as others
#   cargo               it builds in target/debug, where cargo does one thing at a time: no two such steps run together
#   binary              the same for target/debug/tu-token, which steps build with different features
#   alone               no other step runs meanwhile
#   anything else       a group of tools in scripts/setup.sh
step() {
  add "" "$@"
}

# build ID NAME NEEDS COMMAND...: adds a step that later ones need.
build() {
  add "$@"
}

add() { # ID NAME NEEDS COMMAND...
  ids+=("$1") names+=("$2") needs+=("$3")
  commands+=("$(printf '%q ' "${@:4}")")
}

# Prints the number of the step with this id, or fails.
number_of() {
  local i
  case $1 in
    c/*) set -- programs ;;
    service) set -- emulator ;;
  esac
  for i in "${!ids[@]}"; do
    [ "${ids[i]}" != "$1" ] || { echo "$i"; return 0; }
  done
  return 1
}

lower() {
  tr '[:upper:]' '[:lower:]' <<<"$1"
}

# matches NAME PATTERN: whether the name contains the pattern; `*` matches anything, `|` separates alternatives.
matches() {
  local name part parts
  name=$(lower "$1")
  IFS='|' read -r -a parts <<<"$(lower "$2")"
  for part in "${parts[@]}"; do
    part=${part//\\/\\\\} part=${part//\[/\\[} part=${part//\?/\\?}
    # shellcheck disable=SC2254  # a pattern
    [ -z "$part" ] || case $name in *$part*) return 0 ;; esac
  done
  return 1
}

chosen=() wanted=()

# choose PATTERN: sets `chosen` to the steps that match, and `wanted` to those and all they need.
choose() {
  local i word other any=
  chosen=() wanted=()
  for i in "${!names[@]}"; do
    chosen[i]= wanted[i]=
    if [ -z "$1" ] || matches "${names[i]}" "$1"; then chosen[i]=1 wanted[i]=1 any=1; fi
  done
  [ -n "$any" ] || return 1
  for ((i = ${#names[@]} - 1; i >= 0; i--)); do
    [ -n "${wanted[i]}" ] || continue
    for word in ${needs[i]}; do
      ! other=$(number_of "$word") || wanted[other]=1
    done
  done
}

# The programs of tests/c that the wanted steps need; none means all of them.
programs_needed() {
  local i word programs=
  i=$(number_of programs)
  [ -z "${chosen[i]}" ] || return 0
  for i in "${!names[@]}"; do
    [ -n "${wanted[i]}" ] || continue
    for word in ${needs[i]}; do
      case $word in c/*) programs+=" ${word#c/}" ;; esac
    done
  done
  tr ' ' '\n' <<<"$programs" | sort -u | tr '\n' ' '
}

# The groups of tools that the wanted steps need from scripts/setup.sh.
tools_needed() {
  local i word
  for i in "${!names[@]}"; do
    [ -n "${wanted[i]}" ] || continue
    for word in ${needs[i]}; do
      case $word in slow | service | cargo | binary | alone | c/*) continue ;; esac
      number_of "$word" >/dev/null || echo "$word"
    done
  done | sort -u | tr '\n' ' '
}

# For a pattern that matches nothing: the most similar names, by the pairs of letters they share.
near_names() {
  printf '%s\n' "${names[@]}" | awk -v pattern="$(lower "$1")" '
    function pairs(text, into,   i, count) {
      for (i = 1; i < length(text); i++) if (substr(text, i, 2) !~ / /) { into[substr(text, i, 2)] = 1; count++ }
      return count
    }
    BEGIN { asked = pairs(pattern, wanted) }
    {
      split("", own); pairs(tolower($0), own); shared = 0
      for (pair in wanted) if (pair in own) shared++
      if (asked > 0 && shared * 2 >= asked) printf "%.3f\t%s\n", shared / asked - length($0) / 10000, $0
    }' | sort -rn | head -n 6 | cut -f 2
}
