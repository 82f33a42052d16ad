package registry

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPullToken(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	img := randomImage(t, 1000)
	layers, err := img.Layers()
	must(t, err)
	layer, err := layers[0].Digest()
	must(t, err)
	for _, repository := range []string{"private", "team/web", "other"} {
		must(t, remote.Write(s.ref(repository+":1"), img, token(adminToken)))
	}
	scoped, err := s.reg.PullToken("team/web", "private", "team/web")
	must(t, err)
	cases := []struct {
		name, method, path, auth string
		want                     int
	}{
		{"asks for the root", "GET", "/v2/", scoped, 200},
		{"pulls a manifest of its repository", "GET", "/v2/team/web/manifests/1", scoped, 200},
		{"asks for one", "HEAD", "/v2/team/web/manifests/1", scoped, 200},
		{"pulls a blob", "GET", "/v2/team/web/blobs/" + layer.String(), scoped, 200},
		{"pulls from its other repository", "GET", "/v2/private/manifests/1", scoped, 200},
		{"lists tags", "GET", "/v2/team/web/tags/list", scoped, 200},
		{"lists referrers", "GET", "/v2/team/web/referrers/" + layer.String(), scoped, 200},
		{"pulls from another repository", "GET", "/v2/other/manifests/1", scoped, 403},
		{"pulls a blob of another repository", "GET", "/v2/other/blobs/" + layer.String(), scoped, 403},
		{"pulls from a repository whose name begins so", "GET", "/v2/team/web2/manifests/1", scoped, 403},
		{"pulls from a repository whose name ends so", "GET", "/v2/web/manifests/1", scoped, 403},
		{"lists all repositories", "GET", "/v2/_catalog", scoped, 403},
		{"pushes", "POST", "/v2/team/web/blobs/uploads/", scoped, 403},
		{"mounts", "POST", "/v2/team/web/blobs/uploads/?from=private&mount=" + layer.String(), scoped, 403},
		{"overwrites a tag", "PUT", "/v2/team/web/manifests/1", scoped, 403},
		{"deletes", "DELETE", "/v2/team/web/manifests/1", scoped, 403},
		{"asks for what is no path", "GET", "/v2/team/web/secrets", scoped, 404},
		{"is cut short", "GET", "/v2/team/web/manifests/1", scoped[:len(scoped)-1], 401},
		{"is not signed", "GET", "/v2/team/web/manifests/1", scoped[:strings.LastIndexByte(scoped, '.')+1], 401},
		{"is without its signature", "GET", "/v2/team/web/manifests/1", scoped[:strings.LastIndexByte(scoped, '.')], 401},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res, text := s.do(c.method, c.path, c.auth, http.Header{"Accept": {mediaTypeManifest}}, nil)
			if res.StatusCode != c.want {
				t.Errorf("%s %s answered %d %s; want %d", c.method, c.path, res.StatusCode, text, c.want)
			}
		})
	}
	t.Run("pulls an image as the password of Basic", func(t *testing.T) {
		t.Parallel()
		if _, err := remote.Image(s.ref("team/web:1"), token(scoped)); err != nil {
			t.Error(err)
		}
	})
}

func TestPullTokenCannotBeStretched(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	scoped, err := s.reg.PullToken("web")
	must(t, err)
	parts := strings.Split(scoped, ".")
	for name, forged := range map[string]string{
		"to another repository":     strings.Join([]string{parts[0], parts[1], base64.RawURLEncoding.EncodeToString([]byte("other")), parts[3]}, "."),
		"to a further repository":   strings.Join([]string{parts[0], parts[1], base64.RawURLEncoding.EncodeToString([]byte("other web")), parts[3]}, "."),
		"to a key that is not ours": strings.Join([]string{parts[0], "00000000", parts[2], parts[3]}, "."),
		"by a further part":         strings.Join(append([]string{parts[0]}, parts...), "."),
		"by another spelling":       scoped + "=",
		"by a line break":           scoped + "\n",
	} {
		if scope, ok := s.reg.pullKeys.scope(forged); ok {
			t.Errorf("%s: it is taken for %v", name, scope)
		}
	}
}

func TestPullTokenRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t, t.TempDir())
	for name, repositories := range map[string][]string{
		"no repository": nil,
		"too many": slices.Collect(func(yield func(string) bool) {
			for i := range maxScope + 1 {
				if !yield("r" + strings.Repeat("x", i)) {
					return
				}
			}
		}),
		"what is no name":      {"../web"},
		"two names in one":     {"web other"},
		"a name of upper case": {"Web"},
	} {
		if token, err := s.reg.PullToken(repositories...); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
}

func TestPullKeysAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := openPullKeys(dir)
	must(t, err)
	path := filepath.Join(dir, pullKeysFile)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %s", path, info.Mode())
	}
	old, err := first[0].token([]string{"web"})
	must(t, err)

	t.Run("over a restart", func(t *testing.T) {
		again, err := openPullKeys(dir)
		must(t, err)
		if diff := cmp.Diff(first, again, cmp.AllowUnexported(pullKey{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append([]byte(hex.EncodeToString(newSecret())+"\n"), text...), 0o600))
	rotated, err := openPullKeys(dir)
	must(t, err)
	t.Run("a new first key leaves what older keys have signed good", func(t *testing.T) {
		fresh, err := rotated[0].token([]string{"web"})
		must(t, err)
		for _, token := range []string{old, fresh} {
			if scope, ok := rotated.scope(token); !ok || !slices.Equal(scope, []string{"web"}) {
				t.Errorf("scope %v, %t", scope, ok)
			}
		}
		if old == fresh {
			t.Error("the new key does not sign")
		}
	})
	t.Run("what a removed key has signed is good no more", func(t *testing.T) {
		if scope, ok := rotated[:1].scope(old); ok {
			t.Errorf("scope %v", scope)
		}
	})
	t.Run("a broken file is told", func(t *testing.T) {
		must(t, os.WriteFile(path, append(text, "abc\n"...), 0o600))
		if _, err := openPullKeys(dir); err == nil || !strings.Contains(err.Error(), "line 2 of "+path) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPullKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	found := make([]pullKeys, 8)
	var group sync.WaitGroup
	for i := range found {
		group.Go(func() {
			keys, err := openPullKeys(dir)
			if err != nil {
				t.Error(err)
			}
			found[i] = keys
		})
	}
	group.Wait()
	for _, keys := range found {
		if diff := cmp.Diff(found[0], keys, cmp.AllowUnexported(pullKey{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

// FuzzPullToken wants no token but the ones that were made to be good for
// anything.
func FuzzPullToken(f *testing.F) {
	keys := pullKeys{newPullKey(make([]byte, pullKeySize))}
	made, err := keys[0].token([]string{"team/web", "web"})
	must(f, err)
	f.Add(made)
	f.Add(made + "=")
	f.Add("towline-pull...")
	f.Fuzz(func(t *testing.T, token string) {
		if scope, ok := keys.scope(token); ok && token != made {
			t.Errorf("%q is good for %v", token, scope)
		}
	})
}
