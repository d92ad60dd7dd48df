//go:build cgo

package tutoken

import (
	"io"
	"net/http"
)

// HTTPClient returns a copy of base whose requests carry the client's token; see Transport. If base is
// nil, an http.Client with default settings is used.
func (c *Client) HTTPClient(base *http.Client) *http.Client {
	var made http.Client
	if base != nil {
		made = *base
	}
	made.Transport = c.Transport(made.Transport)
	return &made
}

// Transport returns a Transport that sends requests through base, or through http.DefaultTransport if
// base is nil.
func (c *Client) Transport(base http.RoundTripper) *Transport {
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{client: c, base: base}
}

// A Transport is an http.RoundTripper that sets the Authorization header to the token of the client's
// own scope, replacing any existing one, for requests to allowed hosts: those of Config.APIHosts over
// https, and this machine. Requests to other hosts, including after a redirect, are sent unchanged.
//
// If the API answers 401, the token is invalidated and the request is repeated once with another token,
// provided that its body can be sent again (it has none, or Request.GetBody is set). If the repeat also
// gets 401, that response is returned, and an event says that the API may not accept v2 tokens. If no
// token, or no second token, is available, RoundTrip returns the error of Client.Token (ErrClosed after
// Close): nothing is sent to an allowed host without a token.
type Transport struct {
	client *Client
	base   http.RoundTripper
}

// RoundTrip sends one request, which it does not modify.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	// A client not made by New has no list of allowed hosts; Token returns the error.
	if request.URL == nil || t.client.library != nil && !t.client.MaySendTo(origin(request)) {
		return t.base.RoundTrip(request)
	}
	token, err := t.client.Token(request.Context())
	if err != nil {
		closeBody(request)
		return nil, err
	}
	response, err := t.send(request, token)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	return t.onceMore(request, response, token)
}

// origin returns where a request is sent. It does not use URL.String, which can name another host
// (URL.Opaque). User info is kept: a URL with its own credentials gets no token.
func origin(request *http.Request) string {
	authority := request.URL.Host
	if user := request.URL.User; user != nil {
		authority = user.String() + "@" + authority
	}
	return request.URL.Scheme + "://" + authority
}

// onceMore repeats a request after a 401. If the body cannot be sent again, it returns the API's
// response. If no second token is available, it returns that error, which says more than the 401 would.
func (t *Transport) onceMore(request *http.Request, refused *http.Response, token *Token) (*http.Response, error) {
	t.client.Invalidate(token)
	// Code of the program (GetBody, the context) may panic or end the goroutine: close the body even then.
	unread := refused
	defer func() {
		if unread != nil {
			unread.Body.Close()
		}
	}()
	repeated, ok := again(request)
	if !ok {
		unread = nil
		return refused, nil
	}
	next, err := t.client.Token(request.Context())
	unread = nil
	discard(refused)
	if err != nil {
		closeBody(repeated)
		return nil, err
	}
	response, err := t.send(repeated, next)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.client.APIRefused(origin(request))
	}
	if response != nil {
		response.Request = request
	}
	return response, err
}

// send adds the token to a copy of the request. The response refers to the original, without the token.
func (t *Transport) send(request *http.Request, token *Token) (*http.Response, error) {
	sent := *request
	sent.Header = request.Header.Clone()
	if sent.Header == nil {
		sent.Header = http.Header{}
	}
	sent.Header.Set("Authorization", token.Bearer())
	response, err := t.base.RoundTrip(&sent)
	if response != nil {
		response.Request = request
	}
	return response, err
}

// again returns the request with its body rewound, and whether that was possible.
func again(request *http.Request) (*http.Request, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, false
	}
	repeated := *request
	repeated.Body = body
	return &repeated, true
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		request.Body.Close()
	}
}

// maxDiscarded limits how much of a response is read so that its connection can be reused.
const maxDiscarded = 64 * 1024

func discard(response *http.Response) {
	defer response.Body.Close()
	io.CopyN(io.Discard, response.Body, maxDiscarded)
}

// CloseIdleConnections closes the idle connections of the base transport. http.Client calls it.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
