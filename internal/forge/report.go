package forge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ReporterConfig is what NewReporter needs.
type ReporterConfig struct {
	Forge      Kind
	API        string // address of the API, see Remote.API
	Repository string // with its owner
	// Token may set statuses: GitHub "Commit statuses: write" (or repo:status),
	// GitLab api, Gitea write:repository, Bitbucket repository:write.
	Token string
	// Username goes with the app passwords and API tokens of Bitbucket. Its
	// access tokens, whose name for git is x-token-auth, and other forges want
	// none, and it is not sent to them.
	Username string
	// Plain allows an API without TLS, which shows the token to everybody on
	// the way.
	Plain bool
	// Transport defaults to http.DefaultTransport.
	Transport http.RoundTripper
	// Patience is the longest wait that a forge may ask for; when it asks for
	// more, Report gives up with the wait in its error. Default 1 minute.
	Patience time.Duration
	// Wait passes the time between two tries; it returns early, with the cause,
	// when the context ends. Default: a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// LogValue keeps the token out of logs.
func (c ReporterConfig) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("%s %s at %s", c.Forge, c.Repository, c.API))
}

// Format keeps the token out of formatted text.
func (c ReporterConfig) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.LogValue().String()) }

// Reporter sets statuses of commits in one repository. It is safe for
// concurrent use.
type Reporter struct {
	cfg    ReporterConfig
	client *http.Client
}

// Format keeps the token out of formatted text.
func (r *Reporter) Format(f fmt.State, verb rune) { r.cfg.Format(f, verb) }

// The limits of one report.
const (
	maxTries     = 5
	tryTimeout   = 30 * time.Second
	firstBackoff = time.Second
	maxAnswer    = 64 << 10
)

// NewReporter checks the configuration. The error is of kind ErrInvalid.
func NewReporter(cfg ReporterConfig) (*Reporter, error) {
	u, err := url.Parse(cfg.API)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, &Error{Kind: ErrInvalid, Message: "the address of the forge's API cannot be used",
			Hint: "write it as https://host/path, without a user, a password or parameters"}
	case u.Scheme != "https" && (u.Scheme != "http" || !cfg.Plain):
		return nil, &Error{Kind: ErrInvalid, Message: fmt.Sprintf("the address of the forge's API begins with %.20q", u.Scheme),
			Hint: "use https, or allow an address without TLS for this forge"}
	case !isRepository(cfg.Repository):
		return nil, invalid("%.100q is no name of a repository", cfg.Repository)
	case cfg.Token == "" || strings.ContainsFunc(cfg.Token+cfg.Username, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return nil, invalid("the token for the forge's API is empty or has control characters in it")
	}
	if _, err := ParseKind(string(cfg.Forge)); err != nil {
		return nil, err
	}
	cfg.API = strings.TrimRight(cfg.API, "/")
	cfg.Patience = cmp.Or(cfg.Patience, time.Minute)
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Reporter{cfg: cfg, client: &http.Client{Transport: cfg.Transport, CheckRedirect: sameHost}}, nil
}

// sameHost follows a redirect only where the token belongs, and only one that
// keeps the method: a forge answers so for a repository that was renamed.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host:
		return errors.New("it redirects to another host, which must not see the token")
	case req.Method != first.Method:
		return errors.New("it redirects in a way that loses the status")
	case len(via) > 3:
		return errors.New("it redirects again and again")
	}
	return nil
}

// ReportError is a status that the forge did not take.
type ReportError struct {
	Forge  Kind
	Status int // of the last answer; 0 when there was none
	// Later says that the same report may succeed later, not before RetryAfter,
	// which is 0 when the forge names no time.
	Later      bool
	RetryAfter time.Duration
	Message    string // what it said, or what went wrong on the way
}

func (e *ReportError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("report status to %s: %s", e.Forge, e.Message)
	}
	return fmt.Sprintf("report status to %s: it answers %d %s: %s%s", e.Forge, e.Status, http.StatusText(e.Status), e.Message, hint(e.Status))
}

