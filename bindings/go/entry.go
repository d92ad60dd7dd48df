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

	"tutoken.example/tutoken/internal/boot"
)

// An entry is a scope as spelled by the caller, with the Go copy of its current token.
type entry struct {
	// Empty means the client's own scope.
	scope cText
	token atomic.Pointer[Token]
	// The same token, or an older one, once the library has called it current.
	watched atomic.Pointer[watched]
}

// atHand returns the entry's copy if it is the token the library would return now, else nil.
func (e *entry) atHand(held *library) *Token {
	if known := e.watched.Load(); known != nil && known.isCurrent() {
		return known.token
	}
	return e.ask(held)
}

// ask is like atHand, by a call of C.
func (e *entry) ask(held *library) *Token {
	token := e.token.Load()
	if token == nil {
		return nil
	}
	at := C.tutoken_go_at_hand(C.uintptr_t(uintptr(unsafe.Pointer(held.client))), e.scope.pointer())
	runtime.KeepAlive(held)
	if uint64(at) != token.serial {
		return nil
	}
	if boot.Available {
		e.watch(held, token)
	}
	return token
}

// atHandFor is like atHand for a token that must stay valid for at least ttl.
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

// keep returns the Go copy of a C token, the existing one if there is one, and frees the C token.
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
		// Serials increase: a late answer does not replace a newer token.
		if current != nil && current.serial > serial || e.token.CompareAndSwap(current, copied) {
			return copied
		}
	}
}

// maxScopes limits the memory a program with ever new scope spellings can use. Beyond the limit, calls
// still return tokens, but each copies its token again.
const maxScopes = 1000

// scopes holds the entries of all scopes other than the client's own. It is read without a lock and
// only grows.
type scopes struct {
	known atomic.Pointer[spellings]
	adds  sync.Mutex
}

// spellings are never modified once they are published.
type spellings struct {
	// Those added first are compared one by one, which costs less than hashing: a constant of the program
	// usually has the same address each time, so that its bytes are not even compared.
	first [4]spelling
	all   map[string]*entry
}

type spelling struct {
	scope string
	entry *entry
}

func (s *scopes) find(scope string) *entry {
	known := s.known.Load()
	if known == nil {
		return nil
	}
	for at := range known.first {
		if spelling := &known.first[at]; spelling.scope == scope {
			return spelling.entry
		}
	}
	return known.all[scope]
}

// add stores an entry, unless one with this spelling exists.
func (s *scopes) add(scope string, added *entry) {
	s.adds.Lock()
	defer s.adds.Unlock()
	known := s.known.Load()
	if known == nil {
		known = &spellings{all: map[string]*entry{}}
	}
	if _, exists := known.all[scope]; exists || len(known.all) >= maxScopes {
		return
	}
	grown := &spellings{first: known.first, all: maps.Clone(known.all)}
	if at := len(known.all); at < len(grown.first) {
		grown.first[at] = spelling{scope, added}
	}
	grown.all[scope] = added
	s.known.Store(grown)
}

func (s *scopes) clear() {
	s.adds.Lock()
	defer s.adds.Unlock()
	s.known.Store(nil)
}
