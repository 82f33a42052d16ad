package probe

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// answer is what became of one request.
type answer struct {
	status  int           // of the response, 0 when none came whole
	cause   string        // why it is lost, "" when it is not
	unsent  bool          // this machine could not send it
	latency time.Duration // from sending to the last byte
}

// lost says whether a user would have seen this request fail.
func (a answer) lost() bool { return a.cause != "" }

// sender is the way of one lane. The prober calls send from many goroutines at
// once, and close when the last one has returned.
type sender interface {
	// send sends the request, once, and returns the status of an answer that
	// arrived whole before the deadline.
	send(deadline time.Time) (status int, err error)
	close()
}

// ask sends one request and waits for its whole answer.
func (p *Prober) ask(s sender) answer {
	began := time.Now()
	status, err := s.send(began.Add(p.cfg.Timeout))
	a := answer{status: status, latency: time.Since(began)}
	switch {
	case err != nil && (exhausted(err) || cause(err) == timeout && a.latency > p.cfg.Timeout+maxLate):
		// Either there was nothing to send it with, or this process had no
		// time: it would have seen the end of the timeout in time otherwise,
		// and perhaps an answer before.
		a.unsent = true
	case err != nil:
		a.cause = cause(err)
	case status >= http.StatusInternalServerError:
		a.cause = fmt.Sprint("http ", status)
	}
	return a
}

// request is what is sent, without a body: see withBody.
func (c Config) request() (*http.Request, error) {
	r, err := http.NewRequest(c.Method, c.URL, nil) //nolint:noctx // The senders set deadlines of their own.
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	for name, values := range c.Header {
		name = http.CanonicalHeaderKey(name)
		switch name {
		case "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Upgrade", "Expect":
			return nil, fmt.Errorf("probe: the header %s is the prober's own: leave it out", name)
		}
		if !validHeader(name, values) {
			return nil, fmt.Errorf("probe: the header %q holds characters that no header can have", name)
		}
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "towline-prober")
	}
	if user := r.URL.User; user != nil && r.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	r.ContentLength = int64(len(c.Body))
	return r, nil
}

// validHeader tells whether net/http would write the header as it is.
func validHeader(name string, values []string) bool {
	const separators = "()<>@,;:\\\"/[]?={} \t"
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(separators, r) }
	if name == "" || strings.ContainsFunc(name, bad) {
		return false
	}
	for _, v := range values {
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return false
		}
	}
	return true
}
