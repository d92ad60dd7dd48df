package tutoken_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

// A web stands for all hosts of the Internet and records the requests.
type web struct {
	answer  func(*http.Request) *http.Response
	headers []string
	bodies  []string
	closed  int
}

func (w *web) RoundTrip(request *http.Request) (*http.Response, error) {
	w.headers = append(w.headers, request.Header.Get("Authorization"))
	var body []byte
	if request.Body != nil {
		body, _ = io.ReadAll(request.Body)
		request.Body.Close()
	}
	w.bodies = append(w.bodies, string(body))
	response := w.answer(request)
	if response == nil {
		return nil, errors.New("the host is down")
	}
	response.Request = request
	if response.Header == nil {
		response.Header = http.Header{}
	}
	response.Body = &countedBody{strings.NewReader("text of the answer"), w}
	return response, nil
}

type countedBody struct {
	io.Reader
	web *web
}

func (b *countedBody) Close() error {
	b.web.closed++
	return nil
}

// statuses answers with one status after another.
func statuses(list ...int) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		status := list[0]
		if len(list) > 1 {
			list = list[1:]
		}
		return &http.Response{StatusCode: status}
	}
}

func newWeb(t *testing.T, answer func(*http.Request) *http.Response) (*web, *tutoken.Client, *endpoint, *journal) {
	endpoint := newEndpoint(t)
	events := &journal{}
	config := endpoint.config()
	config.APIHosts = "iris.trackunit.com iris.test:8443"
	config.OnEvent = events.add
	return &web{answer: answer}, newClient(t, config), endpoint, events
}

func expectHeaders(t *testing.T, w *web, wanted ...string) {
	t.Helper()
	if got := strings.Join(w.headers, ","); got != strings.Join(wanted, ",") {
		t.Fatalf("the headers were %q, not %q", w.headers, wanted)
	}
}

func TestHeaderIsForAllowedHosts(t *testing.T) {
	for url, allowed := range map[string]bool{
		"https://iris.trackunit.com/api":              true,
		"https://IRIS.trackunit.com:443/":             true,
		"https://iris.test:8443/":                     true,
		"http://127.0.0.1:1234/":                      true,
		"http://localhost/":                           true,
		"http://[::1]:80/":                            true,
		"http://iris.trackunit.com/":                  false,
		"https://iris.trackunit.com:444/":             false,
		"https://iris.trackunit.com.evil.example/":    false,
		"https://iris.trackunit.com@evil.example/":    false,
		"https://evil.example/?https://iris.test":     false,
		"https://evil.example#@iris.trackunit.com/":   false,
		"https://evil.example/\\@iris.trackunit.com/": false,
		"ftp://iris.trackunit.com/":                   false,
	} {
		web, client, endpoint, _ := newWeb(t, statuses(200))
		response, err := client.HTTPClient(&http.Client{Transport: web}).Get(url)
		if err != nil {
			t.Fatal(url, err)
		}
		response.Body.Close()
		if allowed {
			expectHeaders(t, web, "Bearer token-1")
		} else {
			// (Package net/http creates a header from a user in the URL.)
			if strings.Contains(strings.Join(web.headers, ","), "Bearer") {
				t.Errorf("%s got a token", url)
			}
			endpoint.expectRequests(t, 0)
		}
		if client.MaySendTo(url) != allowed {
			t.Error(url)
		}
	}
}

func TestHeaderIsForWhereTheRequestGoes(t *testing.T) {
	web, client, _, _ := newWeb(t, statuses(200))
	request, _ := http.NewRequest("GET", "https://evil.example/", nil)
	request.URL.Opaque = "//iris.trackunit.com/"
	request.Host = "iris.trackunit.com"
	if _, err := client.Transport(web).RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	expectHeaders(t, web, "")
}

func TestHeaderIsForHostsThatEveryReaderReadsAlike(t *testing.T) {
	web, client, _, _ := newWeb(t, statuses(200))
	for _, target := range []*url.URL{
		{Scheme: "http", Host: "[::1].evil.example"},
		{Scheme: "http", Host: "127.0.0.1:99999"},
		{Scheme: "https", Host: "iris.trackunit.com:0"},
		{Scheme: "https", Host: "iris.trackunit.com\\.evil.example"},
		{Scheme: "https", Host: "evil.example#iris.trackunit.com"},
		{Scheme: "https", Host: "iris.trackunit.com", User: url.User("me")},
	} {
		request := &http.Request{Method: "GET", URL: target, Header: http.Header{}}
		if _, err := client.Transport(web).RoundTrip(request); err != nil {
			t.Fatal(target, err)
		}
	}
	expectHeaders(t, web, "", "", "", "", "", "")
}

