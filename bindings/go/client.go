package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"runtime/cgo"
	"sync/atomic"
	"time"
	"unsafe"
)

// A Client obtains, caches and renews the tokens of one API key. Its methods are safe for concurrent
// use, including concurrently with Close.
type Client struct {
	// nil if the client was not made by New; such a client counts as closed.
	library *library
	closed  atomic.Bool
	own     entry
	scopes  scopes
	// Cancels the context of the credentials callback.
	end context.CancelFunc
}

// A library holds the C client. Every C call keeps it reachable, and the garbage collector frees it
// once nothing does: hits need no reference count, and no call can use freed memory. A closed client
// keeps it, because MaySendTo still needs it after Close.
type library struct {
	client *C.tu_client
	// nil if the client has no credentials callback.
	asking *threads
}

// New returns a client for the given configuration. It makes no requests and reads only the files
// named in the options. No other goroutine may change the environment while New runs. Close the client
// when it is no longer needed.
//
// The error is ErrConfig or ErrInvalidArgument and describes the first invalid option.
func New(config Config) (*Client, error) {
	made := C.tu_config_new()
	defer C.tu_free(unsafe.Pointer(made))
	if err := config.fill(made); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	asking := config.setCallbacks(made, ctx)
	var failure *C.tu_error
	client := C.tu_client_new(made, &failure)
	if client == nil {
		end()
		return nil, takeError(failure)
	}
	held := &library{client, asking}
	runtime.AddCleanup(held, free, unsafe.Pointer(client))
	return &Client{library: held, end: end}, nil
}

func free(client unsafe.Pointer) {
	C.tu_free(client)
}

// setCallbacks registers the callbacks with C, each with a handle of its own because C drops them
// independently. It returns the threads that run the credentials callback, or nil if there is none.
func (c *Config) setCallbacks(config *C.tu_config, ctx context.Context) *threads {
	all := &callbacks{ctx, c.Credentials, c.OnEvent, c.Logger, nil}
	if all.credentials != nil {
		all.asking = &threads{}
		collectIf(C.tutoken_go_on_credentials(config, C.uintptr_t(cgo.NewHandle(all))))
	}
	if all.onEvent != nil || all.logger != nil {
		collectIf(C.tutoken_go_on_event(config, C.uintptr_t(cgo.NewHandle(all))))
	}
	return all.asking
}

func (c *Client) isClosed() bool {
	return c.library == nil || c.closed.Load()
}

// use runs call with the C client. It returns false if the client is closed.
func (c *Client) use(call func(client *C.tu_client)) bool {
	if c.isClosed() {
		return false
	}
	call(c.library.client)
	runtime.KeepAlive(c.library)
	return true
}

// String returns a constant: it reveals nothing about the client.
func (c *Client) String() string {
	return "tutoken.Client"
}

// Close closes the client. Waiting calls and all later ones return ErrClosed, as do HTTPClient requests
// to hosts that would receive the token. Pending events are still delivered; after that no callback is
// called. Close never blocks and may be called more than once; the error is always nil.
func (c *Client) Close() error {
	if c.library != nil && !c.closed.Swap(true) {
		c.end()
		C.tu_client_close(c.library.client)
		C.tu_client_drop_functions(c.library.client)
		runtime.KeepAlive(c.library)
		c.own.token.Store(nil)
		c.own.watched.Store(nil)
		c.scopes.clear()
	}
	return nil
}

// Invalidate drops a token that an API answered with 401, so that it is not returned again. It does
// nothing if a newer token is already cached or token is nil. Do not call it for 403 or 429.
func (c *Client) Invalidate(token *Token) {
	if token != nil {
		c.InvalidateValue(token.Value)
	}
}

// InvalidateValue is like Invalidate for a token given as text, either bare or as "Bearer <token>".
func (c *Client) InvalidateValue(token string) {
	text, err := newCText("the token", token)
	if err != nil {
		return // No token contains a NUL byte.
	}
	c.use(func(client *C.tu_client) { C.tu_client_invalidate_value(client, text.pointer()) })
	text.wipe()
}

