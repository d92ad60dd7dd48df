//go:build cgo

package tutoken

// A Status classifies an error. The numbers are those of the C library and are never reused.
type Status int32

const (
	StatusOK              Status = 0
	StatusInvalidArgument Status = 1   // invalid argument: nil, a NUL byte, forbidden characters in a scope
	StatusConfig          Status = 2   // an option is missing, invalid or contradicts another one
	StatusClosed          Status = 3   // the client was closed
	StatusTimeout         Status = 100 // this call's wait timed out; the fetch continues
	StatusCancelled       Status = 101 // this call's context was cancelled; the fetch continues
	StatusPending         Status = 102 // the call does not wait and there is no token yet; one is being fetched
	StatusNetwork         Status = 200 // name resolution, connection failed or reset, or the endpoint was too slow
	StatusTLS             Status = 201 // certificate, host name, or no trust store
	StatusCredentials     Status = 202 // the client id or secret is not available from its source
	StatusProxy           Status = 203 // the proxy refused the login (407, not retryable) or the connection (403)
	StatusInvalidClient   Status = 300 // invalid_client, unauthorized_client, or 401 without an OAuth error
	StatusInvalidScope    Status = 301 // the endpoint refused the scope or granted less than requested
	StatusOAuth           Status = 302 // any other OAuth error: see Error.OAuthCode
	StatusRateLimited     Status = 303 // 429, or an earlier Retry-After still applies
	StatusServer          Status = 304 // server error, such as 5xx
	StatusBadResponse     Status = 305 // the response is not a token, or is a redirect
	StatusBudget          Status = 400 // the client's own limit of token requests per minute
	StatusInternal        Status = 900 // a bug in the library; if Retryable: no thread can be started
)

// The Err... values are the targets for errors.Is, one per status.
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

// String returns the status's name in the C library, such as "TU_INVALID_CLIENT".
func (s Status) String() string {
	return statusName(s)
}

type sentinel Status

func (s sentinel) Error() string {
	return "tutoken: " + Status(s).String()
}
