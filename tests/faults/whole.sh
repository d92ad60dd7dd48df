# To be sourced by tests/faults.sh: faults that tests of the whole library detect.
#
# Their patches begin with the kind of fault, the fault, and one or more tests, each with what it says when it fails:
#
#   lib TEST              a unit test
#   network ROWS          the network faults whose names contain that (tests/network)
#   c PROGRAM ARGUMENT    a program of tests/c, against an emulator behind TLS
#   python EXPRESSION     tests of the Python module, chosen as by `pytest -k`
#   python-forks NUMBER   bindings/python/tests/random_forks.py

whole=tests/faults/whole

page_of_the_whole() {
  cat <<'END'
# Faults that tests of the whole library find

Each of these faults was in the library once, and is kept here as a patch. `make faults` applies one after
another to a copy of the sources and runs the tests that must fail; `make test` checks that each patch still
applies. The third column names the tests: `lib` a unit test, `network` rows of
[network-faults.md](../../../docs/network-faults.md), `c` a program of `tests/c` and the part of its table,
`python` tests of the module, `python-forks` forks at random points. This page is generated:
`tests/faults.sh list`.

| kind of fault | the fault | found by |
| --- | --- | --- |
END
  local patch test tests
  for patch in "$whole"/*.patch; do
    tests=
    while read -r test; do tests+="${tests:+, }\`${test//\`/}\`"; done < <(of Test "$patch")
    printf '| %s | %s | %s |\n' "$(of Kind "$patch")" "$(of Fault "$patch")" "$tests"
  done | LC_ALL=C sort
}

has_test_of_the_whole() { # KIND WORDS
  local program=tests/c/${2%% *}.c argument=${2#* }
  case $1 in
    lib) has_test "$2" ;;
    network) grep -qF "$2" docs/network-faults.md ;;
    c) [ -f "$program" ] && { [[ $argument =~ ^[0-9]+$ ]] || grep -qF "$argument" "$program"; } ;;
    python) grep -q "def test_.*$2" bindings/python/tests/*.py ;;
    python-forks) [ -f bindings/python/tests/random_forks.py ] ;;
    *) return 1 ;;
  esac
}

check_tests_of_the_whole() {
  local patch kind words tests said
  for patch in "$whole"/*.patch; do
    # A test without a text that it must print would not be run, and any text contains an empty one.
    tests=$(of Test "$patch" | grep -c .) || true
    said=$(of Says "$patch" | grep -c .) || true
    [ "$tests" -gt 0 ] && [ "$tests" = "$said" ] ||
      { echo "$patch: $tests tests, and $said texts of their failures"; return 1; }
    while read -r kind words; do
      has_test_of_the_whole "$kind" "$words" || { echo "$patch: there is no test $kind $words"; return 1; }
    done < <(of Test "$patch")
  done
}

# The emulator, and TLS in front of it, without a fault.
build_sound() {
  [ -z "${EMULATOR_BINARY:-}" ] || return 0
  (cd "$tree" && cargo build --quiet --workspace --bin tu-token-emulator --example tls-front)
  mkdir -p "$work/sound"
  # An emulator of a run that was interrupted may still run.
  cp --remove-destination "$work/debug/tu-token-emulator" "$work/debug/examples/tls-front" "$work/sound/"
  export EMULATOR_BINARY=$work/sound/tu-token-emulator
}

build_of_the_whole() { # KIND WORDS
  local program=${2%% *}
  cd "$tree"
  case $1 in
    lib) run_tests plain --no-run ;;
    network) cargo test -p tu-token --test network --no-run ;;
    c)
      cargo rustc -p tu-token --features capi --crate-type cdylib
      ln -sf libtu_token.so "$work/debug/libtu_token.so.0"
      cc -std=c11 -D_GNU_SOURCE -g -O1 -Iinclude "tests/c/$program.c" -o "$work/$program" \
        -L"$work/debug" -Wl,--no-as-needed -ltu_token -Wl,-rpath,"$work/debug" -lpthread
      ;;
    python | python-forks) (. bindings/python/tests/environment.sh && install_module) ;;
  esac
}

run_of_the_whole() { # KIND WORDS
  local front=$work/sound/tls-front
  cd "$tree"
  case $1 in
    lib) run_tests plain -- --exact "$2" ;;
    network) NETWORK_FAULTS=$2 timeout 600 cargo test -p tu-token --test network -- --nocapture ;;
    c) timeout 600 scripts/emulator.sh "$front" "$work/${2%% *}" "${2#* }" ;;
    python)
      . bindings/python/tests/environment.sh
      timeout 600 scripts/emulator.sh python -m pytest -c bindings/python/pyproject.toml \
        --rootdir bindings/python -p no:cacheprovider --timeout 120 -k "$2" bindings/python/tests
      ;;
    python-forks)
      . bindings/python/tests/environment.sh
      timeout 600 scripts/emulator.sh "$front" --name localhost python bindings/python/tests/random_forks.py "$2"
      ;;
  esac
}

run_one_of_the_whole() { # PATCH: says what became of it
  local patch=$1 name kind words says said log number=0 missed=0
  name=$(basename "$patch" .patch)
  build_sound
  git apply --directory="${tree#"$PWD"/}" "$patch" || { echo "DOES NOT APPLY: $name"; return 1; }
  while read -r kind words <&3 && read -r says <&4; do
    number=$((number + 1)) log=$work/$name.$number.log said="NOT FOUND"
    if ! (build_of_the_whole "$kind" "$words") >"$log" 2>&1; then
      said="DOES NOT BUILD (see $log)"
    elif ! (run_of_the_whole "$kind" "$words") >>"$log" 2>&1; then
      said="found"
      grep -qF -e "$says" "$log" || said="FAILS OTHERWISE (see $log)"
    fi
    echo "$said: $name, by $kind $words"
    [ "$said" = found ] || missed=1
  done 3< <(of Test "$patch") 4< <(of Says "$patch")
  git apply --reverse --directory="${tree#"$PWD"/}" "$patch"
  return "$missed"
}
