# Prints the failed tests in a step's log, and those that were still running: one line each, without repetition.
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
/process didn't exit successfully: .*\(signal: / { sub(/.*successfully: /, ""); sub(/.*\/deps\//, ""); say("died: " $0); next }

# rustc and cargo
/^error(\[E[0-9]+\])?: / && !/^error: (test failed|[0-9]+ targets? failed|could not compile|doctest failed)/ { say($0); next }

# pytest
/^(FAILED|ERROR) [^ ]+::/ { sub(/^(FAILED|ERROR) /, ""); say($0); next }

# go test
/^ *--- FAIL: / { sub(/^ *--- FAIL: /, ""); sub(/ \([0-9.]+s\)$/, ""); say($0); next }
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
