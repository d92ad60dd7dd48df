package oauth2source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken"
	"tutoken.example/tutoken/oauth2source"
)

// The tests alone decide what the environment contains.
func TestMain(m *testing.M) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "TRACKUNIT_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// A service issues "token-1", "token-2" and so on, and answers API requests with their Authorization
// header.
type service struct {
	*httptest.Server
	requests atomic.Int64
	lifetime int
}

func newService(t *testing.T) (*service, *tutoken.Client) {
	s := &service{lifetime: 1200}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	client, err := tutoken.New(tutoken.Config{ClientID: "id", ClientSecret: "secret", Scope: "a", TokenURL: s.URL + "/token/v2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return s, client
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token/v2" {
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":%d,"access_token":"token-%d"}`, s.lifetime, s.requests.Add(1))
		return
	}
	w.Header().Set("Seen", r.Header.Get("Authorization"))
}

func (s *service) seen(t *testing.T, client *http.Client) string {
	t.Helper()
	response, err := client.Get(s.URL + "/api")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.Header.Get("Seen")
}

func TestTokenOfTheSource(t *testing.T) {
	service, client := newService(t)
	source := oauth2source.New(t.Context(), client)
	token, err := source.Token()
	if err != nil || token.AccessToken != "token-1" || token.Type() != "Bearer" || token.RefreshToken != "" {
		t.Fatal(err)
	}
	own, err := client.Token(t.Context())
	if err != nil || !token.Expiry.Equal(own.FreshUntil().Add(10*time.Second)) {
		t.Fatal(token.Expiry, own.FreshUntil(), err)
	}
	if made := service.requests.Load(); made != 1 {
		t.Fatal(made)
	}
}

func TestClientOfPackageOAuth2PicksUpAnInvalidation(t *testing.T) {
	service, client := newService(t)
	wrapped := oauth2.NewClient(t.Context(), oauth2source.New(t.Context(), client))
	for range 3 {
		if header := service.seen(t, wrapped); header != "Bearer token-1" {
			t.Fatal(header)
		}
	}
	client.InvalidateValue("token-1")
	if header := service.seen(t, wrapped); header != "Bearer token-2" {
		t.Fatal(header)
	}
	client.Close()
	_, err := wrapped.Get(service.URL)
	if !errors.Is(err, tutoken.ErrClosed) {
		t.Fatal(err)
	}
}

// A cache around the source that respects Expiry keeps a token as long as it is fresh.
func TestCacheAroundTheSource(t *testing.T) {
	_, client := newService(t)
	cache := oauth2.ReuseTokenSource(&oauth2.Token{}, oauth2source.New(t.Context(), client))
	first, err := cache.Token()
	if err != nil || !first.Valid() {
		t.Fatal(first.Expiry, err)
	}
	if again, err := cache.Token(); err != nil || again != first {
		t.Fatal(err)
	}
}

// Like a program that limits its start-up time.
func TestSourceOutlivesTheContextItWasMadeWith(t *testing.T) {
	service, client := newService(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	source := oauth2source.New(ctx, client)
	wrapped := oauth2.NewClient(context.Background(), source)
	cancel()
	token, err := source.Token()
	if err != nil || token.AccessToken != "token-1" {
		t.Fatal(err)
	}
	if header := service.seen(t, wrapped); header != "Bearer token-1" {
		t.Fatal(header)
	}
}

// With a context that never ends, and one that has already ended.
func TestCallsOfTheSourceEndWithTheTimeoutOfTheClient(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // so that the server sees it when the connection is closed
		<-r.Context().Done()
	}))
	defer silent.Close()
	defer silent.CloseClientConnections()
	client, err := tutoken.New(tutoken.Config{
		ClientID: "id", ClientSecret: "secret", Scope: "a", TokenURL: silent.URL, Timeout: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{context.Background(), ended} {
		if _, err := oauth2source.New(ctx, client).Token(); !errors.Is(err, tutoken.ErrTimeout) {
			t.Fatal(err)
		}
	}
}

func TestManyUsersOfOneSource(t *testing.T) {
	service, client := newService(t)
	source := oauth2source.New(t.Context(), client)
	var users sync.WaitGroup
	for range 16 {
		users.Add(1)
		go func() {
			defer users.Done()
			for range 100 {
				if _, err := source.Token(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	users.Wait()
	if made := service.requests.Load(); made != 1 {
		t.Fatal(made)
	}
}
