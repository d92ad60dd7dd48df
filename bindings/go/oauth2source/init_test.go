package oauth2source_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"tutoken.example/tutoken"
	"tutoken.example/tutoken/oauth2source"
)

const initVariable = "TUTOKEN_TEST_INIT"

// Like a program that requests a token during package initialisation, in a separate process.
func init() {
	if os.Getenv(initVariable) == "" {
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token/v2" {
			io.WriteString(w, `{"token_type":"Bearer","expires_in":1200,"access_token":"x"}`)
			return
		}
		io.WriteString(w, r.Header.Get("Authorization"))
	}))
	client, err := tutoken.New(tutoken.Config{ClientID: "id", ClientSecret: "secret", Scope: "a", TokenURL: server.URL + "/token/v2"})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	response, err := oauth2.NewClient(ctx, oauth2source.New(ctx, client)).Get(server.URL)
	if err != nil {
		panic(err)
	}
	header, _ := io.ReadAll(response.Body)
	fmt.Printf("%s", header)
	os.Exit(0)
}

func TestSourceInInit(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0])
	command.Env = append(os.Environ(), initVariable+"=1")
	if output, err := command.CombinedOutput(); err != nil || string(output) != "Bearer x" {
		t.Fatalf("%v (%v)\n%s", err, context.Cause(ctx), output)
	}
}
