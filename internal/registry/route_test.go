package registry

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// FuzzParse holds parse to its promise: what it lets through has a name that
// is safe as a path and goes to the same place in the inner registry.
func FuzzParse(f *testing.F) {
	zero := "sha256:" + strings.Repeat("0", 64)
	for _, seed := range []string{"/v2/", "/v2/_catalog", "/v2/a/b/manifests/latest", "/v2/a/blobs/" + zero, "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/01234567-89ab-cdef-0123-456789abcdef",
		"/v2/a/tags/list", "/v2/a/referrers/" + zero, "/v2/a/manifests/b/manifests/c", "/v2/x/blobs/uploads/manifests/latest", "/v2/../x/tags/list", "/v2//tags/list"} {
		f.Add(seed)
	}
	var asked atomic.Value
	reg, err := New(Config{Dir: f.TempDir(), Authorize: func(_ *http.Request, repository string, _ bool) bool {
		asked.Store(repository)
		return true
	}})
	must(f, err)
	defer reg.Close()
	f.Fuzz(func(t *testing.T, path string) {
		to := parse(path)
		if to.repository == "" {
			return
		}
		if !filepath.IsLocal(to.repository) || filepath.Clean(to.repository) != to.repository || strings.Contains(to.repository, "/_") {
			t.Fatalf("parse(%q) gave the repository %q", path, to.repository)
		}
		w := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "http://x/", nil)
		req.URL.Path = path
		reg.ServeHTTP(w, req)
		if asked.Load() != to.repository {
			t.Fatalf("%q: asked about %v, serves %q", path, asked.Load(), to.repository)
		}
		if w.Code >= 500 || w.Code == http.StatusMovedPermanently {
			t.Fatalf("%q answered %d %s", path, w.Code, w.Body)
		}
		// The inner registry names the repository when it does not know it.
		if strings.Contains(w.Body.String(), "NAME_UNKNOWN") && !strings.Contains(w.Body.String(), `"`+to.repository+`"`) {
			t.Fatalf("%q: inner registry speaks of another repository: %s", path, w.Body)
		}
	})
}
