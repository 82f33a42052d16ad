package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// How long the answers of a remote may take: the list of its refs, and its
// objects. The first fetch of a large repository is the longest.
const (
	askTimeout   = 2 * time.Minute
	fetchTimeout = time.Hour
)

// The variables by which credentials reach git's helper. They are in the
// environment of that one git process and its children.
const (
	envUsername = "TOWLINE_GIT_USERNAME"
	envPassword = "TOWLINE_GIT_PASSWORD"
)

// helper answers git's question for a user name and password. It is a function
// of the shell, whose printf is its own, so that no argument of any process is
// a password.
const helper = `!f() { test "$1" = get || exit 0; printf 'username=%s\npassword=%s\n' "$` + envUsername + `" "$` + envPassword + `"; }; f`

// anyUser is the user name that goes with a token when none is given. GitHub
// and GitLab do not look at it; Bitbucket wants this one.
const anyUser = "x-token-auth"

// fetch fetches the refs. The caller holds the mirror.
func (r *Repositories) fetch(ctx context.Context, m Mirror, refspecs ...string) error {
	return r.ask(m, func(env []string) error {
		ctx, stop := r.limitGrowth(ctx, m.Name)
		defer stop()
		return r.run(ctx, command{
			name: m.Name,
			args: append([]string{
				"fetch", "--quiet", "--force", "--no-prune", "--no-tags", "--update-head-ok", "--no-write-fetch-head",
				"--no-auto-maintenance", "--no-recurse-submodules", "--no-show-forced-updates", "--end-of-options", m.URL,
			}, refspecs...),
			env:     env,
			timeout: fetchTimeout,
		})
	})
}

// ask calls fn with the environment that git needs to talk to the remote, and
// makes words for the user out of what git says.
func (r *Repositories) ask(m Mirror, fn func(env []string) error) error {
	to, err := r.parseURL(m.URL)
	if err != nil {
		return err
	}
	env, release, err := r.fetchEnviron(m, to)
	if err != nil {
		return fmt.Errorf("fetch mirror %s: %w", m.Name, err)
	}
	defer release()
	if err := fn(env); err != nil {
		return fetchError(m, err)
	}
	return nil
}

// fetchEnviron is what git needs besides settings, and what removes the files
// that it needed.
func (r *Repositories) fetchEnviron(m Mirror, to endpoint) (env []string, release func(), err error) {
	release = func() {}
	extra := [][2]string{
		{"credential.helper", ""},
		{"core.askPass", ""},
		{"transfer.credentialsInUrl", "die"},
		{"http.lowSpeedLimit", "100"},
		{"http.lowSpeedTime", "60"},
		// One pack, as a push makes; index-pack streams large files.
		{"fetch.unpackLimit", "1"},
		{"fetch.fsck.badTimezone", "ignore"},
		{"fetch.fsck.missingSpaceBeforeDate", "ignore"},
		{"fetch.fsck.zeroPaddedFilemode", "ignore"},
		{"fetch.recurseSubmodules", "false"},
	}
	// This outranks protocol.allow, which is "never". A redirect may lead to
	// TLS, but not away from it.
	allowed := to.scheme
	if to.scheme == "http" {
		allowed = "http:https"
	}
	env = append(env, "GIT_ALLOW_PROTOCOL="+allowed)
	switch c := m.Credentials; to.scheme {
	case "https", "http":
		env = append(env, fromServer("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
			"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")...)
		if c.Username != "" || c.Password != "" {
			// For this host alone: one that it redirects to gets nothing.
			extra = append(extra, [2]string{"credential." + to.scheme + "://" + to.host + ".helper", helper})
			env = append(env, envUsername+"="+cmp.Or(c.Username, anyUser), envPassword+"="+c.Password)
		}
	case "ssh":
		var command string
		if command, release, err = r.sshCommand(c); err != nil {
			return nil, release, err
		}
		env = append(env, "GIT_SSH_VARIANT=ssh", "GIT_SSH_COMMAND="+command)
	}
	first := len(r.settings(""))
	env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", first+len(extra)))
	for i, kv := range extra {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", first+i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", first+i, kv[1]))
	}
	return env, release, nil
}

