package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/cgo"
)

// Functions of a program, called by C: the other side of bridge.c. No panic may unwind into C.

// callbacks are a client's functions. The library holds them by a handle of their own, so they hold
// neither the client nor its memory.
type callbacks struct {
	context     context.Context
	credentials func(context.Context, bool) (string, string, error)
	onEvent     func(Event)
	logger      *slog.Logger
}

//export tutoken_go_drop
func tutoken_go_drop(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
}

//export tutoken_go_credentials
func tutoken_go_credentials(handle C.uintptr_t, refused C.bool, out *C.tu_credentials) C.bool {
	callbacks := cgo.Handle(handle).Value().(*callbacks)
	id, secret, err := callbacks.ask(bool(refused))
	if err == nil {
		err = give(out, id, secret)
	}
	if err == nil {
		return true
	}
	// A NUL in a text for a person is not worth a failure of its own: C takes what is before it.
	message := append(cText(textOf(err)), 0)
	C.tutoken_go_fail(out, message.pointer(), C.uintptr_t(cgo.NewHandle(err)))
	return false
}

func (c *callbacks) ask(refused bool) (id, secret string, err error) {
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("the credentials callback panicked: %v", found)
		}
	}()
	return c.credentials(c.context, refused)
}

// textOf survives an error that cannot tell of itself, such as a nil pointer.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("the credentials callback returned a %T that panics in Error", err)
		}
	}()
	return err.Error()
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

//export tutoken_go_event
func tutoken_go_event(handle C.uintptr_t, event *C.tu_event) {
	callbacks := cgo.Handle(handle).Value().(*callbacks)
	copied := copyEvent(event)
	if callbacks.logger != nil {
		callbacks.guarded("Config.Logger", func() { copied.log(callbacks.logger) })
	}
	if callbacks.onEvent != nil {
		callbacks.guarded("Config.OnEvent", func() { callbacks.onEvent(copied) })
	}
}

// guarded tells of a panic and goes on: events have nobody to hand it to.
func (c *callbacks) guarded(what string, call func()) {
	defer func() {
		if found := recover(); found != nil {
			slog.Error("tutoken: "+what+" panicked", "panic", fmt.Sprint(found))
		}
	}()
	call()
}

//export tutoken_go_answer
func tutoken_go_answer(handle C.uintptr_t, token *C.tu_token, failure *C.tu_error) {
	call := cgo.Handle(handle).Value().(*call)
	cgo.Handle(handle).Delete()
	if failure != nil {
		call.answer <- answer{err: takeError(failure)}
		return
	}
	call.answer <- answer{token: call.entry.keep(token)}
}
