// Package tutoken obtains, caches and renews OAuth 2.0 access tokens for Trackunit's IRIS APIs.
//
//	client, err := tutoken.New(tutoken.Config{}) // options from TRACKUNIT_* variables
//	token, err := client.Token(ctx)              // call it for each request: it is cached
//	request.Header.Set("Authorization", token.Bearer())
//
// Or let an HTTP client add the header for the allowed hosts and retry once after a 401:
//
//	response, err := client.HTTPClient(nil).Get("https://iris.trackunit.com/api/asset/v2/assets?size=1")
//
// The package binds the C library tu_token, which it finds with pkg-config. The build tag
// tu_token_static links the library into the program.
//
// # Cache hits
//
// The client keeps the current token as a Go string. A hit makes one lock-free C call that confirms
// the string is still the token the library would return, then returns it. Comparing time.Now with a
// deadline would not do: Go has no clock that counts time spent in suspend, and a deadline does not
// reflect renewals, invalidations or Close. The call costs about as much as reading the Go clock
// twice; see docs/hot-path.md for figures.
//
// # Waiting
//
// A waiting call blocks only its goroutine, not a thread: one goroutine collects the answers for all
// calls. A call returns as soon as its context ends; the fetch continues for other callers. Any number
// of concurrent callers share one request. The library never calls into Go, because the runtime blocks
// such calls until all packages are initialised; so a client also works in an init function.
//
// # Secrets
//
// Tokens and secrets are ordinary Go strings, which cannot be wiped from memory. They never appear in
// errors or events, and formatting a Token or a Config does not reveal them.
package tutoken
