package tutoken_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

// start runs a function concurrently in this many goroutines.
func start(number int, call func() error) <-chan error {
	results := make(chan error, number)
	for range number {
		go func() { results <- call() }()
	}
	return results
}

func within(t *testing.T, results <-chan error) error {
	t.Helper()
	select {
	case err := <-results:
		return err
	case <-time.After(patience):
		t.Fatal("a call does not return")
		return nil
	}
}

// threads returns the number of threads of this process.
func threads(t *testing.T) (count int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("threads cannot be counted here")
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Threads: %d", &count)
	}
	return count
}

func TestManyGoroutinesOneRequestNoThreads(t *testing.T) {
	const number = 10_000
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	results := start(number, func() error {
		token, err := client.Token(context.Background())
		if err == nil && token.Value != "token-1" {
			err = fmt.Errorf("got %q", token.Value)
		}
		return err
	})
	eventually(t, "all wait", func() bool {
		stats, err := client.Stats()
		return err == nil && stats.Waits == number
	})
	// A few dozen: those of Go that contended for a lock, and the library's.
	if count := threads(t); count > number/10 {
		t.Errorf("%d threads", count)
	}
	endpoint.open()
	for range number {
		if err := within(t, results); err != nil {
			t.Fatal(err)
		}
	}
	endpoint.expectRequests(t, 1)
}

func TestGoroutinesShareTheirToken(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	var mu sync.Mutex
	seen := map[*tutoken.Token]bool{}
	results := start(64, func() error {
		token, err := client.Token(context.Background())
		mu.Lock()
		defer mu.Unlock()
		seen[token] = true
		return err
	})
	endpoint.awaitRequests(t, 1)
	endpoint.open()
	for range 64 {
		if err := within(t, results); err != nil {
			t.Fatal(err)
		}
	}
	endpoint.expectRequests(t, 1)
	if len(seen) != 1 {
		t.Fatalf("%d copies of one token", len(seen))
	}
}

func TestCancelledContextEndsTheWaitAndNotTheFetch(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	reason := errors.New("on purpose")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancelled := start(1, func() error {
		_, err := client.Token(ctx)
		return err
	})
	other := start(1, func() error {
		_, err := client.Token(context.Background())
		return err
	})
	endpoint.awaitRequests(t, 1)
	cancel(reason)
	err := within(t, cancelled)
	expectError(t, err, tutoken.ErrCancelled, context.Canceled, reason)
	if errors.Is(err, tutoken.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	endpoint.open()
	if err := within(t, other); err != nil {
		t.Fatal(err)
	}
	endpoint.expectRequests(t, 1)
}

func TestDeadlineEndsTheWait(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Token(ctx)
	expectError(t, err, tutoken.ErrTimeout, context.DeadlineExceeded)
	var failure *tutoken.Error
	if !errors.As(err, &failure) || !failure.Timeout() || !failure.Retryable {
		t.Fatalf("%+v", failure)
	}
}

func TestClientsTimeoutEndsTheWait(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	config := endpoint.config()
	config.Timeout = 20 * time.Millisecond
	_, err := newClient(t, config).Token(t.Context())
	expectError(t, err, tutoken.ErrTimeout, context.DeadlineExceeded)
	config.Timeout = tutoken.NeverWait
	client := newClient(t, config)
	_, err = client.Token(t.Context())
	expectError(t, err, tutoken.ErrPending)
	// A deadline replaces it.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	endpoint.open()
	if _, err = client.Token(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestContextThatHasEndedBefore(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	for _, warm := range []bool{false, true} {
		if warm {
			mustToken(t, client)
		}
		_, err := client.Token(cancelled)
		expectError(t, err, tutoken.ErrCancelled, context.Canceled)
		_, err = client.TokenFor(late, "site.view")
		expectError(t, err, tutoken.ErrTimeout, context.DeadlineExceeded)
	}
	endpoint.expectRequests(t, 1)
}

// resident returns the memory of this process in bytes.
func resident(t *testing.T) (bytes int) {
	t.Helper()
	var size, pages int
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("memory cannot be counted here")
	}
	fmt.Sscan(string(text), &size, &pages)
	return pages * os.Getpagesize()
}

func TestEndedWaitsLeaveNothing(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	waits := uint64(0)
	round := func(number int) {
		waits += uint64(number)
		ctx, cancel := context.WithCancel(context.Background())
		results := start(number, func() error {
			_, err := client.Token(ctx)
			return err
		})
		eventually(t, "all wait", func() bool {
			stats, err := client.Stats()
			return err == nil && stats.Waits == waits
		})
		cancel()
		for range number {
			expectError(t, within(t, results), tutoken.ErrCancelled)
		}
	}
	measured := func() (heap, beside int) {
		for range 60 {
			round(500)
		}
		debug.FreeOSMemory()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return int(memory.HeapAlloc), resident(t) - int(memory.Sys-memory.HeapReleased)
	}
	// The first rounds determine how much memory is needed.
	lastHeap, lastBeside := measured()
	goroutines := runtime.NumGoroutine()
	leastHeap, leastBeside := math.MaxInt, math.MaxInt
	for range 4 {
		heap, beside := measured()
		// On a busy machine more may be needed at times. A leak would grow each time.
		leastHeap, lastHeap = min(leastHeap, heap-lastHeap), heap
		leastBeside, lastBeside = min(leastBeside, beside-lastBeside), beside
	}
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	// With 30,000 waits, 60 bytes for each would be noticed.
	if leastHeap > 7<<18 {
		t.Errorf("%d bytes more in Go's memory", leastHeap)
	}
	// And 70 bytes for each here. (The race detector keeps something for every goroutine.)
	if leastBeside > 2<<20 && !raceDetector {
		t.Errorf("%d bytes more in C's memory", leastBeside)
	}
}

func TestEverythingAtOnceWhileClosing(t *testing.T) {
	for range 50 {
		endpoint := newEndpoint(t)
		client := newClient(t, endpoint.config())
		mustToken(t, client)
		begin := make(chan struct{})
		results := start(8, func() error {
			<-begin
			for {
				token, err := client.Token(context.Background())
				if err != nil {
					return err
				}
				client.TokenFor(context.Background(), "site.view", tutoken.NoWait())
				client.MaySendTo("https://iris.trackunit.com")
				client.Stats()
				client.Wake()
				client.InvalidateValue(token.Value + "x")
			}
		})
		close(begin)
		client.Close()
		runtime.GC()
		for range 8 {
			expectError(t, within(t, results), tutoken.ErrClosed)
		}
	}
}

func TestMostDistantDeadline(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	ctx, cancel := context.WithTimeout(t.Context(), math.MaxInt64)
	defer cancel()
	endpoint.shut()
	results := start(1, func() error {
		_, err := client.Token(ctx)
		return err
	})
	endpoint.awaitRequests(t, 1)
	select {
	case err := <-results:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond): // the wait that must not end after one
	}
	endpoint.open()
	if err := within(t, results); err != nil {
		t.Fatal(err)
	}
}
