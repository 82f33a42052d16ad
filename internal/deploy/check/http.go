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
		q.asked = "GET " + shown(target)
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
	response, body, err := s.fetch(ctx, url, follow)
	if err != nil {
		return answer{Said: s.redact(err.Error())}
	}
	if s.proxied {
		if message, final, ok := apiServerSays(response.StatusCode, body); ok {
			return answer{Said: "the API server says: " + excerpt(message), Final: final}
		}
	}
	said := fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	if location := response.Header.Get("Location"); location != "" && response.StatusCode/100 == 3 {
		said += " to another place, which is not followed"
	}
	good := goodStatus(response.StatusCode, h.Status)
	if good && !strings.Contains(string(body), h.Contains) {
		good = false
		if len(body) == maxBody {
			said += fmt.Sprintf(" (the text is not in the first %d bytes)", maxBody)
		}
	}
	if text := s.redact(excerpt(string(body))); !good && text != "" {
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

// fetch sends one GET request and reads at most maxBody of its answer. The
// error is without the URL, which may hold credentials.
func (s site) fetch(ctx context.Context, url string, follow bool) (*http.Response, []byte, error) {
	client, err := s.client(follow)
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, plainly(err)
	}
	request.Header.Set("User-Agent", "towline-check")
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, plainly(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, nil, fmt.Errorf("status %d, and its body broke off: %w", response.StatusCode, err)
	}
	return response, body, nil
}
