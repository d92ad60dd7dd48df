package tutoken_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

// patience limits the time of things that should happen at once.
const patience = 30 * time.Second

// The tests alone decide what the environment contains.
func TestMain(m *testing.M) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "TRACKUNIT_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// An endpoint is a token endpoint that issues "token-1", "token-2" and so on.
type endpoint struct {
	*httptest.Server
	requests atomic.Int64

	mu     sync.Mutex
	answer http.HandlerFunc
	gate   chan struct{}
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(e)
	t.Cleanup(func() {
		e.open()
		e.Server.Close()
	})
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number := e.requests.Add(1)
	e.mu.Lock()
	answer, gate := e.answer, e.gate
	e.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":1200,"access_token":"token-%d","scope":%q}`,
		number, r.FormValue("scope"))
}

// shut makes requests wait until open is called.
func (e *endpoint) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gate = make(chan struct{})
}

func (e *endpoint) open() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gate != nil {
		close(e.gate)
		e.gate = nil
	}
}

// answers sets how requests are answered; nil means with tokens.
func (e *endpoint) answers(answer http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = answer
}

func (e *endpoint) refuses(status int, code string) {
	e.answers(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q}`, code)
	})
}

// config gives a fetch more time than what a busy machine may take: no attempt ends by it.
func (e *endpoint) config() tutoken.Config {
	return tutoken.Config{
		ClientID: "id", ClientSecret: "s3cret", Scope: "asset.view", TokenURL: e.URL + "/token/v2",
		FetchTimeout: 2 * patience, RequestTimeout: 2 * patience, ConnectTimeout: 2 * patience,
	}
}

func (e *endpoint) expectRequests(t *testing.T, number int64) {
	t.Helper()
	if made := e.requests.Load(); made != number {
		t.Fatalf("%d token requests, not %d", made, number)
	}
}

// awaitRequests waits until this many requests have arrived.
func (e *endpoint) awaitRequests(t *testing.T, number int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("request %d arrives", number), func() bool { return e.requests.Load() >= number })
}

func newClient(t *testing.T, config tutoken.Config) *tutoken.Client {
	t.Helper()
	client, err := tutoken.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func mustToken(t *testing.T, client *tutoken.Client) *tutoken.Token {
	t.Helper()
	token, err := client.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for from := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(from) > patience {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}

func expectError(t *testing.T, err error, wanted ...error) {
	t.Helper()
	for _, target := range wanted {
		if !errors.Is(err, target) {
			t.Fatalf("%v (%T) is not %v", err, err, target)
		}
	}
}

// tracked returns a value and calls gone once it is garbage.
func tracked(gone *atomic.Bool) *[64]byte {
	value := new([64]byte)
	runtime.AddCleanup(value, func(gone *atomic.Bool) { gone.Store(true) }, gone)
	return value
}

func awaitGarbage(t *testing.T, what string, gone *atomic.Bool) {
	t.Helper()
	eventually(t, what+" is released", func() bool {
		runtime.GC()
		return gone.Load()
	})
}
