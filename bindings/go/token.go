package tutoken

// #include "bridge.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
	"unsafe"
)

const bearerPrefix = "Bearer "

// A Token is an access token. Callers share it, so it must not be modified. It refers to no C memory,
// needs no release, and outlives its client.
//
// Formatting, logging or marshalling a Token (as JSON, XML or text) does not reveal its value; Value and
// Bearer do. Store a *Token or *Config, not the value, in an unexported struct field: fmt calls no
// methods on such fields and would print everything in them.
type Token struct {
	Value  string    // the bare token; opaque
	Scope  string    // granted scopes, separated by spaces
	Expiry time.Time // expiry by the wall clock at the time of receipt; for reporting only

	bearer     string
	freshUntil time.Time
	serial     uint64
}

// Bearer returns the value for an Authorization header: "Bearer <token>" (RFC 6750 section 2.1).
func (t *Token) Bearer() string {
	if t == nil {
		return ""
	}
	// Value is normally a substring of bearer: with the same pointer, no bytes are compared.
	if len(t.bearer) > len(bearerPrefix) && t.bearer[len(bearerPrefix):] == t.Value {
		return t.bearer
	}
	return bearerPrefix + t.Value
}

// FreshUntil returns when the token becomes due for renewal. Do not cache a copy longer than that.
func (t *Token) FreshUntil() time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.freshUntil
}

// String does not reveal the value.
func (t Token) String() string {
	return fmt.Sprintf("Token(scope %q, expires %s)", t.Scope, t.Expiry.Format(time.RFC3339))
}

// GoString does not reveal the value.
func (t Token) GoString() string {
	return t.String()
}

// Format does not reveal the value, whatever the verb.
func (t Token) Format(state fmt.State, verb rune) {
	io.WriteString(state, t.String())
}

// LogValue does not reveal the value.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("scope", t.Scope), slog.Time("expiry", t.Expiry))
}

// MarshalJSON does not reveal the value.
func (t Token) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Scope  string    `json:"scope"`
		Expiry time.Time `json:"expiry"`
	}{t.Scope, t.Expiry})
}

// MarshalText does not reveal the value. encoding/xml and other text encoders use it.
func (t Token) MarshalText() ([]byte, error) {
	return []byte(t.String()), nil
}

// copyToken copies a C token into Go memory.
func copyToken(token *C.tu_token) *Token {
	// Without the monotonic reading: that clock stops during suspend.
	now := time.Now().Round(0)
	length := C.int(C.tu_token_length(token))
	bearer := C.GoStringN(C.tu_token_bearer(token), C.int(len(bearerPrefix))+length)
	return &Token{
		Value:      bearer[len(bearerPrefix):],
		Scope:      C.GoString(C.tu_token_scope(token)),
		Expiry:     now.Add(fromMillis(C.tu_token_expires_in_ms(token))),
		bearer:     bearer,
		freshUntil: now.Add(fromMillis(C.tu_token_fresh_for_ms(token))),
		serial:     uint64(C.tu_token_serial(token)),
	}
}

func freeToken(token *C.tu_token) {
	C.tu_free(unsafe.Pointer(token))
}
