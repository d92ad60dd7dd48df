//go:build cgo

package tutoken

import (
	"io"
	"net/http"
)

// HTTPClient is a copy of base (nil: a client with the defaults) whose requests carry the client's
// token: see Transport.
func (c *Client) HTTPClient(base *http.Client) *http.Client {
	var made http.Client
	if base != nil {
		made = *base
	}
	made.Transport = c.Transport(made.Transport)
	return &made
}

// Transport is a RoundTripper over base; nil: http.DefaultTransport.
func (c *Client) Transport(base http.RoundTripper) *Transport {
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{client: c, base: base}
}

// A Transport puts the token of the client's own scope into the Authorization header of requests to
// the hosts that may get it (Config.APIHosts, by https; and this machine), whatever stood in it.
// Requests to any other host go out as they are, also after a redirect.
//
// If the API answers 401, the token is invalidated, and the request is repeated once with another
// token, if its body can be sent again (there is none, or Request.GetBody is set). If that is refused
// too, the program gets the answer, and an event says that the API may not accept v2 tokens. If there
// is no token, or no other one, the error of Client.Token is the request's, ErrClosed after Close: to
// these hosts nothing is sent without a token.
type Transport struct {
	client *Client
	base   http.RoundTripper
}

// RoundTrip sends one request. It does not change it.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	// A client that was not made by New cannot tell; Token says so.
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

// origin is where a request goes: not what URL.String tells, which can name another host (URL.Opaque).
// User info stays in it: such a URL brings credentials of its own, and gets no token.
func origin(request *http.Request) string {
	authority := request.URL.Host
	if user := request.URL.User; user != nil {
		authority = user.String() + "@" + authority
	}
	return request.URL.Scheme + "://" + authority
}

// onceMore is what follows a 401. A body that cannot be sent again leaves the program with the API's
// answer. That there is no other token is an error, which says why where the answer would not.
func (t *Transport) onceMore(request *http.Request, refused *http.Response, token *Token) (*http.Response, error) {
	t.client.Invalidate(token)
	// What is the program's here (GetBody, the context) may not return, but panic or end the goroutine.
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

// send puts the token into a copy of the request; the answer tells of the request without it.
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

// again is the request with its body from the start, if that can be had.
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

// mostDiscarded is how much of an answer is read so that its connection can be used again.
const mostDiscarded = 64 * 1024

func discard(response *http.Response) {
	defer response.Body.Close()
	io.CopyN(io.Discard, response.Body, mostDiscarded)
}

// CloseIdleConnections is for http.Client.CloseIdleConnections.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
