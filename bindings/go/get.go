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

// An Option says how a token is asked for.
type Option func(*request)

// A request is what the options of one call come to.
type request struct {
	minTTL time.Duration
	noWait bool
}

// MinTTL asks for a token that is good for at least that much longer. It is best effort: the caller
// gets what a fetch brings, or else the valid token that there is.
func MinTTL(ttl time.Duration) Option {
	return func(r *request) { r.minTTL = ttl }
}

// NoWait asks for the token that is at hand. If there is none, the error is ErrPending, and it is
// being fetched.
func NoWait() Option {
	return func(r *request) { r.noWait = true }
}

// Token is a token for the client's own scope that is valid now: the one at hand, or one that is
// fetched once for all callers. It waits until ctx ends; without a deadline, at most Config.Timeout. A
// wait holds no thread. The fetch goes on for others when ctx ends. It may be called while packages are
// initialised, too.
//
// A context that has ended before the call is an error even if a token is at hand, because a request
// made with that context would fail too. One whose deadline passes during the wait is an error only
// if there is no valid token.
func (c *Client) Token(ctx context.Context) (*Token, error) {
	if ctx != nil && ctx.Err() == nil {
		if token := c.own.atHand(c.library); token != nil {
			return token, nil
		}
	}
	return c.get(ctx, &c.own, request{})
}

// TokenFor is the same for another scope (scopes are separated by blanks; "": the client's own) and
// with options.
func (c *Client) TokenFor(ctx context.Context, scope string, options ...Option) (*Token, error) {
	var asked request
	if len(options) > 0 {
		asked = made(options)
	}
	if scope == "" {
		return c.get(ctx, &c.own, asked)
	}
	if known := c.scopes.find(scope); known != nil {
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

// made is apart from TokenFor, because it allocates.
func made(options []Option) request {
	var asked request
	for _, option := range options {
		if option != nil {
			option(&asked)
		}
	}
	return asked
}

// scopeText is a scope for C; "": the client's own.
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
		return nil, newError(StatusInvalidArgument, "MinTTL is %s: it is a time from 0 upwards", asked.minTTL)
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

// A call waits for an answer.
type call struct {
	entry  *entry
	answer chan answer
}

type answer struct {
	token *Token
	err   error
}

// Times for the library: do not wait; wait as long as its option says.
const (
	noWait     = C.int64_t(C.TU_NO_WAIT)
	ownTimeout = C.int64_t(0)
)

// timeoutOf is the time that a context leaves, and a little, so that the context ends first. The
// library keeps it too because its clock counts the time a machine sleeps.
func timeoutOf(ctx context.Context) C.int64_t {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ownTimeout
	}
	// In milliseconds, where a deadline that is as far away as can be does not overflow.
	return C.int64_t(max(1, toMillis(time.Until(deadline))+10))
}

// wait asks the library and waits for its answer or the end of the context.
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
		// The library keeps what it needs of it.
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

// ask hands a call to the library, which answers it exactly once, perhaps before this returns. The
// channel takes the answer also when nobody waits for it any more.
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

// take passes an answer of C on to whoever waits, and releases it.
func (c *call) take(message *C.tutoken_go_message) {
	defer C.free(unsafe.Pointer(message))
	if message.error != nil {
		c.answer <- answer{err: takeError(message.error)}
		return
	}
	c.answer <- answer{token: c.entry.keep(message.token)}
}

// atOnce does not wait, so the answer is there.
func (l *library) atOnce(from *entry, minTTL time.Duration) (*Token, error) {
	answer := <-l.ask(from, noWait, minTTL, nil)
	return answer.token, answer.err
}

// withoutItself is for a credentials callback: the fetch that it would wait for waits for it.
func (l *library) withoutItself(from *entry, minTTL time.Duration) (*Token, error) {
	token, err := l.atOnce(from, minTTL)
	if errors.Is(err, ErrPending) {
		err = newError(StatusInvalidArgument,
			"a credentials callback cannot wait for a token of the client it serves")
	}
	return token, err
}

// afterContext: a deadline that passes takes away no valid token; a cancelled caller wants none.
func (l *library) afterContext(ctx context.Context, from *entry) (*Token, error) {
	if pastDeadline(ctx) {
		if token, err := l.atOnce(from, 0); err == nil {
			return token, nil
		}
	}
	return nil, contextError(ctx)
}