// fromServer passes on those of the server's own variables that are set.
func fromServer(names ...string) []string {
	var env []string
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// sshCommand is a call of ssh that knows this key and these hosts and nothing
// else of the machine it runs on. ssh reads both from files alone; they are in
// a directory of their own until release is called, or the next start.
func (r *Repositories) sshCommand(c Credentials) (command string, release func(), err error) {
	dir, err := os.MkdirTemp(r.dir, scratch)
	if err != nil {
		return "", func() {}, err
	}
	release = func() { os.RemoveAll(dir) }
	key, hosts := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	for file, text := range map[string]string{key: c.PrivateKey, hosts: c.KnownHosts} {
		if err := os.WriteFile(file, []byte(strings.TrimRight(text, "\n")+"\n"), 0o600); err != nil {
			release()
			return "", func() {}, err
		}
	}
	words := []string{"ssh", "-F", os.DevNull}
	for _, option := range []string{
		"BatchMode=yes", `IdentityFile="` + sshPath(key) + `"`, "IdentitiesOnly=yes", "IdentityAgent=none",
		"StrictHostKeyChecking=yes", `UserKnownHostsFile="` + sshPath(hosts) + `"`, "GlobalKnownHostsFile=" + os.DevNull, "UpdateHostKeys=no",
		"ClearAllForwardings=yes", "ForwardAgent=no", "PermitLocalCommand=no", "ProxyCommand=none",
		"ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4",
	} {
		words = append(words, "-o", option)
	}
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " "), release, nil
}

// sshPath keeps ssh from reading its own signs into a path.
func sshPath(path string) string { return strings.ReplaceAll(path, "%", "%%") }

// limitGrowth ends the context when the pack that is being fetched grows beyond
// what a push may bring. git itself has no such limit for a fetch.
func (r *Repositories) limitGrowth(ctx context.Context, name string) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(growthTick)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if arrivingBytes(filepath.Join(r.Path(name), "objects", "pack")) > r.cfg.MaxPush {
				cancel(errTooMuch)
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

const growthTick = 500 * time.Millisecond

var errTooMuch = errors.New("the remote sends more than a fetch may bring")

// arrivingBytes is the size of the largest pack that is not complete yet.
func arrivingBytes(dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "tmp_pack_") {
			continue
		}
		info, err := e.Info()
		if err != nil && !errors.Is(err, fs.ErrNotExist) || info == nil {
			continue
		}
		size = max(size, info.Size())
	}
	return size
}

// httpAnswer is how git reports an answer that it did not expect.
var httpAnswer = regexp.MustCompile(`The requested URL returned error: ([0-9]{3})`)

// fetchError makes words for the user out of what git says. git's language is
// C's (LC_ALL) and its words have been the same for many years; what is not
// recognised is passed on as git's.
func fetchError(m Mirror, err error) error {
	refuse := func(kind error, message, hint string) error {
		return &Error{Kind: kind, Message: fmt.Sprintf("%s cannot be fetched: %s", m.URL, message), Hint: hint}
	}
	if errors.Is(err, errTooMuch) {
		return refuse(ErrTooLarge, errTooMuch.Error(), "keep large files elsewhere, or raise the limit of pushes")
	}
	said, ok := errors.AsType[*GitError](err)
	if !ok {
		return fmt.Errorf("fetch %s: %w", m.Name, err)
	}
	if pass := m.Credentials.Password; pass != "" {
		said.Stderr = strings.ReplaceAll(said.Stderr, pass, "[hidden]")
	}
	last := clean(said.Stderr)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(said.Stderr, p) {
				return true
			}
		}
		return false
	}
	code := ""
	if found := httpAnswer.FindStringSubmatch(said.Stderr); found != nil {
		code = found[1]
	}
	switch {
	case has("Host key verification failed"):
		return refuse(ErrDenied, "its host is not one of the known hosts, or another one answers in its place", "compare the host's key with the one that the forge publishes, and give that as known host")
	case has("Authentication failed", "could not read Username", "could not read Password", "Permission denied", "Access denied", "HTTP Basic: Access denied") || code == "401" || code == "403":
		return refuse(ErrDenied, "the remote does not accept these credentials", "give a user name and password, a token or a key that may read it; tokens expire")
	case has("couldn't find remote ref"):
		return refuse(ErrNoRevision, "it has no such ref", "")
	case has("not found", "does not exist", "does not appear to be a git repository", "Repository not found", "not exported") || code == "404" || code == "410":
		return refuse(ErrDenied, "there is no such repository, or these credentials cannot see it", "compare the address with the one that the forge shows")
	case strings.HasPrefix(code, "3"):
		return refuse(ErrUnreachable, "the remote answers with a redirect ("+code+")", "give the address that it leads to")
	case has("transport '") && has("not allowed"):
		return refuse(ErrInvalid, "it leads to a place that may not be fetched from: "+last, "give the address that it leads to, if it is the right one")
	case has("fsck"):
		return refuse(ErrInvalid, "it holds objects that git warns of: "+last, "mend the history there")
	case code != "" || has("Could not resolve", "unable to access", "Connection", "connection", "unable to connect", "hung up", "early EOF", "timed out", "unexpected disconnect", "Could not read from remote", "not valid: is this a git repository"):
		return refuse(ErrUnreachable, last, "")
	case strings.Contains(said.Err.Error(), "took longer than"):
		return refuse(ErrUnreachable, "the remote "+said.Err.Error(), "")
	}
	return fmt.Errorf("fetch mirror %s: %w", m.Name, said)
}
