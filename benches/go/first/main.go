// First measures the first token of a process, a further fetch and a further client, over TLS with the
// system's trust store: x/oauth2 and the binding.
//
// Usage: first x/oauth2|tutoken GROUP ROW URL
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"tutoken.example/bench/rounds"
	"tutoken.example/tutoken"
)

// A client gets a token for a scope.
type client func(scope string) error

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: first x/oauth2|tutoken GROUP ROW URL")
	}
	kind, group, row, url := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	create := map[string]func(string, int) client{"x/oauth2": peer, "tutoken": own}[kind]
	took := func(part string, do func() error) {
		from := time.Now()
		if err := do(); err != nil {
			log.Fatal(row, ": ", err)
		}
		ms := float64(time.Since(from).Nanoseconds()) / 1e6
		rounds.Write(group+": "+part, row, 1, "ms", []float64{ms})
	}
	var first client
	took("first", func() error {
		first = create(url, 0)
		return first("asset.view")
	})
	for i := range 4 {
		took("further fetch", func() error { return first(fmt.Sprintf("scope-%d", i)) })
	}
	for i := range 4 {
		took("further client", func() error { return create(url, i+1)("asset.view") })
	}
}

func peer(url string, number int) client {
	return func(scope string) error {
		config := clientcredentials.Config{
			ClientID:     fmt.Sprintf("client-%d", number),
			ClientSecret: "secret-of-bench",
			TokenURL:     url,
			Scopes:       []string{scope},
			AuthStyle:    oauth2.AuthStyleInParams,
		}
		_, err := config.Token(context.Background())
		return err
	}
}

func own(url string, number int) client {
	client, err := tutoken.New(tutoken.Config{
		TokenURL:     url,
		ClientID:     fmt.Sprintf("client-%d", number),
		ClientSecret: "secret-of-bench",
		Scope:        "asset.view",
	})
	if err != nil {
		log.Fatal(err)
	}
	return func(scope string) error {
		_, err := client.TokenFor(context.Background(), scope)
		return err
	}
}
