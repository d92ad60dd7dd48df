package tutoken_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

func TestHitIsTheSameToken(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	for range 1000 {
		if mustToken(t, client) != first {
			t.Fatal("another token")
		}
	}
	if again, err := client.TokenFor(t.Context(), ""); err != nil || again != first {
		t.Fatal(again, err)
	}
	endpoint.expectRequests(t, 1)
}

func TestHitAllocatesNothing(t *testing.T) {
	client := newClient(t, newEndpoint(t).config())
	ctx := context.Background()
	mustToken(t, client)
	if _, err := client.TokenFor(ctx, "site.view"); err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(1000, func() {
		client.Token(ctx)
		client.TokenFor(ctx, "site.view")
	})
	if allocations != 0 {
		t.Fatalf("%v allocations", allocations)
	}
}

func TestHitWithMinTTLAllocatesOnlyItsOption(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	ctx := context.Background()
	first := mustToken(t, client)
	if token, err := client.TokenFor(ctx, "", tutoken.MinTTL(time.Minute)); err != nil || token != first {
		t.Fatal(token, err)
	}
	// The function returned by MinTTL and the variable it writes to: nothing is allocated in C.
	allocations := testing.AllocsPerRun(1000, func() {
		client.TokenFor(ctx, "", tutoken.MinTTL(time.Minute))
	})
	if allocations > 2 {
		t.Fatalf("%v allocations", allocations)
	}
	// A token that is too short-lived for MinTTL but young is kept, too.
	token, err := client.TokenFor(ctx, "", tutoken.MinTTL(time.Hour))
	if err != nil || token != first {
		t.Fatal(token, err)
	}
	endpoint.expectRequests(t, 1)
}

func TestScopesHaveTheirOwnTokens(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	own := mustToken(t, client)
	site, err := client.TokenFor(t.Context(), "site.view")
	if err != nil || site.Value == own.Value || site.Scope != "site.view" {
		t.Fatal(site, err)
	}
	two, err := client.TokenFor(t.Context(), "b a")
	if err != nil {
		t.Fatal(err)
	}
	same, err := client.TokenFor(t.Context(), "a  b a")
	if err != nil || same.Value != two.Value {
		t.Fatal(same, err)
	}
	again, err := client.TokenFor(t.Context(), "site.view")
	if err != nil || again != site {
		t.Fatal(again, err)
	}
	endpoint.expectRequests(t, 3)
}

func TestMoreSpellingsThanAreCached(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	for blanks := range 1500 {
		scope := "a" + strings.Repeat(" ", blanks) + " b"
		for range 2 {
			if token, err := client.TokenFor(t.Context(), scope); err != nil || token.Value != "token-1" {
				t.Fatal(token, err)
			}
		}
	}
	endpoint.expectRequests(t, 1)
}

