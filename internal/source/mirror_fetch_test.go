package source

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARemoteThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := farAway(t)
	work(t, f.create(t, "web")).git("push", "origin", "main")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	t.Cleanup(page.Close)
	for name, tt := range map[string]struct {
		edit func(*Mirror)
		want error
		text string
	}{
		"a wrong password":               {func(m *Mirror) { m.Credentials.Password = "wrong " + password }, ErrDenied, "does not accept these credentials"},
		"no password":                    {func(m *Mirror) { m.Credentials = Credentials{} }, ErrDenied, "does not accept these credentials"},
		"a repository that is not there": {func(m *Mirror) { m.URL = strings.Replace(m.URL, "web", "shop", 1) }, ErrDenied, "there is no such repository"},
		"a server that is not there":     {func(m *Mirror) { m.URL = "http://127.0.0.1:1/web.git" }, ErrUnreachable, "cannot be fetched"},
		"a host that is not there":       {func(m *Mirror) { m.URL = "http://nowhere.invalid/web.git" }, ErrUnreachable, "cannot be fetched"},
		"a page that is no repository":   {func(m *Mirror) { m.URL = page.URL + "/web.git" }, ErrUnreachable, "neither branches nor tags"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			n := near(t, func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			m := f.mirror("web")
			tt.edit(&m)
			_, err := n.AddMirror(ctx, m)
			wantKind(t, err, tt.want)
			if err == nil {
				return
			}
			wantContains(t, err.Error(), tt.text, m.URL)
			if strings.Contains(err.Error()+log.String(), password) {
				t.Errorf("the password is shown: %v\n%s", err, &log)
			}
			if n.Exists("web") {
				t.Error("half of a mirror is left")
			}
			if left, _ := filepath.Glob(filepath.Join(n.dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	t.Run("one that goes away and comes back", func(t *testing.T) {
		t.Parallel()
		f, n := farAway(t), near(t, nil)
		work(t, f.create(t, "web")).git("push", "origin", "main")
		must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
		for _, status := range []int{http.StatusServiceUnavailable, http.StatusOK} {
			f.goAway(status)
			_, err := n.UpdateMirror(ctx, f.mirror("web"))
			wantKind(t, err, ErrUnreachable)
			if _, err := n.Revision(ctx, "web", "main"); err != nil {
				t.Errorf("the mirror cannot be used meanwhile: %v", err)
			}
		}
		f.goAway(0)
		if _, err := n.UpdateMirror(ctx, f.mirror("web")); err != nil {
			t.Error(err)
		}
	})
}

func TestCredentialsReachTheirHostAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := farAway(t)
	work(t, f.create(t, "web")).git("push", "origin", "main")
	t.Run("a token needs no user name", func(t *testing.T) {
		t.Parallel()
		m := f.mirror("web")
		m.Credentials.Username = ""
		if _, err := near(t, nil).AddMirror(ctx, m); err != nil {
			t.Error(err)
		}
	})
	t.Run("another host, to which the first one redirects, is told nothing", func(t *testing.T) {
		t.Parallel()
		other := farAway(t)
		redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if _, pass, _ := req.BasicAuth(); pass != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="far"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, req, other.guarded+req.URL.RequestURI(), http.StatusFound)
		}))
		t.Cleanup(redirect.Close)
		work(t, other.create(t, "web")).git("push", "origin", "main")
		m := f.mirror("web")
		m.URL = redirect.URL + Prefix + "web.git"
		_, err := near(t, nil).AddMirror(ctx, m)
		wantKind(t, err, ErrDenied)
		other.mu.Lock()
		defer other.mu.Unlock()
		if len(other.seen) == 0 || strings.Join(other.seen, "") != "" {
			t.Errorf("the other host was told %q", other.seen)
		}
	})
	t.Run("no command line and no trace of git shows them", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		trace := filepath.Join(dir, "trace")
		script := fmt.Sprintf("#!/bin/sh\nexport GIT_TRACE=%s\necho \"$0 $@\" >>%s\nexec git \"$@\"\n", trace, trace)
		if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		n := near(t, func(c *Config) { c.Git = filepath.Join(dir, "git") })
		must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
		text := string(must[[]byte](t)(os.ReadFile(trace)))
		wantContains(t, text, "ls-remote", "fetch", "f get", f.guarded)
		if strings.Contains(text, password) || strings.Contains(text, "p4ss") {
			t.Errorf("the password is in:\n%s", text)
		}
	})
	t.Run("nor does formatted text or a log", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		m := f.mirror("web")
		slog.New(slog.NewJSONHandler(&log, nil)).Info("mirror", "credentials", m.Credentials)
		text := fmt.Sprintf("%v %+v %#v %s %q %v", m, m, m, m.Credentials, m.Credentials, &m) + log.String()
		if strings.Contains(text, "p4ss") || !strings.Contains(text, "[hidden]") {
			t.Error(text)
		}
	})
}

