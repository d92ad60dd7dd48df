#include "textflag.h"
#include "funcdata.h"

// The kernel's function runs on the goroutine's stack, as any function of Go does that calls no other. It
// is not on the stack of the thread, where the runtime calls it, because only the runtime can change to that.
// This is sound because:
// - The frame has room for it. The function needs less than 512 bytes, but kernels have been built to touch
//   4 KiB below each function's frame (golang.org/issue/20427), hence the size. Calling from the upper end
//   of the frame keeps what is used in the cache.
// - It calls nothing, takes no lock and needs no thread-local storage. It preserves BX and BP.
// - Signals are handled on a stack of their own. Their handler sees a program counter outside Go: it does not
//   preempt the goroutine there, and a profile counts the sample for the vDSO.
//
// func read(clock uintptr) (seconds, nanoseconds int64)
TEXT ·read(SB), 0, $4736-24
	NO_LOCAL_POINTERS
	MOVQ	clock+0(FP), AX
	MOVQ	SP, BX
	LEAQ	4704(SP), SP
	ANDQ	$~15, SP
	MOVQ	$7, DI // CLOCK_BOOTTIME
	MOVQ	SP, SI
	CALL	AX
	MOVQ	0(SP), CX
	MOVQ	8(SP), DX
	MOVQ	BX, SP
	MOVQ	CX, seconds+8(FP)
	MOVQ	DX, nanoseconds+16(FP)
	RET
