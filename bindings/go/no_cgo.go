//go:build !cgo

package tutoken

// Without cgo the package does not compile, and the compiler's error for this line says why. Files that
// do not import "C" have a cgo build constraint, so that this is the only error.
const _ int = "tutoken needs cgo and a C compiler: set CGO_ENABLED=1, perhaps CC"
