package tutoken_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tutoken.example/tutoken"
)

// withCredentials returns a configuration whose credentials come from a function.
func withCredentials(e *endpoint, give func(context.Context, bool) (string, string, error)) tutoken.Config {
	config := e.config()
	config.ClientID, config.ClientSecret, config.Credentials = "", "", give
	return config
}

func TestCredentialsAreSent(t *testing.T) {
	endpoint := newEndpoint(t)
	var mu sync.Mutex
	var asked []bool
	config := withCredentials(endpoint, func(ctx context.Context, refused bool) (string, string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, refused)
		return "id", fmt.Sprintf("secret %d", len(asked)), nil
	})
	endpoint.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != "secret 2" {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprint(w, `{"token_type":"Bearer","expires_in":1200,"access_token":"x"}`)
	})
	mustToken(t, newClient(t, config))
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(asked) != "[false true]" {
		t.Fatal(asked)
	}
}

type vaultError struct{ number int }

func (e *vaultError) Error() string { return fmt.Sprintf("the vault is sealed (%d)", e.number) }

func TestCredentialsErrorReachesWaiters(t *testing.T) {
	sealed := &vaultError{7}
	begin := make(chan struct{})
	client := newClient(t, withCredentials(newEndpoint(t), func(context.Context, bool) (string, string, error) {
		<-begin
		return "", "", sealed
	}))
	results := start(10, func() error {
		_, err := client.Token(context.Background())
		return err
	})
	eventually(t, "all wait", func() bool {
		stats, err := client.Stats()
		return err == nil && stats.Waits == 10
	})
	close(begin)
	for range 10 {
		err := within(t, results)
		var found *vaultError
		if !errors.As(err, &found) || found != sealed || !strings.Contains(err.Error(), "the vault is sealed (7)") {
			t.Fatal(err)
		}
		expectError(t, err, tutoken.ErrCredentials, sealed)
	}
	// The remembered error mentions the cause but does not wrap it.
	_, err := client.Token(t.Context())
	expectError(t, err, tutoken.ErrCredentials)
	if errors.Is(err, sealed) || !strings.Contains(err.Error(), "sealed") {
		t.Fatal(err)
	}
}

func TestErrorOfCredentialsIsReleased(t *testing.T) {
	var gone atomic.Bool
	func() {
		sealed := &heldError{tracked(&gone)}
		client := newClient(t, withCredentials(newEndpoint(t), func(context.Context, bool) (string, string, error) {
			return "", "", sealed
		}))
		_, err := client.Token(t.Context())
		expectError(t, err, sealed)
		client.Close()
	}()
	awaitGarbage(t, "the error of a credentials callback", &gone)
}

type heldError struct{ held *[64]byte }

func (*heldError) Error() string { return "held" }

type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

func TestCredentialsThatCannotBeUsed(t *testing.T) {
	for what, give := range map[string]func(context.Context, bool) (string, string, error){
		"a *tutoken_test.brokenError that panics in Error": func(context.Context, bool) (string, string, error) {
			var none *brokenError
			return "", "", none
		},
		"panicked: on purpose": func(context.Context, bool) (string, string, error) { panic("on purpose") },
		"NUL byte":             func(context.Context, bool) (string, string, error) { return "id", "a\x00b", nil },
		"the client id has":    func(context.Context, bool) (string, string, error) { return "i\x00", "s", nil },
		"TU_CREDENTIALS":       func(context.Context, bool) (string, string, error) { return "", "", nil },
		"cut here":             func(context.Context, bool) (string, string, error) { return "", "", errors.New("cut here\x00not") },
	} {
		endpoint := newEndpoint(t)
		client := newClient(t, withCredentials(endpoint, give))
		_, err := client.Token(t.Context())
		expectError(t, err, tutoken.ErrCredentials)
		if what != "TU_CREDENTIALS" && !strings.Contains(err.Error(), what) {
			t.Errorf("%q is not in %q", what, err)
		}
		endpoint.expectRequests(t, 0)
	}
}

func TestCredentialsCannotWaitForTheirOwnClient(t *testing.T) {
	var client *tutoken.Client
	ready := make(chan struct{})
	inner := make(chan error, 10)
	client = newClient(t, withCredentials(newEndpoint(t), func(ctx context.Context, _ bool) (string, string, error) {
		<-ready
		_, err := client.Token(ctx)
		inner <- err
		return "", "", err
	}))
	close(ready)
	_, err := client.Token(t.Context())
	expectError(t, err, tutoken.ErrCredentials, tutoken.ErrInvalidArgument)
	expectError(t, within(t, inner), tutoken.ErrInvalidArgument)
}

// Not even indirectly: through an HTTP client that gets its token from there.
func TestCredentialsCannotSendRequestsWithTheirOwnToken(t *testing.T) {
	endpoint := newEndpoint(t)
	var client *tutoken.Client
	inner := make(chan error, 10)
	ready := make(chan struct{})
	client = newClient(t, withCredentials(endpoint, func(context.Context, bool) (string, string, error) {
		<-ready
		_, err := client.HTTPClient(nil).Get(endpoint.URL + "/vault")
		inner <- err
		return "id", "secret", nil
	}))
	close(ready)
	mustToken(t, client)
	expectError(t, within(t, inner), tutoken.ErrInvalidArgument)
	endpoint.expectRequests(t, 1)
}

