//go:build !linux || !amd64

package boot

// Available says whether Nanos can be used.
const Available = false

// Nanos is not available here.
func Nanos(uintptr) uint64 {
	panic("boot.Nanos is not available on this system")
}
