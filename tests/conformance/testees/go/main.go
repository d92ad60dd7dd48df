//go:build tu_token_test_clock

// Testee is the testee for Go: it performs the request in each line of JSON on standard input with package
// tutoken, and reports the result as a line of JSON. It checks nothing.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"
	"time"

	"tutoken.example/tutoken/internal/testclock"
)

// A request is the union of all requests.
type request struct {
	Do          string            `json:"do"`
	Client      string            `json:"client"`
	Options     map[string]string `json:"options"`
	Credentials []any             `json:"credentials"`
	Scope       string            `json:"scope"`
	TimeoutMS   *int64            `json:"timeout_ms"`
	MinTTLMS    int64             `json:"min_ttl_ms"`
	Callers     int               `json:"callers"`
	ID          string            `json:"id"`
	Token       string            `json:"token"`
	Secret      string            `json:"secret"`
	URL         string            `json:"url"`
	MS          int64             `json:"ms"`
}

type object map[string]any

var ok = object{"ok": true}

func unsupported(what string) object {
	return object{"unsupported": what}
}

// A testee holds the clients and waits created so far.
type testee struct {
	clients map[string]*client
	waits   map[string]*waits
}

func (t *testee) answer(asked *request) object {
	if asked.Do == "new" {
		return t.newClient(asked)
	}
	if asked.Do == "advance" {
		by := time.Duration(asked.MS) * time.Millisecond
		testclock.Advance(by)
		turned.Add(int64(by))
		return ok
	}
	if asked.Do == "cancel" || asked.Do == "join" {
		return t.wait(asked)
	}
	client := t.clients[asked.Client]
	if client == nil {
		return unsupported("client " + asked.Client)
	}
	return t.answerFor(client, asked)
}

func (t *testee) wait(asked *request) object {
	waits := t.waits[asked.ID]
	if waits == nil {
		return unsupported("wait " + asked.ID)
	}
	if asked.Do == "cancel" {
		waits.cancel()
		return ok
	}
	delete(t.waits, asked.ID)
	return waits.results()
}

func (t *testee) answerFor(client *client, asked *request) object {
	switch asked.Do {
	case "get", "get_async":
		return client.start(asked).results()
	case "start":
		t.waits[asked.ID] = client.start(asked)
	case "invalidate":
		client.InvalidateValue(asked.Token)
	case "rotate":
		if err := client.Rotate(asked.ID, asked.Secret); err != nil {
			return failed(err)
		}
	case "wake":
		client.Wake()
	case "close":
		client.Close()
	case "stats":
		stats, err := client.StatsFor(asked.Scope)
		if err != nil {
			return failed(err)
		}
		return shownStats(stats)
	case "may_send_to":
		return object{"value": client.MaySendTo(asked.URL)}
	case "events":
		return object{"events": client.allEvents()}
	default:
		return unsupported(asked.Do)
	}
	return ok
}

func main() {
	t := testee{clients: map[string]*client{}, waits: map[string]*waits{}}
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := output.Encode(t.answerLine(line)); err != nil {
				log.Fatal(err)
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

func (t *testee) answerLine(line []byte) object {
	var asked request
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return unsupported(err.Error())
	}
	return t.answer(&asked)
}
