# Prints the failed tests in a step's log with what failed, and those that were still running, without repetition.
# Knows libtest, pytest, `go test`, and the `FAILED` and `not ok` lines of this project's own programs.

function say(text) {
  if (length(text) > 170) text = substr(text, 1, 167) "..."
  if (!(text in said)) { said[text] = 1; print text }
}

# libtest
/^test .+ \.\.\. FAILED$/ { sub(/^test /, ""); sub(/ \.\.\. FAILED$/, ""); delete running[$0]; say($0); next }
/^test .+ has been running for over / {
  sub(/^test /, ""); sub(/ has been running for over .*/, ""); running[$0] = 1; next
}
/^test .+ \.\.\. (ok|ignored)/ { sub(/^test /, ""); sub(/ \.\.\. (ok|ignored).*/, ""); delete running[$0]; next }
# With one test thread, the name is written before the test starts.
/^test .+ \.\.\. $/ { last = $0; sub(/^test /, "", last); sub(/ \.\.\. $/, "", last); running[last] = 1; single = last; next }
single != "" && /^(ok|FAILED)$/ { delete running[single]; if ($0 == "FAILED") say(single); single = ""; next }
# What a failed test printed.
/^---- .+ stdout ----$/ { printed = 1; next }
/^failures:$/ { printed = 0; next }
printed && /^thread .* panicked at .*:$/ { sub(/.* panicked at /, ""); place = $0; panic = 3; next }
printed && panic > 0 {
  if ($0 != "" && !/^(note:|stack backtrace:)/) { sub(/^ +/, ""); place = place " " $0; panic-- } else panic = 0
  if (panic < 3 && /^(assertion .left|left: )/) next
  if (place != "") say(place)
  place = ""; panic = 0
  next
}
/process didn't exit successfully: .*\(signal: / { sub(/.*successfully: /, ""); sub(/.*\/deps\//, ""); say("died: " $0); next }

# rustc and cargo
/^error(\[E[0-9]+\])?: / && !/^error: (test failed|[0-9]+ targets? failed|could not compile|doctest failed)/ { say($0); next }

# pytest
/^(FAILED|ERROR) [^ ]+::/ { sub(/^(FAILED|ERROR) /, ""); say($0); next }

# go test
/^ *--- FAIL: / {
  sub(/^ *--- FAIL: /, ""); sub(/ \([0-9.]+s\)$/, ""); say($0)
  # What it said comes before with -v, and after it otherwise.
  for (number = 1; number <= log_count && number <= 3; number++) say(logged[number])
  log_count = 0; go_failed = 3
  next
}
/^(=== | *--- (PASS|SKIP): )/ { go_failed = 0; if (!/^===/) log_count = 0 }
/^ +[a-z0-9_]+_test\.go:[0-9]+: / {
  sub(/^ +/, "")
  if (go_failed > 0) { go_failed--; say($0) } else logged[++log_count] = $0
  next
}
/^WARNING: DATA RACE$/ { say("data race"); next }
/^panic: test timed out / { say($0); next }
/^running tests:/ { listing = 1; next }
listing && /^\t+[A-Z][^ ]* \(/ { sub(/^\t+/, ""); say("still running: " $0); next }
/^(panic|fatal error): / { say($0) }
{ listing = 0 }

# This project's own
/^(FAILED|not ok) +/ { sub(/^(FAILED|not ok) +/, ""); say($0); next }
/^[^ ]+:[0-9]+: (not so|failed): / { say($0); next }
/^==[0-9]+== (Invalid |Conditional jump|Use of uninit|.*definitely lost in )/ { sub(/^==[0-9]+== /, "memcheck: "); say($0); next }

# tests/runner/stacks.sh
/^stack: / { stacks[++stack_count] = $0 }

END {
  for (name in running) say("still running: " name)
  for (number = 1; number <= stack_count; number++) say(stacks[number])
}
