// Package testclock advances the clock of a library built for tests (build tag tu_token_test_clock). An
// installed library does not export that function.
package testclock
