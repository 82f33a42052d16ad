package forge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MaxBody is the size, in bytes, of the largest message that is read. GitHub
// sends none larger.
const MaxBody = 25 << 20

// Hook is what is known of a webhook before a message arrives.
type Hook struct {
	// Forge is who may call. Empty means whom the headers tell.
	Forge Kind
	// Secrets are what the sender proves to know: one of them is enough, so
	// that a secret can be exchanged without a gap. A GitLab signing token
	// (whsec_...) outranks GitLab's secret tokens.
	Secrets []string
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// LogValue keeps the secrets out of logs.
func (h Hook) LogValue() slog.Value { return slog.StringValue(string(h.Forge) + " webhook") }

// Format keeps the secrets out of formatted text.
func (h Hook) Format(f fmt.State, _ rune) { fmt.Fprint(f, string(h.Forge)+" webhook") }

func (h Hook) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

// Parse checks the signature of a message, before anything else is read of it,
// and returns what it tells. The error is an *Error: of kind ErrUnsigned when
// the sender is not who it should be, ErrTooLarge, or ErrInvalid when the
// message is not as the forge documents it.
func (h Hook) Parse(header http.Header, body []byte) (Event, error) {
	if len(body) > MaxBody {
		return Event{}, &Error{Kind: ErrTooLarge, Message: fmt.Sprintf("the message has more than %d bytes", MaxBody)}
	}
	kind := h.Forge
	if kind == "" {
		kind = detect(header)
	}
	if kind == "" {
		return Event{}, &Error{Kind: ErrUnsigned, Message: "no header tells which forge this is"}
	}
	if err := verify(kind, header, body, h); err != nil {
		return Event{}, err
	}
	// Signed, but as a form: GitHub would sign the form and Gitea its content.
	if media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); media != "application/json" {
		return Event{}, &Error{Kind: ErrInvalid, Message: fmt.Sprintf("the message is %.60q", header.Get("Content-Type")),
			Hint: "set the webhook's content type to application/json"}
	}
	e, err := parse(kind, header, body)
	if err != nil {
		return Event{}, err
	}
	e.Forge = kind
	if e.Type != Ping && e.Type != Other {
		if !isRepository(e.Repository.Name) {
			return Event{}, invalid("%.100q is no name of a repository", e.Repository.Name)
		}
		if err := check(e); err != nil {
			return Event{}, err
		}
	}
	e.Keys, err = keys(e, body)
	return e, err
}

// detect tells the forge by the headers that only it sends. Gitea and Forgejo
// send GitHub's as well, so they come first.
func detect(header http.Header) Kind {
	for _, f := range []struct {
		header string
		kind   Kind
	}{
		{"X-Forgejo-Event", Gitea},
		{"X-Gitea-Event", Gitea},
		{"X-Gitlab-Event", GitLab},
		{"X-Github-Event", GitHub},
		{"X-Event-Key", Bitbucket},
	} {
		if header.Get(f.header) != "" {
			return f.kind
		}
	}
	return ""
}

// parse reads a message whose signature is right.
func parse(kind Kind, header http.Header, body []byte) (Event, error) {
	switch kind {
	case GitHub:
		return parseGitHub(header, body)
	case GitLab:
		return parseGitLab(header, body)
	case Gitea:
		return parseGitea(header, body)
	default:
		return parseBitbucket(header, body)
	}
}

func decode[T any](body []byte) (T, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return v, invalid("the message is not the JSON that the forge documents: %.200s", line(err.Error()))
	}
	return v, nil
}

// check refuses what could not come from git.
func check(e Event) error {
	if len(e.Pushes) > maxPushes {
		return invalid("%d refs in one message", len(e.Pushes))
	}
	for i := range e.Pushes {
		p := &e.Pushes[i]
		if !isRef(p.Ref) {
			return invalid("%.100q is no ref", p.Ref)
		}
		var ok, okToo bool
		p.Before, ok = object(p.Before)
		p.After, okToo = object(p.After)
		if !ok || !okToo {
			return invalid("the push to %.100q names no objects", p.Ref)
		}
		p.Deleted, p.Actor = p.After == "", line(p.Actor)
	}
	pr := e.PullRequest
	if pr == nil {
		return nil
	}
	if pr.Number <= 0 || !isBranch(pr.Source) || !isBranch(pr.Target) || !isHex(pr.Head, 7, 64) {
		return invalid("the pull request %d from %.100q to %.100q at %.64q cannot be", pr.Number, pr.Source, pr.Target, pr.Head)
	}
	var ok bool
	if pr.Before, ok = object(pr.Before); !ok {
		return invalid("%.64q is no commit", pr.Before)
	}
	if pr.Merge != "" && !isHex(pr.Merge, 7, 64) {
		return invalid("%.64q is no commit", pr.Merge)
	}
	pr.Title, pr.Actor = line(pr.Title), line(pr.Actor)
	return nil
}

// keys are what a replay is recognised by.
func keys(e Event, body []byte) ([]string, error) {
	if e.Delivery == "" || len(e.Delivery) > 200 || strings.ContainsFunc(e.Delivery, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, invalid("no header names the delivery")
	}
	found := []string{"delivery:" + e.Delivery}
	if e.Type == PullRequestEvent {
		sum := sha256.Sum256(body)
		found = append(found, "body:"+hex.EncodeToString(sum[:]))
	}
	return found, nil
}

// paths are the files that commits tell of, each once.
func paths(commits []commit) []string {
	var found []string
	seen := map[string]bool{}
	for _, c := range commits {
		for _, path := range slices.Concat(c.Added, c.Modified, c.Removed) {
			if len(found) == maxPaths {
				return found
			}
			if path != "" && !seen[path] {
				seen[path] = true
				found = append(found, path)
			}
		}
	}
	return found
}
