package tutoken

// #include "bridge.h"
import "C"

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// An entry is a scope as callers spell it, and the Go copy of its current token.
type entry struct {
	// Empty: the client's own.
	scope cText
	token atomic.Pointer[Token]
}

// atHand is the entry's copy if the library would hand out that very token now; nil: ask it.
func (e *entry) atHand(held *library) *Token {
	token := e.token.Load()
	if token == nil {
		return nil
	}
	at := C.tutoken_go_at_hand(C.uintptr_t(uintptr(unsafe.Pointer(held.client))), e.scope.pointer())
	runtime.KeepAlive(held)
	if uint64(at) != token.serial {
		return nil
	}
	return token
}

// atHandFor is the same for a caller that needs it to be good for at least that much longer.
func (e *entry) atHandFor(held *library, ttl time.Duration) *Token {
	if ttl == 0 {
		return e.atHand(held)
	}
	token := e.token.Load()
	if token == nil {
		return nil
	}
	at := C.tutoken_go_at_hand_for(C.uintptr_t(uintptr(unsafe.Pointer(held.client))), e.scope.pointer(),
		C.int64_t(toMillis(ttl)))
	runtime.KeepAlive(held)
	if uint64(at) != token.serial {
		return nil
	}
	return token
}

// keep makes a Go token of one of C, or finds the one that was made already, and releases that of C.
func (e *entry) keep(token *C.tu_token) *Token {
	defer freeToken(token)
	serial := uint64(C.tu_token_serial(token))
	var copied *Token
	for {
		current := e.token.Load()
		if current != nil && current.serial == serial {
			return current
		}
		if copied == nil {
			copied = copyToken(token)
		}
		// Serials rise: an answer that was slow to arrive does not replace a newer one.
		if current != nil && current.serial > serial || e.token.CompareAndSwap(current, copied) {
			return copied
		}
	}
}

// mostScopes bounds what a program with ever new spellings can make a client remember. Beyond it
// tokens are handed out all the same, copied anew for each call.
const mostScopes = 1000

// scopes are the entries of all scopes but the client's own. Read without a lock; only ever grows.
type scopes struct {
	known atomic.Pointer[map[string]*entry]
	adds  sync.Mutex
}

func (s *scopes) find(scope string) *entry {
	if known := s.known.Load(); known != nil {
		return (*known)[scope]
	}
	return nil
}

// add remembers an entry. If there is one for this spelling already, that one stays.
func (s *scopes) add(scope string, added *entry) {
	s.adds.Lock()
	defer s.adds.Unlock()
	known := s.known.Load()
	if known == nil {
		known = &map[string]*entry{}
	}
	if _, exists := (*known)[scope]; exists || len(*known) >= mostScopes {
		return
	}
	grown := maps.Clone(*known)
	grown[scope] = added
	s.known.Store(&grown)
}

func (s *scopes) clear() {
	s.adds.Lock()
	defer s.adds.Unlock()
	s.known.Store(nil)
}
