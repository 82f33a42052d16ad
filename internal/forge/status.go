package forge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// State is how far a commit has come.
type State string

// The states. Stopped is neither a success nor the commit's fault.
const (
	Pending   State = "pending"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Stopped   State = "stopped"
)

// Status is what is shown beside a commit.
type Status struct {
	Commit string // whole
	State  State
	// Name tells this status from those of others, and of other pipelines,
	// such as towline/web. A status replaces the one of the same name.
	Name        string
	Description string // one short sentence; cut where the forge takes less
	URL         string // where the details are, http or https
	Branch      string // may be empty; GitLab and Bitbucket show it
}

func (s Status) check() error {
	if !isHex(s.Commit, 40, 64) {
		return invalid("%.80q is not a whole commit", s.Commit)
	}
	if s.Name == "" {
		return invalid("the status has no name")
	}
	if s.Branch != "" && !isBranch(s.Branch) {
		return invalid("%.80q is no branch", s.Branch)
	}
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return invalid("%.200q is not the http or https address of a page", s.URL)
	}
	switch s.State {
	case Pending, Running, Succeeded, Failed, Stopped:
		return nil
	}
	return invalid("%.40q is no state", s.State)
}

// call is one request to a forge: a path below the API's address and the JSON
// that goes there.
type call struct {
	path string
	body map[string]string
	// done says whether an answer that is not 2xx means that all is well.
	done func(status int, message string) bool
}

// statusCall is how a status is told to a forge.
func statusCall(kind Kind, repository string, s Status) (call, error) {
	switch kind {
	case GitHub:
		return hubStatus(repository, s, map[State]string{
			Pending: "pending", Running: "pending", Succeeded: "success", Failed: "failure", Stopped: "error",
		}), nil
	case Gitea:
		return hubStatus(repository, s, map[State]string{
			Pending: "pending", Running: "pending", Succeeded: "success", Failed: "failure", Stopped: "warning",
		}), nil
	case GitLab:
		return labStatus(repository, s), nil
	case Bitbucket:
		return bucketStatus(repository, s), nil
	}
	return call{}, invalid("%q is no forge", kind)
}

// hubStatus is POST /repos/OWNER/NAME/statuses/COMMIT.
func hubStatus(repository string, s Status, states map[State]string) call {
	return call{
		path: "/repos/" + escape(repository) + "/statuses/" + s.Commit,
		body: map[string]string{
			"state": states[s.State], "context": cut(s.Name, 255), "description": cut(s.Description, 140), "target_url": s.URL,
		},
	}
}

// labStatus is POST /projects/PATH/statuses/COMMIT.
func labStatus(repository string, s Status) call {
	states := map[State]string{Pending: "pending", Running: "running", Succeeded: "success", Failed: "failed", Stopped: "canceled"}
	c := call{
		path: "/projects/" + url.PathEscape(repository) + "/statuses/" + s.Commit,
		body: map[string]string{
			"state": states[s.State], "name": cut(s.Name, 255), "description": cut(s.Description, 255), "target_url": s.URL,
		},
		// Older versions call it an error when a status stays what it is.
		done: func(status int, message string) bool {
			return status == http.StatusBadRequest && strings.Contains(message, "Cannot transition status via") &&
				strings.Contains(message, "from :"+states[s.State])
		},
	}
	if s.Branch != "" {
		c.body["ref"] = s.Branch
	}
	return c
}

// bucketStatus is POST /repositories/OWNER/NAME/commit/COMMIT/statuses/build.
func bucketStatus(repository string, s Status) call {
	states := map[State]string{Pending: "INPROGRESS", Running: "INPROGRESS", Succeeded: "SUCCESSFUL", Failed: "FAILED", Stopped: "STOPPED"}
	c := call{
		path: "/repositories/" + escape(repository) + "/commit/" + s.Commit + "/statuses/build",
		body: map[string]string{
			"state": states[s.State], "key": shortKey(s.Name), "name": cut(s.Name, 255), "description": cut(s.Description, 255), "url": s.URL,
		},
	}
	if s.Branch != "" {
		c.body["refname"] = s.Branch
	}
	return c
}

// shortKey is the name of a status in the 40 characters that Bitbucket allows,
// different for different names.
func shortKey(name string) string {
	const limit, digits = 40, 8
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return cut(name, limit-digits-1-len("...")) + "-" + hex.EncodeToString(sum[:])[:digits]
}

// escape escapes each part of a path.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// cut makes one line of at most limit characters.
func cut(text string, limit int) string {
	runes := []rune(line(text))
	if len(runes) <= limit {
		return string(runes)
	}
	return fmt.Sprintf("%s...", string(runes[:limit-len("...")]))
}
