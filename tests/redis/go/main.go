// Fleet gets tokens all the time, as tests/integration/crowd.rs describes.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"tutoken.example/tutoken"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	seconds, err := strconv.Atoi(os.Getenv("FLEET_SECONDS"))
	if err != nil {
		return err
	}
	client, err := tutoken.New(tutoken.Config{})
	if err != nil {
		return err
	}
	defer client.Close()
	var gets, failed, expired int
	var slowest time.Duration
	last := ""
	for end := time.Now().Add(time.Duration(seconds) * time.Second); ; time.Sleep(50 * time.Millisecond) {
		begun := time.Now()
		token, err := client.Token(context.Background())
		slowest = max(slowest, time.Since(begun))
		gets++
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed++
		} else {
			if !token.Expiry.After(begun) {
				expired++
			}
			if token.Value != last {
				last = token.Value
				fmt.Println("token", last)
			}
		}
		if !time.Now().Before(end) {
			break
		}
	}
	stats, err := client.Stats()
	if err != nil {
		return err
	}
	fmt.Println("result", gets, failed, expired, slowest.Milliseconds(), stats.Requests)
	return nil
}
