package tutoken_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"tutoken.example/tutoken"
)

// Callbacks of the program that panic or end their goroutine (runtime.Goexit, as t.Fatal does).

type badHandler struct{ slog.Handler }

func (badHandler) Handle(context.Context, slog.Record) error { panic("a bad handler") }

func TestPanicsInCallbacksEndThere(t *testing.T) {
	var book logBook
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&book, nil)))
	defer slog.SetDefault(before)
	config := newEndpoint(t).config()
	config.OnEvent = func(tutoken.Event) { panic("a bad callback") }
	config.Logger = slog.New(badHandler{slog.NewTextHandler(nowhere{}, &slog.HandlerOptions{Level: slog.LevelDebug})})
	mustToken(t, newClient(t, config))
	eventually(t, "both are told of", func() bool {
		text := strings.Join(book.lines(), "")
		return strings.Contains(text, "a bad callback") && strings.Contains(text, "a bad handler")
	})
}

func TestCallbacksMayEndTheirGoroutine(t *testing.T) {
	for what, give := range map[string]func(context.Context, bool) (string, string, error){
		"runtime.Goexit": func(context.Context, bool) (string, string, error) {
			runtime.Goexit()
			return "", "", nil
		},
		"panics in Error": func(context.Context, bool) (string, string, error) { return "", "", endingError{} },
	} {
		client := newClient(t, withCredentials(newEndpoint(t), give))
		_, err := client.Token(t.Context())
		expectError(t, err, tutoken.ErrCredentials)
		if !strings.Contains(err.Error(), what) {
			t.Errorf("%q is not in %q", what, err)
		}
		if err := client.Rotate("id", "secret"); err != nil {
			t.Fatal(err)
		}
		mustToken(t, client)
	}
}

type endingError struct{}

func (endingError) Error() string {
	runtime.Goexit()
	return ""
}

// endingHandler counts its records and ends the goroutine it runs in.
type endingHandler struct {
	slog.Handler
	records *atomic.Int64
}

func (h endingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h endingHandler) Handle(context.Context, slog.Record) error {
	h.records.Add(1)
	runtime.Goexit()
	return nil
}

func TestListenersMayEndTheirGoroutine(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	var logged, told, complained atomic.Int64
	// The logger that reports the failure fails in the same way.
	slog.SetDefault(slog.New(endingHandler{nil, &complained}))
	config := newEndpoint(t).config()
	config.Logger = slog.New(endingHandler{nil, &logged})
	config.OnEvent = func(tutoken.Event) {
		told.Add(1)
		runtime.Goexit()
	}
	client := newClient(t, config)
	mustToken(t, client)
	client.Close()
	eventually(t, "both hear of both events", func() bool {
		return logged.Load() == 2 && told.Load() == 2 && complained.Load() == 4
	})
}

// failInCallbacks is the body of the test, run in a separate process.
func failInCallbacks(t *testing.T) {
	config := withCredentials(newEndpoint(t), func(context.Context, bool) (string, string, error) {
		t.Fatal("said in Credentials")
		return "", "", nil
	})
	told := make(chan struct{}, 100)
	config.OnEvent = func(event tutoken.Event) {
		defer func() { told <- struct{}{} }()
		t.Fatal("said in OnEvent of " + event.Kind.String())
	}
	client := newClient(t, config)
	_, err := client.Token(t.Context())
	t.Log("said by Token:", err)
	<-told
	<-told
}

const fatalVariable = "TUTOKEN_TEST_FATAL"

func TestFatalInCallbacks(t *testing.T) {
	if os.Getenv(fatalVariable) != "" {
		failInCallbacks(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFatalInCallbacks$")
	command.Env = append(os.Environ(), fatalVariable+"=1")
	output, err := command.CombinedOutput()
	if err == nil || command.ProcessState.ExitCode() != 1 {
		t.Errorf("it ends with %v", err)
	}
	for _, said := range []string{
		"--- FAIL: TestFatalInCallbacks",
		"said in Credentials",
		"said in OnEvent of fetch_started",
		"said in OnEvent of fetch_failed",
		"said by Token: tutoken: no credentials for the token request: the credentials callback failed: Config.Credentials ended its goroutine",
	} {
		if !strings.Contains(string(output), said) {
			t.Errorf("%q is not said", said)
		}
	}
	if t.Failed() {
		t.Logf("%s", output)
	}
}

// inAGoroutine runs a function that ends its goroutine.
func inAGoroutine(t *testing.T, call func()) {
	t.Helper()
	results := make(chan error, 1)
	go func() {
		defer func() { results <- nil }()
		call()
		t.Error("it was to end the goroutine")
	}()
	within(t, results)
}

// endingBody ends the goroutine that reads it.
type endingBody struct{ watchedBody }

func (endingBody) Read([]byte) (int, error) {
	runtime.Goexit()
	return 0, nil
}

// endingContext ends the goroutine that waits for it.
type endingContext struct{ context.Context }

func (endingContext) Done() <-chan struct{} {
	runtime.Goexit()
	return nil
}

func TestRequestCallbacksMayEndTheirGoroutine(t *testing.T) {
	web, client, endpoint, _ := newWeb(t, statuses(401))
	request := func(body io.Reader) *http.Request {
		made, err := http.NewRequest("POST", "https://iris.trackunit.com/x", body)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	inAGoroutine(t, func() {
		client.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
			runtime.Goexit()
			return nil, nil
		})).RoundTrip(request(nil))
	})
	inAGoroutine(t, func() { client.Transport(web).RoundTrip(request(&endingBody{})) })
	// Only the transport could close the first response.
	inAGoroutine(t, func() {
		once := request(strings.NewReader("x"))
		once.GetBody = func() (io.ReadCloser, error) {
			runtime.Goexit()
			return nil, nil
		}
		client.Transport(web).RoundTrip(once)
	})
	if web.closed != 1 {
		t.Fatalf("%d answers were closed", web.closed)
	}
	endpoint.shut()
	inAGoroutine(t, func() { client.Token(endingContext{context.Background()}) })
	endpoint.open()
	mustToken(t, client)
}
