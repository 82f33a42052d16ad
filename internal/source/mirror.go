package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The kinds of refusal of a remote, beside those of this server's own
// repositories.
var (
	// ErrDenied is a remote that knows no such repository for these
	// credentials. Trying again does not help.
	ErrDenied = errors.New("access denied")
	// ErrUnreachable is a remote that does not answer, or not as it should.
	ErrUnreachable = errors.New("not reachable")
)

// Mirror is a repository that is kept like another one, which lies elsewhere.
// It is used like any other repository here, but cannot be pushed to.
type Mirror struct {
	Name        string // of the repository here
	URL         string // see CheckURL; holds no credentials
	Credentials Credentials
}

// Credentials open a remote. The zero value is nobody in particular. As JSON
// they are whole, to be sealed; as text and in logs they are hidden.
type Credentials struct {
	// Username and Password are for https and http. A token is a password; the
	// user name may then be empty.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// PrivateKey, in OpenSSH's form and without a passphrase, and KnownHosts,
	// lines as in ssh's known_hosts, are for ssh. Both are needed: a host that
	// nobody vouches for is not talked to.
	PrivateKey string `json:"privateKey,omitempty"`
	KnownHosts string `json:"knownHosts,omitempty"`
}

// LogValue keeps credentials out of logs.
func (Credentials) LogValue() slog.Value { return slog.StringValue("[hidden]") }

// Format keeps credentials out of formatted text.
func (Credentials) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[hidden]") }

// markerFile lies in the directory of a repository that is a mirror, and holds
// the address of what it mirrors.
const markerFile = "towline-mirror"

// MirrorOf returns what the repository of that name mirrors, or ok == false if
// it is none.
func (r *Repositories) MirrorOf(name string) (url string, ok bool) {
	if CheckName(name) != nil {
		return "", false
	}
	text, err := os.ReadFile(filepath.Join(r.Path(name), markerFile))
	return strings.TrimSpace(string(text)), err == nil
}

// AddMirror makes a mirror and fills it. When that fails nothing is left, and
// the error tells why: it is of kind ErrInvalid, ErrDenied, ErrUnreachable or
// ErrTooLarge, or ErrExists when there is a repository of that name that is
// pushed to, or a mirror of something else. Of the same thing it is updated.
func (r *Repositories) AddMirror(ctx context.Context, m Mirror) (Push, error) {
	if err := r.checkMirror(m); err != nil {
		return Push{}, err
	}
	release := r.mirroring.hold(m.Name)
	defer release()
	err := r.Create(ctx, m.Name)
	if errors.Is(err, ErrExists) {
		if url, ok := r.MirrorOf(m.Name); !ok || url != m.URL {
			return Push{}, err
		}
		return r.update(ctx, m)
	}
	if err != nil {
		return Push{}, err
	}
	err = r.mark(m)
	if err == nil {
		var push Push
		if push, err = r.update(ctx, m); err == nil {
			return push, nil
		}
	}
	return Push{}, errors.Join(err, r.Delete(context.WithoutCancel(ctx), m.Name))
}

// UpdateMirror fetches what has changed at the remote and returns it, as if it
// had been pushed. What is gone there is gone here. Calls for one mirror follow
// one another; a remote whose address has changed may be given. The error is
// of kind ErrNoRepository, ErrInvalid, ErrDenied, ErrUnreachable or
// ErrTooLarge when it is not this server's fault, and the mirror then stays
// usable as it is.
//
// A change that was fetched by a call that could not return is not told again:
// who must not miss one compares Heads.
func (r *Repositories) UpdateMirror(ctx context.Context, m Mirror) (Push, error) {
	if err := r.checkMirror(m); err != nil {
		return Push{}, err
	}
	release := r.mirroring.hold(m.Name)
	defer release()
	if err := r.requireMirror(m.Name); err != nil {
		return Push{}, err
	}
	if url, _ := r.MirrorOf(m.Name); url != m.URL {
		if err := r.mark(m); err != nil {
			return Push{}, err
		}
	}
	return r.update(ctx, m)
}

