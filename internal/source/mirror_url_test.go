package source

import (
	"errors"
	"strings"
	"testing"
)

func TestMirrorName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, url := range []string{
		"https://github.com/acme/web.git", "https://github.com/acme/web", "https://gitlab.com/acme/web.git", "git@host:Web_Shop.git",
		"https://host/---", "https://host/" + strings.Repeat("x", 200), "git@host:~", "https://host/a/",
	} {
		name := MirrorName(url)
		if err := CheckName(name); err != nil || seen[name] {
			t.Errorf("%s: %s, %v, twice %v", url, name, err, seen[name])
		}
		seen[name] = true
	}
	if name := MirrorName("https://github.com/acme/web.git"); !strings.HasPrefix(name, "web-") || len(name) != len("web-12345678") {
		t.Error(name)
	}
}

func TestFileMirrors(t *testing.T) {
	t.Parallel()
	f := setup(t, nil, nil)
	work(t, f.create(t, "web")).git("push", "origin", "main")
	m := Mirror{Name: "web", URL: "file://" + f.Path("web")}
	_, err := near(t, nil).AddMirror(t.Context(), m)
	wantKind(t, err, ErrInvalid)
	if _, err := near(t, func(c *Config) { c.FileMirrors = true }).AddMirror(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	r, files := open(t, t.TempDir(), nil), open(t, t.TempDir(), func(c *Config) { c.FileMirrors = true })
	for _, good := range []string{
		"https://github.com/acme/web.git", "https://github.com/acme/web", "http://10.0.0.1:3000/acme/web.git", "https://[::1]:8443/web",
		"ssh://git@github.com/acme/web.git", "ssh://git@gitlab.example.com:2222/acme/shop/web.git", "git@github.com:acme/web.git",
		"git://git.example.com/web.git", "ada@host:~/web.git", "https://git.example.com/~ada/web%20shop.git",
	} {
		if err := r.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "web", "/srv/web.git", "../web", "file:///srv/web.git", "C:\\web", "acme/web",
		"ext::sh -c touch% /tmp/x", "ext::sh", "fd::7", "ext://x/y", "https::https://x/y", "a@ext::sh",
		"-oProxyCommand=x", "ssh://-oProxyCommand=x/web", "ssh://-o@host/web", "-o@host:web", "git@-host:web", "git@host:-x", "ssh://git@host/-x",
		"--upload-pack=x", "https://-x/y",
		"https://ada:hunter2@host/web", "https://hunter2@host/web", "ssh://git:hunter2@host/web", "https://hunter2:@host/web",
		"https://host/web?x=1", "https://host/web#x", "https://host/web?", "https://host", "https://host/", "https:///web", "https:web",
		"https://ho st/web", "https://host/we\nb", "https://host/w\x00", "https://host/w%0ab", "https://host/ü", "https://host:port/web", "https://ho'st/web",
		"ssh://%2doProxyCommand@host/web", "ssh://git@host%2fx/web", "https://hunter2@%zz", "ftp://host/web", "https://" + strings.Repeat("x", maxURL),
	} {
		err := r.CheckURL(bad)
		wantKind(t, err, ErrInvalid)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q repeats a password", err)
		}
	}
	for url, ok := range map[string]bool{
		"file:///srv/web.git": true, "file://host/srv/web": false, "file:///srv/../web": false, "file://web": false, "file:///srv/web/": false,
	} {
		if err := files.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestCredentialsThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := open(t, t.TempDir(), nil)
	for name, m := range map[string]Mirror{
		"a line break in a password":    {URL: "https://host/web", Credentials: Credentials{Password: "x\nhost=evil"}},
		"a key for https":               {URL: "https://host/web", Credentials: Credentials{PrivateKey: "x", KnownHosts: "x"}},
		"ssh without known hosts":       {URL: "git@host:web", Credentials: Credentials{PrivateKey: "x"}},
		"ssh without a key":             {URL: "git@host:web", Credentials: Credentials{KnownHosts: "x"}},
		"ssh with a password":           {URL: "git@host:web", Credentials: Credentials{PrivateKey: "x", KnownHosts: "x", Password: "x"}},
		"a password for git's protocol": {URL: "git://host/web", Credentials: Credentials{Password: "x"}},
	} {
		m.Name = "web"
		_, err := r.AddMirror(t.Context(), m)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "credentials") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://h/p", "git@h:p", "ssh://u@h:22/p", "ext::sh -c x", "file:///x", "-o@h:p", "https://u:p@h/p", "git://[::1]/x"} {
		f.Add(s)
	}
	r := &Repositories{cfg: Config{FileMirrors: true}}
	f.Fuzz(func(t *testing.T, address string) {
		to, err := r.parseURL(address)
		if err != nil {
			wantKind(t, err, ErrInvalid)
			return
		}
		if address[0] == '-' || strings.HasPrefix(to.host, "-") || strings.ContainsAny(address, " \t\n\x00\\#?") {
			t.Errorf("%q passed as %+v", address, to)
		}
		if strings.Contains(address, "::") && !strings.Contains(address, "[") && !strings.Contains(address, "://") {
			t.Errorf("%q passed as %+v", address, to)
		}
		switch to.scheme {
		case "https", "http", "ssh", "git", "file":
		default:
			t.Errorf("%q passed as %+v", address, to)
		}
	})
}
