package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/cgo"
	"slices"
	"sync"
)

// callbacks are a client's functions. The library holds them by a handle of their own, so they hold
// neither the client nor its memory.
type callbacks struct {
	context     context.Context
	credentials func(context.Context, bool) (string, string, error)
	onEvent     func(Event)
	logger      *slog.Logger
	asking      *threads
}

// apart calls a function of the program in a goroutine of its own, and returns when that has ended: so
// it may panic, and end its goroutine (runtime.Goexit, as t.Fatal does), which are errors here.
func apart(what string, call func()) error {
	ended := make(chan error)
	go func() {
		failure := fmt.Errorf("%s ended its goroutine (runtime.Goexit, which t.Fatal calls)", what)
		defer func() { ended <- failure }()
		defer func() {
			if found := recover(); found != nil {
				failure = fmt.Errorf("%s panicked: %v", what, found)
			}
		}()
		call()
		failure = nil
	}()
	return <-ended
}

// giveCredentials answers a thread of C that waits for a client id and secret.
func (c *callbacks) giveCredentials(message *C.tutoken_go_message) {
	id, secret, err := c.ask(bool(message.refused))
	if err == nil {
		err = give(message.credentials, id, secret)
	}
	if err != nil {
		// A NUL in a text for a person is not worth a failure of its own: C takes what is before it.
		text := append(cText(textOf(err)), 0)
		collectIf(C.tutoken_go_fail(message.credentials, text.pointer(), C.uintptr_t(cgo.NewHandle(err))))
	}
	C.tutoken_go_return(message, C.bool(err == nil))
}

func (c *callbacks) ask(refused bool) (id, secret string, err error) {
	failure := apart("Config.Credentials", func() {
		defer c.asking.mark()()
		id, secret, err = c.credentials(c.context, refused)
	})
	if failure != nil {
		return "", "", failure
	}
	return id, secret, err
}

// textOf survives an error that cannot tell of itself, such as a nil pointer.
func textOf(err error) (text string) {
	if apart("Error", func() { text = err.Error() }) != nil {
		return fmt.Sprintf("the credentials callback returned a %T that panics in Error", err)
	}
	return text
}

func give(out *C.tu_credentials, id, secret string) error {
	idText, err := newCText("the client id", id)
	if err != nil {
		return err
	}
	secretText, err := newCText("the client secret", secret)
	if err != nil {
		return err
	}
	C.tu_credentials_set(out, idText.pointer(), secretText.pointer())
	secretText.wipe()
	return nil
}

// tell answers the thread of C that tells events; the next one comes after that.
func (c *callbacks) tell(message *C.tutoken_go_message) {
	event := copyEvent(message.event)
	if c.logger != nil {
		guarded("Config.Logger", func() { event.log(c.logger) })
	}
	if c.onEvent != nil {
		guarded("Config.OnEvent", func() { c.onEvent(event) })
	}
	C.tutoken_go_return(message, true)
}

// guarded logs that a function failed, and goes on: events have nobody to hand it to.
func guarded(what string, call func()) {
	if failure := apart(what, call); failure != nil {
		// This may be what failed.
		apart("slog.Default", func() { slog.Error("tutoken: " + failure.Error()) })
	}
}

// threads on which functions of a client give its credentials. If these wait for a token of that client
// they wait for themselves.
type threads struct {
	mu     sync.Mutex
	marked []C.uintptr_t
}

// mark keeps the goroutine on its thread, and marks that until the function returned is called.
func (t *threads) mark() (unmark func()) {
	runtime.LockOSThread()
	here := C.tutoken_go_thread()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marked = append(t.marked, here)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		at := slices.Index(t.marked, here)
		t.marked = slices.Delete(t.marked, at, at+1)
		runtime.UnlockOSThread()
	}
}

// isHere reports whether the caller is such a function.
func (t *threads) isHere() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.marked) > 0 && slices.Contains(t.marked, C.tutoken_go_thread())
}
