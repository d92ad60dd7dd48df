package tutoken

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// An EventKind is the kind of an Event. New kinds may be added.
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

// An Event reports what a client did or noticed. It never contains a secret or a token.
type Event struct {
	Kind        EventKind
	Status      Status        // the failure, or StatusOK
	Client      string        // Config.Name
	Scope       string        // scopes concerned, sorted; "" if the event concerns the whole client
	Message     string        // one line of text
	Fingerprint string        // eight hex digits that identify a token within one process, or ""
	HTTPStatus  int           // HTTP status of the token endpoint; 0 if none
	Attempt     int           // attempt number within a fetch, from 1; 0 if not about an attempt
	Duration    time.Duration // duration of the failed attempt or of the whole fetch
	Wait        time.Duration // time until the next attempt; negative if unknown
	Level       slog.Level    // severity: debug, info or warn
}

// LogValue returns the event's attributes without its message.
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

// levelOf converts the severity that the library assigned to an event.
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
