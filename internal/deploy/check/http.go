package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

const (
	defaultTimes = 3
	maxBody      = 1 << 20 // bytes of an answer that are looked at
)

// http is the question of an HTTP check. Each time it is asked on a new
// connection, so that the answers come from different pods.
func (c Config) http(check pipeline.Check) (question, error) {
	h := *check.HTTP
	q := question{times: cmp.Or(h.Times, defaultTimes), expected: expected(h)}
	if h.URL != "" {
		target, err := parseAddress(h.URL)
		if err != nil {
			return q, fmt.Errorf("url: %w", err)
		}
		q.asked = "GET " + probe.Shown(target)
		site := site{base: target}
		q.ask = func(ctx context.Context) answer { return site.get(ctx, target.String(), h) }
		return q, nil
	}
	service := cmp.Or(h.Service, c.Service)
	if service == "" {
		return q, errors.New("there is no Service to ask: set http.service or http.url")
	}
	path := "/" + strings.TrimPrefix(h.Path, "/")
	q.asked = fmt.Sprintf("GET %s of Service %s", path, service)
	var found *site
	q.ask = func(ctx context.Context) answer {
		if found == nil {
			var err error
			if found, err = c.serviceSite(ctx, c.Namespace, service); err != nil {
				return answer{Said: err.Error(), Final: kube.Refused(err)}
			}
			c.Log.Line("        by the %s", found.via)
		}
		a := found.get(ctx, found.base.String()+path, h)
		if !a.Good {
			found = nil // Another way may be open the next time.
		}
		return a
	}
	return q, nil
}

func expected(h pipeline.HTTPCheck) string {
	text := "a status of 200 to 399"
	if h.Status != 0 {
		text = fmt.Sprintf("status %d", h.Status)
	}
	if h.Contains != "" {
		text += fmt.Sprintf(" and an answer that contains %q", h.Contains)
	}
	return text
}

// get asks once and judges the answer.
func (s site) get(ctx context.Context, url string, h pipeline.HTTPCheck) answer {
	follow := h.Status < 300 || h.Status > 399 // Who expects a redirection wants to see it.
	r, err := s.fetch(ctx, url, follow)
	if err != nil {
		return answer{Said: s.redact(err.Error())}
	}
	if s.proxied {
		if message, final, ok := apiServerSays(r); ok {
			return answer{Said: "the API server says: " + excerpt(message), Final: final}
		}
	}
	said := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.leads && r.status/100 == 3 {
		said += " to another place, which is not followed"
	}
	good := goodStatus(r.status, h.Status)
	if good && !strings.Contains(string(r.body), h.Contains) {
		good = false
		if len(r.body) == maxBody {
			said += fmt.Sprintf(" (the text is not in the first %d bytes)", maxBody)
		}
	}
	if text := s.redact(excerpt(string(r.body))); !good && text != "" {
		said += fmt.Sprintf(" %q", text)
	}
	return answer{Good: good, Said: said}
}

func goodStatus(got, want int) bool {
	if want != 0 {
		return got == want
	}
	return got >= 200 && got < 400
}

// reply is what one request got.
type reply struct {
	status int
	leads  bool   // to another place, by its Location
	body   []byte // at most maxBody of it
}

// fetch sends one GET request. The error is without the URL, which may hold
// credentials.
func (s site) fetch(ctx context.Context, url string, follow bool) (reply, error) {
	client, err := s.client(follow)
	if err != nil {
		return reply{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return reply{}, plainly(err)
	}
	request.Header.Set("User-Agent", "towline-check")
	response, err := client.Do(request)
	if err != nil {
		return reply{}, plainly(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return reply{}, fmt.Errorf("status %d, and its body broke off: %w", response.StatusCode, err)
	}
	return reply{status: response.StatusCode, leads: response.Header.Get("Location") != "", body: body}, nil
}
