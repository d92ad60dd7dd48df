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

// A Client gets, keeps and hands out the tokens of one API key. Every method may be called by any
// number of goroutines at once, also while another one closes it.
type Client struct {
	// nil: it was not made by New, and counts as closed.
	library *library
	closed  atomic.Bool
	own     entry
	scopes  scopes
	// Ends the context of the credentials callback.
	end context.CancelFunc
}

// A library is the client in C. Whoever calls C with it keeps it reachable meanwhile, and the garbage
// collector releases it when nobody does: so nothing has to be counted on the way of a hit, and no
// call can meet freed memory. A closed client keeps it: what is not allowed and what cannot be told
// are two answers, and whether a token may be sent to a host can be told.
type library struct {
	client *C.tu_client
	// nil: the client has no credentials callback.
	asking *threads
}

// New makes a client. It makes no request and reads no file but those the options name. Meanwhile no
// other goroutine may change the environment. Close the client when it is no longer needed.
//
// The error is ErrConfig or ErrInvalidArgument: the first mistake in the options.
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

// setCallbacks hands over one handle for each function of C: each is dropped by itself. It returns
// where the credentials callback runs; nil: there is none.
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

// use calls C with the client in C; false: the client is closed.
func (c *Client) use(call func(client *C.tu_client)) bool {
	if c.isClosed() {
		return false
	}
	call(c.library.client)
	runtime.KeepAlive(c.library)
	return true
}

// String tells nothing of what is inside.
func (c *Client) String() string {
	return "tutoken.Client"
}

// Close ends the client: calls that wait return ErrClosed, and so does every later one, also requests
// of HTTPClient to hosts that would get the token. Callbacks are called no more when the events up to
// now have been told. It never blocks and may be called more than once; the error is always nil.
func (c *Client) Close() error {
	if c.library != nil && !c.closed.Swap(true) {
		c.end()
		C.tu_client_close(c.library.client)
		C.tu_client_drop_functions(c.library.client)
		runtime.KeepAlive(c.library)
		c.own.token.Store(nil)
		c.scopes.clear()
	}
	return nil
}

// Invalidate says that an API answered 401 to this token: it is not handed out again. If a newer one
// is cached already, nothing happens. Neither 403 nor 429 is a reason to call this. nil does nothing.
func (c *Client) Invalidate(token *Token) {
	if token != nil {
		c.InvalidateValue(token.Value)
	}
}

// InvalidateValue is the same for a token known by its text, bare or as "Bearer <token>".
func (c *Client) InvalidateValue(token string) {
	text, err := newCText("the token", token)
	if err != nil {
		return // No token has a NUL byte.
	}
	c.use(func(client *C.tu_client) { C.tu_client_invalidate_value(client, text.pointer()) })
	text.wipe()
}

// Rotate uses another client id and secret from the next request on, in the place of whatever gave
// them before. Cached tokens stay in use; a remembered refusal is forgotten.
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

// try calls a function of C that can fail.
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

// Wake says that the network is back: pauses after failures end now for whoever waits, and within
// five seconds for renewals. A wait that the server asked for by Retry-After still holds. A login that the
// proxy refused is made again at most once in ten minutes.
func (c *Client) Wake() {
	c.use(func(client *C.tu_client) { C.tu_client_wake(client) })
}

// A State says what a cached token is worth.
type State int32

const (
	StateEmpty   State = 0 // there is none
	StateFresh   State = 1 // callers get it
	StateSoft    State = 2 // callers get it, and it is being renewed
	StateHard    State = 3 // callers wait a while for the next one
	StateExpired State = 4 // callers wait for the next one
)

// Stats are what the cache entry of a scope has been through. Hits are not counted.
type Stats struct {
	State         State
	LastStatus    Status        // how the last fetch ended
	ExpiresIn     time.Duration // life left of the cached token
	NextRequestIn time.Duration // how long until a token request may be made; 0: now
	LastFetch     time.Duration // how long the last fetch took
	Waits         uint64        // calls that had to wait for a fetch
	Requests      uint64        // token requests sent
	Renewals      uint64        // tokens received in the place of a valid one
	Failures      uint64        // failed fetches
}

// Stats are those of the client's own scope.
func (c *Client) Stats() (Stats, error) {
	return c.StatsFor("")
}

// StatsFor are those of another scope; "": the client's own.
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

// MaySendTo reports whether a token may be sent to this URL: by https to a host of the option
// APIHosts, or to this machine. For whoever attaches tokens to requests by itself; ask again after
// each redirect. HTTPClient does. Closing the client changes nothing about it: Token then says that
// there is none to send.
func (c *Client) MaySendTo(url string) bool {
	text, err := newCText("the URL", url)
	if err != nil || c.library == nil {
		return false
	}
	allowed := bool(C.tu_client_may_send_to(c.library.client, text.pointer()))
	runtime.KeepAlive(c.library)
	return allowed
}

// APIRefused says that the API at this URL answered 401 also to the token that followed an
// invalidated one. An event says, once a host, that it may not accept API Tokens v2 yet. For whoever
// attaches tokens to requests by itself; HTTPClient calls it.
func (c *Client) APIRefused(url string) {
	text, err := newCText("the URL", url)
	if err != nil {
		return
	}
	c.use(func(client *C.tu_client) { C.tu_client_api_refused(client, text.pointer()) })
}
