package tutoken

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// collectIf starts the goroutine that collects messages from the library's threads, if C says that it
// is not running. There is one per process; it ends when no message can come any more: no call is
// waiting and no client with callbacks is open.
func collectIf(start C.bool) {
	if start {
		go collect()
	}
}

// collect must never block on anything else: it delivers the answers of all calls.
func collect() {
	for message := C.tutoken_go_collect(); message != nil; message = C.tutoken_go_collect() {
		for message != nil {
			// Read next first: take may free the message, or release the thread that owns it.
			next := message.next
			take(message)
			message = next
		}
	}
}

func take(message *C.tutoken_go_message) {
	handle := cgo.Handle(message.handle)
	switch message.kind {
	case C.TUTOKEN_GO_CREDENTIALS:
		go handle.Value().(*callbacks).giveCredentials(message)
	case C.TUTOKEN_GO_EVENT:
		go handle.Value().(*callbacks).tell(message)
	case C.TUTOKEN_GO_ANSWER:
		call := handle.Value().(*call)
		handle.Delete()
		call.take(message)
	default:
		handle.Delete()
		C.free(unsafe.Pointer(message))
	}
}