func TestRedirectToAnotherHostLosesTheHeader(t *testing.T) {
	web, client, _, _ := newWeb(t, func(request *http.Request) *http.Response {
		if request.URL.Host == "iris.trackunit.com" {
			return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"https://evil.example/"}}}
		}
		return &http.Response{StatusCode: 200}
	})
	response, err := client.HTTPClient(&http.Client{Transport: web}).Post("https://iris.trackunit.com/", "text/plain", strings.NewReader("body"))
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	expectHeaders(t, web, "Bearer token-1", "")
}

func TestRequestIsRepeatedAfter401(t *testing.T) {
	web, client, endpoint, _ := newWeb(t, statuses(401, 200))
	request, _ := http.NewRequest("POST", "https://iris.trackunit.com/", strings.NewReader("the body"))
	request.Header.Set("X-Mine", "kept")
	response, err := client.Transport(web).RoundTrip(request)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	expectHeaders(t, web, "Bearer token-1", "Bearer token-2")
	if strings.Join(web.bodies, ",") != "the body,the body" || web.closed != 1 {
		t.Fatal(web.bodies, web.closed)
	}
	endpoint.expectRequests(t, 2)
	if request.Header.Get("Authorization") != "" || len(request.Header) != 1 {
		t.Fatalf("the request was changed: %v", request.Header)
	}
	if response.Request != request {
		t.Fatal("the answer tells of a request with the token")
	}
}

func TestSecond401IsReturned(t *testing.T) {
	web, client, endpoint, events := newWeb(t, statuses(401))
	response, err := client.HTTPClient(&http.Client{Transport: web}).Get("https://iris.trackunit.com/x")
	if err != nil || response.StatusCode != 401 {
		t.Fatal(response, err)
	}
	if text, err := io.ReadAll(response.Body); err != nil || string(text) != "text of the answer" {
		t.Fatal(text, err)
	}
	expectHeaders(t, web, "Bearer token-1", "Bearer token-2")
	endpoint.expectRequests(t, 2)
	eventually(t, "a warning that names the host", func() bool {
		events.mu.Lock()
		defer events.mu.Unlock()
		for _, event := range events.events {
			if event.Kind == tutoken.EventWarning && strings.Contains(event.Message, "iris.trackunit.com") {
				return true
			}
		}
		return false
	})
}

func TestBodyThatCannotBeSentAgain(t *testing.T) {
	for _, getBody := range []func() (io.ReadCloser, error){
		nil,
		func() (io.ReadCloser, error) { return nil, errors.New("it is gone") },
	} {
		web, client, endpoint, _ := newWeb(t, statuses(401))
		request, _ := http.NewRequest("POST", "https://iris.trackunit.com/", io.NopCloser(strings.NewReader("once")))
		request.GetBody = getBody
		response, err := client.Transport(web).RoundTrip(request)
		if err != nil || response.StatusCode != 401 || web.closed != 0 {
			t.Fatal(response, err)
		}
		expectHeaders(t, web, "Bearer token-1")
		endpoint.expectRequests(t, 1)
		// The token is dropped nevertheless.
		if token := mustToken(t, client); token.Value != "token-2" {
			t.Fatal(token.Value)
		}
	}
}

func Test401WithoutAnotherToken(t *testing.T) {
	web, client, endpoint, _ := newWeb(t, statuses(401))
	mustToken(t, client)
	endpoint.refuses(401, "invalid_client")
	_, err := client.HTTPClient(&http.Client{Transport: web}).Get("https://iris.trackunit.com/x")
	expectError(t, err, tutoken.ErrInvalidClient)
	if web.closed != 1 {
		t.Fatal("the answer was not closed")
	}
	expectHeaders(t, web, "Bearer token-1")
}

func TestOtherResponsesAreReturned(t *testing.T) {
	for _, status := range []int{200, 403, 429, 500} {
		web, client, endpoint, _ := newWeb(t, statuses(status))
		response, err := client.HTTPClient(&http.Client{Transport: web}).Get("https://iris.trackunit.com/x")
		if err != nil || response.StatusCode != status {
			t.Fatal(response, err)
		}
		expectHeaders(t, web, "Bearer token-1")
		endpoint.expectRequests(t, 1)
	}
	web, client, _, _ := newWeb(t, func(*http.Request) *http.Response { return nil })
	if _, err := client.HTTPClient(&http.Client{Transport: web}).Get("https://iris.trackunit.com/x"); err == nil || !strings.Contains(err.Error(), "down") {
		t.Fatal(err)
	}
	expectHeaders(t, web, "Bearer token-1")
}

type watchedBody struct {
	io.Reader
	closed bool
}