// Rotate replaces the client id and secret, whatever their source was, starting with the next token
// request. Cached tokens stay in use; a remembered refusal is cleared.
func (c *Client) Rotate(clientID, clientSecret string) error {
	id, err := newCText("the client id", clientID)
	if err != nil {
		return err
	}
	secret, err := newCText("the client secret", clientSecret)
	if err != nil {
		return err
	}
	defer secret.wipe()
	return c.try(func(client *C.tu_client, failure **C.tu_error) C.tu_status {
		return C.tu_client_rotate(client, id.pointer(), secret.pointer(), failure)
	})
}

// try calls a C function that can fail.
func (c *Client) try(call func(*C.tu_client, **C.tu_error) C.tu_status) error {
	var failure *C.tu_error
	var status C.tu_status
	if !c.use(func(client *C.tu_client) { status = call(client, &failure) }) {
		return closedError()
	}
	if status != C.TU_OK {
		return takeError(failure)
	}
	return nil
}

// Wake reports that the network is back. It ends backoff immediately for waiting callers and within
// five seconds for background renewals. A Retry-After from the server still applies, and a login that
// the proxy refused is retried at most once in ten minutes.
func (c *Client) Wake() {
	c.use(func(client *C.tu_client) { C.tu_client_wake(client) })
}

// A State describes the cached token of a scope.
type State int32

const (
	StateEmpty   State = 0 // no token cached
	StateFresh   State = 1 // served from the cache
	StateSoft    State = 2 // served from the cache while it is renewed in the background
	StateHard    State = 3 // close to expiry: callers wait briefly for the next token
	StateExpired State = 4 // callers wait for the next token
)

// Stats describes the cache entry of one scope. Hits are not counted.
type Stats struct {
	State         State
	LastStatus    Status        // result of the last fetch
	ExpiresIn     time.Duration // remaining life of the cached token
	NextRequestIn time.Duration // time until a token request is allowed; 0 means now
	LastFetch     time.Duration // duration of the last fetch
	Waits         uint64        // calls that had to wait for a fetch
	Requests      uint64        // token requests sent
	Renewals      uint64        // tokens received while another was still valid
	Failures      uint64        // failed fetches
}

// Stats returns the statistics of the client's own scope.
func (c *Client) Stats() (Stats, error) {
	return c.StatsFor("")
}

// StatsFor returns the statistics of another scope; "" means the client's own.
func (c *Client) StatsFor(scope string) (Stats, error) {
	name, err := scopeText(scope)
	if err != nil {
		return Stats{}, err
	}
	return c.stats(name)
}

func (c *Client) stats(scope cText) (Stats, error) {
	var stats C.tu_stats
	stats.struct_size = C.sizeof_tu_stats
	err := c.try(func(client *C.tu_client, failure **C.tu_error) C.tu_status {
		return C.tu_client_stats(client, scope.pointer(), &stats, failure)
	})
	if err != nil {
		return Stats{}, err
	}
	return Stats{
		State:         State(stats.state),
		LastStatus:    Status(stats.last_status),
		ExpiresIn:     fromMillis(stats.expires_in_ms),
		NextRequestIn: fromMillis(stats.next_request_in_ms),
		LastFetch:     fromMillis(stats.last_fetch_ms),
		Waits:         uint64(stats.waits),
		Requests:      uint64(stats.requests),
		Renewals:      uint64(stats.renewals),
		Failures:      uint64(stats.failures),
	}, nil
}

// MaySendTo reports whether a token may be sent to this URL: an https URL of a host in Config.APIHosts,
// or a URL of this machine. Code that attaches tokens to requests itself should call it for every
// request, and again after each redirect, as HTTPClient does. The result does not change when the
// client is closed; Token then returns ErrClosed.
func (c *Client) MaySendTo(url string) bool {
	text, err := newCText("the URL", url)
	if err != nil || c.library == nil {
		return false
	}
	allowed := bool(C.tu_client_may_send_to(c.library.client, text.pointer()))
	runtime.KeepAlive(c.library)
	return allowed
}

// APIRefused reports that the API at this URL also answered 401 to the token that replaced an
// invalidated one. An event then says, once per host, that the API may not accept API Tokens v2 yet.
// It is meant for code that attaches tokens to requests itself; HTTPClient calls it on its own.
func (c *Client) APIRefused(url string) {
	text, err := newCText("the URL", url)
	if err != nil {
		return
	}
	c.use(func(client *C.tu_client) { C.tu_client_api_refused(client, text.pointer()) })
}
