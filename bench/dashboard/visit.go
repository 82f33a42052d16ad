package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/bench/program"
)

// visitor is a browser without eyes: it asks for what a browser asks for.
type visitor struct {
	base string
	http *http.Client
}

func signIn(ctx context.Context, server *program.Server) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	// Answers stay compressed: what is counted is what goes over the wire.
	v := &visitor{base: server.API.URL(), http: &http.Client{Jar: jar, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 8}}}
	form := url.Values{"credential": {server.API.Token()}, "next": {"/healthz"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base+"/sign-in", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("sign in: %s", resp.Status)
	}
	return v, nil
}

// get asks for a path as browsers do, and returns the answer with its body read
// to the end.
func (v *visitor) get(ctx context.Context, path string, compressed bool) (body []byte, took time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+path, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "text/html")
	if compressed {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	begin := time.Now()
	resp, err := v.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s: %s: %.200s", path, resp.Status, body)
	}
	return body, time.Since(begin), nil
}

// firstPage measures the page that the dashboard opens with, and counts what a
// browser that has never been here gets with it.
func (v *visitor) firstPage(ctx context.Context, looks int, r *result) error {
	for range looks {
		body, took, err := v.get(ctx, "/", true)
		if err != nil {
			return err
		}
		r.first, r.page = append(r.first, took), len(body)
	}
	slices.Sort(r.first)
	plain, _, err := v.get(ctx, "/", false)
	if err != nil {
		return err
	}
	r.rows = strings.Count(string(plain), "data-row")
	r.whole = r.page
	for _, found := range regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`).FindAllStringSubmatch(string(plain), -1) {
		body, _, err := v.get(ctx, found[1], true)
		if err != nil {
			return err
		}
		r.whole += len(body)
	}
	return nil
}

// open opens the first page many times, hears of changes as each does, and
// returns which part of a processor the server uses while nothing happens.
func (v *visitor) open(ctx context.Context, server *program.Server, pages int, during time.Duration) (float64, error) {
	plain, _, err := v.get(ctx, "/", false)
	if err != nil {
		return 0, err
	}
	events := regexp.MustCompile(`hx-sse:connect="([^"]+)"`).FindSubmatch(plain)
	if events == nil {
		return 0, errors.New("the first page hears of no changes")
	}
	for range pages {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+string(events[1]), nil)
		if err != nil {
			return 0, err
		}
		resp, err := v.http.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		// The first event says that the page is up to date.
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			return 0, fmt.Errorf("hear of changes: %w", err)
		}
	}
	before, err := server.Processor()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	select {
	case <-time.After(during):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := server.Processor()
	return (after - before).Seconds() / time.Since(begin).Seconds(), err
}
