package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/sys/unix"
)

const (
	adminToken = "admin-token"
	pullToken  = "pull-token"
)

// byToken is how the server decides: admin may all, pull may read, and the
// repository "private" is admin's alone.
func byToken(r *http.Request, repository string, push bool) bool {
	_, token, ok := r.BasicAuth()
	if !ok {
		token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	return token == adminToken || token == pullToken && !push && repository != "private"
}

// server is a registry behind HTTP.
type server struct {
	t    testing.TB
	host string
	dir  string
	reg  *Registry
}

func setup(t testing.TB, dir string) *server {
	t.Helper()
	reg, err := New(Config{Dir: dir, Authorize: byToken, Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}))}) //nolint:sloglint // it listens only to a log that wants debug lines
	must(t, err)
	srv := httptest.NewServer(reg)
	t.Cleanup(func() {
		srv.Close()
		must(t, reg.Close())
	})
	return &server{t: t, host: strings.TrimPrefix(srv.URL, "http://"), dir: dir, reg: reg}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) ref(rest string) name.Reference {
	s.t.Helper()
	ref, err := name.ParseReference(s.host+"/"+rest, name.Insecure)
	must(s.t, err)
	return ref
}

func token(token string) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "towline", Password: token})
}

// do sends a plain request and returns status and body.
func (s *server) do(method, path, auth string, header http.Header, body io.Reader) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.host+path, body)
	must(s.t, err)
	maps.Copy(req.Header, header)
	if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(s.t, err)
	return res, string(text)
}

func randomImage(t testing.TB, size int64) v1.Image {
	t.Helper()
	img, err := random.Image(size, 3)
	must(t, err)
	return mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
}

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	img := randomImage(t, 1<<16)
	digest, err := img.Digest()
	must(t, err)
	must(t, remote.Write(s.ref("team/web:1"), img, token(adminToken)))
	for _, r := range []string{"team/web:1", "team/web@" + digest.String()} {
		got, err := remote.Image(s.ref(r), token(pullToken))
		must(t, err)
		must(t, validate.Image(got))
		if d, _ := got.Digest(); d != digest {
			t.Errorf("digest of %s: %s; want %s", r, d, digest)
		}
	}
	tags, err := remote.List(s.ref("team/web:1").Context(), token(pullToken))
	must(t, err)
	if d := cmp.Diff([]string{"1"}, tags); d != "" {
		t.Errorf("tags (-want +got):\n%s", d)
	}
	all, err := remote.Catalog(t.Context(), s.ref("x").Context().Registry, token(pullToken))
	must(t, err)
	if d := cmp.Diff([]string{"team/web"}, all); d != "" {
		t.Errorf("catalog (-want +got):\n%s", d)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	idx, err := random.Index(1000, 2, 3)
	must(t, err)
	must(t, remote.WriteIndex(s.ref("web:all"), idx, token(adminToken)))
	got, err := remote.Index(s.ref("web:all"), token(pullToken))
	must(t, err)
	must(t, validate.Index(got))
}

func TestMountFromAnotherRepository(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	img := randomImage(t, 1000)
	must(t, remote.Write(s.ref("base:1"), img, token(adminToken)))
	layers, err := img.Layers()
	must(t, err)
	digest, err := layers[0].Digest()
	must(t, err)
	res, _ := s.do("POST", "/v2/web/blobs/uploads/?from=base&mount="+digest.String(), adminToken, nil, nil)
	if res.StatusCode != http.StatusCreated {
		t.Errorf("mount answered %d", res.StatusCode)
	}
	res, _ = s.do("HEAD", "/v2/web/blobs/"+digest.String(), pullToken, nil, nil)
	if res.StatusCode != http.StatusOK {
		t.Errorf("mounted blob answered %d", res.StatusCode)
	}
}

