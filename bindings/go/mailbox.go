package tutoken

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// collectIf starts the one goroutine of the process that collects what the library's threads have for
// Go, if C says that it is to be started. It ends when nothing more can come: no call waits, and no
// client that has functions is open.
func collectIf(start C.bool) {
	if start {
		go collect()
	}
}

// collect must never wait for anything else: everybody's answers come through it.
func collect() {
	for message := C.tutoken_go_collect(); message != nil; message = C.tutoken_go_collect() {
		for message != nil {
			// A message whose sender waits for Go is gone as soon as that has been done.
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
