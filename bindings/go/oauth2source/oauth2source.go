// Package oauth2source adapts a tutoken.Client to oauth2.TokenSource, for programs and libraries that
// take one. Where an http.Client can be used, prefer tutoken.Client.HTTPClient: it also retries after a
// 401 and sends the token to allowed hosts only.
package oauth2source

import (
	"context"
	"math"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken"
)

// expiryDelta is what package oauth2 subtracts from a token's Expiry before it checks it.
const expiryDelta = 10 * time.Second

// New returns a source of tokens for the client's own scope. Call it for each request, or pass it to
// oauth2.NewClient. Only the values of ctx are used: a source lives as long as its client, so it must
// not stop when a short-lived start-up context ends. Each call waits at most tutoken.Config.Timeout;
// tutoken.Client.Close ends waiting calls.
//
// The source asks the client each time, because a second cache, such as that of oauth2.NewClient, would
// return a token after it has been invalidated. To prevent such caching, Valid reports false for the
// returned tokens, although they are valid. Their Expiry is the time until which a copy may be cached
// (tutoken.Token.FreshUntil) plus the ten seconds that package oauth2 subtracts.
func New(ctx context.Context, client *tutoken.Client) oauth2.TokenSource {
	// oauth2.NewClient wraps every source in its cache unless it is such a cache already. This one
	// considers every token expired.
	return oauth2.ReuseTokenSourceWithExpiry(nil, source{context.WithoutCancel(ctx), client}, math.MaxInt64)
}

type source struct {
	ctx    context.Context
	client *tutoken.Client
}

func (s source) Token() (*oauth2.Token, error) {
	token, err := s.client.Token(s.ctx)
	if err != nil {
		return nil, err
	}
	// A new value each time: package oauth2 writes to it.
	return &oauth2.Token{
		AccessToken: token.Value,
		TokenType:   "Bearer",
		Expiry:      token.FreshUntil().Add(expiryDelta),
	}, nil
}
