package registry

import (
	"net/http"
	"regexp"
	"strings"
)

// verb is what a path below /v2/ is about.
type verb int

const (
	unknown verb = iota
	root
	catalog
	tags
	manifests
	blobs
	uploads
	upload
	referrersOf
)

// route is a request's path, understood.
type route struct {
	verb       verb
	repository string
	reference  string // tag or digest of a manifest, digest of a blob, id of an upload
}

var (
	// OCI distribution-spec, "Pulling manifests": the forms of name and tag.
	nameForm   = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestForm = regexp.MustCompile(`^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
	uploadForm = regexp.MustCompile(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`) // as the inner registry makes them
)

// nameLimit keeps a repository's files below the file system's limits.
const nameLimit = 200

// parse understands a path. It is stricter than the inner registry's router,
// and asks in the same order, so that a path which passes here means the same
// there: the repository whose access is checked is the one that is served.
func parse(path string) route {
	switch path {
	case "/v2", "/v2/":
		return route{verb: root}
	case "/v2/_catalog":
		return route{verb: catalog}
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return route{}
	}
	if name, ok := strings.CutSuffix(rest, "/blobs/uploads/"); ok {
		return named(uploads, name, "")
	}
	dir, last, ok := cutLast(rest)
	if !ok {
		return route{}
	}
	if name, ok := strings.CutSuffix(dir, "/manifests"); ok && (tagForm.MatchString(last) || digestForm.MatchString(last)) {
		return named(manifests, name, last)
	}
	if name, ok := strings.CutSuffix(dir, "/referrers"); ok && digestForm.MatchString(last) {
		return named(referrersOf, name, last)
	}
	if name, ok := strings.CutSuffix(dir, "/tags"); ok && last == "list" {
		return named(tags, name, "")
	}
	if name, ok := strings.CutSuffix(dir, "/blobs"); ok && digestForm.MatchString(last) {
		return named(blobs, name, last)
	}
	if name, ok := strings.CutSuffix(dir, "/blobs/uploads"); ok && uploadForm.MatchString(last) {
		return named(upload, name, last)
	}
	return route{}
}

func named(v verb, name, reference string) route {
	if len(name) > nameLimit || !nameForm.MatchString(name) {
		return route{}
	}
	return route{verb: v, repository: name, reference: reference}
}

func cutLast(s string) (dir, last string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// writes tells whether a method changes anything.
func writes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead
}