func (b *watchedBody) Close() error {
	b.closed = true
	return nil
}

func TestWithoutATokenNothingIsSent(t *testing.T) {
	web, client, endpoint, _ := newWeb(t, statuses(200))
	endpoint.refuses(401, "invalid_client")
	body := &watchedBody{Reader: strings.NewReader("x")}
	request, _ := http.NewRequest("POST", "https://iris.trackunit.com/x", body)
	_, err := client.HTTPClient(&http.Client{Transport: web}).Do(request)
	expectError(t, err, tutoken.ErrInvalidClient)
	if len(web.headers) != 0 || !body.closed {
		t.Fatal(web.headers, body.closed)
	}
}

func TestContextOfTheRequestEndsTheWait(t *testing.T) {
	web, client, endpoint, _ := newWeb(t, statuses(200))
	endpoint.shut()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", "https://iris.trackunit.com/x", nil)
	_, err := client.HTTPClient(&http.Client{Transport: web}).Do(request)
	expectError(t, err, tutoken.ErrTimeout, context.DeadlineExceeded)
}

func TestClosedClientSendsNothingWithoutAToken(t *testing.T) {
	web, client, _, _ := newWeb(t, func(request *http.Request) *http.Response {
		if request.URL.Path == "/back" {
			return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"https://iris.test:8443/"}}}
		}
		return &http.Response{StatusCode: 200}
	})
	mustToken(t, client)
	client.Close()
	through := client.HTTPClient(&http.Client{Transport: web})
	body := &watchedBody{Reader: strings.NewReader("x")}
	_, err := through.Post("https://iris.trackunit.com/x", "text/plain", body)
	expectError(t, err, tutoken.ErrClosed)
	_, err = through.Get("http://127.0.0.1/")
	expectError(t, err, tutoken.ErrClosed)
	if len(web.headers) != 0 || !body.closed {
		t.Fatal(web.headers, body.closed)
	}
	// Requests to other hosts are sent as before.
	if _, err := through.Post("https://other.example/", "text/plain", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	expectHeaders(t, web, "")
	_, err = through.Get("https://other.example/back")
	expectError(t, err, tutoken.ErrClosed)
	expectHeaders(t, web, "", "")
	// A client not made by New has no list of allowed hosts.
	_, err = new(tutoken.Client).HTTPClient(&http.Client{Transport: web}).Get("https://other.example/")
	expectError(t, err, tutoken.ErrClosed)
	expectHeaders(t, web, "", "")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func TestNoRequestWithoutATokenWhileClosing(t *testing.T) {
	var bare atomic.Int64
	base := roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Header.Get("Authorization") == "" {
			bare.Add(1)
		}
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})
	for range 50 {
		_, client, _, _ := newWeb(t, nil)
		mustToken(t, client)
		through := client.HTTPClient(&http.Client{Transport: base})
		begin := make(chan struct{})
		results := start(8, func() error {
			<-begin
			for range 1_000_000 {
				if _, err := through.Post("https://iris.trackunit.com/x", "text/plain", strings.NewReader("x")); err != nil {
					return err
				}
				if bare.Load() > 0 {
					break
				}
			}
			return errors.New("a closed client goes on")
		})
		close(begin)
		client.Close()
		for range 8 {
			expectError(t, within(t, results), tutoken.ErrClosed)
		}
	}
}

func TestCloseBetweenBothRequests(t *testing.T) {
	var client *tutoken.Client
	web, made, _, _ := newWeb(t, func(*http.Request) *http.Response {
		client.Close()
		return &http.Response{StatusCode: 401}
	})
	client = made
	_, err := client.HTTPClient(&http.Client{Transport: web}).Get("https://iris.trackunit.com/x")
	expectError(t, err, tutoken.ErrClosed)
	expectHeaders(t, web, "Bearer token-1")
}

type idle struct {
	http.RoundTripper
	closed bool
}

func (i *idle) CloseIdleConnections() { i.closed = true }

func TestClientKeepsWhatItIsMadeFrom(t *testing.T) {
	_, client, _, _ := newWeb(t, statuses(200))
	base := &idle{}
	made := &http.Client{Transport: base, Timeout: time.Minute}
	derived := client.HTTPClient(made)
	if derived.Timeout != time.Minute || made.Transport != base {
		t.Fatal("what it is made from")
	}
	derived.CloseIdleConnections()
	if !base.closed {
		t.Fatal("idle connections are kept")
	}
	if client.HTTPClient(nil).Transport == nil {
		t.Fatal("no transport")
	}
	if _, err := client.Transport(nil).RoundTrip(&http.Request{Header: http.Header{}}); err == nil {
		t.Fatal("a request without a URL")
	}
}
