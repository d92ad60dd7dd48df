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

// An Error describes a failed call. It never contains a secret or a token. errors.Is matches it with
// the Err... value of its Status.
type Error struct {
	Status     Status
	Message    string        // one line: what was being done, what was found, what to do
	OAuthCode  string        // error code of the token endpoint, such as "invalid_scope" (RFC 6749 section 5.2), or ""
	HTTPStatus int           // HTTP status of the token endpoint; 0 if there was no response
	Retryable  bool          // the same call may succeed later without any change
	RetryAfter time.Duration // time until the library would send the next request; negative if unknown

	cause error
}

func (e *Error) Error() string {
	return "tutoken: " + e.Message
}

// Unwrap returns the error of the credentials callback, if the call was waiting for the fetch that
// failed because of it, or the cause of the context that ended the wait. A remembered failure has none.
func (e *Error) Unwrap() error {
	return e.cause
}

// Is reports whether target is the Err... value of e.Status or the corresponding error of package
// context.
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

// Timeout reports whether the wait timed out, with no other failure known. It is named as in net.Error.
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

// contextError returns the error for a context that has ended.
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

// takeError converts a C error and frees it.
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

// takeCause returns the error of the credentials callback that made the awaited fetch fail, or nil.
func takeCause(failure *C.tu_error) error {
	handle := C.tutoken_go_cause(failure)
	if handle == 0 {
		return nil
	}
	return cgo.Handle(handle).Value().(error)
}

// fromMillis keeps -1, which means unknown.
func fromMillis(millis C.int64_t) time.Duration {
	if millis < 0 {
		return -1
	}
	return time.Duration(millis) * time.Millisecond
}
