// Consumer is an independent program that uses both modules as its own build finds them.
package main

import (
	"context"
	"fmt"
	"log"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken"
	"tutoken.example/tutoken/oauth2source"
)

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
	var source oauth2.TokenSource = oauth2source.New(ctx, client)
	same, err := source.Token()
	if err != nil {
		log.Fatal(err)
	}
	if same.AccessToken != token.Value {
		log.Fatal("two tokens for one client")
	}
	fmt.Println(token)
}
