package localkube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// kubernetesVersion is what the components say they are. It must be the
// version in localkube/kube/go.mod; a test holds the two together.
const kubernetesVersion = "1.37.2"

// module is one Go module of the localkube directory, and what it gives.
type module struct {
	dir      string
	programs []program
}

// program is one binary.
type program struct {
	file    string // within the directory of binaries
	pkg     string // import path, or "."
	ldflags string
	cgo     bool
	tags    string
}

// modules returns what is compiled, the largest first.
func modules() []module {
	const stripped = "-s -w"
	plain := func(file, pkg string) program { return program{file: file, pkg: pkg, ldflags: stripped} }
	return []module{
		{"kube", []program{{file: "kubebox", pkg: ".", ldflags: kubeFlags()}}},
		{"runtime", []program{
			plain("containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
			plain("containerd-shim-runc-v2", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"),
			plain("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
			plain("cni/host-local", "github.com/containernetworking/plugins/plugins/ipam/host-local"),
			plain("cni/loopback", "github.com/containernetworking/plugins/plugins/main/loopback"),
			plain("cni/ptp", "github.com/containernetworking/plugins/plugins/main/ptp"),
			plain("cni/portmap", "github.com/containernetworking/plugins/plugins/meta/portmap"),
			// Without seccomp, runc refuses every pod that asks for the runtime's
			// default profile, as containerd does for all sandboxes.
			{file: "runc", pkg: "github.com/opencontainers/runc", ldflags: stripped, cgo: true, tags: "seccomp"},
		}},
		{"pause", []program{plain("pause", ".")}},
	}
}

// kubeFlags tell the Kubernetes components their version, without which
// kubectl and the API server distrust each other.
func kubeFlags() string {
	flags := []string{"-s", "-w"}
	minor := strings.Split(kubernetesVersion, ".")[1]
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, fmt.Sprintf("-X %[1]s.gitVersion=v%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]s -X %[1]s.gitTreeState=clean -X %[1]s.buildDate=2026-11-01T00:00:00Z",
			pkg, kubernetesVersion, minor))
	}
	return strings.Join(flags, " ")
}

// binariesKey names the binaries by all that they are made from.
func binariesKey(ctx context.Context, source string) (string, error) {
	version, err := goCommand(ctx, source, "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintln(sum, strings.TrimSpace(string(version)), runtime.GOARCH)
	for _, m := range modules() {
		fmt.Fprintln(sum, m)
		files, err := filepath.Glob(filepath.Join(source, m.dir, "*"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			name := filepath.Base(file)
			if name != "go.mod" && name != "go.sum" && filepath.Ext(name) != ".go" {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("read the sources of the local cluster: %w", err)
			}
			fmt.Fprintln(sum, m.dir, name, len(text))
			sum.Write(text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// binaries returns where the compiled binaries are or will be.
func (c *Cluster) binaries(ctx context.Context, source string) (dir string, cached bool, err error) {
	key, err := binariesKey(ctx, source)
	if err != nil {
		return "", false, err
	}
	cache, err := c.cache()
	if err != nil {
		return "", false, err
	}
	dir = filepath.Join(cache, "localkube", key)
	_, err = os.Stat(dir)
	return dir, err == nil, nil
}

// Build compiles the cluster's binaries unless they are in the cache, without
// bringing anything up. It need not be run by root.
func (c *Cluster) Build(ctx context.Context) error {
	missing, err := c.requireBinaries(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	_, err = c.ensureBinaries(ctx)
	return err
}

// requireBinaries checks what the binaries need: nothing but go itself when
// they are in the cache.
func (c *Cluster) requireBinaries(ctx context.Context) ([]Requirement, error) {
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	missing := requireGo()
	if len(missing) == 0 {
		source, err := c.source()
		if err != nil {
			return nil, err
		}
		_, cached, err := c.binaries(ctx, source)
		if err != nil || cached {
			return nil, err
		}
	}
	return append(missing, requireCompiler(ctx, cache)...), nil
}

// Kubectl returns the path of a kubectl of the cluster's own version.
func (c *Cluster) Kubectl() (string, error) {
	s, err := c.readState()
	if err != nil {
		return "", err
	}
	return filepath.Join(s.Binaries, "kubectl"), nil
}

// ensureBinaries returns the directory of the compiled binaries. It compiles
// them unless they are in the cache; of several processes at once one does so
// and the others wait for it.
func (c *Cluster) ensureBinaries(ctx context.Context) (string, error) {
	source, err := c.source()
	if err != nil {
		return "", err
	}
	dir, cached, err := c.binaries(ctx, source)
	if err != nil || cached {
		return dir, err
	}
	held, err := lock(ctx, dir+".lock", func() { c.config.Progress("another process compiles Kubernetes; waiting for it") })
	if err != nil {
		return "", err
	}
	defer func() { _ = errors.Join(os.Remove(held.Name()), held.Close()) }()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := c.build(ctx, source, dir); err != nil {
		return "", err
	}
	return dir, nil
}

// compileSeconds is how long one core works on all binaries, as measured with
// an empty build cache.
const compileSeconds = 1700

// build compiles everything into a directory beside the final one, which takes
// its name only when it is whole.
func (c *Cluster) build(ctx context.Context, source, dir string) error {
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	c.config.Progress(fmt.Sprintf("compiling Kubernetes %s from source, once: about %d minutes on %d otherwise idle cores, less if Go's build cache knows it",
		kubernetesVersion, max(2, compileSeconds/60/runtime.NumCPU()), runtime.NumCPU()))
	meter, err := newMeter(ctx, source, c.config.Progress)
	if err != nil {
		return err
	}
	defer meter.stop()
	for _, m := range modules() {
		for _, p := range m.programs {
			if err := compile(ctx, filepath.Join(source, m.dir), filepath.Join(temp, p.file), p, meter); err != nil {
				return err
			}
		}
	}
	if err := writePauseImage(filepath.Join(temp, "pause"), filepath.Join(temp, "pause.tar")); err != nil {
		return err
	}
	// Under this name the same binary is a plain kubectl.
	if err := os.Symlink("kubebox", filepath.Join(temp, "kubectl")); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

func compile(ctx context.Context, dir, output string, p program, meter *meter) error {
	cmd := goCommand(ctx, dir, "build", "-v", "-ldflags", p.ldflags, "-tags", p.tags, "-o", output, p.pkg)
	cgo := "0"
	if p.cgo {
		cgo = "1"
	}
	cmd.Env = append(cmd.Env, "CGO_ENABLED="+cgo)
	meter.begin(p.file)
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go: %w", err)
	}
	last := meter.read(said)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("compile %s: %w", p.file, context.Cause(ctx))
		}
		return fmt.Errorf("compile %s: %w: %s", p.file, err, strings.Join(last, "\n"))
	}
	return nil
}

// goCommand runs go as the source tree means it, whatever the user's settings
// for other work are.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"GOFLAGS", "GOWORK", "GOOS", "GOARCH", "CGO_ENABLED", "GO111MODULE"}, name)
	}), "GOFLAGS=", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}