// sbom is a manifest that refers to a subject.
func sbom(t testing.TB, subject v1.Image, kind types.MediaType, text string) v1.Image {
	t.Helper()
	digest, err := subject.Digest()
	must(t, err)
	size, err := subject.Size()
	must(t, err)
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(text), kind))
	must(t, err)
	img = mutate.ConfigMediaType(img, kind)
	return mutate.Subject(img, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: size}).(v1.Image)
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(t, dir)
	img := randomImage(t, 1000)
	subject, err := img.Digest()
	must(t, err)
	list := func(s *server, options ...remote.Option) []string {
		idx, err := remote.Referrers(s.ref("team/web@"+subject.String()).(name.Digest), append(options, token(pullToken))...)
		must(t, err)
		m, err := idx.IndexManifest()
		must(t, err)
		kinds := []string{}
		for _, d := range m.Manifests {
			kinds = append(kinds, d.ArtifactType)
		}
		return kinds
	}
	if got := list(s); len(got) != 0 {
		t.Errorf("referrers of nothing: %v", got)
	}
	must(t, remote.Write(s.ref("team/web:1"), img, token(adminToken)))
	attached := map[types.MediaType]string{}
	for _, kind := range []types.MediaType{"application/spdx+json", "application/vnd.cyclonedx+json"} {
		a := sbom(t, img, kind, "{}")
		d, err := a.Digest()
		must(t, err)
		attached[kind] = d.String()
		must(t, remote.Write(s.ref("team/web@"+d.String()), a, token(adminToken)))
	}
	if got := list(s); len(got) != 2 {
		t.Errorf("referrers: %v; want two", got)
	}
	only := list(s, remote.WithFilter("artifactType", "application/spdx+json"))
	if d := cmp.Diff([]string{"application/spdx+json"}, only); d != "" {
		t.Errorf("filtered (-want +got):\n%s", d)
	}
	tags, err := remote.List(s.ref("team/web").Context(), token(pullToken))
	must(t, err)
	if d := cmp.Diff([]string{"1"}, tags); d != "" {
		t.Errorf("a fallback tag was made (-want +got):\n%s", d)
	}

	t.Run("are there after a restart", func(t *testing.T) {
		if got := list(setup(t, dir)); len(got) != 2 {
			t.Errorf("referrers: %v; want two", got)
		}
	})
	t.Run("go when their manifest is deleted", func(t *testing.T) {
		must(t, remote.Delete(s.ref("team/web@"+attached["application/spdx+json"]), token(adminToken)))
		if d := cmp.Diff([]string{"application/vnd.cyclonedx+json"}, list(s)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
	t.Run("stay when a delete is refused", func(t *testing.T) {
		if err := remote.Delete(s.ref("team/web@"+attached["application/vnd.cyclonedx+json"]), token(pullToken)); err == nil {
			t.Error("a pull token deleted")
		}
		if got := list(s); len(got) != 1 {
			t.Errorf("referrers: %v; want one", got)
		}
	})
	t.Run("are told to the client that adds one", func(t *testing.T) {
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"artifactType":"x/y","subject":{"mediaType":%q,"digest":%q,"size":7}}`,
			mediaTypeIndex, mediaTypeManifest, subject)
		res, text := s.do("PUT", "/v2/team/web/manifests/attached", adminToken, http.Header{"Content-Type": {mediaTypeIndex}}, strings.NewReader(body))
		if res.StatusCode != http.StatusCreated || res.Header.Get("OCI-Subject") != subject.String() {
			t.Errorf("status %d, OCI-Subject %q, %s", res.StatusCode, res.Header.Get("OCI-Subject"), text)
		}
	})
}

func TestAccess(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	img := randomImage(t, 1000)
	layers, err := img.Layers()
	must(t, err)
	layer, err := layers[0].Digest()
	must(t, err)
	must(t, remote.Write(s.ref("private:1"), img, token(adminToken)))
	must(t, remote.Write(s.ref("web:1"), img, token(adminToken)))
	mount := "from=private&mount=" + layer.String()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	cases := []struct {
		name               string
		method, path, auth string
		header             http.Header
		body               string
		want               int
	}{
		{"nobody asks for the root", "GET", "/v2/", "", nil, "", 401},
		{"a wrong token asks for the root", "GET", "/v2/", "nonsense", nil, "", 401},
		{"the pull token asks for the root", "GET", "/v2/", pullToken, nil, "", 200},
		{"nobody pulls", "GET", "/v2/web/manifests/1", "", nil, "", 401},
		{"a wrong token pulls", "GET", "/v2/web/manifests/1", "nonsense", nil, "", 401},
		{"the pull token pulls", "GET", "/v2/web/manifests/1", pullToken, http.Header{"Accept": {mediaTypeManifest}}, "", 200},
		{"the pull token pulls a private repository", "GET", "/v2/private/manifests/1", pullToken, nil, "", 401},
		{"the pull token pushes", "POST", "/v2/web/blobs/uploads/", pullToken, nil, "", 403},
		{"the pull token deletes", "DELETE", "/v2/web/manifests/1", pullToken, nil, "", 403},
		{"the pull token overwrites a tag", "PUT", "/v2/web/manifests/1", pullToken, nil, "{}", 403},
		{"nobody pushes", "POST", "/v2/web/blobs/uploads/", "", nil, "", 401},
		{"an unknown path shows nothing to nobody", "GET", "/v2/web/secrets", "", nil, "", 401},
		{"the admin mounts what it may read", "POST", "/v2/web/blobs/uploads/?" + mount, adminToken, nil, "", 201},
		{"the pull token mounts", "POST", "/v2/web/blobs/uploads/?" + mount, pullToken, nil, "", 403},
		{"nobody lists referrers", "GET", "/v2/web/referrers/" + layer.String(), "", nil, "", 401},
		{"referrers cannot be written", "POST", "/v2/web/referrers/" + layer.String(), adminToken, nil, "", 405},
		{"a mount in a form is seen", "POST", "/v2/web/blobs/uploads/", adminToken, form, "from=../private&mount=" + layer.String(), 400},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res, text := s.do(c.method, c.path, c.auth, c.header, strings.NewReader(c.body))
			if res.StatusCode != c.want {
				t.Errorf("%s %s answered %d %s; want %d", c.method, c.path, res.StatusCode, text, c.want)
			}
			if got := res.Header.Get("WWW-Authenticate"); (res.StatusCode == 401) != (got == `Basic realm="towline"`) {
				t.Errorf("WWW-Authenticate is %q", got)
			}
		})
	}
	err = remote.Write(s.ref("web:2"), img, token("nonsense"))
	var refused *transport.Error
	if !errors.As(err, &refused) || refused.StatusCode != 401 {
		t.Errorf("push with a wrong token: %v; want 401", err)
	}
}

func TestMountNeedsReadAccessToTheSource(t *testing.T) {
	t.Parallel()
	reg, err := New(Config{Dir: t.TempDir(), Authorize: func(_ *http.Request, repository string, _ bool) bool { return repository != "private" }})
	must(t, err)
	defer reg.Close()
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, req := range []*http.Request{
		httptest.NewRequest("POST", "/v2/web/blobs/uploads/?from=private&mount="+digest, nil),
		form("/v2/web/blobs/uploads/", "from=private&mount="+digest),
	} {
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, req)
		if w.Code != 401 {
			t.Errorf("mount from a repository that may not be read answered %d", w.Code)
		}
	}
}

func form(path, body string) *http.Request {
	req := httptest.NewRequest("POST", path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func TestNamesThatLeadOut(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	s := setup(t, filepath.Join(parent, "registry"))
	for _, repository := range []string{"../evil", "a/../../evil", "..%2f..%2fevil", "%2e%2e/evil", "/evil", "a//b", "_uploads", "a/_subjects", "UPPER", ".hidden", "a/.git", strings.Repeat("a/", 150) + "a"} {
		for _, rest := range []string{"/blobs/uploads/", "/manifests/latest", "/referrers/sha256:" + strings.Repeat("0", 64)} {
			method := map[bool]string{true: "POST", false: "PUT"}[rest == "/blobs/uploads/"]
			res, _ := s.do(method, "/v2/"+repository+rest, adminToken, nil, strings.NewReader("{}"))
			if res.StatusCode < 400 || res.StatusCode > 499 {
				t.Errorf("%s %s%s answered %d", method, repository, rest, res.StatusCode)
			}
		}
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 1 {
		t.Errorf("written beside the registry: %v", entries)
	}
	subject := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"subject":{"digest":"../../../evil"}}`, mediaTypeIndex)
	res, _ := s.do("PUT", "/v2/web/manifests/x", adminToken, http.Header{"Content-Type": {mediaTypeIndex}}, strings.NewReader(subject))
	if res.StatusCode != 400 {
		t.Errorf("a subject that is a path answered %d", res.StatusCode)
	}
	res, _ = s.do("PUT", "/v2/web/manifests/x", adminToken, http.Header{"Content-Type": {mediaTypeIndex}}, io.LimitReader(zeros{}, 5<<20))
	if res.StatusCode != 413 {
		t.Errorf("a manifest of 5 MiB answered %d", res.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestConcurrentPushes(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	same := randomImage(t, 1<<16)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			other, err := random.Image(1<<12, 2)
			if err != nil {
				t.Error(err)
				return
			}
			for r, img := range map[string]v1.Image{fmt.Sprintf("web:%d", i): same, fmt.Sprintf("other%d:1", i): other} {
				if err := remote.Write(s.ref(r), img, token(adminToken)); err != nil {
					t.Errorf("push %s: %v", r, err)
					continue
				}
				got, err := remote.Image(s.ref(r), token(pullToken))
				if err == nil {
					err = validate.Image(got)
				}
				if err != nil {
					t.Errorf("pull %s: %v", r, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a tmpfs (this test needs root, as `make test` runs it): %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	s := setup(t, dir)
	small, large := randomImage(t, 10_000), randomImage(t, 3<<20)
	must(t, remote.Write(s.ref("web:1"), small, token(adminToken)))

	err := remote.Write(s.ref("web:2"), large, token(adminToken))
	var refused *transport.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusInsufficientStorage {
		t.Fatalf("push to a full disk: %v; want 507", err)
	}
	if !strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), dir) {
		t.Errorf("the answer does not say why, or shows a path: %v", err)
	}
	layers, err := large.Layers()
	must(t, err)
	for _, l := range layers {
		digest, err := l.Digest()
		must(t, err)
		if res, _ := s.do("HEAD", "/v2/web/blobs/"+digest.String(), adminToken, nil, nil); res.StatusCode != 404 {
			t.Errorf("a blob that did not fit answered %d", res.StatusCode)
		}
	}
	// The push ends with its first layer; the server may still be busy with
	// the others, which were cut off.
	free := func() uint64 {
		var st unix.Statfs_t
		must(t, unix.Statfs(dir, &st))
		return st.Bavail * uint64(st.Bsize)
	}
	for end := time.Now().Add(20 * time.Second); free() < 1<<20; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("the failed push keeps the disk full: %d bytes free", free())
		}
	}
	got, err := remote.Image(s.ref("web:1"), token(pullToken))
	must(t, err)
	must(t, validate.Image(got))
	must(t, remote.Write(s.ref("web:3"), randomImage(t, 10_000), token(adminToken))) // it goes on
}

func TestInnerLog(t *testing.T) {
	t.Parallel()
	var mine, other lockedBuffer
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	allow := func(*http.Request, string, bool) bool { return true }
	a, err := New(Config{Dir: t.TempDir(), Authorize: allow, Logger: slog.New(slog.NewTextHandler(&mine, level))})
	must(t, err)
	defer a.Close()
	b, err := New(Config{Dir: t.TempDir(), Authorize: allow, Logger: slog.New(slog.NewTextHandler(&other, level))})
	must(t, err)
	defer b.Close()
	a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/nothing/manifests/here", nil))
	if text := mine.String(); !strings.Contains(text, "/v2/nothing/manifests/here") || strings.Contains(text, "level=ERROR") {
		t.Errorf("log of the registry that was asked:\n%s", text)
	}
	if text := other.String(); strings.Contains(text, "nothing") {
		t.Errorf("log of the other registry:\n%s", text)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Dir: t.TempDir()}); err == nil {
		t.Error("a registry that asks nobody was opened")
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := New(Config{Dir: file, Authorize: byToken}); err == nil {
		t.Error("a registry in a file was opened")
	}
}