func TestArgumentsThatCannotBeUsed(t *testing.T) {
	client := newClient(t, newEndpoint(t).config())
	ctx := t.Context()
	asked := func(ctx context.Context, scope string, options ...tutoken.Option) error {
		_, err := client.TokenFor(ctx, scope, options...)
		return err
	}
	stats := func(scope string) error {
		_, err := client.StatsFor(scope)
		return err
	}
	var none context.Context
	for what, err := range map[string]error{
		"nil context":       asked(none, "a"),
		"NUL in a scope":    asked(ctx, "a\x00b"),
		"NUL, for stats":    stats("a\x00b"),
		"bad UTF-8":         asked(ctx, "\xff"),
		"blank scope":       asked(ctx, "  "),
		"quotes in a scope": asked(ctx, `a"b`),
		"huge scope":        asked(ctx, strings.Repeat("s", 1<<20)),
		"negative time":     asked(ctx, "a", tutoken.MinTTL(-time.Second)),
		"rotate to NUL":     client.Rotate("id", "a\x00b"),
		"rotate to nothing": client.Rotate("", ""),
		"rotate, bad UTF-8": client.Rotate("id", "\xff"),
		"id with a NUL":     client.Rotate("\x00", "secret"),
		"id with a newline": client.Rotate("i\nd", "secret"),
	} {
		if !errors.Is(err, tutoken.ErrInvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := asked(ctx, "a", nil); err != nil {
		t.Error(err)
	}
}

func TestNoWait(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	_, err := client.TokenFor(t.Context(), "", tutoken.NoWait())
	expectError(t, err, tutoken.ErrPending)
	var failure *tutoken.Error
	if !errors.As(err, &failure) || !failure.Retryable || failure.Status != tutoken.StatusPending {
		t.Fatalf("%+v", failure)
	}
	endpoint.open()
	mustToken(t, client)
	if _, err := client.TokenFor(t.Context(), "", tutoken.NoWait()); err != nil {
		t.Fatal(err)
	}
	endpoint.expectRequests(t, 1)
}

func TestMinTTL(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	for _, ttl := range []time.Duration{1, time.Minute, 19 * time.Minute} {
		if token, err := client.TokenFor(t.Context(), "", tutoken.MinTTL(ttl)); err != nil || token != first {
			t.Fatal(ttl, token, err)
		}
	}
	// More than its life. The token is young, so no better one is available.
	token, err := client.TokenFor(t.Context(), "", tutoken.MinTTL(time.Hour))
	if err != nil || token != first {
		t.Fatal(token, err)
	}
	endpoint.expectRequests(t, 1)
	if _, err := client.TokenFor(t.Context(), "", tutoken.MinTTL(-time.Second)); !errors.Is(err, tutoken.ErrInvalidArgument) {
		t.Fatalf("a negative time is taken while a token is at hand: %v", err)
	}
}

func TestInvalidate(t *testing.T) {
	endpoint := newEndpoint(t)
	client := newClient(t, endpoint.config())
	first := mustToken(t, client)
	client.Invalidate(nil)
	client.Invalidate(&tutoken.Token{Value: "of another client"})
	client.InvalidateValue("token-1\x00")
	client.InvalidateValue("")
	if mustToken(t, client) != first {
		t.Fatal("nothing was to be invalidated")
	}
	client.Invalidate(first)
	second := mustToken(t, client)
	if second.Value != "token-2" {
		t.Fatal(second.Value)
	}
	client.Invalidate(first)
	if mustToken(t, client) != second {
		t.Fatal("the newer token was to stay")
	}
	client.InvalidateValue("bearer token-2")
	if value := mustToken(t, client).Value; value != "token-3" {
		t.Fatal(value)
	}
	endpoint.expectRequests(t, 3)
}

func TestRotate(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.refuses(401, "invalid_client")
	client := newClient(t, endpoint.config())
	_, err := client.Token(t.Context())
	expectError(t, err, tutoken.ErrInvalidClient)
	var failure *tutoken.Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	if failure.OAuthCode != "invalid_client" || failure.HTTPStatus != 401 || failure.Retryable || failure.RetryAfter <= 0 {
		t.Fatalf("%+v", failure)
	}
	endpoint.answers(nil)
	if err := client.Rotate("id", "another"); err != nil {
		t.Fatal(err)
	}
	mustToken(t, client)
	endpoint.expectRequests(t, 2)
}

func TestStats(t *testing.T) {
	client := newClient(t, newEndpoint(t).config())
	before, err := client.Stats()
	if err != nil || before.State != tutoken.StateEmpty {
		t.Fatal(before, err)
	}
	mustToken(t, client)
	after, err := client.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if after.State != tutoken.StateFresh || after.Requests != 1 || after.Waits != 1 || after.ExpiresIn < 1100*time.Second {
		t.Fatalf("%+v", after)
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	for _, expected := range []struct {
		status int
		code   string
		err    error
	}{
		{400, "invalid_scope", tutoken.ErrInvalidScope},
		{400, "unsupported_grant_type", tutoken.ErrOAuth},
		{429, "", tutoken.ErrRateLimited},
		{204, "", tutoken.ErrBadResponse},
	} {
		endpoint := newEndpoint(t)
		endpoint.refuses(expected.status, expected.code)
		client := newClient(t, endpoint.config())
		_, err := client.Token(t.Context())
		expectError(t, err, expected.err)
		if strings.Contains(err.Error(), "s3cret") {
			t.Fatal("the secret is shown")
		}
	}
}

func TestCloseEndsWaits(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.shut()
	client := newClient(t, endpoint.config())
	results := start(100, func() error {
		_, err := client.Token(context.Background())
		return err
	})
	eventually(t, "all wait", func() bool {
		stats, err := client.Stats()
		return err == nil && stats.Waits == 100
	})
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		expectError(t, within(t, results), tutoken.ErrClosed)
	}
}

func TestClosedClient(t *testing.T) {
	client := newClient(t, newEndpoint(t).config())
	token := mustToken(t, client)
	client.Close()
	client.Close()
	_, err := client.Token(t.Context())
	expectError(t, err, tutoken.ErrClosed)
	_, err = client.TokenFor(t.Context(), "site.view")
	expectError(t, err, tutoken.ErrClosed)
	_, err = client.Stats()
	expectError(t, err, tutoken.ErrClosed)
	expectError(t, client.Rotate("id", "secret"), tutoken.ErrClosed)
	client.Invalidate(token)
	client.Wake()
	client.APIRefused("https://iris.trackunit.com")
	// MaySendTo still works; Token returns the error.
	if !client.MaySendTo("https://iris.trackunit.com/x") || client.MaySendTo("https://evil.example/") {
		t.Fatal("closing a client changes where its token may go")
	}
}

func TestZeroClient(t *testing.T) {
	var client tutoken.Client
	_, err := client.Token(t.Context())
	expectError(t, err, tutoken.ErrClosed)
	_, err = client.TokenFor(t.Context(), "a", tutoken.MinTTL(time.Second))
	expectError(t, err, tutoken.ErrClosed)
	_, err = client.Stats()
	expectError(t, err, tutoken.ErrClosed)
	client.Wake()
	client.Close()
	if client.MaySendTo("http://127.0.0.1/") {
		t.Fatal("it has no token to send")
	}
}

// collects reports whether a goroutine of the package is waiting for messages from the library.
func collects() bool {
	stacks := make([]byte, 1<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "tutoken.collect(")
}

func TestClosedClientLeavesNoGoroutine(t *testing.T) {
	// Not only after a garbage collection.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	endpoint := newEndpoint(t)
	config := withCredentials(endpoint, func(context.Context, bool) (string, string, error) { return "id", "secret", nil })
	config.OnEvent = func(tutoken.Event) {}
	with, without := newClient(t, config), newClient(t, endpoint.config())
	mustToken(t, with)
	if !collects() {
		t.Fatal("nobody waits for events")
	}
	endpoint.shut()
	ctx, cancel := context.WithCancel(t.Context())
	results := start(1, func() error {
		_, err := without.Token(ctx)
		return err
	})
	endpoint.awaitRequests(t, 2)
	with.Close()
	cancel()
	expectError(t, within(t, results), tutoken.ErrCancelled)
	eventually(t, "the goroutine ends", func() bool { return !collects() })
	endpoint.open()
	mustToken(t, without)
	eventually(t, "it ends once more", func() bool { return !collects() })
}

func TestCloseReleasesCallbacks(t *testing.T) {
	var gone atomic.Bool
	func() {
		value := tracked(&gone)
		config := newEndpoint(t).config()
		var client *tutoken.Client
		// A callback that refers to its own client.
		config.OnEvent = func(tutoken.Event) { fmt.Fprint(nowhere{}, value, client.String()) }
		client, err := tutoken.New(config)
		if err != nil {
			t.Fatal(err)
		}
		mustToken(t, client)
		client.Close()
	}()
	awaitGarbage(t, "a closed client's callback", &gone)
}

type nowhere struct{}

func (nowhere) Write(text []byte) (int, error) { return len(text), nil }

func TestForgottenClientIsReleased(t *testing.T) {
	var gone atomic.Bool
	func() {
		value := tracked(&gone)
		config := newEndpoint(t).config()
		config.OnEvent = func(tutoken.Event) { fmt.Fprint(nowhere{}, value) }
		client, err := tutoken.New(config)
		if err != nil {
			t.Fatal(err)
		}
		mustToken(t, client)
	}()
	awaitGarbage(t, "a forgotten client's callback", &gone)
}

func TestClientThatCannotBeMadeReleasesCallbacks(t *testing.T) {
	var gone atomic.Bool
	func() {
		value := tracked(&gone)
		_, err := tutoken.New(tutoken.Config{
			TokenURL:    "http://somewhere.example/token",
			Scope:       "a",
			Credentials: func(context.Context, bool) (string, string, error) { return fmt.Sprint(value), "", nil },
		})
		expectError(t, err, tutoken.ErrConfig)
	}()
	awaitGarbage(t, "the callback", &gone)
}
