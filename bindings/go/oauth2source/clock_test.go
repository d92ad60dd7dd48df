//go:build tu_token_test_clock

package oauth2source_test

import (
	"testing"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken/internal/testclock"
	"tutoken.example/tutoken/oauth2source"
)

func TestClientOfPackageOAuth2RenewsInTime(t *testing.T) {
	service, client := newService(t)
	wrapped := oauth2.NewClient(t.Context(), oauth2source.New(t.Context(), client))
	if header := service.seen(t, wrapped); header != "Bearer token-1" {
		t.Fatal(header)
	}
	// Past every soft point, before expiry: the next token is fetched in the background.
	testclock.Advance(1000 * time.Second)
	for from := time.Now(); service.seen(t, wrapped) != "Bearer token-2"; {
		if time.Since(from) > 10*time.Second {
			t.Fatal("it is not renewed")
		}
	}
	// As after a night in suspend.
	testclock.Advance(10 * time.Hour)
	if header := service.seen(t, wrapped); header != "Bearer token-3" {
		t.Fatal(header)
	}
	if made := service.requests.Load(); made != 3 {
		t.Fatal(made)
	}
}
