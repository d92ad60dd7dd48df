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

// A Token is an access token. It is shared by all who were handed it, so it must not be changed. It
// holds no memory of C, needs no release, and outlives its client.
//
// Formatting, logging or marshalling a Token (as JSON, XML or text) does not show its value; Value and
// Bearer do. fmt asks no methods of a Token, nor of a Config, in an unexported field of a struct, and
// shows all of it: hold pointers there.
type Token struct {
	Value  string    // the bare token: opaque
	Scope  string    // the scopes that were granted, separated by blanks
	Expiry time.Time // the end of its life by the wall clock when it was had: to report only

	bearer     string
	freshUntil time.Time
	serial     uint64
}

// Bearer is the value of an Authorization header: "Bearer " and the token (RFC 6750 section 2.1).
func (t *Token) Bearer() string {
	if t == nil {
		return ""
	}
	// Both are one string in memory, so this compares no bytes.
	if len(t.bearer) > len(bearerPrefix) && t.bearer[len(bearerPrefix):] == t.Value {
		return t.bearer
	}
	return bearerPrefix + t.Value
}

// FreshUntil is when a caller first causes a renewal: as long as a copy may be cached elsewhere.
func (t *Token) FreshUntil() time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.freshUntil
}

// String does not show the value.
func (t Token) String() string {
	return fmt.Sprintf("Token(scope %q, expires %s)", t.Scope, t.Expiry.Format(time.RFC3339))
}

// GoString does not show the value.
func (t Token) GoString() string {
	return t.String()
}

// Format does not show the value, whatever the verb.
func (t Token) Format(state fmt.State, verb rune) {
	io.WriteString(state, t.String())
}

// LogValue does not show the value.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("scope", t.Scope), slog.Time("expiry", t.Expiry))
}

// MarshalJSON does not show the value.
func (t Token) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Scope  string    `json:"scope"`
		Expiry time.Time `json:"expiry"`
	}{t.Scope, t.Expiry})
}

// MarshalText does not show the value: for encoding/xml and what else writes text.
func (t Token) MarshalText() ([]byte, error) {
	return []byte(t.String()), nil
}

// copyToken makes a Go token of one of C.
func copyToken(token *C.tu_token) *Token {
	// Without a monotonic reading: that clock stands still while the machine sleeps.
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
