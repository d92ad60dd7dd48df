package tutoken

// #include "bridge.h"
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"tutoken.example/tutoken/internal/boot"
)

// A watched token is one that the library has called current, with the words in C's memory that say
// whether it still is: tu_token_watch in tu_token.h describes them. It is never modified.
type watched struct {
	token *Token
	// Keeps C's memory.
	library *library
	// The kernel's clock function.
	clock   uintptr
	until   *uint64
	version *uint64
	asked   *bool
	forks   *uint32
	// nil, unless tests control the library's clock.
	offset *uint64
	// What version and forks have to be.
	seen   uint64
	forked uint32
}

// isCurrent reports whether the library would return this token now without noting anything. It is
// the same check that a hit in C makes, without the call.
func (w *watched) isCurrent() bool {
	until := atomic.LoadUint64(w.until)
	if atomic.LoadUint64(w.version) != w.seen || atomic.LoadUint32(w.forks) != w.forked || !*w.asked {
		return false
	}
	now := boot.Nanos(w.clock)
	if w.offset != nil {
		now += atomic.LoadUint64(w.offset)
	}
	runtime.KeepAlive(w)
	return now < until
}

// watch makes the next hits need no call of C, if the token is the current one.
func (e *entry) watch(held *library, token *Token) {
	var seen C.tutoken_go_watched
	serial := C.tutoken_go_watch(held.client, e.scope.pointer(), &seen)
	runtime.KeepAlive(held)
	if uint64(serial) != token.serial || seen.at.clock == 0 {
		return
	}
	e.watched.Store(&watched{
		token:   token,
		library: held,
		clock:   uintptr(seen.at.clock),
		until:   (*uint64)(unsafe.Pointer(seen.at.until)),
		version: (*uint64)(unsafe.Pointer(seen.at.version)),
		asked:   (*bool)(unsafe.Pointer(seen.at.asked)),
		forks:   (*uint32)(unsafe.Pointer(seen.at.forks)),
		offset:  (*uint64)(unsafe.Pointer(seen.at.clock_offset)),
		seen:    uint64(seen.version),
		forked:  uint32(seen.forks),
	})
}
