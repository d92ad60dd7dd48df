//go:build !cgo

package tutoken

// A program does not compile without cgo, and the compiler's complaint about this line says why. The
// files that do not import "C" themselves are left out too, so that it is the only one.
const _ int = "tutoken needs cgo and a C compiler: set CGO_ENABLED=1, perhaps CC"
