package tutoken

import "tutoken.example/tutoken/internal/boot"

// CanWatch says whether hits can do without a call of C here.
func CanWatch() bool {
	return bootClock() != 0
}

// BootNanos is the clock of hits without a call of C.
func BootNanos() uint64 {
	return boot.Nanos(bootClock())
}

// HitNeedsNoCall says whether the next hit for the client's own scope would make no call of C.
func HitNeedsNoCall(c *Client) bool {
	known := c.own.watched.Load()
	return known != nil && known.isCurrent()
}

// MarkNotAsked pretends that the library has started a renewal since the last call.
func MarkNotAsked(c *Client) {
	*c.own.watched.Load().asked = false
}
