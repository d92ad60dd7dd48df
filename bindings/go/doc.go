// Package tutoken gets, keeps and hands out OAuth 2.0 access tokens for Trackunit's IRIS APIs.
//
//	client, err := tutoken.New(tutoken.Config{}) // options from TRACKUNIT_* variables
//	token, err := client.Token(ctx)              // for each request: it is cached
//	request.Header.Set("Authorization", token.Bearer())
//
// or, with a header for the allowed hosts and one more try after a 401:
//
//	response, err := client.HTTPClient(nil).Get("https://iris.trackunit.com/api/asset/v2/assets?size=1")
//
// It is a binding of the C library tu_token, which is found by pkg-config. With the build tag
// tu_token_static it is linked into the program.
//
// # How a token is handed out
//
// The Go string of the current token is kept on the Go side and handed out for as long as the library
// says, in one call of C that takes no lock, that this very token is the one it would hand out now. The
// call is what makes a hit right after a suspend: Go has no clock that counts the time a machine
// sleeps, so time.Now against a deadline cannot know that a token has died meanwhile, and it knows
// nothing of a renewal, an invalidation or a close either. It costs what two clocks of Go cost:
// docs/hot-path.md has the figures.
//
// # Waits
//
// A call that has to wait holds no thread: one goroutine collects the answers for all. It ends at once
// with its context. The fetch belongs to nobody, so it goes on for others. Any number of goroutines
// cause one request. The library never calls into Go, which would hold such a call back until all
// packages are initialised; so a client works in an init function, too.
//
// # Secrets
//
// Tokens and secrets are ordinary strings in Go's memory, which cannot be wiped. They stand in no
// error and no event, and formatting a Token or a Config does not show them.
package tutoken
