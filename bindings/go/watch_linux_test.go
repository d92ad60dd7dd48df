package tutoken_test

import (
	"io"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"tutoken.example/tutoken"
)

// bootNanos reads the same clock by a system call.
func bootNanos() uint64 {
	const boottime = 7
	var now syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, boottime, uintptr(unsafe.Pointer(&now)), 0); err != 0 {
		panic(err)
	}
	return uint64(now.Nano())
}

// With stacks that grow and shrink, collections, and signals of a profiler.
func TestBootClock(t *testing.T) {
	needWatch(t)
	client := newClient(t, newEndpoint(t).config())
	hitsWithoutCall(t, client)
	if pprof.StartCPUProfile(io.Discard) == nil { // An error: go test is writing a profile.
		defer pprof.StopCPUProfile()
	}
	var running sync.WaitGroup
	for range 2000 {
		running.Add(1)
		go func() {
			defer running.Done()
			for depth := range 20 {
				before := bootNanos()
				seen := nanosAt(client, depth)
				// Processors' counters may differ a little.
				const skew = 1_000_000
				if after := bootNanos(); seen+skew < before || seen > after+skew {
					t.Errorf("%d is not between %d and %d", seen, before, after)
				}
				runtime.Gosched()
			}
		}()
	}
	for range 5 {
		runtime.GC()
	}
	running.Wait()
}

// nanosAt reads the clock with more or less of the stack in use.
func nanosAt(client *tutoken.Client, depth int) uint64 {
	var used [200]byte
	if depth > 0 {
		return nanosAt(client, depth-1) + uint64(used[depth])
	}
	return tutoken.BootNanos(client)
}
