package notify

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Kind is how a subscription is told.
type Kind string

// The kinds of subscriptions.
const (
	Webhook Kind = "webhook" // events as JSON, signed
	Slack   Kind = "slack"   // words, to an incoming webhook as Slack has them
	Email   Kind = "email"   // words, by SMTP
)

// Subscription is who is told of what.
type Subscription struct {
	Name    string
	Kind    Kind
	Filter  Filter
	Target  Target
	Created time.Time
}

// Target is where a subscription is told. All of it is secret: the URL of a
// chat's webhook is its password.
type Target struct {
	URL string `json:"url,omitempty"` // of a webhook and Slack
	// Secret signs what a webhook is sent: whsec_ and the key in base 64.
	Secret string `json:"secret,omitempty"`
	SMTP   *SMTP  `json:"smtp,omitempty"` // of an email
}

// SMTP is a way to send mail.
type SMTP struct {
	Server   string   `json:"server"` // host:port
	Security Security `json:"security"`
	From     string   `json:"from"`
	To       []string `json:"to"`
	User     string   `json:"user,omitempty"`
	Password string   `json:"password,omitempty"`
}

// Security is how a connection to a mail server is encrypted.
type Security string

// The securities; "" is StartTLS.
const (
	StartTLS Security = "starttls" // or no mail is sent
	TLS      Security = "tls"      // from the first byte, as on port 465
	Plain    Security = "none"     // for a mail server on the same machine
)

// InvalidError says what is wrong with a subscription.
type InvalidError struct{ Field, Message, Hint string }

func (e *InvalidError) Error() string { return e.Field + ": " + e.Message + ": " + e.Hint }

const (
	maxURL       = 2048
	maxAddresses = 50
	secretPrefix = "whsec_"
	// The lengths of keys, in bytes, that Standard Webhooks allows.
	leastKey, mostKey, newKey = 24, 64, 32
)

// Check tells what is wrong with a subscription, as an *InvalidError, and fills
// in what was left out.
func (s *Subscription) Check() error {
	if err := completeFilter(&s.Filter, s.Kind); err != nil {
		return err
	}
	switch s.Kind {
	case Webhook:
		if s.Target.SMTP != nil {
			return &InvalidError{"smtp", "a webhook is not sent by mail", "leave it out, or choose the kind email"}
		}
		if err := checkURL(s.Target.URL); err != nil {
			return err
		}
		return completeSecret(&s.Target)
	case Slack:
		if s.Target.SMTP != nil || s.Target.Secret != "" {
			return &InvalidError{"kind", "a chat's webhook has a URL and nothing else", "leave the rest out"}
		}
		return checkURL(s.Target.URL)
	case Email:
		if s.Target.URL != "" || s.Target.Secret != "" || s.Target.SMTP == nil {
			return &InvalidError{"smtp", "an email needs a mail server and addresses, and nothing else", "give these, and no URL"}
		}
		return s.Target.SMTP.check()
	}
	return &InvalidError{"kind", fmt.Sprintf("there is no kind %q", s.Kind), "choose webhook, slack or email"}
}

