package source

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Prefix is the path under which Handler answers. Mount it without stripping:
// mux.Handle(source.Prefix, repositories.Handler()).
const Prefix = "/git/"

// The two services of git's smart protocol.
const (
	uploadPack  = "git-upload-pack"  // clone and fetch
	receivePack = "git-receive-pack" // push
)

// request is one of the four requests that git's smart HTTP protocol has: for
// each service the advertisement (GET NAME.git/info/refs?service=S) and the
// exchange (POST NAME.git/S).
type request struct {
	repository string
	service    string
	advertise  bool
}

// path is the request's path below the directory of repositories.
func (q request) path() string {
	if q.advertise {
		return "/" + q.repository + ".git/info/refs"
	}
	return "/" + q.repository + ".git/" + q.service
}

// query is the request's query in the one form that is passed on.
func (q request) query() string {
	if q.advertise {
		return "service=" + q.service
	}
	return ""
}

// refusal is an answer that git shows to its user line by line.
type refusal struct {
	status  int
	message string
}

// parseRequest recognises a request of the smart protocol by its method,
// decoded path and raw query. It is a list of what is allowed: whatever is
// none of the four requests never reaches git.
func parseRequest(method, path, query string) (request, *refusal) {
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return request{}, &refusal{http.StatusNotFound, "no git repository here; the address of one is " + Prefix + "NAME.git"}
	}
	dir, rest, _ := strings.Cut(rest, "/")
	name, isGit := strings.CutSuffix(dir, ".git")
	if err := CheckName(name); err != nil {
		return request{}, &refusal{http.StatusNotFound, err.Error()}
	}
	if !isGit {
		return request{}, &refusal{http.StatusNotFound, fmt.Sprintf("the address of repository %s is %s%s.git", name, Prefix, name)}
	}
	if rest == "info/refs" {
		return parseAdvertise(method, name, query)
	}
	if rest != uploadPack && rest != receivePack {
		return request{}, refuseDumb(name)
	}
	if method != http.MethodPost {
		return request{}, &refusal{http.StatusMethodNotAllowed, rest + " takes POST only"}
	}
	return request{repository: name, service: rest}, nil
}

func parseAdvertise(method, name, query string) (request, *refusal) {
	values, err := url.ParseQuery(query)
	service := values.Get("service")
	if err != nil || len(values) != 1 || len(values["service"]) != 1 || service != uploadPack && service != receivePack {
		return request{}, refuseDumb(name)
	}
	if method != http.MethodGet {
		return request{}, &refusal{http.StatusMethodNotAllowed, "info/refs takes GET only"}
	}
	return request{repository: name, service: service, advertise: true}, nil
}

func refuseDumb(name string) *refusal {
	return &refusal{http.StatusForbidden, fmt.Sprintf("repository %s is served over git's smart HTTP protocol only; clone, fetch or push it with git 1.6.6 or newer", name)}
}
