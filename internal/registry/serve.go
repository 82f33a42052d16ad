package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ServeHTTP checks access and serves one request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	to := parse(req.URL.Path)
	if to.verb == unknown {
		if !r.permitted(w, req, to, false) {
			return
		}
		refuse(w, http.StatusNotFound, "NAME_INVALID",
			"no such path; a repository is lower-case words with . _ - inside, separated by /, such as team/web")
		return
	}
	if !r.permitted(w, req, to, writes(req.Method)) {
		return
	}
	req = req.WithContext(r.named(req.Context()))
	switch {
	case to.verb == uploads && !r.mountPermitted(w, req):
	case to.verb == referrersOf:
		r.listReferrers(w, req, to)
	case to.verb == manifests && req.Method == http.MethodPut:
		r.putManifest(w, req, to)
	case to.verb == manifests && req.Method == http.MethodDelete:
		r.deleteManifest(w, req, to)
	default:
		r.inner(w, req, to)
	}
}

// permitted asks whether the request may go on, and answers it when not. A
// client that may read but not write is told so; any other is asked who it is.
func (r *Registry) permitted(w http.ResponseWriter, req *http.Request, to route, push bool) bool {
	if permitted, decided := r.pullPermitted(w, req, to, push); decided {
		return permitted
	}
	if r.authorize(req, to.repository, push) {
		return true
	}
	if push && req.Header.Get("Authorization") != "" && r.authorize(req, to.repository, false) {
		refuse(w, http.StatusForbidden, "DENIED", "this token may pull from "+to.repository+" but not push to it")
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="towline"`)
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "a valid token is needed, as the password of Basic or as Bearer")
	return false
}

// mountPermitted checks that a client which asks for a blob of another
// repository may read that one.
func (r *Registry) mountPermitted(w http.ResponseWriter, req *http.Request) bool {
	if req.Method != http.MethodPost {
		return true
	}
	// FormValue reads a form in the body too; so does the inner registry, from
	// what is parsed here.
	req.Body = http.MaxBytesReader(w, req.Body, 1<<20)
	from := req.FormValue("from")
	if from == "" {
		return true
	}
	if len(from) > nameLimit || !nameForm.MatchString(from) {
		refuse(w, http.StatusBadRequest, "NAME_INVALID", "from is not the name of a repository")
		return false
	}
	return r.permitted(w, req, route{verb: blobs, repository: from}, false)
}

// inner lets distribution serve the request. Its faults do not reach the
// client as they are, for their details are paths of this machine.
func (r *Registry) inner(w http.ResponseWriter, req *http.Request, to route) {
	guard := &faultGuard{ResponseWriter: w, full: r.wasFull}
	r.app.ServeHTTP(guard, req)
	switch {
	case guard.gone, guard.fault != 0 && req.Context().Err() != nil:
		r.dropUpload(req.Context(), to)
	case guard.fault == 0:
	case guard.started:
		// The client sees fewer bytes than it was promised, and repeats.
		r.log.ErrorContext(req.Context(), "serve image registry", "method", req.Method,
			"repository", to.repository, "detail", guard.body.String())
	default:
		r.explainFault(w, req, to, guard.fault, guard.body.String())
	}
}

// drained is how many bytes of a refused upload are still read, so that its
// client is there to hear why: one that is cut off while it sends takes that
// for a broken connection and repeats.
const drained = 1 << 30

// explainFault answers a request that the inner registry could not serve.
func (r *Registry) explainFault(w http.ResponseWriter, req *http.Request, to route, status int, detail string) {
	full := r.diskFull(detail) || status == http.StatusRequestedRangeNotSatisfiable
	if full {
		r.fullAt.Store(time.Now().UnixNano())
	}
	r.log.ErrorContext(req.Context(), "serve image registry", "method", req.Method,
		"repository", to.repository, "status", status, "diskFull", full, "detail", detail)
	r.dropUpload(req.Context(), to)
	_, _ = io.CopyN(io.Discard, req.Body, drained) // as far as it comes
	header := w.Header()
	for name := range header {
		if strings.HasPrefix(name, "Docker-Upload") || name == "Location" || name == "Range" || name == "Content-Length" {
			header.Del(name)
		}
	}
	if full {
		// 507 rather than 500: clients repeat a 500, which cannot help.
		refuse(w, http.StatusInsufficientStorage, "DISK_FULL",
			"the registry has no space left on its disk; free some there, or give the server a larger data directory, and push again")
		return
	}
	refuse(w, status, "UNKNOWN", "the registry could not do this; its server's log has the reason")
}

// refuse answers with an error in OCI's form.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type failure struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]failure{"errors": {{code, message}}})
	if err != nil {
		panic(fmt.Sprintf("encode two strings: %v", err))
	}
	_, _ = w.Write(body) // the client is gone when this fails
}
