package check

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/probe"
)

// maxRedirects is how many redirections one request may take.
const maxRedirects = 10

// site is where requests are sent, and how.
type site struct {
	base      *url.URL
	via       string
	proxied   bool // through the API server, with the cluster's credentials
	transport func() (http.RoundTripper, error)
}

// serviceSite finds the way to a Service.
func (c Config) serviceSite(ctx context.Context, namespace, service string) (*site, error) {
	route, err := c.Cluster.ServiceURL(ctx, namespace, service)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(route.URL)
	if err != nil {
		return nil, fmt.Errorf("reach service %s/%s: %w", namespace, service, plainly(err))
	}
	return &site{base: base, via: route.Via, proxied: route.Authorize != nil, transport: func() (http.RoundTripper, error) {
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: route.TLS}
		if route.Authorize == nil {
			return transport, nil
		}
		return route.Authorize(transport)
	}}, nil
}

// client has a connection of its own for each request. follow says whether it
// follows redirections at all; those that leave the site it never follows.
func (s site) client(follow bool) (*http.Client, error) {
	var transport http.RoundTripper = &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	if s.transport != nil {
		var err error
		if transport, err = s.transport(); err != nil {
			return nil, err
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("redirected more than %d times", maxRedirects)
		}
		if !follow || !s.holds(to.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}, nil
}

// holds tells whether a URL belongs to the site: to its host and, where that
// is the API server, to the very Service behind it. Whoever answers a check
// must not be able to send it, with its credentials, anywhere else.
func (s site) holds(to *url.URL) bool {
	if s.proxied {
		return to.Scheme == s.base.Scheme && to.Host == s.base.Host && within(s.base.Path, to.Path)
	}
	same := to.Scheme == s.base.Scheme && to.Host == s.base.Host
	upgrade := s.base.Scheme == "http" && to.Scheme == "https" && to.Hostname() == s.base.Hostname() &&
		(s.base.Port() == "" || s.base.Port() == "80") && (to.Port() == "" || to.Port() == "443")
	return same || upgrade
}

// within tells whether a path, read as a server may read it, lies below root.
func within(root, p string) bool {
	clean := path.Clean("/" + strings.ReplaceAll(p, `\`, "/"))
	return clean == root || strings.HasPrefix(clean, root+"/")
}

// redact takes the credentials of the site's URL out of a text.
func (s site) redact(text string) string {
	if s.base.User == nil {
		return text
	}
	user := s.base.User.Username()
	password, _ := s.base.User.Password()
	for _, secret := range []string{base64.StdEncoding.EncodeToString([]byte(user + ":" + password)), s.base.User.String(), password} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	return text
}

// parseAddress reads an absolute http or https URL. Its errors do not show it.
func parseAddress(text string) (*url.URL, error) {
	u, err := probe.ParseURL(text)
	if err != nil {
		return nil, err
	}
	u.Fragment = ""
	return u, nil
}

// plainly is an error of net/http or net/url without the URL.
func plainly(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}

// apiServerSays reads an answer that is the API server's own and not the
// application's. It is final when waiting does not change it.
func apiServerSays(r reply) (message string, final, ok bool) {
	var status metav1.Status
	if r.status < 400 || json.Unmarshal(r.body, &status) != nil || status.Kind != "Status" || status.APIVersion != "v1" {
		return "", false, false
	}
	return status.Message, r.status == http.StatusUnauthorized || r.status == http.StatusForbidden, true
}
