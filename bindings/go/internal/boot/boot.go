// Package boot reads the clock that counts time spent in suspend, without a call through cgo, which
// would cost more than the reading. Go's own clocks stop in suspend or can be set.
package boot
