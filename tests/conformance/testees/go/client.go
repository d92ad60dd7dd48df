//go:build tu_token_test_clock

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"tutoken.example/tutoken"
)

// A client is a tutoken.Client that collects its events.
type client struct {
	*tutoken.Client

	mu     sync.Mutex
	events []object
}

func (t *testee) newClient(asked *request) object {
	made := &client{}
	config := tutoken.Config{OnEvent: made.keep, Options: map[string]string{}}
	for key, value := range asked.Options {
		set(&config, key, value)
	}
	if asked.Credentials != nil {
		config.Credentials = script(asked.Credentials)
	}
	var err error
	if made.Client, err = tutoken.New(config); err != nil {
		return failed(err)
	}
	if before := t.clients[asked.Client]; before != nil {
		before.Close()
	}
	t.clients[asked.Client] = made
	return ok
}

// set sets the field of an option. A value without a field, of the wrong type, or equal to the zero value
// is set as text instead.
func set(config *tutoken.Config, key, value string) {
	field := reflect.ValueOf(config).Elem().FieldByNameFunc(func(name string) bool {
		return snakeCase(name) == key
	})
	if !field.IsValid() || !assign(field, key, value) {
		config.Options[key] = value
	}
}

// The word boundaries in a field's name: Client|ID and ID|File.
var (
	word    = regexp.MustCompile("([a-z])([A-Z])")
	acronym = regexp.MustCompile("([A-Z])([A-Z][a-z])")
)

func snakeCase(name string) string {
	name = word.ReplaceAllString(name, "${1}_$2")
	return strings.ToLower(acronym.ReplaceAllString(name, "${1}_$2"))
}

func assign(field reflect.Value, key, value string) bool {
	var err error
	switch field.Interface().(type) {
	case time.Duration:
		var duration time.Duration
		duration, err = parseDuration(key, value)
		field.SetInt(int64(duration))
	case int:
		var number int64
		number, err = strconv.ParseInt(value, 10, 64)
		field.SetInt(number)
	case bool:
		var on bool
		on, err = strconv.ParseBool(value)
		field.SetBool(on)
	case string:
		field.SetString(value)
	default:
		return false
	}
	if err != nil {
		field.SetZero()
	}
	return !field.IsZero()
}

// durations matches the durations in options; a number without a unit means seconds.
var durations = regexp.MustCompile("^([0-9]+)(ms|s|m|h)?$")

func parseDuration(key, value string) (time.Duration, error) {
	parts := durations.FindStringSubmatch(value)
	if parts == nil {
		return 0, fmt.Errorf("%s is not a duration", value)
	}
	duration, err := time.ParseDuration(parts[1] + cmp.Or(parts[2], "s"))
	if duration == 0 && key == "timeout" {
		return tutoken.NeverWait, err
	}
	return duration, err
}

// script returns a callback that returns one item per call and then repeats the last one.
func script(items []any) func(context.Context, bool) (string, string, error) {
	var mu sync.Mutex
	calls := 0
	return func(context.Context, bool) (string, string, error) {
		mu.Lock()
		defer mu.Unlock()
		item := items[min(calls, len(items)-1)]
		calls++
		switch item := item.(type) {
		case []any:
			return fmt.Sprint(item[0]), fmt.Sprint(item[1]), nil
		case string:
			return "", "", errors.New(strings.TrimPrefix(item, "fail: "))
		}
		return "", "", errNone
	}
}

var errNone = errors.New("there are none")

func (c *client) keep(event tutoken.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, shownEvent(event))
}

func (c *client) allEvents() []object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]object{}, c.events...)
}

// A waits value is a group of goroutines that request a token at the same time.
type waits struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	found   []object
}

func (c *client) start(asked *request) *waits {
	ctx, cancel := context.WithCancel(context.Background())
	started := &waits{cancel: cancel, found: make([]object, max(1, asked.Callers))}
	begin := make(chan struct{})
	for at := range started.found {
		started.running.Add(1)
		go func() {
			defer started.running.Done()
			<-begin
			started.found[at] = c.get(ctx, asked)
		}()
	}
	close(begin)
	return started
}

func (w *waits) results() object {
	w.running.Wait()
	w.cancel()
	return object{"results": w.found}
}

func (c *client) get(ctx context.Context, asked *request) object {
	var options []tutoken.Option
	if asked.MinTTLMS != 0 {
		options = append(options, tutoken.MinTTL(time.Duration(asked.MinTTLMS)*time.Millisecond))
	}
	if wait := asked.TimeoutMS; wait != nil && *wait < 0 {
		options = append(options, tutoken.NoWait())
	} else if wait != nil && *wait > 0 {
		limited, end := context.WithTimeout(ctx, time.Duration(*wait)*time.Millisecond)
		defer end()
		ctx = limited
	}
	token, err := c.TokenFor(ctx, asked.Scope, options...)
	if err != nil {
		return failed(err)
	}
	return shownToken(token)
}
