// Bench measures the cost of a cache hit in Go, compared with the cache of golang.org/x/oauth2.
package main

import (
	"context"
	"log"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/bench/rounds"
	"tutoken.example/tutoken"
)

const calls = 2_000

func main() {
	ctx := context.Background()
	client, err := tutoken.New(tutoken.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	token, err := client.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	peer := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: token.Value, Expiry: token.Expiry}, nil)
	limited, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	ways := []*rounds.Way{
		peerTokens(peer),
		tokens("tutoken: Token", client, ctx),
		tokens("the same with a deadline", client, limited),
		scopedTokens(client, ctx, token.Scope),
	}
	rounds.Measure(ways)
	rounds.Show(ways, len(token.Value))
}

func peerTokens(source oauth2.TokenSource) *rounds.Way {
	return &rounds.Way{Name: "x/oauth2: ReuseTokenSource", Calls: calls, Call: func() error {
		_, err := source.Token()
		return err
	}}
}

func tokens(name string, client *tutoken.Client, ctx context.Context) *rounds.Way {
	return &rounds.Way{Name: name, Calls: calls, Call: func() error {
		_, err := client.Token(ctx)
		return err
	}}
}

func scopedTokens(client *tutoken.Client, ctx context.Context, scope string) *rounds.Way {
	return &rounds.Way{Name: "tutoken: TokenFor a scope", Calls: calls, Call: func() error {
		_, err := client.TokenFor(ctx, scope)
		return err
	}}
}
