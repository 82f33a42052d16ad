package ui_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/ui"
)

// api stands for the native API where the fault cannot be made by a real one: it
// knows one session, and answers every other path with a status.
func api(status int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/session", func(w http.ResponseWriter, r *http.Request) {
		var req client.SessionRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.Credential != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"detail":"<b>not</b> right"}`)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "towline-session", Value: "s", Path: "/"})
		_, _ = io.WriteString(w, `{"name":"Grace","role":"viewer"}`)
	})
	mux.HandleFunc("GET /api/v1/session", func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("towline-session"); err != nil || cookie.Value != "s" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"name":"<script>Grace</script>","role":"viewer"}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"detail":"a <em>secret</em> reason"}`)
	})
	return mux
}

func visit(t *testing.T, status int) (*http.Client, string) {
	t.Helper()
	pages, err := ui.New(ui.Config{API: api(status), Version: "1.2.3", Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, server.URL
}

func get(t *testing.T, c *http.Client, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return read(t)(c.Do(req))
}

func post(t *testing.T, c *http.Client, url string, form url.Values) (*http.Response, string) {
	t.Helper()
	return read(t)(c.PostForm(url, form))
}

func read(t *testing.T) func(*http.Response, error) (*http.Response, string) {
	return func(resp *http.Response, err error) (*http.Response, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}
}

func TestStrangersAreAskedWhoTheyAreAndLedBack(t *testing.T) {
	t.Parallel()
	c, base := visit(t, 500)
	resp, _ := get(t, c, base+"/?query=a%20b")
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/sign-in?next=%2F%3Fquery%3Da%2520b" {
		t.Error(resp.Status, resp.Header)
	}
	resp, text := get(t, c, base+"/", "Hx-Request", "true")
	if resp.Header.Get("Hx-Redirect") != "/sign-in?next=%2F" || text != "" {
		t.Error("a part of a page must lead the whole away:", resp.Header, text)
	}
	resp, text = post(t, c, base+"/sign-in", url.Values{"credential": {"wrong"}, "next": {"/x"}})
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(text, "&lt;b&gt;not&lt;/b&gt; right") || strings.Contains(text, "wrong") {
		t.Error(resp.Status, text)
	}
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/executions/web-1?a=b": "/executions/web-1?a=b", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "/\t/evil.example": "/", "javascript:alert(1)": "/",
	} {
		c, base := visit(t, 500)
		resp, text := post(t, c, base+"/sign-in", url.Values{"credential": {"right"}, "name": {"Grace"}, "next": {next}})
		if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("%q leads to %q, want %q: %s %s", next, got, want, resp.Status, text)
		}
	}
}

func TestPagesTellBrowsersToBeStrict(t *testing.T) {
	t.Parallel()
	c, base := visit(t, 500)
	for _, path := range []string{"/sign-in", "/nowhere", "/assets/x/towline.js", "/"} {
		resp, _ := get(t, c, base+path)
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %q", path, policy)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Error(path, resp.Header)
		}
	}
}

func TestWhatTheAPIRefusesIsToldAndEscaped(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{404: "a &lt;em&gt;secret&lt;/em&gt; reason", 403: "a &lt;em&gt;secret&lt;/em&gt; reason", 500: "a &lt;em&gt;secret&lt;/em&gt; reason"} {
		c, base := visit(t, status)
		post(t, c, base+"/sign-in", url.Values{"credential": {"right"}})
		resp, text := get(t, c, base+"/")
		if resp.StatusCode != status || !strings.Contains(text, want) || strings.Contains(text, "<script>Grace") {
			t.Errorf("%d: %s\n%s", status, resp.Status, text)
		}
	}
}

func TestFilesAreKeptByTheirContent(t *testing.T) {
	t.Parallel()
	c, base := visit(t, 500)
	_, text := get(t, c, base+"/sign-in")
	_, rest, ok := strings.Cut(text, `href="/assets/`)
	version, _, _ := strings.Cut(rest, "/")
	if !ok || len(version) != 12 {
		t.Fatal(text)
	}
	for _, name := range []string{"towline.css", "towline.js", "htmx.js", "htmx-sse.js", "icon.svg"} {
		resp, body := get(t, c, base+"/assets/"+version+"/"+name)
		if resp.StatusCode != 200 || len(body) == 0 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Error(name, resp.Status, resp.Header)
		}
	}
	for _, path := range []string{"/assets/old/towline.css", "/assets/" + version + "/nothing", "/assets/" + version + "/..%2fui.go"} {
		if resp, _ := get(t, c, base+path); resp.StatusCode != 404 || strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Error(path, resp.Status, resp.Header)
		}
	}
}
