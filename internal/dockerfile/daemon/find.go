package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/towline/towline/internal/checkout"
	"github.com/towline/towline/internal/dockerfile/enclosure"
)

// version is the buildkitd that is compiled. It must be the version in
// buildkitd/go.mod; a test holds the two together.
const version = "v0.34.2"

// oldest is the least minor version of a buildkitd that is found: since 0.13 it
// makes the same image of the same source.
const oldest = 13

// Finder finds buildkitd.
type Finder struct {
	// Cache is the directory below which compiled programs are kept. Default:
	// towline in the user's cache directory.
	Cache string
	// Source is the buildkitd directory of Towline's source tree. Default: found
	// by package checkout.
	Source string
}

// Find returns the path of a buildkitd: the one that was compiled before, else
// the one on PATH, else one that is compiled now, once.
func (f Finder) Find(ctx context.Context, progress func(string)) (string, error) {
	source, file, cannot := f.places()
	if cannot == nil {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	found, err := installed(ctx)
	if err == nil {
		return found, nil
	}
	if cannot != nil {
		return "", fmt.Errorf("%w, and it cannot be compiled: %w", err, cannot)
	}
	if _, noGo := exec.LookPath("go"); noGo != nil {
		return "", fmt.Errorf("%w, and go, to compile it, is not on PATH either; install one of them", err)
	}
	return file, compile(ctx, source, file, progress)
}

// places are the directory that buildkitd is compiled from and the file that it
// is compiled to. Their error says why neither can be.
func (f Finder) places() (source, file string, err error) {
	if source, err = f.source(); err != nil {
		return "", "", err
	}
	file, err = f.file(source)
	return source, file, err
}

func (f Finder) source() (string, error) {
	if f.Source != "" {
		return f.Source, nil
	}
	tree, err := checkout.Dir()
	return filepath.Join(tree, "buildkitd"), err
}

// file is where the compiled program is or will be, named by all that it is made
// of.
func (f Finder) file(source string) (string, error) {
	cache := f.Cache
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("there is no cache directory for the compiled buildkitd: %w; set HOME or XDG_CACHE_HOME", err)
		}
		cache = filepath.Join(dir, "towline")
	}
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("read the modules of buildkitd: %w", err)
		}
		fmt.Fprintln(sum, name, len(text))
		sum.Write(text)
	}
	fmt.Fprintln(sum, runtime.GOOS, runtime.GOARCH)
	return filepath.Join(cache, "buildkitd", hex.EncodeToString(sum.Sum(nil))[:16], "buildkitd"), nil
}

var versionForm = regexp.MustCompile(` v?(\d+)\.(\d+)\.\d+`)

// installed is the buildkitd on PATH.
func installed(ctx context.Context) (string, error) {
	file, err := exec.LookPath("buildkitd")
	if err != nil {
		return "", errors.New("buildkitd is not on PATH")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "--version")
	cmd.Env = enclosure.Environ()
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", file, err)
	}
	n := versionForm.FindSubmatch(said)
	if n == nil {
		return "", fmt.Errorf("%s does not say which version it is", file)
	}
	major, _ := strconv.Atoi(string(n[1]))
	minor, _ := strconv.Atoi(string(n[2]))
	if major == 0 && minor < oldest {
		return "", fmt.Errorf("%s is of version %d.%d, and 0.%d or newer is needed", file, major, minor, oldest)
	}
	return filepath.Abs(file)
}

// compileSeconds is how long one core works on it with an empty build cache.
const compileSeconds = 370

// compile makes the program in a directory beside the final one, which takes its
// name only when it is whole. Of several processes at once one does so and the
// others wait for it.
func compile(ctx context.Context, source, file string, progress func(string)) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("keep the compiled buildkitd: %w", err)
	}
	progress("wait for another process that compiles BuildKit")
	held := flock.New(dir + ".lock")
	if _, err := held.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return fmt.Errorf("compile buildkitd: %w", err)
	}
	defer func() { err = errors.Join(err, held.Unlock()) }()
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	progress(fmt.Sprintf("compile BuildKit %s, once: about %d minutes on this machine", version, max(1, compileSeconds/60/runtime.NumCPU())))
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".tmp-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w -X github.com/moby/buildkit/version.Version="+version,
		"-o", filepath.Join(temp, filepath.Base(file)), "github.com/moby/buildkit/cmd/buildkitd")
	cmd.Dir, cmd.Env = source, goEnviron()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if said, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("compile buildkitd: %w: %.2000s", err, strings.TrimSpace(string(said)))
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// goEnviron is what the compiler gets of this process's environment, which holds
// secrets of the server: where Go is, keeps its files and fetches modules. What
// the user has set for other work, such as GOFLAGS, is left out.
func goEnviron() []string {
	env := enclosure.Environ("PATH", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR",
		"GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOTMPDIR", "GOENV", "GOTOOLCHAIN",
		"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOAUTH", "NETRC")
	return append(env, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
}
