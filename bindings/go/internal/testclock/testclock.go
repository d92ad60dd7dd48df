//go:build tu_token_test_clock

package testclock

// #cgo CFLAGS: -DTU_TEST_CLOCK
// #cgo pkg-config: tu_token
// #include <tu_token.h>
import "C"

import "time"

// Advance moves the library's clock forward.
func Advance(by time.Duration) {
	C.tu_test_advance_ms(C.int64_t(by / time.Millisecond))
}
