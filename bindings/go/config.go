package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// NeverWait is for Config.Timeout.
const NeverWait time.Duration = -1

// A Config says what a client is to be. What is left zero comes from the environment variable
// TRACKUNIT_<KEY> (Scope: TRACKUNIT_SCOPE), else it is the default in docs/options.md.
//
// Durations are cut up to whole milliseconds. Formatting a Config shows no secret.
type Config struct {
	ClientID             string        // the API key's client id
	ClientSecret         string        // the API key's client secret
	ClientIDFile         string        // a file that holds the id; read when changed
	ClientSecretFile     string        // a file that holds the secret; read when changed
	Scope                string        // the scopes to ask for, separated by blanks
	TokenURL             string        // the token endpoint: https, or http to this machine alone
	ClientAuth           string        // "post" or "basic" (RFC 6749 section 2.3.1)
	Params               string        // more form fields: url.Values.Encode
	Name                 string        // the API key's name, for audit
	Timeout              time.Duration // a caller's longest wait if its context has no deadline; NeverWait
	RequestTimeout       time.Duration // the longest time of one token request
	ConnectTimeout       time.Duration // the longest time to connect
	FetchTimeout         time.Duration // the longest time of one fetch with all its attempts
	RefreshBefore        time.Duration // how long before its end a token is due for renewal; by chance earlier
	ExpiryMargin         time.Duration // how long before its end callers wait for the next token
	KeepWarm             bool          // renew even if nobody asks
	MaxRequestsPerMinute int           // the most token requests in a minute
	AllowNarrowedScope   bool          // accept a token with fewer scopes than asked for
	CAFile               string        // root certificates (PEM) in the place of the system's
	ClientCertFile       string        // the client certificate (PEM) for mutual TLS
	ClientKeyFile        string        // its private key (PEM)
	Proxy                string        // http://, https:// or socks5:// (user and password percent-encoded), or "none"
	UserAgent            string        // of token requests
	APIHosts             string        // where HTTPClient may send the token, separated by blanks
	Log                  string        // events to stderr: "off", "warn" or "info"
	Store                string        // where tokens are shared: "memory", "file", "file:<dir>"
	StoreTimeout         time.Duration // the longest time of one store operation

	// Options are options by their keys in docs/options.md, as text: for programs that read them from
	// a file of their own, and for what a zero field cannot say ("keep_warm": "false" where the
	// environment says true). A field above wins over its option here.
	Options map[string]string

	// Credentials gives the client id and secret, in the place of the fields and variables for them,
	// before each token request; refused: the endpoint refused the last pair. Its context ends when
	// the client is closed. It must not wait for a token of this client. It may take its time:
	// callers wait for it as long as their contexts allow, and all fetches that need credentials
	// while it runs share what it gives. One that has not returned after 10 s is called again
	// beside that, up to four times in all. Error.Unwrap of the calls that waited returns its error,
	// whose text is in events and messages too: it must hold no secret. That it panics is such an error.
	Credentials func(ctx context.Context, refused bool) (clientID, clientSecret string, err error)

	// OnEvent is told what happens, one event after the other. While it runs, later events wait;
	// callers and fetches do not. If it panics, slog.Default tells of it.
	//
	// OnEvent, Credentials and the Logger's handler are each called in a goroutine of their own, which
	// they may end (runtime.Goexit, which t.Fatal calls).
	OnEvent func(Event)

	// Logger gets every event, before OnEvent does; nil: none.
	Logger *slog.Logger
}

// String shows no secret.
func (c Config) String() string {
	return fmt.Sprintf("Config(name %q, scope %q)", c.Name, c.Scope)
}

// GoString shows no secret.
func (c Config) GoString() string {
	return c.String()
}

// Format shows no secret, whatever the verb.
func (c Config) Format(state fmt.State, verb rune) {
	io.WriteString(state, c.String())
}

// LogValue shows no secret.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", c.Name), slog.String("scope", c.Scope))
}

