package tutoken

import "tutoken.example/tutoken/internal/boot"

// Watches says whether the client's own token is one that a hit can check without a call of C.
func Watches(c *Client) bool {
	return c.own.watched.Load() != nil
}

// BootNanos is the clock of such hits.
func BootNanos(c *Client) uint64 {
	return boot.Nanos(c.own.watched.Load().clock)
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
