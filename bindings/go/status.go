//go:build cgo

package tutoken

// A Status says what went wrong. The numbers are those of the C library and are never reused.
type Status int32

const (
	StatusOK              Status = 0
	StatusInvalidArgument Status = 1   // an argument cannot be used: nil, a NUL byte, forbidden characters in a scope
	StatusConfig          Status = 2   // an option is missing, contradicts another one or has a bad value
	StatusClosed          Status = 3   // the client was closed
	StatusTimeout         Status = 100 // this caller's wait ended; the fetch goes on
	StatusCancelled       Status = 101 // this caller's context was cancelled; the fetch goes on
	StatusPending         Status = 102 // the caller does not wait and there is no token yet; it is being fetched
	StatusNetwork         Status = 200 // name resolution, connection, reset, or the endpoint was too slow
	StatusTLS             Status = 201 // certificate, host name, or no trust store
	StatusCredentials     Status = 202 // the client id or secret cannot be had from where it is kept
	StatusProxy           Status = 203 // the proxy refuses: its login (407, not retryable) or by its rules (403)
	StatusInvalidClient   Status = 300 // invalid_client, unauthorized_client, or 401 without an OAuth error
	StatusInvalidScope    Status = 301 // the endpoint refused the scope, or granted less than was asked for
	StatusOAuth           Status = 302 // another OAuth error: see Error.OAuthCode
	StatusRateLimited     Status = 303 // 429, or a Retry-After that is still running
	StatusServer          Status = 304 // 5xx
	StatusBadResponse     Status = 305 // an answer that is not a token; a redirect
	StatusBudget          Status = 400 // the client's own limit of token requests a minute
	StatusInternal        Status = 900 // a bug of the library, contained; if Retryable: no thread can be started
)

// One error for each status, for errors.Is.
var (
	ErrInvalidArgument error = sentinel(StatusInvalidArgument)
	ErrConfig          error = sentinel(StatusConfig)
	ErrClosed          error = sentinel(StatusClosed)
	ErrTimeout         error = sentinel(StatusTimeout)   // also context.DeadlineExceeded
	ErrCancelled       error = sentinel(StatusCancelled) // also context.Canceled
	ErrPending         error = sentinel(StatusPending)
	ErrNetwork         error = sentinel(StatusNetwork)
	ErrTLS             error = sentinel(StatusTLS)
	ErrCredentials     error = sentinel(StatusCredentials)
	ErrProxy           error = sentinel(StatusProxy)
	ErrInvalidClient   error = sentinel(StatusInvalidClient)
	ErrInvalidScope    error = sentinel(StatusInvalidScope)
	ErrOAuth           error = sentinel(StatusOAuth)
	ErrRateLimited     error = sentinel(StatusRateLimited)
	ErrServer          error = sentinel(StatusServer)
	ErrBadResponse     error = sentinel(StatusBadResponse)
	ErrBudget          error = sentinel(StatusBudget)
	ErrInternal        error = sentinel(StatusInternal)
)

// String is the status's name in the C library, such as "TU_INVALID_CLIENT".
func (s Status) String() string {
	return statusName(s)
}

type sentinel Status

func (s sentinel) Error() string {
	return "tutoken: " + Status(s).String()
}
