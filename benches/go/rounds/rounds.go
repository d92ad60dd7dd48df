package rounds

import (
	"fmt"
	"log"
	"runtime"
	"slices"
	"sync"
	"time"
)

const rounds = 301

// A Way is one method of getting the current token.
type Way struct {
	Name string
	// Makes one call.
	Call func() error
	// Calls in a round: enough for a tenth of a millisecond.
	Calls int
	// Nanoseconds per call, for one goroutine and for two; the medians are shown.
	measured [2][]float64
}

// Measure runs all ways alternately, in many short rounds.
func Measure(ways []*Way) {
	for range rounds {
		for _, way := range ways {
			for goroutines := 1; goroutines <= 2; goroutines++ {
				way.measured[goroutines-1] = append(way.measured[goroutines-1], way.measure(goroutines)...)
			}
		}
	}
	for _, way := range ways {
		for at := range way.measured {
			Write("go", way.Name, float64(at+1), "ns", way.measured[at])
		}
	}
}

// measure returns the nanoseconds per call in each of this many concurrent goroutines.
func (w *Way) measure(goroutines int) []float64 {
	taken := make([]float64, goroutines)
	begin := make(chan struct{})
	var running sync.WaitGroup
	for at := range taken {
		running.Add(1)
		go func() {
			defer running.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			<-begin
			from := time.Now()
			for range w.Calls {
				if err := w.Call(); err != nil {
					log.Fatal(w.Name, ": ", err)
				}
			}
			taken[at] = float64(time.Since(from).Nanoseconds()) / float64(w.Calls)
		}()
	}
	close(begin)
	running.Wait()
	return taken
}

// Show prints the medians, and how they compare with the first way's.
func Show(ways []*Way, length int) {
	fmt.Printf("a token of %d bytes; ns per call (times that of %s)\n", length, ways[0].Name)
	fmt.Printf("%-30s %19s %19s\n", "", "1 goroutine", "2 goroutines")
	for _, way := range ways {
		fmt.Printf("%-30s", way.Name)
		for at := range way.measured {
			mine, peers := median(way.measured[at]), median(ways[0].measured[at])
			fmt.Printf(" %10.1f (%.2fx)", mine, mine/peers)
		}
		fmt.Println()
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
