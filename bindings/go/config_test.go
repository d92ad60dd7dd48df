//go:build cgo

package tutoken

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// documented returns the first cells of a table's rows in a page of the documentation.
func documented(t *testing.T, page, row string) (cells [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)`+row).FindAllStringSubmatch(string(text), -1) {
		cells = append(cells, match[1:])
	}
	if len(cells) == 0 {
		t.Fatalf("%s has no such table", page)
	}
	return cells
}

func TestEveryOptionHasAField(t *testing.T) {
	rows := documented(t, "options.md", "^\\| `([a-z_]+)` \\| `TRACKUNIT_")
	options := (&Config{}).options()
	if len(options) != len(rows) {
		t.Fatalf("config.go has %d options, docs/options.md %d: add the field of Config and the line in options()",
			len(options), len(rows))
	}
	fields := reflect.TypeFor[Config]()
	for at, row := range rows {
		if options[at].key != row[0] {
			t.Errorf("option %d is %s, in the documentation %s", at, options[at].key, row[0])
		}
		// The fields have the same names and order.
		if name := strings.ToLower(fields.Field(at).Name); name != strings.ReplaceAll(row[0], "_", "") {
			t.Errorf("field %d is %s, the option %s", at, name, row[0])
		}
	}
	if fields.NumField() != len(rows)+4 {
		t.Errorf("%d fields: is there one without an option?", fields.NumField())
	}
}

func TestEveryFieldSetsItsOption(t *testing.T) {
	fields := reflect.TypeFor[Config]()
	for at, option := range (&Config{}).options() {
		if option.value != "" {
			t.Errorf("%s is set in an empty configuration", option.key)
		}
		var config Config
		field := reflect.ValueOf(&config).Elem().Field(at)
		wanted := "x"
		switch {
		case field.Type() == reflect.TypeFor[time.Duration]():
			field.SetInt(int64(1500 * time.Microsecond))
			wanted = "2ms"
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
			wanted = "true"
		case field.Kind() == reflect.Int:
			field.SetInt(-7)
			wanted = "-7"
		default:
			field.SetString("x")
		}
		if value := config.options()[at].value; value != wanted {
			t.Errorf("%s sets %s to %q, not %q", fields.Field(at).Name, option.key, value, wanted)
		}
	}
}