func TestCloseEndsTheContextOfCredentials(t *testing.T) {
	begun := make(chan struct{})
	ended := make(chan error, 1)
	client := newClient(t, withCredentials(newEndpoint(t), func(ctx context.Context, _ bool) (string, string, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return "", "", ctx.Err()
	}))
	results := start(1, func() error {
		_, err := client.Token(context.Background())
		return err
	})
	<-begun
	client.Close()
	expectError(t, within(t, results), tutoken.ErrClosed)
	expectError(t, within(t, ended), context.Canceled)
}

// A journal collects events.
type journal struct {
	mu     sync.Mutex
	events []tutoken.Event
}

func (j *journal) add(event tutoken.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, event)
}

func (j *journal) find(kind tutoken.EventKind) (tutoken.Event, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, event := range j.events {
		if event.Kind == kind {
			return event, true
		}
	}
	return tutoken.Event{}, false
}

func (j *journal) await(t *testing.T, kind tutoken.EventKind) (found tutoken.Event) {
	t.Helper()
	eventually(t, "an event "+kind.String(), func() bool {
		event, ok := j.find(kind)
		found = event
		return ok
	})
	return found
}

func TestEvents(t *testing.T) {
	endpoint := newEndpoint(t)
	var events journal
	config := endpoint.config()
	config.Name, config.OnEvent = "reports", events.add
	client := newClient(t, config)
	token := mustToken(t, client)
	got := events.await(t, tutoken.EventFetchSucceeded)
	if got.Client != "reports" || got.Scope != "asset.view" || got.HTTPStatus != 200 || got.Attempt != 1 || len(got.Fingerprint) != 8 || got.Status != tutoken.StatusOK {
		t.Fatalf("%+v", got)
	}
	client.Invalidate(token)
	if dropped := events.await(t, tutoken.EventInvalidated); dropped.Fingerprint != got.Fingerprint {
		t.Fatalf("%+v", dropped)
	}
	endpoint.refuses(400, "invalid_scope")
	client.TokenFor(t.Context(), "site.view")
	failed := events.await(t, tutoken.EventFetchFailed)
	if failed.Status != tutoken.StatusInvalidScope || failed.HTTPStatus != 400 || failed.Scope != "site.view" {
		t.Fatalf("%+v", failed)
	}
	if text := fmt.Sprint(events.events); strings.Contains(text, "token-1") || strings.Contains(text, "s3cret") {
		t.Fatal(text)
	}
}

// A logBook receives the output of a logger on another thread.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *logBook) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.text.String()), "\n")
}

func TestEventsAreLogged(t *testing.T) {
	endpoint := newEndpoint(t)
	endpoint.refuses(429, "")
	var book logBook
	config := endpoint.config()
	config.Name = "reports"
	config.Logger = slog.New(slog.NewJSONHandler(&book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var journal journal
	config.OnEvent = journal.add
	client := newClient(t, config)
	client.Token(t.Context())
	eventually(t, "two lines", func() bool { return len(book.lines()) >= 2 })
	if told := journal.await(t, tutoken.EventFetchFailed); told.Level != slog.LevelWarn {
		t.Fatal(told.Level)
	}
	var began, failed map[string]any
	for at, line := range []*map[string]any{&began, &failed} {
		if err := json.Unmarshal([]byte(book.lines()[at]), line); err != nil {
			t.Fatal(err)
		}
	}
	if began["level"] != "DEBUG" || began["kind"] != "fetch_started" {
		t.Fatal(began)
	}
	if failed["level"] != "WARN" || failed["status"] != "TU_RATE_LIMITED" || failed["client"] != "reports" {
		t.Fatal(failed)
	}
	for _, key := range []string{"msg", "scope", "kind", "http_status", "attempt", "duration", "wait", "fingerprint"} {
		if _, ok := failed[key]; !ok {
			t.Errorf("no %s in %v", key, failed)
		}
	}
}

// callingHandler calls the client whose events it receives.
type callingHandler struct {
	slog.Handler
	call func()
}

func (callingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h callingHandler) Handle(context.Context, slog.Record) error {
	h.call()
	return nil
}

func TestLoggersMayCallTheClient(t *testing.T) {
	config := newEndpoint(t).config()
	var client *tutoken.Client
	ready, results := make(chan struct{}), make(chan error, 100)
	config.Logger = slog.New(callingHandler{nil, func() {
		<-ready
		token, err := client.Token(context.Background())
		client.Invalidate(token)
		if err == nil {
			_, err = client.Token(context.Background())
		}
		results <- err
		client.Close()
	}})
	client = newClient(t, config)
	close(ready)
	client.Token(t.Context())
	if err := within(t, results); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler is let go of", func() bool { return !collects() })
}

func TestEventsMayCallTheClient(t *testing.T) {
	endpoint := newEndpoint(t)
	config := endpoint.config()
	var client *tutoken.Client
	ready, results := make(chan struct{}), make(chan error, 100)
	config.OnEvent = func(event tutoken.Event) {
		<-ready
		if event.Kind == tutoken.EventFetchSucceeded {
			_, err := client.Token(context.Background())
			client.Close()
			results <- err
		}
	}
	client = newClient(t, config)
	close(ready)
	mustToken(t, client)
	if err := within(t, results); err != nil {
		t.Fatal(err)
	}
	_, err := client.Token(t.Context())
	expectError(t, err, tutoken.ErrClosed)
}

func TestNamesOfEvents(t *testing.T) {
	if tutoken.EventStore.String() != "store" || tutoken.EventKind(99).String() != "event_99" {
		t.Fatal("names")
	}
	event := tutoken.Event{Kind: tutoken.EventWarning, Client: "reports", Wait: -1}
	text := event.LogValue().String()
	if !strings.Contains(text, "reports") || strings.Contains(text, "wait=") {
		t.Fatal(text)
	}
}
