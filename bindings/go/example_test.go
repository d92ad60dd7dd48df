package tutoken_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"tutoken.example/tutoken"
)

func ExampleNew() {
	// Fields left out come from TRACKUNIT_* variables.
	client, err := tutoken.New(tutoken.Config{Scope: "asset.view", Logger: slog.Default()})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
}

func ExampleConfig_credentials() {
	client, err := tutoken.New(tutoken.Config{
		Scope: "asset.view",
		Credentials: func(ctx context.Context, refused bool) (string, string, error) {
			secret, err := os.ReadFile("/run/secrets/trackunit")
			return "the client id", strings.TrimSpace(string(secret)), err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_, err = client.Token(context.Background())
	if errors.Is(err, os.ErrNotExist) { // the callback's own error
		fmt.Println("the secret file does not exist yet")
	}
}

func ExampleClient_Token() {
	var client *tutoken.Client // from New

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	token, err := client.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	request, _ := http.NewRequestWithContext(ctx, "GET", "https://iris.trackunit.com/api/asset/v2/assets", nil)
	request.Header.Set("Authorization", token.Bearer())
}

func ExampleClient_HTTPClient() {
	var client *tutoken.Client // from New

	web := client.HTTPClient(&http.Client{Timeout: 30 * time.Second})
	response, err := web.Get("https://iris.trackunit.com/api/asset/v2/assets?size=1")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
}
