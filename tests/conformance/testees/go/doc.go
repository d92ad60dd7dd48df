//go:build !tu_token_test_clock

package main

import "log"

func main() {
	log.Fatal("the testee needs a library with the test clock: build with -tags tu_token_test_clock")
}
