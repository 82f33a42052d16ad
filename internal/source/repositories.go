package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultBranch is the branch that HEAD of every repository names but of
// mirrors, whose HEAD is their remote's.
const DefaultBranch = "main"

// Config is what New needs. The zero value of each field but Dir has a default.
type Config struct {
	// Dir holds the repositories, NAME.git each, and the few files around them.
	// It belongs to one server at a time and is created with mode 0700.
	Dir string
	// Git is the git program: a path, or a name looked up in PATH. Default git.
	Git string
	// Hook is the command line that a push runs after its refs are stored. It
	// must end in HookMain. Without it pushes are stored and told to nobody.
	Hook []string
	// HookTimeout is how long a pusher waits for the answer. Default 10 s.
	HookTimeout time.Duration
	// MaxPush limits the bytes of one push, and of one fetch of a mirror.
	// Default 2 GiB.
	MaxPush int64
	// MaxTree limits the bytes of the files of one exported commit, and
	// MaxFiles their number. Default 10 GiB and 500,000. Both guard against
	// commits that are small as a pack and without bound as files.
	MaxTree  int64
	MaxFiles int
	// Idle ends an HTTP request whose client moves no byte for so long.
	// Default 2 minutes.
	Idle time.Duration
	// CreateHint tells in one line how a missing repository comes to be; NAME
	// stands for its name. It goes into the answer to a clone or push.
	CreateHint string
	// FileMirrors allows mirrors of directories of this server (file://), which
	// shows their content to whoever may add a mirror.
	FileMirrors bool
	Logger      *slog.Logger
}

// Repositories are bare git repositories in one directory. All methods may be
// called concurrently.
type Repositories struct {
	cfg  Config
	dir  string // absolute, without symbolic links: git compares it with safe.directory
	git  string // absolute path of the program
	log  *slog.Logger
	life lifetime

	inOrder   keyed // serialises the answers to pushes, by repository
	mirroring keyed // serialises the fetches of mirrors, by repository
}

// New opens the directory, creating it where needed, writes the hook, and
// checks that the system's git can serve.
func New(ctx context.Context, cfg Config) (*Repositories, error) {
	cfg.Git = cmp.Or(cfg.Git, "git")
	cfg.HookTimeout = cmp.Or(cfg.HookTimeout, 10*time.Second)
	cfg.MaxPush = cmp.Or(cfg.MaxPush, 2<<30)
	cfg.MaxTree = cmp.Or(cfg.MaxTree, 10<<30)
	cfg.MaxFiles = cmp.Or(cfg.MaxFiles, 500_000)
	cfg.Idle = cmp.Or(cfg.Idle, 2*time.Minute)
	cfg.CreateHint = cmp.Or(cfg.CreateHint, "create it with: towline repository create NAME")
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Repositories{cfg: cfg, log: cfg.Logger}
	if err := r.openDir(); err != nil {
		return nil, fmt.Errorf("open repositories: %w", err)
	}
	if err := r.findGit(ctx); err != nil {
		return nil, err
	}
	if err := r.writeHook(); err != nil {
		return nil, fmt.Errorf("write post-receive hook: %w", err)
	}
	return r, nil
}

// The prefixes of directories on their way in and out. A dot cannot start the
// name of a repository.
const (
	arriving = ".new-"
	leaving  = ".gone-"
	scratch  = ".index-"
)

func (r *Repositories) openDir() error {
	if r.cfg.Dir == "" {
		return errors.New("Config.Dir is empty")
	}
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return err
	}
	dir, err := filepath.Abs(r.cfg.Dir)
	if err != nil {
		return err
	}
	if r.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	// A server that died half-way leaves these behind; nobody else uses them.
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, prefix := range []string{arriving, leaving, scratch} {
			if !strings.HasPrefix(e.Name(), prefix) {
				continue
			}
			if err := os.RemoveAll(filepath.Join(r.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Path is the directory of the repository of that name, whether it exists or
// not. A push to it by path instead of by HTTP runs no hook. The name must have
// passed CheckName.
func (r *Repositories) Path(name string) string {
	return filepath.Join(r.dir, name+".git")
}

// Exists says whether there is a repository of that name.
func (r *Repositories) Exists(name string) bool {
	if CheckName(name) != nil {
		return false
	}
	info, err := os.Stat(r.Path(name))
	return err == nil && info.IsDir()
}

// require returns an error of kind ErrInvalid or ErrNoRepository unless there
// is a repository of that name.
func (r *Repositories) require(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if !r.Exists(name) {
		return &Error{Kind: ErrNoRepository, Message: fmt.Sprintf("there is no repository %q", name), Hint: r.createHint(name)}
	}
	return nil
}

func (r *Repositories) createHint(name string) string {
	return strings.ReplaceAll(r.cfg.CreateHint, "NAME", name)
}

// List returns the names of all repositories, sorted.
func (r *Repositories) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".git")
		if ok && e.IsDir() && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create makes an empty repository. The error is of kind ErrExists when there
// is one of that name, and of kind ErrInvalid when the name cannot be.
func (r *Repositories) Create(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if r.Exists(name) {
		return existsError(name)
	}
	// It is made aside and renamed, so that a crash leaves no half of one and
	// of two that create the same name one gets the error.
	dir, err := os.MkdirTemp(r.dir, arriving)
	if err != nil {
		return fmt.Errorf("create repository %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	if err := r.run(ctx, command{args: []string{"init", "--quiet", "--bare", "--template=", "--initial-branch=" + DefaultBranch, dir}}); err != nil {
		return fmt.Errorf("create repository %s: %w", name, err)
	}
	err = os.Rename(dir, r.Path(name))
	if errors.Is(err, fs.ErrExist) || err != nil && r.Exists(name) {
		return existsError(name)
	}
	if err != nil {
		return fmt.Errorf("create repository %s: %w", name, err)
	}
	return nil
}

func existsError(name string) error {
	return &Error{Kind: ErrExists, Message: fmt.Sprintf("there is a repository %q already", name), Hint: "push to it, or choose another name"}
}

// Delete removes a repository and everything in it. Requests that are under
// way on it fail.
func (r *Repositories) Delete(_ context.Context, name string) error {
	if err := r.require(name); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(r.dir, leaving)
	if err != nil {
		return fmt.Errorf("delete repository %s: %w", name, err)
	}
	if err := os.Rename(r.Path(name), filepath.Join(aside, name)); err != nil {
		return errors.Join(fmt.Errorf("delete repository %s: %w", name, err), os.Remove(aside))
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("delete repository %s: %w", name, err)
	}
	return nil
}

// keyed is a mutex for each key.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// hold locks the key and returns what unlocks it.
func (k *keyed) hold(key string) (release func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*lock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &lock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}
