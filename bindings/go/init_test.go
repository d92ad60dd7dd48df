package tutoken_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

// Clients used during package initialisation, in a separate process: this test's program with a variable
// that names the use.

const initVariable = "TUTOKEN_TEST_INIT"

// Through a package variable, as in real programs.
var _ = useInInit(os.Getenv(initVariable))

func useInInit(name string) bool {
	use, ok := usesInInit[name]
	if !ok {
		return false
	}
	server := httptest.NewServer(http.HandlerFunc(answerInInit))
	config := tutoken.Config{ClientID: "id", ClientSecret: "secret", Scope: "a", TokenURL: server.URL + "/token/v2"}
	if err := use(config, server.URL); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("used")
	os.Exit(0)
	return true
}

// answerInInit answers API requests with their Authorization header. It never answers requests for the
// scope "silence".
func answerInInit(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/token/v2":
		io.WriteString(w, r.Header.Get("Authorization"))
	case r.FormValue("client_secret") == "wrong":
		w.WriteHeader(401)
		io.WriteString(w, `{"error":"invalid_client"}`)
	case r.FormValue("scope") == "silence":
		<-r.Context().Done()
	default:
		io.WriteString(w, `{"token_type":"Bearer","expires_in":1200,"access_token":"x"}`)
	}
}

var usesInInit = map[string]func(config tutoken.Config, url string) error{
	"a token": func(config tutoken.Config, _ string) error {
		return gets(config, nil)
	},
	"a refusal": func(config tutoken.Config, _ string) error {
		config.ClientSecret = "wrong"
		return gets(config, tutoken.ErrInvalidClient)
	},
	"the client's time limit": func(config tutoken.Config, _ string) error {
		config.Scope, config.Timeout = "silence", 50*time.Millisecond
		return gets(config, tutoken.ErrTimeout)
	},
	"a deadline that is far away": func(config tutoken.Config, _ string) error {
		client, err := tutoken.New(config)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		_, err = client.Token(ctx)
		return err
	},
	"a credentials callback": func(config tutoken.Config, _ string) error {
		config.ClientID, config.ClientSecret = "", ""
		config.Credentials = func(context.Context, bool) (string, string, error) { return "id", "secret", nil }
		return gets(config, nil)
	},
	"a credentials callback that fails": func(config tutoken.Config, _ string) error {
		config.ClientID, config.ClientSecret = "", ""
		sealed := errors.New("sealed")
		config.Credentials = func(context.Context, bool) (string, string, error) { return "", "", sealed }
		return gets(config, sealed)
	},
	"a credentials callback that hangs": func(config tutoken.Config, _ string) error {
		config.ClientID, config.ClientSecret = "", ""
		config.Timeout = 50 * time.Millisecond
		called := make(chan struct{}, 100)
		config.Credentials = func(ctx context.Context, _ bool) (string, string, error) {
			called <- struct{}{}
			<-ctx.Done()
			return "", "", ctx.Err()
		}
		client, err := tutoken.New(config)
		if err != nil {
			return err
		}
		// On a busy machine the first call may end before the callback begins.
		client.Token(context.Background())
		<-called
		_, err = client.Token(context.Background())
		if !errors.Is(err, tutoken.ErrTimeout) || !strings.Contains(err.Error(), "credentials function") {
			return fmt.Errorf("it does not say what it waited for: %w", err)
		}
		return nil
	},
	"events and a logger": func(config tutoken.Config, _ string) error {
		told, logged := make(chan tutoken.Event, 100), make(chan string, 100)
		config.OnEvent = func(event tutoken.Event) { told <- event }
		config.Logger = slog.New(slog.NewTextHandler(sink(logged), &slog.HandlerOptions{Level: slog.LevelDebug}))
		if err := gets(config, nil); err != nil {
			return err
		}
		fmt.Println(<-told, <-logged)
		return nil
	},
	"an HTTP client": func(config tutoken.Config, url string) error {
		client, err := tutoken.New(config)
		if err != nil {
			return err
		}
		response, err := client.HTTPClient(nil).Get(url + "/api")
		if err != nil {
			return err
		}
		if header, err := io.ReadAll(response.Body); err != nil || string(header) != "Bearer x" {
			return fmt.Errorf("the header is %q: %w", header, err)
		}
		return nil
	},
	"the other methods": func(config tutoken.Config, url string) error {
		client, err := tutoken.New(config)
		if err != nil {
			return err
		}
		client.Wake()
		client.InvalidateValue("y")
		client.APIRefused(url)
		_, pending := client.TokenFor(context.Background(), "silence", tutoken.NoWait())
		_, stats := client.Stats()
		if rotated := client.Rotate("id", "another"); rotated != nil || stats != nil || !errors.Is(pending, tutoken.ErrPending) {
			return errors.Join(rotated, stats, pending)
		}
		return client.Close()
	},
	"a close while others wait": func(config tutoken.Config, _ string) error {
		config.Scope = "silence"
		client, err := tutoken.New(config)
		if err != nil {
			return err
		}
		results := start(10, func() error {
			_, err := client.Token(context.Background())
			return err
		})
		for stats, _ := client.Stats(); stats.Waits < 10; stats, _ = client.Stats() {
			time.Sleep(time.Millisecond)
		}
		client.Close()
		for range 10 {
			if err := <-results; !errors.Is(err, tutoken.ErrClosed) {
				return err
			}
		}
		return nil
	},
}

// gets requests a token from a new client and closes it.
func gets(config tutoken.Config, wanted error) error {
	client, err := tutoken.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err = client.Token(context.Background()); !errors.Is(err, wanted) {
		return fmt.Errorf("%v is not %v", err, wanted)
	}
	return nil
}

type sink chan string

func (s sink) Write(text []byte) (int, error) {
	s <- string(text)
	return len(text), nil
}

func TestClientsInInit(t *testing.T) {
	var running sync.WaitGroup
	defer running.Wait()
	for name := range usesInInit {
		running.Add(1)
		go func() {
			defer running.Done()
			// A separate limit, because no test can end a hanging init.
			ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
			defer cancel()
			command := exec.CommandContext(ctx, os.Args[0])
			command.Env = append(os.Environ(), initVariable+"="+name)
			output, err := command.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(output), "used\n") {
				t.Errorf("%s: %v (%v)\n%s", name, err, context.Cause(ctx), output)
			}
		}()
	}
}
