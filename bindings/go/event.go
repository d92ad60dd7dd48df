package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// An EventKind says what an Event is about. Numbers may be added.
type EventKind int32

const (
	EventFetchStarted       EventKind = 1
	EventFetchSucceeded     EventKind = 2
	EventFetchFailed        EventKind = 3
	EventServedWhileFailing EventKind = 4
	EventInvalidated        EventKind = 5
	EventRotated            EventKind = 6
	EventStore              EventKind = 7
	EventClock              EventKind = 8
	EventFork               EventKind = 9
	EventBudget             EventKind = 10
	EventWarning            EventKind = 11
)

var eventKindNames = map[EventKind]string{
	EventFetchStarted:       "fetch_started",
	EventFetchSucceeded:     "fetch_succeeded",
	EventFetchFailed:        "fetch_failed",
	EventServedWhileFailing: "served_while_failing",
	EventInvalidated:        "invalidated",
	EventRotated:            "rotated",
	EventStore:              "store",
	EventClock:              "clock",
	EventFork:               "fork",
	EventBudget:             "budget",
	EventWarning:            "warning",
}

func (k EventKind) String() string {
	if name, ok := eventKindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("event_%d", int32(k))
}

// An Event is something that happened. It holds neither a secret nor a token.
type Event struct {
	Kind        EventKind
	Status      Status        // the failure, or StatusOK
	Client      string        // Config.Name
	Scope       string        // the scopes it is about, sorted; "" if it is about the client
	Message     string        // one line for a person
	Fingerprint string        // eight hex digits that tell tokens apart within one process; or ""
	HTTPStatus  int           // the token endpoint's answer; 0: none
	Attempt     int           // of a fetch, from 1; 0: not about an attempt
	Duration    time.Duration // how long it took: a failed attempt alone, or a whole fetch
	Wait        time.Duration // until the next try; negative: unknown
	Level       slog.Level    // how much a person should care: debug, info or warn
}

// LogValue has the event's attributes but its message.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(e.attributes()...)
}

func (e *Event) attributes() []slog.Attr {
	attributes := []slog.Attr{
		slog.String("client", e.Client),
		slog.String("scope", e.Scope),
		slog.String("kind", e.Kind.String()),
		slog.String("status", e.Status.String()),
		slog.Int("http_status", e.HTTPStatus),
		slog.Int("attempt", e.Attempt),
		slog.Duration("duration", e.Duration),
		slog.String("fingerprint", e.Fingerprint),
	}
	if e.Wait >= 0 {
		attributes = append(attributes, slog.Duration("wait", e.Wait))
	}
	return attributes
}

// levelOf is what the library says of an event.
func levelOf(severity C.int32_t) slog.Level {
	switch severity {
	case C.TU_SEVERITY_DEBUG:
		return slog.LevelDebug
	case C.TU_SEVERITY_INFO:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (e *Event) log(logger *slog.Logger) {
	logger.LogAttrs(context.Background(), e.Level, e.Message, e.attributes()...)
}

func copyEvent(event *C.tu_event) Event {
	return Event{
		Kind:        EventKind(event.kind),
		Status:      Status(event.status),
		Client:      C.GoString(event.client),
		Scope:       C.GoString(event.scope),
		Message:     C.GoString(event.message),
		Fingerprint: C.GoString(event.fingerprint),
		HTTPStatus:  int(event.http_status),
		Attempt:     int(event.attempt),
		Duration:    fromMillis(event.duration_ms),
		Wait:        fromMillis(event.wait_ms),
		Level:       levelOf(event.severity),
	}
}
