package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"time"
	"unsafe"
)

// An Error says what went wrong. It holds neither a secret nor a token. errors.Is finds the Err...
// value of its Status.
type Error struct {
	Status     Status
	Message    string        // one line for a person: what was being done, what was found, what to do
	OAuthCode  string        // the token endpoint's code, such as "invalid_scope" (RFC 6749 section 5.2); or ""
	HTTPStatus int           // of the token endpoint's answer; 0: there was none
	Retryable  bool          // the same call may succeed later without anybody changing anything
	RetryAfter time.Duration // until the library would ask the endpoint again; negative: unknown

	cause error
}

func (e *Error) Error() string {
	return "tutoken: " + e.Message
}

// Unwrap is what the credentials callback failed with, for whoever waited for the fetch that it failed,
// or the cause of the context that ended a wait. A failure that is remembered has no cause.
func (e *Error) Unwrap() error {
	return e.cause
}

// Is reports whether target is the Err... value of e's status, or what package context has for it.
func (e *Error) Is(target error) bool {
	switch target {
	case sentinel(e.Status):
		return true
	case context.DeadlineExceeded:
		return e.Status == StatusTimeout
	case context.Canceled:
		return e.Status == StatusCancelled
	}
	return false
}

// Timeout is the method of net.Error: a wait has ended, and nothing else is known to be wrong.
func (e *Error) Timeout() bool {
	return e.Status == StatusTimeout
}

func statusName(status Status) string {
	return C.GoString(C.tu_status_name(C.tu_status(status)))
}

func newError(status Status, format string, arguments ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, arguments...), RetryAfter: -1}
}

func closedError() *Error {
	return newError(StatusClosed, "the client is closed")
}

// contextError is for a context that has ended.
func contextError(ctx context.Context) *Error {
	status := StatusCancelled
	if pastDeadline(ctx) {
		status = StatusTimeout
	}
	cause := context.Cause(ctx)
	failure := newError(status, "the context has ended: %v", cause)
	failure.Retryable = true
	failure.cause = cause
	return failure
}

func pastDeadline(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// takeError makes a Go error of one of C, and releases that.
func takeError(failure *C.tu_error) *Error {
	defer C.tu_free(unsafe.Pointer(failure))
	return &Error{
		Status:     Status(C.tu_error_status(failure)),
		Message:    C.GoString(C.tu_error_message(failure)),
		OAuthCode:  C.GoString(C.tu_error_oauth_code(failure)),
		HTTPStatus: int(C.tu_error_http_status(failure)),
		Retryable:  bool(C.tu_error_is_retryable(failure)),
		RetryAfter: fromMillis(C.tu_error_retry_after_ms(failure)),
		cause:      takeCause(failure),
	}
}

// takeCause is the error of a credentials callback: of whoever waited for the fetch that it failed.
func takeCause(failure *C.tu_error) error {
	handle := C.tutoken_go_cause(failure)
	if handle == 0 {
		return nil
	}
	return cgo.Handle(handle).Value().(error)
}

// fromMillis keeps -1, which is "unknown".
func fromMillis(millis C.int64_t) time.Duration {
	if millis < 0 {
		return -1
	}
	return time.Duration(millis) * time.Millisecond
}
