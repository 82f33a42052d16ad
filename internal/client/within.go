package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Within makes a client that asks an API in this process on behalf of somebody
// whose request has come in: with their session, and from where their browser
// says that it comes. Its answers are held in memory, so that it can follow
// nothing.
func Within(api http.Handler, visitor *http.Request) *Client {
	return &Client{base: "http://" + visitor.Host, http: &http.Client{Transport: within{api, visitor}}}
}

type within struct {
	api     http.Handler
	visitor *http.Request
}

// RoundTrip hands the request over, with what tells who asks.
func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.Clone(r.Context())
	asked.Host, asked.RemoteAddr = t.visitor.Host, t.visitor.RemoteAddr
	for _, name := range []string{"Cookie", "Authorization", "Origin", "Sec-Fetch-Site"} {
		if values := t.visitor.Header.Values(name); len(values) > 0 {
			asked.Header[name] = values
		}
	}
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	kept := &kept{header: http.Header{}, status: http.StatusOK}
	t.api.ServeHTTP(kept, asked)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", kept.status, http.StatusText(kept.status)), StatusCode: kept.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: kept.header, Body: io.NopCloser(&kept.body), ContentLength: int64(kept.body.Len()), Request: r,
	}, nil
}

// kept is an answer in memory.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header            { return k.header }
func (k *kept) WriteHeader(status int)         { k.status = status }
func (k *kept) Write(text []byte) (int, error) { return k.body.Write(text) }
func (k *kept) Flush()                         {}

// SignIn makes a session and returns the cookie that stands for it.
func (c *Client) SignIn(ctx context.Context, req SessionRequest) (*http.Cookie, error) {
	return c.cookie(ctx, http.MethodPost, req)
}

// SignOut ends the client's session and returns the cookie that takes its own
// away.
func (c *Client) SignOut(ctx context.Context) (*http.Cookie, error) {
	return c.cookie(ctx, http.MethodDelete, nil)
}

func (c *Client) cookie(ctx context.Context, method string, in any) (*http.Cookie, error) {
	response, err := c.send(ctx, method, "/session", in)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	cookies := response.Cookies()
	if len(cookies) != 1 {
		return nil, fmt.Errorf("the server set %d cookies, and not that of a session", len(cookies))
	}
	return cookies[0], nil
}
