package kube

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// denial is what an API server says of a request that its user has no right
// to. Quotas and admission policies answer 403 too, with another text.
var denial = regexp.MustCompile(`User ("(?:[^"\\]|\\.)*") cannot (\S+) (resource|path) ("(?:[^"\\]|\\.)*")` +
	`(?: in API group ("(?:[^"\\]|\\.)*"))?(?: in the namespace ("(?:[^"\\]|\\.)*")| at the cluster scope)?(?:: ([\s\S]+))?$`)

// denied is a denial, taken apart.
type denied struct {
	User      string
	Right     Right  // without a resource when it is about a path
	Path      string // such as /metrics
	Namespace string // empty for the whole cluster
	Reason    string // of the authorizer, mostly empty
}

// readDenial takes a message apart. ok is false when it is about something
// else.
func readDenial(message string) (found denied, ok bool) {
	parts := denial.FindStringSubmatch(message)
	if parts == nil {
		return denied{}, false
	}
	var subject, group string
	for quoted, value := range map[*string]string{&found.User: parts[1], &subject: parts[4], &group: parts[5], &found.Namespace: parts[6]} {
		if value == "" {
			continue
		}
		text, err := strconv.Unquote(value)
		if err != nil {
			return denied{}, false
		}
		*quoted = text
	}
	found.Reason = parts[7]
	if parts[3] == "path" {
		found.Right.Verb, found.Path = parts[2], subject
		return found, true
	}
	found.Right = newRight(parts[2], group, subject)
	return found, true
}

func (d denied) String() string {
	what := d.Right.String()
	if d.Path != "" {
		what = d.Right.Verb + " " + d.Path
	}
	text := fmt.Sprintf("user %q may not %s", d.User, what)
	switch {
	case d.Namespace != "":
		text += " in namespace " + d.Namespace
	case d.Path == "":
		text += " in the whole cluster"
	}
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	return text
}

// anonymous is whom an API server takes a request for that brings nothing it
// understands.
const anonymous = "system:anonymous"

// forbidden says which right is missing.
func (e *explainer) forbidden(request *http.Request, status metav1.Status) string {
	found, ok := readDenial(status.Message)
	switch {
	case !ok:
		return status.Message
	case found.User == anonymous:
		return e.unauthorized(request, true)
	}
	object := ""
	if status.Details != nil && status.Details.Name != "" {
		object = fmt.Sprintf(" (object %q)", status.Details.Name)
	}
	return fmt.Sprintf("%s%s: bind its user a Role with that right; `towline cluster test` names all that are missing", found, object)
}