// hint tells how to mend what the answer means.
func hint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "; the token is wrong or has expired"
	case http.StatusForbidden:
		return "; the token may not set statuses in this repository"
	case http.StatusNotFound:
		return "; there is no such repository or commit, or the token cannot see it"
	}
	return ""
}

// Report sets the status of a commit. What may go away by itself (no
// connection, 5xx, 429) is tried up to five times, with the waits that the
// forge asks for. The error is a *ReportError, or of kind ErrInvalid when the
// status cannot be; it never contains the token.
func (r *Reporter) Report(ctx context.Context, s Status) error {
	if err := s.check(); err != nil {
		return err
	}
	c, err := statusCall(r.cfg.Forge, r.cfg.Repository, s)
	if err != nil {
		return err
	}
	body, err := json.Marshal(c.body)
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	backoff := firstBackoff
	for try := 1; ; try++ {
		failed := r.send(ctx, c, body)
		if failed == nil {
			return nil
		}
		pause := max(failed.RetryAfter, backoff/2+rand.N(backoff)) //nolint:gosec // it spreads, and hides nothing
		if !failed.Later || try == maxTries || ctx.Err() != nil || failed.RetryAfter > r.cfg.Patience {
			return failed
		}
		if err := r.cfg.Wait(ctx, pause); err != nil {
			return failed
		}
		backoff *= 2
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send tries once.
func (r *Reporter) send(ctx context.Context, c call, body []byte) *ReportError {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.cfg.API+c.path, bytes.NewReader(body))
	if err != nil {
		return &ReportError{Forge: r.cfg.Forge, Message: r.scrub(err.Error())}
	}
	r.authorize(req.Header)
	res, err := r.client.Do(req)
	if err != nil {
		return &ReportError{Forge: r.cfg.Forge, Later: true, Message: r.scrub(err.Error())}
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode/100 == 2 {
		return nil
	}
	message := r.scrub(string(answer))
	if err != nil && message == "" {
		message = r.scrub(err.Error())
	}
	if c.done != nil && c.done(res.StatusCode, message) {
		return nil
	}
	later, after := r.later(res)
	return &ReportError{Forge: r.cfg.Forge, Status: res.StatusCode, Later: later, RetryAfter: after, Message: message}
}

// scrub makes a line of an answer or error, and takes the token out of it,
// should somebody have repeated it.
func (r *Reporter) scrub(text string) string {
	return line(strings.ReplaceAll(text, r.cfg.Token, "[token]"))
}

func (r *Reporter) authorize(header http.Header) {
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json")
	header.Set("User-Agent", "towline")
	switch {
	case r.cfg.Forge == Bitbucket && r.cfg.Username != "" && r.cfg.Username != "x-token-auth":
		req := http.Request{Header: header}
		req.SetBasicAuth(r.cfg.Username, r.cfg.Token)
	case r.cfg.Forge == GitLab:
		header.Set("Private-Token", r.cfg.Token)
	case r.cfg.Forge == Gitea:
		header.Set("Authorization", "token "+r.cfg.Token)
	default:
		header.Set("Authorization", "Bearer "+r.cfg.Token)
	}
	if r.cfg.Forge == GitHub {
		header.Set("Accept", "application/vnd.github+json")
		header.Set("X-Github-Api-Version", "2022-11-28")
	}
}

// later says whether an answer may be another one later, and when. GitHub
// answers 403 as well as 429 to who asks too often.
func (r *Reporter) later(res *http.Response) (bool, time.Duration) {
	after, named := retryAfter(res.Header.Get("Retry-After"), r.cfg.Now())
	if !named && res.Header.Get("X-Ratelimit-Remaining") == "0" {
		if seconds, err := strconv.ParseInt(res.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			after, named = max(0, time.Unix(seconds, 0).Sub(r.cfg.Now())), true
		}
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented:
		return true, after
	case res.StatusCode == http.StatusForbidden && named:
		return true, after
	}
	return false, 0
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		const day = 24 * 60 * 60
		return time.Duration(min(seconds, day)) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}