func TestAFetchIsNotWithoutLimit(t *testing.T) {
	t.Parallel()
	f := setup(t, nil, nil)
	c := work(t, f.create(t, "web"))
	noise := make([]byte, 3<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	c.commit("noise", string(noise), "Add noise")
	c.git("push", "origin", "main")
	// It sends 2 MiB and then no more, until the client goes away.
	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.Handler().ServeHTTP(&stalling{ResponseWriter: w, req: req, left: 2 << 20}, req)
	}))
	n := near(t, func(c *Config) { c.MaxPush = 1 << 20 })
	_, err := n.AddMirror(t.Context(), Mirror{Name: "web", URL: web + Prefix + "web.git"})
	wantKind(t, err, ErrTooLarge)
	if n.Exists("web") {
		t.Error("half of a mirror is left")
	}
}

type stalling struct {
	http.ResponseWriter
	req  *http.Request
	left int
}

func (s *stalling) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		<-s.req.Context().Done()
		return 0, errors.New("the client has gone")
	}
	return s.ResponseWriter.Write(p)
}

func (s *stalling) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func FuzzParseRefs(f *testing.F) {
	hash := strings.Repeat("1a", 20)
	for _, s := range []string{
		hash + "\trefs/heads/main\n" + hash + "\trefs/tags/v1\n", hash + "\tHEAD\n", "ref: refs/heads/main\tHEAD\n" + hash + "\tHEAD\n",
		"<html>\n", hash + "\trefs/heads/../x", hash + "\trefs/heads/-x\n\n", "ref: refs/heads/x\ndelete refs/heads/y", hash + " refs/heads/main",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, out string) {
		refs, odd := parseRefs(out)
		if odd != "" && refs != nil {
			t.Errorf("%q gives both refs and an odd line", out)
		}
		if ref, ok := parseSymref(out); ok {
			refs = map[string]string{ref: strings.Repeat("0", 40)}
		}
		for ref, object := range refs {
			// What is written to git update-ref --stdin, and to command lines.
			if !isHash(object) || !strings.HasPrefix(ref, "refs/") || strings.ContainsAny(ref, " \n\t\x00") || strings.Contains(ref, "..") {
				t.Errorf("%q gives ref %q at %q", out, ref, object)
			}
		}
	})
}

// The words of git 2.39 and of forges, which cannot all be had from a real one.
func TestWhatGitSaysBecomesWordsForTheUser(t *testing.T) {
	t.Parallel()
	m := Mirror{Name: "web", URL: "https://h/web.git", Credentials: Credentials{Password: "hunter2"}}
	for _, tt := range []struct {
		said string
		want error // nil: passed on
	}{
		{"remote: Invalid username or token. Password authentication is not supported for Git operations.\nfatal: Authentication failed for 'https://h/web.git/'", ErrDenied},
		{"remote: HTTP Basic: Access denied. The provided password or token is incorrect\nfatal: Authentication failed", ErrDenied},
		{"fatal: could not read Username for 'https://h': terminal prompts disabled", ErrDenied},
		{"fatal: unable to access 'https://h/web.git/': The requested URL returned error: 403", ErrDenied},
		{"remote: Repository not found.\nfatal: repository 'https://h/web.git/' not found", ErrDenied},
		{"ERROR: Repository not found.\nfatal: Could not read from remote repository.", ErrDenied},
		{"git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", ErrDenied},
		{"No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.\nfatal: Could not read from remote repository.", ErrDenied},
		{"fatal: couldn't find remote ref refs/pull/8/head", ErrNoRevision},
		{"fatal: unable to access 'https://h/web.git/': Could not resolve host: h", ErrUnreachable},
		{"fatal: unable to access 'https://h/web.git/': The requested URL returned error: 502", ErrUnreachable},
		{"fatal: unable to access 'https://h/web.git/': The requested URL returned error: 301", ErrUnreachable},
		{"fatal: unable to access 'https://h/web.git/': SSL certificate problem: unable to get local issuer certificate", ErrUnreachable},
		{"ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.", ErrUnreachable},
		{"fatal: the remote end hung up unexpectedly", ErrUnreachable},
		{"error: RPC failed; curl 28 Operation too slow.\nfatal: expected flush after ref listing; timed out", ErrUnreachable},
		{"fatal: transport 'file' not allowed", ErrInvalid},
		{"error: object 1a: nullSha1: contains entries pointing to null sha1\nfatal: fsck error in packed object", ErrInvalid},
		{"fatal: cannot update the ref 'refs/heads/main': unable to append: No space left on device", nil},
	} {
		err := fetchError(m, &GitError{Command: "git fetch", Stderr: tt.said + " hunter2", Err: errors.New("exit status 128")})
		if _, ok := errors.AsType[*Error](err); tt.want == nil && ok || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s\nbecomes %v", tt.said, err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v shows a password", err)
		}
	}
}
