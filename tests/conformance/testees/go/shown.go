//go:build tu_token_test_clock

package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tutoken.example/tutoken"
)

// turned is how far the library's clock has been advanced, in nanoseconds.
var turned atomic.Int64

// seenAt records the value of turned when each token was first seen, because its Expiry was computed then.
var seenAt sync.Map

func shownToken(token *tutoken.Token) object {
	first, _ := seenAt.LoadOrStore(token, turned.Load())
	since := time.Duration(turned.Load() - first.(int64))
	return object{
		"token":         token.Value,
		"bearer":        token.Bearer(),
		"header":        "Authorization: " + token.Bearer(),
		"scope":         token.Scope,
		"expires_in_ms": left(token.Expiry, since),
		"fresh_for_ms":  left(token.FreshUntil(), since),
	}
}

func left(until time.Time, turned time.Duration) int64 {
	return max(0, (time.Until(until) - turned).Milliseconds())
}

func failed(err error) object {
	var failure *tutoken.Error
	if !errors.As(err, &failure) {
		return unsupported("an error of another type: " + err.Error())
	}
	return object{"error": object{
		"status":         int32(failure.Status),
		"message":        failure.Message,
		"oauth_code":     orNull(failure.OAuthCode),
		"http_status":    failure.HTTPStatus,
		"retryable":      failure.Retryable,
		"retry_after_ms": millis(failure.RetryAfter),
		"cause":          causeOf(failure),
	}}
}

func causeOf(failure *tutoken.Error) any {
	// The cause of a context's end is not a failure of the callback.
	if cause := failure.Unwrap(); cause != nil && failure.Status == tutoken.StatusCredentials {
		return cause.Error()
	}
	return nil
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// millis converts "unknown", negative in Go, to -1.
func millis(duration time.Duration) int64 {
	if duration < 0 {
		return -1
	}
	return duration.Milliseconds()
}

func shownStats(stats tutoken.Stats) object {
	return object{"stats": object{
		"state":              int32(stats.State),
		"last_status":        int32(stats.LastStatus),
		"expires_in_ms":      stats.ExpiresIn.Milliseconds(),
		"next_request_in_ms": stats.NextRequestIn.Milliseconds(),
		"last_fetch_ms":      stats.LastFetch.Milliseconds(),
		"waits":              stats.Waits,
		"requests":           stats.Requests,
		"renewals":           stats.Renewals,
		"failures":           stats.Failures,
	}}
}

func shownEvent(event tutoken.Event) object {
	return object{
		"kind":        int32(event.Kind),
		"status":      int32(event.Status),
		"client":      event.Client,
		"scope":       event.Scope,
		"message":     event.Message,
		"fingerprint": event.Fingerprint,
		"http_status": event.HTTPStatus,
		"attempt":     event.Attempt,
		"duration_ms": event.Duration.Milliseconds(),
		"wait_ms":     millis(event.Wait),
	}
}
