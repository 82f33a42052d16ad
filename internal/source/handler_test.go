package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, path, query string
		want                request
		status              int // of the refusal; 0 for none
	}{
		{"GET", "/git/web.git/info/refs", "service=git-upload-pack", request{"web", uploadPack, true}, 0},
		{"GET", "/git/web.git/info/refs", "service=git-receive-pack", request{"web", receivePack, true}, 0},
		{"POST", "/git/web.git/git-upload-pack", "", request{"web", uploadPack, false}, 0},
		{"POST", "/git/web.git/git-receive-pack", "", request{"web", receivePack, false}, 0},

		{"GET", "/git/web.git/info/refs", "", request{}, 403},
		{"GET", "/git/web.git/info/refs", "service=git-upload-archive", request{}, 403},
		{"GET", "/git/web.git/info/refs", "service=git-upload-pack&service=x", request{}, 403},
		{"GET", "/git/web.git/info/refs", "service=git-upload-pack&x=y", request{}, 403},
		{"GET", "/git/web.git/info/refs", "service=git-upload-pack;x", request{}, 403},
		{"GET", "/git/web.git/HEAD", "", request{}, 403},
		{"GET", "/git/web.git/objects/info/packs", "", request{}, 403},
		{"GET", "/git/web.git/objects/pack/pack-1.pack", "", request{}, 403},
		{"GET", "/git/web.git/config", "", request{}, 403},
		{"GET", "/git/web.git/../web.git/info/refs", "service=git-upload-pack", request{}, 403},
		{"GET", "/git/web.git//info/refs", "service=git-upload-pack", request{}, 403},
		{"GET", "/git/web.git", "", request{}, 403},
		{"POST", "/git/web.git/info/refs", "service=git-upload-pack", request{}, 405},
		{"HEAD", "/git/web.git/info/refs", "service=git-upload-pack", request{}, 405},
		{"GET", "/git/web.git/git-receive-pack", "", request{}, 405},
		{"PUT", "/git/web.git/git-receive-pack", "", request{}, 405},
		{"GET", "/git/../etc.git/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "/git/a/b.git/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "/git/web/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "/git/Web.git/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "/git/.git/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "/git/w\x00b.git/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "/git/", "", request{}, 404},
		{"GET", "/web.git/info/refs", "service=git-upload-pack", request{}, 404},
		{"GET", "", "", request{}, 404},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %q %q", test.method, test.path, test.query), func(t *testing.T) {
			t.Parallel()
			got, refused := parseRequest(test.method, test.path, test.query)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(request{})); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			status := 0
			if refused != nil {
				status = refused.status
			}
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("GET", "/git/web.git/info/refs", "service=git-upload-pack")
	f.Add("POST", "/git/web.git/git-receive-pack", "")
	f.Add("GET", "/git/../x.git/info/refs", "service=git-receive-pack")
	f.Add("GET", "/git/web.git/objects/../config", "")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		q, refused := parseRequest(method, path, query)
		if refused != nil {
			if refused.status < 400 || refused.message == "" {
				t.Errorf("refused with %d %q", refused.status, refused.message)
			}
			return
		}
		if CheckName(q.repository) != nil {
			t.Errorf("repository %q", q.repository)
		}
		if "/git"+q.path() != path {
			t.Errorf("%q is taken for %q", path, q.path())
		}
		if again, refused := parseRequest(method, "/git"+q.path(), q.query()); refused != nil || again != q {
			t.Errorf("%+v is read again as %+v, %v", q, again, refused)
		}
	})
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	url := s.create(t, "web")
	c := work(t, url)
	c.git("push", "origin", "main")

	t.Run("an unknown repository, saying how to create it", func(t *testing.T) {
		t.Parallel()
		out := c.refused("ls-remote", s.url+Prefix+"shop.git")
		wantContains(t, out, `remote: there is no repository "shop"; create it with: towline repository create shop`, "not found")
	})

	t.Run("an address without .git, naming the right one", func(t *testing.T) {
		t.Parallel()
		wantContains(t, c.refused("ls-remote", s.url+Prefix+"web"), "remote: the address of repository web is /git/web.git")
	})

	t.Run("the dumb protocol, which needs files that would go stale", func(t *testing.T) {
		t.Parallel()
		cmd := c.command("ls-remote", url)
		cmd.Env = append(cmd.Env, "GIT_SMART_HTTP=0")
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Fatalf("it was served:\n%s", out)
		}
		wantContains(t, string(out), "403")
	})

	t.Run("paths that lead elsewhere, however they are written", func(t *testing.T) {
		t.Parallel()
		secret := filepath.Join(s.dir, "secret.git")
		if err := os.Mkdir(secret, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{
			"/git/../../etc/passwd", "/git/%2e%2e/etc/passwd", "/git/web.git/%2e%2e/web.git/config", "/git/web.git/..%2f..%2fetc/passwd",
			"/git/web.git/config", "/git/hooks/post-receive", "/git/web.git/objects/../config", "/git//web.git/info/refs?service=git-upload-pack",
			"/git/web.git%00/info/refs?service=git-upload-pack", "/git/.%2fweb.git/info/refs?service=git-upload-pack",
		} {
			// By the mux, which tidies paths, and past it.
			if status, body := rawGet(t, s.url, path); status < 300 {
				t.Errorf("GET %s: %d %s", path, status, body)
			}
			bare := httptest.NewServer(s.Handler())
			if status, body := rawGet(t, bare.URL, path); status < 400 {
				t.Errorf("GET %s past the mux: %d %s", path, status, body)
			}
			bare.Close()
		}
	})

	t.Run("a body of the wrong type", func(t *testing.T) {
		t.Parallel()
		res := must[*http.Response](t)(http.Post(url+"/git-upload-pack", "text/plain", strings.NewReader("0000")))
		defer res.Body.Close()
		if res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("status %s", res.Status)
		}
	})
}

