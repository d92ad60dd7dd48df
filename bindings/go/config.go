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

// NeverWait as Config.Timeout makes calls return at once instead of waiting for a token.
const NeverWait time.Duration = -1

// A Config configures a client. A zero field takes its value from the environment variable
// TRACKUNIT_<KEY> (for Scope: TRACKUNIT_SCOPE), or else the default in docs/options.md.
//
// Durations are rounded up to whole milliseconds. Formatting a Config does not reveal secrets.
type Config struct {
	ClientID             string        // client id of the API key
	ClientSecret         string        // client secret of the API key
	ClientIDFile         string        // file that contains the id; reread when it changes
	ClientSecretFile     string        // file that contains the secret; reread when it changes
	Scope                string        // scopes to request, separated by spaces
	TokenURL             string        // token endpoint: https, or http on this machine only
	ClientAuth           string        // "post" or "basic" (RFC 6749 section 2.3.1)
	Params               string        // additional form fields, encoded as by url.Values.Encode
	Name                 string        // name of the API key, for auditing
	Timeout              time.Duration // maximum wait of a call whose context has no deadline, or NeverWait
	RequestTimeout       time.Duration // maximum duration of one token request
	ConnectTimeout       time.Duration // maximum duration of connecting
	FetchTimeout         time.Duration // maximum duration of one fetch with all its attempts
	RefreshBefore        time.Duration // time before expiry at which renewal is due; randomly earlier
	ExpiryMargin         time.Duration // time before expiry from which callers wait for the next token
	KeepWarm             bool          // renew in the background even without callers
	MaxRequestsPerMinute int           // maximum number of token requests per minute
	AllowNarrowedScope   bool          // accept a token with fewer scopes than requested
	CAFile               string        // root certificates (PEM), instead of the system's
	ClientCertFile       string        // client certificate (PEM) for mutual TLS
	ClientKeyFile        string        // private key (PEM) of the client certificate
	Proxy                string        // http://, https:// or socks5:// (user and password percent-encoded), or "none"
	UserAgent            string        // User-Agent of token requests
	APIHosts             string        // hosts that HTTPClient may send the token to, separated by spaces
	Log                  string        // events on stderr: "off", "warn" or "info"
	Store                string        // where tokens are shared: "memory", "file", "file:<dir>" or, if built in, "redis://..."
	StoreTimeout         time.Duration // maximum duration of one store operation

	// Options sets options as text, by their keys in docs/options.md: for programs that read them from
	// their own configuration, and for values a zero field cannot express, such as "keep_warm":
	// "false" to override the environment. The fields above take precedence.
	Options map[string]string

	// Credentials supplies the client id and secret before each token request, instead of the fields
	// and variables. refused is true if the endpoint refused the previous credentials. ctx ends when
	// the client is closed. Credentials must not wait for a token of this client.
	//
	// It may be slow: callers wait for it as long as their contexts allow, and all fetches that need
	// credentials while it runs share the result. If a call has not returned after 10 s, another is
	// started alongside, up to four in total. Callers that were waiting get its error from
	// Error.Unwrap; the error's text also appears in messages and events, so it must not contain a
	// secret. A panic is reported as such an error.
	Credentials func(ctx context.Context, refused bool) (clientID, clientSecret string, err error)

	// OnEvent receives events, one at a time. While it runs, later events are queued; callers and
	// fetches are not delayed. If it panics, the panic is logged to slog.Default.
	//
	// OnEvent, Credentials and the Logger's handler each run in a goroutine of their own, which they
	// may end with runtime.Goexit (as t.Fatal does).
	OnEvent func(Event)

	// Logger, if not nil, receives every event before OnEvent does.
	Logger *slog.Logger
}

// String does not reveal secrets.
func (c Config) String() string {
	return fmt.Sprintf("Config(name %q, scope %q)", c.Name, c.Scope)
}

// GoString does not reveal secrets.
func (c Config) GoString() string {
	return c.String()
}

// Format does not reveal secrets, whatever the verb.
func (c Config) Format(state fmt.State, verb rune) {
	io.WriteString(state, c.String())
}

// LogValue does not reveal secrets.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", c.Name), slog.String("scope", c.Scope))
}

// An option is a key of docs/options.md and its value as text; "" means not set.
type option struct {
	key, value string
}

// options returns the options in the order of docs/options.md.
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
		// Unrounded, for the error message: -1ns must not become "0ms".
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

// toMillis rounds up, so that a short duration does not become 0.
func toMillis(duration time.Duration) int64 {
	millis := duration / time.Millisecond
	if duration%time.Millisecond > 0 {
		millis++
	}
	return int64(millis)
}

// fill copies the options into a C configuration.
func (c *Config) fill(config *C.tu_config) error {
	C.tu_config_load_env(config)
	fields := slices.DeleteFunc(c.options(), func(field option) bool { return field.value == "" })
	// Sorted, so that of several invalid options always the same one is reported.
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

// A cText is a NUL-terminated string in Go memory. An empty one is NULL in C.
type cText []byte

// newCText rejects a text with a NUL byte, which C would truncate.
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
