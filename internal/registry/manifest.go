package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	mediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	mediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
)

// manifestLimit is the inner registry's own, in bytes.
const manifestLimit = 4 << 20

// manifest is the part of an OCI manifest or index that the referrers API
// speaks of.
type manifest struct {
	ArtifactType string `json:"artifactType"`
	Config       struct {
		MediaType string `json:"mediaType"`
	} `json:"config"`
	Subject *struct {
		Digest string `json:"digest"`
	} `json:"subject"`
	Annotations map[string]string `json:"annotations"`
}

// putManifest stores a manifest and, when it has a subject, records that it
// refers to it before the client is told of success: a client that was told
// finds it in the list, and one that was not repeats the whole.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, to route) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, manifestLimit))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			refuse(w, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "the manifest is larger than 4 MiB")
			return
		}
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "the manifest could not be read: "+err.Error())
		return
	}
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "the manifest is not what it should be: "+err.Error())
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	if m.Subject == nil {
		r.inner(w, req, to)
		return
	}
	if !digestForm.MatchString(m.Subject.Digest) {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "the subject's digest is not one")
		return
	}
	stored := &answer{header: http.Header{}}
	r.app.ServeHTTP(stored, req)
	if stored.status >= http.StatusInternalServerError {
		r.explainFault(w, req, to, stored.status, stored.body.String())
		return
	}
	if stored.status == http.StatusCreated {
		if err := r.referrers.add(to.repository, m.Subject.Digest, describe(m, req, to, body)); err != nil {
			r.explainFault(w, req, to, http.StatusInternalServerError, err.Error())
			return
		}
		stored.header.Set("OCI-Subject", m.Subject.Digest)
	}
	stored.copyTo(w)
}

// describe is the descriptor under which a manifest is listed.
func describe(m manifest, req *http.Request, to route, body []byte) descriptor {
	algorithm := digest.SHA256
	if strings.HasPrefix(to.reference, "sha512:") {
		algorithm = digest.SHA512
	}
	d := descriptor{
		MediaType:    req.Header.Get("Content-Type"),
		Digest:       algorithm.FromBytes(body).String(),
		Size:         int64(len(body)),
		ArtifactType: m.ArtifactType,
		Annotations:  m.Annotations,
	}
	if d.ArtifactType == "" {
		d.ArtifactType = m.Config.MediaType
	}
	return d
}

// deleteManifest deletes a tag or a manifest; with a manifest goes its place
// in the list of its subject.
func (r *Registry) deleteManifest(w http.ResponseWriter, req *http.Request, to route) {
	if !digestForm.MatchString(to.reference) {
		r.inner(w, req, to)
		return
	}
	subject := r.subjectOf(req, to)
	r.inner(w, req, to)
	if subject == "" || r.stored(req, to) != nil {
		return
	}
	if err := r.referrers.remove(to.repository, subject, to.reference); err != nil {
		r.log.ErrorContext(req.Context(), "delete manifest", "repository", to.repository, "error", err)
	}
}

// subjectOf returns the subject of a stored manifest, or nothing.
func (r *Registry) subjectOf(req *http.Request, to route) string {
	var m manifest
	if json.Unmarshal(r.stored(req, to), &m) != nil || m.Subject == nil || !digestForm.MatchString(m.Subject.Digest) {
		return ""
	}
	return m.Subject.Digest
}

// stored returns a manifest's bytes, or nil when there is none.
func (r *Registry) stored(req *http.Request, to route) []byte {
	get, err := http.NewRequestWithContext(req.Context(), http.MethodGet, "/v2/"+to.repository+"/manifests/"+to.reference, nil)
	if err != nil {
		return nil
	}
	get.Header.Set("Accept", mediaTypeManifest+", "+mediaTypeIndex)
	found := &answer{header: http.Header{}}
	r.app.ServeHTTP(found, get)
	if found.status != http.StatusOK {
		return nil
	}
	return found.body.Bytes()
}

// listReferrers answers the referrers API: an index of the manifests whose
// subject is the one in the path, whether or not that exists.
func (r *Registry) listReferrers(w http.ResponseWriter, req *http.Request, to route) {
	if writes(req.Method) {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "referrers can only be listed")
		return
	}
	all, err := r.referrers.list(to.repository, to.reference)
	if err != nil {
		r.explainFault(w, req, to, http.StatusInternalServerError, err.Error())
		return
	}
	if want := req.URL.Query().Get("artifactType"); want != "" {
		kept := all[:0]
		for _, d := range all {
			if d.ArtifactType == want {
				kept = append(kept, d)
			}
		}
		all = kept
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", mediaTypeIndex)
	body, err := json.Marshal(struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, mediaTypeIndex, all})
	if err != nil {
		r.explainFault(w, req, to, http.StatusInternalServerError, err.Error())
		return
	}
	_, _ = w.Write(body) // the client is gone when this fails
}

// answer is a response kept in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*answer)(nil)

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answer) copyTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // the client is gone when this fails
}