// rawGet asks for a path as it stands.
func rawGet(t *testing.T, url, path string) (int, string) {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(url, "http://")))
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: towline\r\nConnection: close\r\n\r\n", path)
	res := must[*http.Response](t)(http.ReadResponse(bufio.NewReader(conn), nil))
	defer res.Body.Close()
	return res.StatusCode, string(must[[]byte](t)(io.ReadAll(res.Body)))
}

func TestHandlerEndsWhatGitRefusesHalfWay(t *testing.T) {
	t.Parallel()

	t.Run("a client that sends on can read why", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		s.create(t, "web")
		conn := rawPush(t, s.url, "application/x-git-receive-pack-request")
		line := strings.Repeat("0", 40) + " " + strings.Repeat("1", 40) + " refs/heads/main\x00report-status side-band-64k"
		send := func(data string) {
			t.Helper()
			if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(data), data); err != nil {
				t.Fatalf("the server hung up: %v", err)
			}
		}
		send(fmt.Sprintf("%04x%s0000", len(line)+4, line))
		for range 20 {
			send(strings.Repeat("this is no pack ", 1<<16))
		}
		fmt.Fprint(conn, "0\r\n\r\n")
		in := bufio.NewReader(conn)
		res := must[*http.Response](t)(http.ReadResponse(in, nil))
		wantContains(t, string(must[[]byte](t)(io.ReadAll(res.Body))), "pack signature mismatch")
		// The connection can be used again.
		fmt.Fprint(conn, "GET /git/web.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: towline\r\n\r\n")
		if res = must[*http.Response](t)(http.ReadResponse(in, nil)); res.StatusCode != http.StatusOK {
			t.Errorf("status %s", res.Status)
		}
	})

	t.Run("a client that waits for the end of an error gets it", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		s.create(t, "web")
		conn := rawPush(t, s.url, "text/plain")
		fmt.Fprint(conn, "4\r\n0000\r\n")
		res := must[*http.Response](t)(http.ReadResponse(bufio.NewReader(conn), nil))
		if res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("status %s", res.Status)
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(io.Discard, res.Body)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the answer does not end")
		}
	})
}

// rawPush begins a push with a chunked body.
func rawPush(t *testing.T, url, contentType string) net.Conn {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(url, "http://")))
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /git/web.git/git-receive-pack HTTP/1.1\r\nHost: towline\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", contentType)
	return conn
}

func TestHandlerReadsGzip(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	url := s.create(t, "web")
	c := work(t, url)
	c.git("push", "origin", "main")
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	command := "command=ls-refs\n"
	fmt.Fprintf(zip, "%04x%s0000", len(command)+4, command)
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/git-upload-pack", &body))
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Git-Protocol", "version=2")
	res := must[*http.Response](t)(http.DefaultClient.Do(req))
	defer res.Body.Close()
	wantContains(t, string(must[[]byte](t)(io.ReadAll(res.Body))), c.git("rev-parse", "HEAD")+" refs/heads/main")
}

func TestHandlerKeepsSecretsFromGit(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequest(http.MethodPost, "/git/web.git/git-receive-pack", strings.NewReader("0000"))
	req.Header.Set("Authorization", "Bearer secret")
	req.Header.Set("Cookie", "session=secret")
	req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	fwd := forward(request{"web", receivePack, false}, req, req.Body)
	want := http.Header{"Content-Type": {"application/x-git-receive-pack-request"}}
	if diff := cmp.Diff(want, fwd.Header); diff != "" {
		t.Errorf("headers that git sees (-want +got):\n%s", diff)
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/git/web.git/info/refs?service=git-receive-pack": true,
		"/git/web.git/info/refs?service=git-upload-pack":  false,
		"/git/web.git/config":                             false,
	} {
		if got := Pushes(httptest.NewRequest(http.MethodGet, path, nil)); got != want {
			t.Errorf("Pushes(%s) = %v, want %v", path, got, want)
		}
	}
}
