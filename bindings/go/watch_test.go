package tutoken_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"tutoken.example/tutoken"
)

// needWatch skips the test where every hit is a call of C.
func needWatch(t *testing.T) {
	t.Helper()
	client := newClient(t, newEndpoint(t).config())
	mustToken(t, client)
	mustToken(t, client)
	if tutoken.Watches(client) {
		return
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		t.Error("the kernel's clock was not found")
	}
	t.SkipNow()
}

// hitsWithoutCall makes calls, which return the same token, until another one would need no call of C.
func hitsWithoutCall(t *testing.T, client *tutoken.Client) *tutoken.Token {
	t.Helper()
	token := mustToken(t, client)
	eventually(t, "a hit without a call", func() bool {
		if mustToken(t, client) != token {
			t.Fatal("another token")
		}
		return tutoken.HitNeedsNoCall(client)
	})
	return token
}

func TestHitsCallCOnlyOnceForEachToken(t *testing.T) {
	needWatch(t)
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	if tutoken.HitNeedsNoCall(client) {
		t.Error("C has not yet been asked whether the token is current")
	}
	hitsWithoutCall(t, client)
	client.Invalidate(first)
	if tutoken.HitNeedsNoCall(client) {
		t.Fatal("the token is invalid")
	}
	second := hitsWithoutCall(t, client)
	if second == first {
		t.Fatal("the token is invalid")
	}
	client.Invalidate(first) // An old one: nothing happens.
	if hitsWithoutCall(t, client) != second {
		t.Error("another token was invalidated")
	}
	client.Close()
	if tutoken.HitNeedsNoCall(client) {
		t.Error("the client is closed")
	}
	if _, err := client.Token(t.Context()); err == nil {
		t.Error("the client is closed")
	}
	endpoint.expectRequests(t, 2)
}

func TestUseOfATokenIsNoted(t *testing.T) {
	needWatch(t)
	client := newClient(t, newEndpoint(t).config())
	hitsWithoutCall(t, client)
	tutoken.MarkNotAsked(client)
	if tutoken.HitNeedsNoCall(client) {
		t.Error("the library would not learn of the use")
	}
	hitsWithoutCall(t, client)
}

// With many scopes at once, because a scope's next request is sent a second later.
func TestInvalidatedTokenIsReturnedToNoGoroutine(t *testing.T) {
	client := newClient(t, newEndpoint(t).config())
	var invalid [20]atomic.Pointer[tutoken.Token]
	var done atomic.Bool
	var running sync.WaitGroup
	get := func(at int) *tutoken.Token {
		before := invalid[at].Load()
		token, err := client.TokenFor(context.Background(), fmt.Sprintf("scope.%d", at))
		if err != nil || token == before {
			t.Error("an invalidated token or an error was returned:", err)
		}
		return token
	}
	for at := range invalid {
		running.Add(1)
		go func() {
			defer running.Done()
			for !done.Load() && !t.Failed() {
				get(at)
			}
		}()
	}
	for at := range invalid {
		token := get(at)
		for range 100 {
			get(at)
		}
		client.Invalidate(token)
		invalid[at].Store(token)
	}
	for at := range invalid {
		get(at)
	}
	done.Store(true)
	running.Wait()
}
