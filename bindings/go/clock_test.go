//go:build tu_token_test_clock

package tutoken_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"tutoken.example/tutoken"
	"tutoken.example/tutoken/internal/testclock"
)

// These tests advance the library's clock but not Go's clocks, as a suspend does.

func TestExpiredTokenIsNotReturned(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	mustToken(t, client)
	testclock.Advance(20 * time.Minute)
	if token := mustToken(t, client); token.Value != "token-2" || time.Until(token.Expiry) < 19*time.Minute {
		t.Fatal(token)
	}
	endpoint.shut()
	testclock.Advance(20 * time.Minute)
	_, err := client.TokenFor(t.Context(), "", tutoken.NoWait())
	expectError(t, err, tutoken.ErrPending)
}

func TestRenewalInTheBackground(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	// Past every soft point and before the hard one.
	testclock.Advance(1000 * time.Second)
	endpoint.shut()
	for range 3 {
		if mustToken(t, client) != first {
			t.Fatal("the token is still good")
		}
	}
	endpoint.awaitRequests(t, 2)
	if mustToken(t, client) != first {
		t.Fatal("the token is still good")
	}
	endpoint.open()
	eventually(t, "the next token", func() bool { return mustToken(t, client).Value == "token-2" })
	endpoint.expectRequests(t, 2)
}

func TestDeadlineStillReturnsAValidToken(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	// Into the last seconds, when callers wait for the next token.
	testclock.Advance(1180 * time.Second)
	endpoint.shut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	token, err := client.Token(ctx)
	if err != nil || token != first {
		t.Fatal(token, err)
	}
	if ctx.Err() == nil {
		t.Fatal("it did not wait")
	}
	cancelled, cancelNow := context.WithCancel(t.Context())
	results := start(1, func() error {
		_, err := client.Token(cancelled)
		return err
	})
	eventually(t, "it waits", func() bool {
		stats, err := client.Stats()
		return err == nil && stats.Waits == 3
	})
	cancelNow()
	expectError(t, within(t, results), tutoken.ErrCancelled)
}

func TestMinTTLOfAnOldToken(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	testclock.Advance(400 * time.Second)
	token, err := client.TokenFor(t.Context(), "", tutoken.MinTTL(13*time.Minute))
	if err != nil || token != first {
		t.Fatal(token, err)
	}
	endpoint.expectRequests(t, 1)
	token, err = client.TokenFor(t.Context(), "", tutoken.MinTTL(14*time.Minute))
	if err != nil || token.Value != "token-2" {
		t.Fatal(token, err)
	}
	if token := mustToken(t, client); token == first || token.Value != "token-2" {
		t.Fatal(token.Value)
	}
	endpoint.expectRequests(t, 2)
}

func TestWaitAlsoEndsByTheLibrarysClock(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	results := start(1, func() error {
		_, err := client.Token(ctx)
		return err
	})
	endpoint.awaitRequests(t, 1)
	testclock.Advance(2 * time.Hour)
	// The clock was advanced while a thread sleeps; this wakes it.
	client.Wake()
	err := within(t, results)
	expectError(t, err, tutoken.ErrTimeout, context.DeadlineExceeded)
}

func TestKeepWarmProbesTheProxyOnceInHalfAnHour(t *testing.T) {
	proxy := newProxy(t, http.StatusProxyAuthRequired)
	config := proxy.config("warm:hush@")
	config.KeepWarm = true
	clients := []*tutoken.Client{newClient(t, config), newClient(t, config), newClient(t, config)}
	for logins := int64(1); logins <= 3; logins++ {
		eventually(t, fmt.Sprintf("login %d", logins), func() bool { return proxy.logins.Load() >= logins })
		for _, client := range clients {
			eventually(t, "it knows of the refusal", func() bool {
				_, err := client.Token(t.Context())
				failure, ok := err.(*tutoken.Error)
				return ok && failure.RetryAfter > 29*time.Minute
			})
		}
		// A minute short of half an hour, in steps: it checks each minute, and does not log in.
		for minute := range 29 {
			testclock.Advance(time.Minute)
			_, err := clients[minute%len(clients)].Token(t.Context())
			expectError(t, err, tutoken.ErrProxy)
		}
		if made := proxy.logins.Load(); made != logins {
			t.Fatalf("%d logins, not %d", made, logins)
		}
		testclock.Advance(2 * time.Minute)
	}
}
