// Poll requests assets from an IRIS API periodically, until it is stopped with Ctrl-C or SIGTERM.
//
// The options come from TRACKUNIT_* variables. The token is fetched when needed, cached, renewed in the
// background, and replaced if the API refuses it: see tutoken.Client.HTTPClient.
//
// IRIS_URL replaces the base URL https://iris.trackunit.com, for example with the emulator's.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"tutoken.example/tutoken"
)

// maxBytes limits how much of a response is read.
const maxBytes = 16 << 20

func main() {
	base := strings.TrimSuffix(cmp.Or(os.Getenv("IRIS_URL"), "https://iris.trackunit.com"), "/")
	url := flag.String("url", base+"/api/asset/v2/assets?size=50", "`URL` to request")
	every := flag.Duration("every", time.Minute, "time between requests")
	times := flag.Int("times", 0, "number of requests; 0 means until stopped")
	flag.Parse()

	// Ctrl-C cancels pending requests and waits for tokens.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, *every, *times); err != nil {
		slog.Error("poll: " + err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, every time.Duration, times int) error {
	client, err := tutoken.New(tutoken.Config{Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer client.Close()
	// One http.Client for all requests: it reuses connections.
	web := client.HTTPClient(&http.Client{Timeout: 30 * time.Second})

	for made := 1; ; made++ {
		assets, err := count(ctx, web, url)
		switch {
		case ctx.Err() != nil:
			slog.Info("poll: ended")
			return nil
		case err == nil:
			fmt.Printf("%d assets\n", assets)
		case !worthAnotherTry(err):
			return err
		default:
			slog.Warn("poll: " + err.Error())
		}
		if made == times {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
}

// worthAnotherTry reports whether retrying may help. Some errors need a person to fix the cause.
func worthAnotherTry(err error) bool {
	var failure *tutoken.Error
	return !errors.As(err, &failure) || failure.Retryable
}

func count(ctx context.Context, web *http.Client, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := web.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the API answered %s", response.Status)
	}
	var page struct {
		Content []json.RawMessage `json:"content"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBytes)).Decode(&page); err != nil {
		return 0, fmt.Errorf("%s answered, but not in JSON (is IRIS_URL right?): %w", url, err)
	}
	if page.Content == nil {
		return 0, fmt.Errorf("%s answered, but without a list of assets", url)
	}
	return len(page.Content), nil
}