// An option is a key of the table in docs/options.md and its value as text; "": not set.
type option struct {
	key, value string
}

// options are in the order of the table.
func (c *Config) options() []option {
	return []option{
		{"client_id", c.ClientID},
		{"client_secret", c.ClientSecret},
		{"client_id_file", c.ClientIDFile},
		{"client_secret_file", c.ClientSecretFile},
		{"scope", c.Scope},
		{"token_url", c.TokenURL},
		{"client_auth", c.ClientAuth},
		{"params", c.Params},
		{"name", c.Name},
		{"timeout", waitText(c.Timeout)},
		{"request_timeout", durationText(c.RequestTimeout)},
		{"connect_timeout", durationText(c.ConnectTimeout)},
		{"fetch_timeout", durationText(c.FetchTimeout)},
		{"refresh_before", durationText(c.RefreshBefore)},
		{"expiry_margin", durationText(c.ExpiryMargin)},
		{"keep_warm", boolText(c.KeepWarm)},
		{"max_requests_per_minute", intText(c.MaxRequestsPerMinute)},
		{"allow_narrowed_scope", boolText(c.AllowNarrowedScope)},
		{"ca_file", c.CAFile},
		{"client_cert_file", c.ClientCertFile},
		{"client_key_file", c.ClientKeyFile},
		{"proxy", c.Proxy},
		{"user_agent", c.UserAgent},
		{"api_hosts", c.APIHosts},
		{"log", c.Log},
		{"store", c.Store},
		{"store_timeout", durationText(c.StoreTimeout)},
	}
}

func waitText(wait time.Duration) string {
	if wait < 0 {
		return "0"
	}
	return durationText(wait)
}

func durationText(duration time.Duration) string {
	if duration == 0 {
		return ""
	}
	if duration < 0 {
		// As it is, for the error: -1ns is no "0ms".
		return duration.String()
	}
	return strconv.FormatInt(toMillis(duration), 10) + "ms"
}

func boolText(value bool) string {
	if !value {
		return ""
	}
	return "true"
}

func intText(value int) string {
	if value == 0 {
		return ""
	}
	return strconv.Itoa(value)
}

// toMillis cuts up: a short time must not become none.
func toMillis(duration time.Duration) int64 {
	millis := duration / time.Millisecond
	if duration%time.Millisecond > 0 {
		millis++
	}
	return int64(millis)
}

// fill hands the options to a configuration of C.
func (c *Config) fill(config *C.tu_config) error {
	C.tu_config_load_env(config)
	fields := slices.DeleteFunc(c.options(), func(field option) bool { return field.value == "" })
	// In one order, so that of several mistakes it is always the same that is told.
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		named := func(field option) bool { return field.key == key }
		if slices.ContainsFunc(fields, named) {
			continue
		}
		if err := set(config, option{key, c.Options[key]}); err != nil {
			return err
		}
	}
	for _, field := range fields {
		if err := set(config, field); err != nil {
			return err
		}
	}
	return nil
}

func set(config *C.tu_config, set option) error {
	key, err := newCText("the key of an option", set.key)
	if err == nil {
		var value cText
		if value, err = newCText("option "+set.key, set.value); err == nil {
			C.tu_config_set(config, key.pointer(), value.pointer())
			value.wipe()
			return nil
		}
	}
	err.Status = StatusConfig
	return err
}

// A cText is a string as C takes it, in memory of Go. Empty: NULL.
type cText []byte

// newCText refuses what C would cut.
func newCText(what, text string) (cText, *Error) {
	if at := strings.IndexByte(text, 0); at >= 0 {
		return nil, newError(StatusInvalidArgument, "%s has a NUL byte at %d", what, at)
	}
	bytes := make(cText, len(text)+1)
	copy(bytes, text)
	return bytes, nil
}

func (t cText) pointer() *C.char {
	if len(t) == 0 {
		return nil
	}
	return (*C.char)(unsafe.Pointer(&t[0]))
}

func (t cText) wipe() {
	clear(t)
}
