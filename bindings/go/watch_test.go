package tutoken_test

import (
	"runtime"
	"testing"

	"tutoken.example/tutoken"
)

func needWatch(t *testing.T) {
	t.Helper()
	if tutoken.CanWatch() {
		return
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		t.Error("the kernel's clock was not found")
	}
	t.SkipNow()
}

// hitsWithoutCall makes two calls, which return the same token, and checks that another one would need no call
// of C.
func hitsWithoutCall(t *testing.T, client *tutoken.Client) *tutoken.Token {
	t.Helper()
	token := mustToken(t, client)
	if mustToken(t, client) != token || !tutoken.HitNeedsNoCall(client) || mustToken(t, client) != token {
		t.Fatal("a hit still calls C, or returns another token")
	}
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
	if !tutoken.HitNeedsNoCall(client) {
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
	mustToken(t, client)
	if !tutoken.HitNeedsNoCall(client) {
		t.Error("the use was not noted")
	}
}
