package boot

// Available says whether Nanos can be used.
const Available = true

// read calls a function of the type of clock_gettime for CLOCK_BOOTTIME.
//
//go:noescape
func read(clock uintptr) (seconds, nanoseconds int64)

// Nanos returns the boot time in nanoseconds. clock is the address of the kernel's function
// __vdso_clock_gettime.
func Nanos(clock uintptr) uint64 {
	seconds, nanoseconds := read(clock)
	return uint64(seconds)*1_000_000_000 + uint64(nanoseconds)
}
