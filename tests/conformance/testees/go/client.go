//go:build tu_token_test_clock

package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"tutoken.example/tutoken"
)

// A client keeps what it is told.
type client struct {
	*tutoken.Client

	mu     sync.Mutex
	events []object
}

func (t *testee) newClient(asked *request) object {
	made := &client{}
	config := tutoken.Config{OnEvent: made.keep}
	for key, value := range asked.Options {
		if err := set(&config, key, value); err != nil {
			return unsupported(err.Error())
		}
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

// set finds the field of an option and gives it the value.
func set(config *tutoken.Config, key, value string) error {
	field := reflect.ValueOf(config).Elem().FieldByNameFunc(func(name string) bool {
		return strings.EqualFold(name, strings.ReplaceAll(key, "_", ""))
	})
	if !field.IsValid() {
		return fmt.Errorf("option %s", key)
	}
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
	default:
		field.SetString(value)
	}
	return err
}

// parseDuration: a number alone is of seconds.
func parseDuration(key, value string) (time.Duration, error) {
	if _, err := strconv.Atoi(value); err == nil {
		value += "s"
	}
	duration, err := time.ParseDuration(value)
	if duration == 0 && key == "timeout" {
		return tutoken.NeverWait, err
	}
	return duration, err
}

// script gives one item a call, the last one again and again.
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

// Waits are goroutines that ask for a token all at once.
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
