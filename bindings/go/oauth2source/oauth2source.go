// Package oauth2source makes a tutoken.Client an oauth2.TokenSource, for programs and libraries that
// take one. What takes an http.Client is better served by tutoken.Client.HTTPClient, which also copes
// with a 401 and knows which hosts may get the token.
package oauth2source

import (
	"context"
	"math"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken"
)

// tailOfToken is what package oauth2 takes off a token's Expiry before it looks at the clock.
const tailOfToken = 10 * time.Second

// New makes a source of tokens for the client's own scope. Ask it for each request, or hand it to
// oauth2.NewClient. Of ctx only the values are kept: a source lives as long as its client, so the end of
// a context that was there at start-up, often a short one, does not end its calls. Each waits at most
// the client's timeout (tutoken.Config.Timeout); tutoken.Client.Close ends them.
//
// The client keeps the token, so the source asks it each time: a second cache, such as that of
// oauth2.NewClient, would hand out a token after it has been invalidated. So that none does, Valid()
// is false for the tokens that the source returns; they are good all the same. Their Expiry is the
// end of the time in which a copy may be cached, and ten seconds, which package oauth2 takes off.
func New(ctx context.Context, client *tutoken.Client) oauth2.TokenSource {
	// oauth2.NewClient puts its cache around every source but one that is such a cache already. This
	// one takes every token as expired.
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
	// A new one each time: package oauth2 writes to it.
	return &oauth2.Token{
		AccessToken: token.Value,
		TokenType:   "Bearer",
		Expiry:      token.FreshUntil().Add(tailOfToken),
	}, nil
}