// FetchRef fetches one more ref of the remote, such as refs/pull/7/head, which
// is where forges keep what comes out of forks, and returns its commit. It is
// kept here under refs/towline/, where no branch and tag is.
func (r *Repositories) FetchRef(ctx context.Context, m Mirror, ref string) (commit string, err error) {
	if err := r.checkMirror(m); err != nil {
		return "", err
	}
	if err := checkRef(ref); err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(ref, "refs/")
	if !ok || !strings.Contains(rest, "/") {
		return "", &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.80q is not a whole ref", ref), Hint: "write it as refs/pull/7/head"}
	}
	release := r.mirroring.hold(m.Name)
	defer release()
	if err := r.requireMirror(m.Name); err != nil {
		return "", err
	}
	kept := "refs/towline/" + rest
	if err := r.fetch(ctx, m, "+"+ref+":"+kept); err != nil {
		return "", err
	}
	if commit, err = r.commit(ctx, m.Name, kept); err != nil {
		return "", fmt.Errorf("read %s of mirror %s: %w", ref, m.Name, err)
	}
	if commit == "" {
		return "", noRevision(m.Name, ref)
	}
	return commit, nil
}

func (r *Repositories) requireMirror(name string) error {
	if err := r.require(name); err != nil {
		return err
	}
	if _, ok := r.MirrorOf(name); !ok {
		return &Error{Kind: ErrInvalid, Message: fmt.Sprintf("repository %q is no mirror", name), Hint: "push to it"}
	}
	return nil
}

