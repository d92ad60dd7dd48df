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

// callbacks holds a client's callbacks. The library refers to them by a handle of their own, so that
// they keep neither the client nor its memory alive.
type callbacks struct {
	context     context.Context
	credentials func(context.Context, bool) (string, string, error)
	onEvent     func(Event)
	logger      *slog.Logger
	asking      *threads
}

// apart runs a function of the program in a goroutine of its own and waits for it to end. A panic and
// the end of the goroutine (runtime.Goexit, as t.Fatal does) are returned as errors.
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

// giveCredentials answers a C thread that is waiting for a client id and secret.
func (c *callbacks) giveCredentials(message *C.tutoken_go_message) {
	id, secret, err := c.ask(bool(message.refused))
	if err == nil {
		err = give(message.credentials, id, secret)
	}
	if err != nil {
		// A NUL in an error text is no error of its own: C takes the text before it.
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

// textOf returns err's text, also if err.Error panics, as that of a nil pointer may.
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

// tell delivers an event and then releases the C thread, which sends the next one.
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

// guarded runs a function and logs a failure: an event has no caller to return it to.
func guarded(what string, call func()) {
	if failure := apart(what, call); failure != nil {
		// slog.Default may itself be what failed.
		apart("slog.Default", func() { slog.Error("tutoken: " + failure.Error()) })
	}
}

// threads are the OS threads that are running a client's credentials callback. A call from one of them
// that waits for a token of that client would wait for itself.
type threads struct {
	mu     sync.Mutex
	marked []C.uintptr_t
}

// mark locks the goroutine to its thread and records the thread until unmark is called.
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

// isHere reports whether the caller runs inside the credentials callback.
func (t *threads) isHere() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.marked) > 0 && slices.Contains(t.marked, C.tutoken_go_thread())
}