func TestOptionsByTheirKeys(t *testing.T) {
	t.Setenv("TRACKUNIT_TIMEOUT", "soon")
	options := map[string]string{"client_id": "id", "client_secret": "s3cret", "scope": "a", "timeout": "1s"}
	for what, change := range map[string]func(*Config){
		"":                      func(*Config) {},
		"did you mean timeout?": func(c *Config) { c.Options["timeoutt"] = "1s" },
		"soon":                  func(c *Config) { delete(c.Options, "timeout") },
		"scope":                 func(c *Config) { c.Options["scope"] = "" },
		"option name has a NUL": func(c *Config) { c.Options["name"] = "a\x00b" },
		"the key of an option":  func(c *Config) { c.Options["a\x00b"] = "x" },
		"digest":                func(c *Config) { c.Options["client_auth"] = "post"; c.ClientAuth = "digest" },
	} {
		config := Config{Options: maps.Clone(options)}
		change(&config)
		client, err := New(config)
		if what == "" {
			if err != nil {
				t.Fatal(err)
			}
			client.Close()
			continue
		}
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A field takes precedence, even over an invalid option.
	config := Config{Options: options, ClientAuth: "basic"}
	config.Options["client_auth"] = "digest"
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

func TestMistakesInTheConfiguration(t *testing.T) {
	valid := Config{ClientID: "id", ClientSecret: "s3cret", Scope: "a"}
	for what, change := range map[string]func(*Config){
		"no client_id":            func(c *Config) { c.ClientID = "" },
		"token_url":               func(c *Config) { c.TokenURL = "http://elsewhere.example/" },
		"client_auth":             func(c *Config) { c.ClientAuth = "digest" },
		"client_id has a NUL":     func(c *Config) { c.ClientID = "a\x00b" },
		"client_secret has a NUL": func(c *Config) { c.ClientSecret = "a\x00b" },
		"ca_file":                 func(c *Config) { c.CAFile = "/nowhere/at/all" },
		"request_timeout":         func(c *Config) { c.RequestTimeout = -time.Second },
		"fetch_timeout":           func(c *Config) { c.FetchTimeout = 25 * time.Hour },
		"max_requests_per_minute": func(c *Config) { c.MaxRequestsPerMinute = -1 },
		"proxy":                   func(c *Config) { c.Proxy = "gopher://x" },
		"log":                     func(c *Config) { c.Log = "loud" },
		"store":                   func(c *Config) { c.Store = "cupboard" },
		"store with a password":   func(c *Config) { c.Store = "redist://u:s3cret@host" },
		"api_hosts":               func(c *Config) { c.APIHosts = "http://x/" },
	} {
		config := valid
		change(&config)
		client, err := New(config)
		if client != nil || err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		failure, ok := err.(*Error)
		if !ok || failure.Status != StatusConfig {
			t.Errorf("%s: %v", what, err)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(what, "no "), " ")
		if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnErrorNamesTheNegativeDurationThatWasGiven(t *testing.T) {
	for _, given := range []time.Duration{-1, -time.Millisecond, -time.Hour, math.MinInt64} {
		for _, field := range []func(*Config) *time.Duration{
			func(c *Config) *time.Duration { return &c.RequestTimeout },
			func(c *Config) *time.Duration { return &c.RefreshBefore },
			func(c *Config) *time.Duration { return &c.StoreTimeout },
		} {
			config := Config{ClientID: "id", ClientSecret: "s3cret", Scope: "a"}
			*field(&config) = given
			_, err := New(config)
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), fmt.Sprintf("%q", given.String())) {
				t.Errorf("%s: %v", given, err)
			}
		}
	}
}

func TestEmptyConfigurationComesFromTheEnvironment(t *testing.T) {
	client, err := New(Config{})
	if client != nil || err == nil || !strings.Contains(err.Error(), "client_id") {
		t.Fatal(client, err)
	}
	t.Setenv("TRACKUNIT_CLIENT_ID", "id")
	t.Setenv("TRACKUNIT_CLIENT_SECRET", "secret")
	t.Setenv("TRACKUNIT_SCOPE", "a")
	client, err = New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	t.Setenv("TRACKUNIT_CLIENT_AUTH", "digest")
	if _, err = New(Config{}); err == nil || !strings.Contains(err.Error(), "client_auth") {
		t.Fatal(err)
	}
	client, err = New(Config{ClientAuth: "basic"})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

func TestConfigurationIsNotShown(t *testing.T) {
	config := Config{ClientID: "id", ClientSecret: "s3cret", Scope: "asset.view", Proxy: "http://u:s3cret@p"}
	config.Store = "redis://u:s3cret@host"
	shown := slog.AnyValue(config).Resolve().String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		shown += fmt.Sprintf(verb+verb, config, &config)
	}
	if strings.Contains(shown, "s3cret") || !strings.Contains(shown, "asset.view") {
		t.Fatal(shown)
	}
}

func TestEveryStatusHasAnError(t *testing.T) {
	all := []error{
		ErrInvalidArgument, ErrConfig, ErrClosed, ErrTimeout, ErrCancelled, ErrPending, ErrNetwork, ErrTLS,
		ErrCredentials, ErrProxy, ErrInvalidClient, ErrInvalidScope, ErrOAuth, ErrRateLimited, ErrServer,
		ErrBadResponse, ErrBudget, ErrInternal,
	}
	rows := documented(t, "errors.md", "^\\| `(TU_[A-Z_]+)` \\| (\\d+) \\|")
	if len(rows) != len(all) {
		t.Fatalf("%d errors, %d in the documentation", len(all), len(rows))
	}
	for at, row := range rows {
		status := Status(all[at].(sentinel))
		if status.String() != row[0] || fmt.Sprint(int32(status)) != row[1] {
			t.Errorf("%s is %d, in the documentation %s is %s", status, int32(status), row[0], row[1])
		}
		if !strings.Contains(all[at].Error(), row[0]) {
			t.Error(all[at])
		}
	}
	if StatusOK.String() != "TU_OK" || Status(77).String() != "TU_UNKNOWN" {
		t.Error("names of no failures")
	}
}
