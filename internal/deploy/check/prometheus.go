package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// shownSamples is how many samples beyond the limits are named.
const shownSamples = 3

// prometheus is the question of a Prometheus check.
func (c Config) prometheus(check pipeline.Check) (question, error) {
	p := *check.Prometheus
	q := question{times: 1, expected: limits(p)}
	if p.Min == nil && p.Max == nil {
		return q, errors.New("prometheus has no limits: set min, max or both")
	}
	address, err := parseAddress(p.Address)
	if err != nil {
		return q, fmt.Errorf("prometheus.address: %w", err)
	}
	query, err := fill(p.Query, map[string]string{"namespace": c.Namespace, "app": c.App, "set": c.Set})
	if err != nil {
		return q, err
	}
	q.asked = fmt.Sprintf("%s of Prometheus at %s", query, probe.Shown(address))
	server := &site{base: address}
	q.ask = func(ctx context.Context) answer {
		r, err := server.query(ctx, query)
		if other := c.inside(ctx, address, err); other != nil {
			server = other
			c.Log.Line("        by the %s", server.via)
			r, err = server.query(ctx, query)
		}
		if err != nil {
			return answer{Said: "nothing: " + server.redact(err.Error())}
		}
		if server.proxied {
			if message, final, ok := apiServerSays(r); ok {
				return answer{Said: "nothing: the API server says: " + excerpt(message), Final: final}
			}
		}
		samples, err := parseSamples(r.status, r.body)
		if err != nil {
			return answer{Said: server.redact(err.Error()), Final: hopeless(err)}
		}
		return judge(samples, p)
	}
	return q, nil
}

// query asks for the value of a query now.
func (s site) query(ctx context.Context, query string) (reply, error) {
	u := s.base.JoinPath("api/v1/query")
	values := u.Query()
	values.Set("query", query)
	u.RawQuery = values.Encode()
	return s.fetch(ctx, u.String(), true)
}

// inside finds a Prometheus server whose name only the cluster knows, such as
// http://prometheus.monitoring:9090, when err says that this machine does not
// know it. It is nil when that is not so.
func (c Config) inside(ctx context.Context, address *url.URL, err error) *site {
	unknown, ok := errors.AsType[*net.DNSError](err)
	if !ok || !unknown.IsNotFound || c.Cluster == nil {
		return nil
	}
	service, namespace, ok := serviceName(address.Hostname(), c.Namespace)
	if !ok {
		return nil
	}
	found, err := c.serviceSite(ctx, namespace, service)
	if err != nil {
		return nil // That this machine does not know the name says more.
	}
	found.base = found.base.JoinPath(address.Path)
	found.base.User = address.User
	return found
}

// serviceName reads NAME[.NAMESPACE[.svc[.cluster.local]]].
func serviceName(host, namespace string) (service, in string, ok bool) {
	service, rest, dotted := strings.Cut(host, ".")
	if !dotted {
		return service, namespace, service != ""
	}
	in, rest, _ = strings.Cut(rest, ".")
	known := rest == "" || rest == "svc" || strings.HasPrefix(rest, "svc.")
	return service, in, known && service != "" && in != ""
}

// judge holds samples against the limits. Each must lie within them.
func judge(samples []sample, p pipeline.PrometheusCheck) answer {
	if len(samples) == 0 {
		return answer{Said: "no sample at all: no series matches, or none was written in the last minutes"}
	}
	var beyond []string
	for _, s := range samples {
		if math.IsNaN(s.value) || (p.Min != nil && s.value < *p.Min) || (p.Max != nil && s.value > *p.Max) {
			beyond = append(beyond, s.String())
		}
	}
	switch {
	case len(beyond) == 0 && len(samples) == 1:
		return answer{Good: true, Said: number(samples[0].value)}
	case len(beyond) == 0:
		return answer{Good: true, Said: fmt.Sprintf("%d samples, all within the limits", len(samples))}
	}
	said := strings.Join(beyond[:min(len(beyond), shownSamples)], ", ")
	if len(samples) > 1 {
		said = fmt.Sprintf("%d of %d samples beyond the limits: %s", len(beyond), len(samples), said)
	}
	if len(beyond) > shownSamples {
		said += ", ..."
	}
	return answer{Said: said}
}

func limits(p pipeline.PrometheusCheck) string {
	switch {
	case p.Min == nil && p.Max == nil:
		return "a value"
	case p.Max == nil:
		return "at least " + number(*p.Min)
	case p.Min == nil:
		return "at most " + number(*p.Max)
	}
	return number(*p.Min) + " to " + number(*p.Max)
}

func number(v float64) string {
	if math.IsNaN(v) {
		return "NaN (nothing was divided by nothing: there were no requests, perhaps)"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
