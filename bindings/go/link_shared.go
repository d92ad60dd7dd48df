//go:build !tu_token_static

package tutoken

// #cgo pkg-config: tu_token
import "C"
