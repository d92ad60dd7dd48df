// Bench measures the cost of a cache hit in Go, compared with the cache of golang.org/x/oauth2.
package main

import (
	"context"
	"fmt"
	"log"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken"
)

const (
	rounds = 301
	calls  = 2_000
)

// A way is one method of getting the current token.
type way struct {
	name string
	// Makes this many calls.
	run func(calls int)
	// Nanoseconds per call, for one goroutine and for two; the medians are shown.
	measured [2][]float64
}

func main() {
	ctx := context.Background()
	client, err := tutoken.New(tutoken.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	token, err := client.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	peer := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: token.Value, Expiry: token.Expiry}, nil)
	limited, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	ways := []*way{
		peerTokens(peer),
		tokens("tutoken: Token", client, ctx),
		tokens("the same with a deadline", client, limited),
		scopedTokens(client, ctx, token.Scope),
	}
	for range rounds {
		for _, way := range ways {
			for goroutines := 1; goroutines <= 2; goroutines++ {
				way.measured[goroutines-1] = append(way.measured[goroutines-1], way.measure(goroutines)...)
			}
		}
	}
	show(ways, len(token.Value))
}

func peerTokens(source oauth2.TokenSource) *way {
	return &way{name: "x/oauth2: ReuseTokenSource", run: func(calls int) {
		for range calls {
			if _, err := source.Token(); err != nil {
				log.Fatal(err)
			}
		}
	}}
}

func tokens(name string, client *tutoken.Client, ctx context.Context) *way {
	return &way{name: name, run: func(calls int) {
		for range calls {
			if _, err := client.Token(ctx); err != nil {
				log.Fatal(err)
			}
		}
	}}
}

func scopedTokens(client *tutoken.Client, ctx context.Context, scope string) *way {
	return &way{name: "tutoken: TokenFor a scope", run: func(calls int) {
		for range calls {
			if _, err := client.TokenFor(ctx, scope); err != nil {
				log.Fatal(err)
			}
		}
	}}
}

// measure returns the nanoseconds per call in each of this many concurrent goroutines.
func (w *way) measure(goroutines int) []float64 {
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
			w.run(calls)
			taken[at] = float64(time.Since(from).Nanoseconds()) / calls
		}()
	}
	close(begin)
	running.Wait()
	return taken
}

func show(ways []*way, length int) {
	fmt.Printf("a token of %d bytes; ns per call (times that of x/oauth2)\n", length)
	fmt.Printf("%-30s %19s %19s\n", "", "1 goroutine", "2 goroutines")
	for _, way := range ways {
		fmt.Printf("%-30s", way.name)
		for at := range way.measured {
			samples("go", way.name, float64(at+1), "ns", way.measured[at])
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
