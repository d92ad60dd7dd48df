package tutoken_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

// A proxy answers every CONNECT with the same status.
type proxy struct {
	*httptest.Server
	logins   atomic.Int64
	requests atomic.Int64
}

func newProxy(t *testing.T, status int) *proxy {
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		if r.Header.Get("Proxy-Authorization") != "" {
			p.logins.Add(1)
		}
		w.Header().Set("Proxy-Authenticate", `Basic realm="x"`)
		w.WriteHeader(status)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) config(login string) tutoken.Config {
	return tutoken.Config{
		ClientID: "id", ClientSecret: "s3cret", Scope: "asset.view",
		TokenURL: "https://auth.example.test/token/v2",
		Proxy:    fmt.Sprintf("http://%s%s", login, p.Listener.Addr().(*net.TCPAddr)),
	}
}

func TestRefusedLoginToTheProxyIsMadeOnce(t *testing.T) {
	proxy := newProxy(t, http.StatusProxyAuthRequired)
	for range 2 {
		client := newClient(t, proxy.config("user:hush@"))
		for _, scope := range []string{"a", "b"} {
			_, err := client.TokenFor(t.Context(), scope)
			expectError(t, err, tutoken.ErrProxy)
			failure := err.(*tutoken.Error)
			if failure.Retryable || failure.RetryAfter < 29*time.Minute || failure.Status != tutoken.StatusProxy {
				t.Fatalf("%+v", failure)
			}
			if text := err.Error(); !strings.Contains(text, "407; it offers Basic") || strings.Contains(text, "hush") {
				t.Fatal(text)
			}
		}
	}
	if made := proxy.logins.Load(); made != 1 {
		t.Fatalf("%d logins", made)
	}
}

func TestProxyRulesMayChange(t *testing.T) {
	proxy := newProxy(t, http.StatusForbidden)
	_, err := newClient(t, proxy.config("")).Token(t.Context())
	expectError(t, err, tutoken.ErrProxy)
	if !err.(*tutoken.Error).Retryable || proxy.requests.Load() != 1 {
		t.Fatal(err, proxy.requests.Load())
	}
}

func TestLoginToTheProxyIsPercentEncoded(t *testing.T) {
	_, err := tutoken.New(newProxy(t, 407).config(`CORP\user:hush@`))
	expectError(t, err, tutoken.ErrConfig)
	if text := err.Error(); !strings.Contains(text, "percent-encode") || strings.Contains(text, "hush") {
		t.Fatal(text)
	}
}