// ReleaseMirror makes an ordinary repository of a mirror, with all that was
// fetched, to be pushed to from now on. Of one that is none it is left as it
// is.
func (r *Repositories) ReleaseMirror(_ context.Context, name string) error {
	if err := r.require(name); err != nil {
		return err
	}
	release := r.mirroring.hold(name)
	defer release()
	if err := os.Remove(filepath.Join(r.Path(name), markerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release mirror %s: %w", name, err)
	}
	return nil
}

// mark writes the marker, anew and whole.
func (r *Repositories) mark(m Mirror) error {
	file := filepath.Join(r.Path(m.Name), markerFile)
	if err := os.WriteFile(file+".new", []byte(m.URL+"\n"), 0o600); err != nil {
		return fmt.Errorf("mark mirror %s: %w", m.Name, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("mark mirror %s: %w", m.Name, err)
	}
	return nil
}

// update fetches all branches and tags. The caller holds the mirror.
func (r *Repositories) update(ctx context.Context, m Mirror) (Push, error) {
	push := Push{Repository: m.Name}
	before, err := r.refs(ctx, m.Name)
	if err != nil {
		return push, err
	}
	there, err := r.remoteRefs(ctx, m)
	if err != nil {
		return push, err
	}
	changes := difference(before, there)
	if len(changes) == 0 {
		return push, nil
	}
	// Asking costs as much as the list of all refs, pull requests included, so
	// it is done at first, and when the branch is gone that was the default.
	branch, err := r.HeadBranch(ctx, m.Name)
	if err == nil && (len(before) == 0 || there["refs/heads/"+branch] == "") {
		err = r.followHead(ctx, m)
	}
	if err != nil {
		return push, err
	}
	// What is gone goes first: a new branch may have its name as a directory.
	// git fetch --prune would do it as well, but it would also take the page of
	// a server that is down for a repository without branches.
	if err := r.prune(ctx, m.Name, changes); err != nil {
		return push, err
	}
	if slices.ContainsFunc(changes, func(u Update) bool { return u.New != "" }) {
		if err := r.fetch(ctx, m, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"); err != nil {
			return push, err
		}
		r.tidySoon(m.Name) //nolint:contextcheck // it goes on when the caller has left
	}
	after, err := r.refs(ctx, m.Name)
	if err != nil {
		return push, err
	}
	push.Updates = difference(before, after)
	return push, nil
}

// followHead makes the remote's default branch the mirror's. A remote that does
// not tell it leaves the mirror's as it is.
func (r *Repositories) followHead(ctx context.Context, m Mirror) error {
	var out []byte
	err := r.ask(m, func(env []string) (err error) {
		out, err = r.output(ctx, command{name: m.Name, env: env, timeout: askTimeout,
			args: []string{"ls-remote", "--quiet", "--symref", "--end-of-options", m.URL, "HEAD"}})
		return err
	})
	if err != nil {
		return err
	}
	ref, told := parseSymref(string(out))
	if !told {
		return nil
	}
	if err := r.run(ctx, command{name: m.Name, args: []string{"symbolic-ref", "HEAD", ref}}); err != nil {
		return fmt.Errorf("set default branch of mirror %s: %w", m.Name, err)
	}
	return nil
}

// parseSymref reads what git ls-remote --symref says of HEAD: first, if the
// remote tells, "ref: BRANCH\tHEAD".
func parseSymref(out string) (ref string, ok bool) {
	first, _, _ := strings.Cut(out, "\n")
	target, ok := strings.CutPrefix(first, "ref: ")
	ref, _, _ = strings.Cut(target, "\t")
	_, branch := (Update{Ref: ref}).Branch()
	return ref, ok && branch && checkRef(ref) == nil
}

// remoteRefs are the objects of all branches and tags of the remote. Most
// looks end here, with nothing new.
func (r *Repositories) remoteRefs(ctx context.Context, m Mirror) (map[string]string, error) {
	var out []byte
	err := r.ask(m, func(env []string) (err error) {
		out, err = r.output(ctx, command{name: m.Name, env: env, timeout: askTimeout,
			args: []string{"ls-remote", "--quiet", "--refs", "--heads", "--tags", "--end-of-options", m.URL}})
		return err
	})
	if err != nil {
		return nil, err
	}
	refs, odd := parseRefs(string(out))
	if odd != "" {
		return nil, &Error{Kind: ErrUnreachable, Message: fmt.Sprintf("%s cannot be fetched: it lists %.100q, which is no branch or tag", m.URL, odd)}
	}
	// Any page looks so to git, if it is not written like a list of refs.
	if len(refs) == 0 {
		return nil, &Error{Kind: ErrUnreachable, Message: m.URL + " cannot be fetched: it shows neither branches nor tags",
			Hint: "push to it first if it is new; else see what a browser finds there"}
	}
	return refs, nil
}

// parseRefs reads what git ls-remote says of a remote: lines of an object and
// a branch or tag. A line that is something else is returned as odd.
func parseRefs(out string) (refs map[string]string, odd string) {
	refs = map[string]string{}
	for line := range strings.Lines(out) {
		object, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		update := Update{Ref: ref}
		_, branch := update.Branch()
		_, tag := update.Tag()
		if !isHash(object) || checkRef(ref) != nil || !branch && !tag {
			return nil, line
		}
		refs[ref] = object
	}
	return refs, ""
}

// prune removes the refs that are gone from the remote.
func (r *Repositories) prune(ctx context.Context, name string, changes []Update) error {
	var input strings.Builder
	for _, u := range changes {
		if u.New == "" {
			fmt.Fprintf(&input, "delete %s\n", u.Ref)
		}
	}
	if input.Len() == 0 {
		return nil
	}
	if err := r.run(ctx, command{name: name, args: []string{"update-ref", "--stdin"}, stdin: strings.NewReader(input.String())}); err != nil {
		return fmt.Errorf("remove refs of mirror %s: %w", name, err)
	}
	return nil
}

// refs are the objects of all branches and tags.
func (r *Repositories) refs(ctx context.Context, name string) (map[string]string, error) {
	out, err := r.output(ctx, command{name: name, args: []string{"for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/", "refs/tags/"}})
	if err != nil {
		return nil, fmt.Errorf("list refs of mirror %s: %w", name, err)
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		object, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		refs[ref] = object
	}
	return refs, nil
}

// difference is what must happen to before to make it after, by ref.
func difference(before, after map[string]string) []Update {
	var updates []Update
	for ref, object := range after {
		if before[ref] != object {
			updates = append(updates, Update{Ref: ref, Old: before[ref], New: object})
		}
	}
	for ref, object := range before {
		if after[ref] == "" {
			updates = append(updates, Update{Ref: ref, Old: object})
		}
	}
	slices.SortFunc(updates, func(a, b Update) int { return cmp.Compare(a.Ref, b.Ref) })
	return updates
}

// MirrorName is the name of a mirror of that address when nobody has given it
// one: the last part of the address, and digits that tell it from others of
// the same name.
func MirrorName(url string) string {
	last := strings.TrimSuffix(strings.TrimRight(url, "/"), ".git")
	if i := strings.LastIndexAny(last, "/:"); i >= 0 {
		last = last[i+1:]
	}
	var slug strings.Builder
	for _, c := range strings.ToLower(last) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			c = '-'
		}
		slug.WriteRune(c)
	}
	sum := sha256.Sum256([]byte(url))
	tail := "-" + hex.EncodeToString(sum[:4])
	name := slug.String()
	return strings.Trim(strings.Trim(name[:min(len(name), maxName-len(tail))], "-")+tail, "-")
}
