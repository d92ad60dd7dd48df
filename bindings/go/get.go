package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// An Option modifies one call of TokenFor.
type Option func(*request)

// A request holds the options of one call.
type request struct {
	minTTL time.Duration
	noWait bool
}

// MinTTL requests a token that stays valid for at least ttl. It is best effort: the call returns
// whatever a fetch brings, or else the valid token in the cache.
func MinTTL(ttl time.Duration) Option {
	return func(r *request) { r.minTTL = ttl }
}

// NoWait requests the cached token without waiting. If there is none, the call starts a fetch and
// returns ErrPending.
func NoWait() Option {
	return func(r *request) { r.noWait = true }
}

// Token returns a valid token for the client's own scope, either from the cache or from a fetch shared
// by all callers. It waits until ctx ends or, if ctx has no deadline, at most Config.Timeout. Waiting
// blocks no thread. The fetch continues for other callers when ctx ends. Token may also be called
// during package initialisation.
//
// An already ended context is always an error, because a request made with it would fail as well. If
// its deadline passes while waiting, Token still returns a token if a valid one exists.
func (c *Client) Token(ctx context.Context) (*Token, error) {
	if ctx != nil && ctx.Err() == nil {
		if token := c.own.atHand(c.library); token != nil {
			return token, nil
		}
	}
	return c.get(ctx, &c.own, request{})
}

// TokenFor is like Token for another scope and with options. Scopes are separated by spaces; "" means
// the client's own.
func (c *Client) TokenFor(ctx context.Context, scope string, options ...Option) (*Token, error) {
	var asked request
	if len(options) > 0 {
		asked = made(options)
	}
	if scope == "" {
		return c.get(ctx, &c.own, asked)
	}
	if known := c.scopes.find(scope); known != nil {
		if len(options) == 0 && ctx != nil && ctx.Err() == nil {
			if token := known.atHand(c.library); token != nil {
				return token, nil
			}
		}
		return c.get(ctx, known, asked)
	}
	name, err := scopeText(scope)
	if err != nil {
		return nil, err
	}
	added := &entry{scope: name}
	token, failure := c.get(ctx, added, asked)
	if failure == nil {
		c.scopes.add(scope, added)
	}
	return token, failure
}

// made is separate from TokenFor because it allocates.
func made(options []Option) request {
	var asked request
	for _, option := range options {
		if option != nil {
			option(&asked)
		}
	}
	return asked
}

// scopeText converts a scope for C; "" means the client's own.
func scopeText(scope string) (cText, *Error) {
	if scope == "" {
		return nil, nil
	}
	return newCText("the scope", scope)
}

func (c *Client) get(ctx context.Context, from *entry, asked request) (*Token, error) {
	if ctx == nil {
		return nil, newError(StatusInvalidArgument, "the context is nil; use context.Background()")
	}
	if asked.minTTL < 0 {
		return nil, newError(StatusInvalidArgument, "MinTTL is %s: it must not be negative", asked.minTTL)
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	if c.isClosed() {
		return nil, closedError()
	}
	if token := from.atHandFor(c.library, asked.minTTL); token != nil {
		return token, nil
	}
	return c.library.wait(ctx, from, asked)
}

// A call is one request for a token that the library has not answered yet.
type call struct {
	entry  *entry
	answer chan answer
}

type answer struct {
	token *Token
	err   error
}

// Timeouts for the library: do not wait; wait as long as its timeout option says.
const (
	noWait     = C.int64_t(C.TU_NO_WAIT)
	ownTimeout = C.int64_t(0)
)

// timeoutOf returns the time until ctx's deadline plus a little, so that the context ends first. The
// library applies it as well because its clock counts time spent in suspend.
func timeoutOf(ctx context.Context) C.int64_t {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ownTimeout
	}
	// Added in milliseconds, where even the most distant deadline does not overflow.
	return C.int64_t(max(1, toMillis(time.Until(deadline))+10))
}

// wait requests a token from the library and waits for the answer or the end of the context.
func (l *library) wait(ctx context.Context, from *entry, asked request) (*Token, error) {
	if asked.noWait {
		return l.atOnce(from, asked.minTTL)
	}
	if l.asking != nil && l.asking.isHere() {
		return l.withoutItself(from, asked.minTTL)
	}
	var cancel *C.tu_cancel
	if ctx.Done() != nil {
		cancel = C.tu_cancel_new()
		// Safe to free here: the library keeps a reference of its own.
		defer C.tu_free(unsafe.Pointer(cancel))
	}
	select {
	case answer := <-l.ask(from, timeoutOf(ctx), asked.minTTL, cancel):
		return answer.token, answer.err
	case <-ctx.Done():
		C.tu_cancel_trigger(cancel)
		return l.afterContext(ctx, from)
	}
}

// ask submits a call to the library, which answers it exactly once, possibly before ask returns. The
// channel is buffered so that the answer can be delivered even if the caller has stopped waiting.
func (l *library) ask(from *entry, timeout C.int64_t, minTTL time.Duration, cancel *C.tu_cancel) <-chan answer {
	call := &call{from, make(chan answer, 1)}
	handle := cgo.NewHandle(call)
	var start C.bool
	answered := C.tutoken_go_get(l.client, from.scope.pointer(), timeout, C.int64_t(toMillis(minTTL)),
		cancel, C.uintptr_t(handle), &start)
	runtime.KeepAlive(l)
	collectIf(start)
	if answered != nil {
		handle.Delete()
		call.take(answered)
	}
	return call.answer
}

// take delivers a C answer to the waiting caller and frees it.
func (c *call) take(message *C.tutoken_go_message) {
	defer C.free(unsafe.Pointer(message))
	if message.error != nil {
		c.answer <- answer{err: takeError(message.error)}
		return
	}
	c.answer <- answer{token: c.entry.keep(message.token)}
}

// atOnce asks without waiting; the library answers such a call before it returns.
func (l *library) atOnce(from *entry, minTTL time.Duration) (*Token, error) {
	answer := <-l.ask(from, noWait, minTTL, nil)
	return answer.token, answer.err
}

// withoutItself serves a call made inside the credentials callback, which must not wait for a fetch
// that is itself waiting for the callback.
func (l *library) withoutItself(from *entry, minTTL time.Duration) (*Token, error) {
	token, err := l.atOnce(from, minTTL)
	if errors.Is(err, ErrPending) {
		err = newError(StatusInvalidArgument,
			"a credentials callback cannot wait for a token of the client it serves")
	}
	return token, err
}

// afterContext returns the result after ctx ended: after a deadline a valid token if there is one, after
// a cancellation always an error.
func (l *library) afterContext(ctx context.Context, from *entry) (*Token, error) {
	if pastDeadline(ctx) {
		if token, err := l.atOnce(from, 0); err == nil {
			return token, nil
		}
	}
	return nil, contextError(ctx)
}
