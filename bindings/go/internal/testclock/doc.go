// Package testclock turns the clock of a library that was built for tests (build tag
// tu_token_test_clock). An installed library has no such function.
package testclock