// checkURL takes web addresses, also those of the private network that the
// server is in. It never quotes what it was given.
func checkURL(text string) error {
	invalid := func(message string) error {
		return &InvalidError{"url", message, "give it as https://HOST/PATH"}
	}
	u, err := url.Parse(text)
	switch {
	case text == "":
		return invalid("it is missing")
	case len(text) > maxURL:
		return invalid(fmt.Sprintf("it has more than %d bytes", maxURL))
	case err != nil || u.Opaque != "":
		return invalid("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return invalid("it is neither http nor https")
	case u.User != nil:
		return invalid("it has a user or a password in it")
	case u.Hostname() == "":
		return invalid("it names no host")
	case u.Fragment != "":
		return invalid("it has a fragment (#), which is never sent")
	}
	return nil
}

// completeSecret makes a key where there is none.
func completeSecret(t *Target) error {
	if t.Secret == "" {
		key := make([]byte, newKey)
		_, _ = rand.Read(key)
		t.Secret = secretPrefix + base64.StdEncoding.EncodeToString(key)
		return nil
	}
	_, err := t.key()
	return err
}

// key is the key with which a webhook is signed.
func (t Target) key() ([]byte, error) {
	text, ok := strings.CutPrefix(t.Secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < leastKey || len(key) > mostKey {
		return nil, &InvalidError{"secret", "it has not the form of Standard Webhooks", fmt.Sprintf("give %s and %d to %d random bytes in base 64, or leave it out and one is made", secretPrefix, leastKey, mostKey)}
	}
	return key, nil
}

func (m *SMTP) check() error {
	if m.Security == "" {
		m.Security = StartTLS
	}
	host, port, err := net.SplitHostPort(m.Server)
	number, numberErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || numberErr != nil || host == "" || number == 0:
		return &InvalidError{"smtp.server", "it is not HOST:PORT", "give it as mail.example.org:587"}
	case !slices.Contains([]Security{StartTLS, TLS, Plain}, m.Security):
		return &InvalidError{"smtp.security", fmt.Sprintf("there is no security %q", m.Security), "choose starttls, tls or none"}
	case (m.User == "") != (m.Password == ""):
		return &InvalidError{"smtp.user", "a user and a password go together", "give both or neither"}
	case m.Security == Plain && m.Password != "":
		return &InvalidError{"smtp.security", "a password is not sent without encryption", "choose starttls or tls"}
	case len(m.To) == 0 || len(m.To) > maxAddresses:
		return &InvalidError{"smtp.to", fmt.Sprintf("there are %d addresses", len(m.To)), fmt.Sprintf("give 1 to %d", maxAddresses)}
	}
	for i, address := range append([]string{m.From}, m.To...) {
		if _, err := mail.ParseAddress(address); err != nil || strings.ContainsAny(address, "\r\n") {
			field := "smtp.from"
			if i > 0 {
				field = "smtp.to"
			}
			return &InvalidError{field, fmt.Sprintf("%q is no address", address), "give it as name@example.org"}
		}
	}
	return nil
}

// Public is the target without what is secret: the host of a URL, and who gets
// mail by which server.
func (t Target) Public() string {
	if t.SMTP != nil {
		return strings.Join(t.SMTP.To, ", ") + " by " + t.SMTP.Server
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Filter is of what a subscription is told.
type Filter struct {
	// Pipelines are globs of their names; none is all pipelines.
	Pipelines []string `json:"pipelines,omitempty"`
	// Kinds are of what changes are told. None is all of them to a webhook, and
	// pipelines and approvals to people.
	Kinds []What `json:"kinds,omitempty"`
	// Failed leaves out of pipelines, stages and actions what did not fail.
	Failed bool `json:"failed,omitempty"`
}

// What is what changes are about.
type What string

// What changes are about.
const (
	Pipelines What = "pipeline"
	Stages    What = "stage"
	Actions   What = "action"
	// Approvals are actions too: they begin, when somebody has to decide, and
	// end.
	Approvals What = "approval"
)

const maxGlobs = 20

// completeFilter checks a filter and says what it means when it says nothing.
func completeFilter(f *Filter, kind Kind) error {
	if len(f.Kinds) == 0 {
		f.Kinds = []What{Pipelines, Approvals}
		if kind == Webhook {
			f.Kinds = []What{Pipelines, Stages, Actions}
		}
	}
	for _, what := range f.Kinds {
		if !slices.Contains([]What{Pipelines, Stages, Actions, Approvals}, what) {
			return &InvalidError{"events", fmt.Sprintf("there is no kind of event %q", what), "choose of pipeline, stage, action and approval"}
		}
	}
	if len(f.Pipelines) > maxGlobs {
		return &InvalidError{"pipelines", fmt.Sprintf("there are %d patterns", len(f.Pipelines)), fmt.Sprintf("give at most %d", maxGlobs)}
	}
	for _, glob := range f.Pipelines {
		if err := pipeline.CheckGlob(glob); err != nil {
			return &InvalidError{"pipelines", err.Error(), "write it as web or web-*"}
		}
	}
	return nil
}

// about tells whether a pipeline is told of.
func (f Filter) about(name string) bool {
	return len(f.Pipelines) == 0 || (&pipeline.Globs{Includes: f.Pipelines}).Match(name)
}

// Match tells whether a subscription is told of a change.
func (f Filter) Match(c pipeline.Change) bool {
	if c.Kind == pipeline.ChangeOfAction && c.Type.Manual() && slices.Contains(f.Kinds, Approvals) {
		return true
	}
	if f.Failed && c.State != pipeline.ChangeFailed {
		return false
	}
	return slices.Contains(f.Kinds, What(c.Kind))
}
