package tutoken_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tutoken.example/tutoken"
)

func TestTokenFields(t *testing.T) {
	client := newClient(t, newEndpoint(t).config())
	token := mustToken(t, client)
	if token.Value != "token-1" || token.Bearer() != "Bearer token-1" || token.Scope != "asset.view" {
		t.Fatalf("%q %q %q", token.Value, token.Bearer(), token.Scope)
	}
	if left := time.Until(token.Expiry); left < 1100*time.Second || left > 1200*time.Second {
		t.Fatalf("it lives %v", left)
	}
	if fresh := time.Until(token.FreshUntil()); fresh < 500*time.Second || fresh > 900*time.Second {
		t.Fatalf("it is fresh for %v", fresh)
	}
}

func TestTokenIsNotShown(t *testing.T) {
	token := mustToken(t, newClient(t, newEndpoint(t).config()))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("token", "pointer", token, "value", *token)
	slog.New(slog.NewTextHandler(&log, nil)).Info("token", "pointer", token, "value", *token)
	shown := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb+verb, token, *token)
		shown += fmt.Sprintf(verb, []any{token, map[string]tutoken.Token{"key": *token}})
	}
	for _, value := range []any{token, *token, struct{ T *tutoken.Token }{token}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(text)
	}
	for _, value := range []any{token, *token} {
		text, err := xml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(text)
	}
	if strings.Contains(shown, "token-1") || strings.Contains(shown, "746f6b656e") {
		t.Fatalf("the token is shown: %s", shown)
	}
	if !strings.Contains(shown, "asset.view") {
		t.Fatalf("nothing is shown: %s", shown)
	}
}

func TestBearerOfTokensMadeByHand(t *testing.T) {
	var none *tutoken.Token
	if none.Bearer() != "" || !none.FreshUntil().IsZero() {
		t.Fatal("nil is no token")
	}
	if bearer := (&tutoken.Token{Value: "x"}).Bearer(); bearer != "Bearer x" {
		t.Fatal(bearer)
	}
	changed := *mustToken(t, newClient(t, newEndpoint(t).config()))
	changed.Value = "another"
	if changed.Bearer() != "Bearer another" {
		t.Fatal(changed.Bearer())
	}
}
