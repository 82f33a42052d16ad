// Dockerfile measures how long an image takes by a Dockerfile, built by BuildKit
// and by buildah, and by layering the same files on the same base: built anew, and
// after one small file has changed, pushed to the embedded registry each time. It
// is a program of its own and stands outside of the flow.
//
//	go run ./bench/dockerfile -out docs/benchmarks/dockerfile.md
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/bench/program"
	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/basetest"
	"github.com/towline/towline/internal/dockerfile/buildah"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/registry"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "enclose" {
		fmt.Fprintln(os.Stderr, enclosure.Main(os.Args[2:]))
		os.Exit(1)
	}
	out := flag.String("out", "", "file that the result is written to, as Markdown")
	rounds := flag.Int("rounds", 5, "changes that are built, of which the median counts")
	program.Main("dockerfile", func(ctx context.Context) error { return run(ctx, *out, *rounds) })
}

// place is a registry, a store of artifacts and the ways to make an image.
type place struct {
	dir   string
	host  string
	store *artifact.Store
	files map[string][]byte
}

// figure is what one way takes.
type figure struct {
	name                   string
	anew, changed, nothing time.Duration
}

func run(ctx context.Context, out string, rounds int) (err error) {
	dir, err := os.MkdirTemp("", "towline-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &place{dir: dir, files: map[string][]byte{}}
	if p.store, err = artifact.Open(ctx, filepath.Join(dir, "artifacts")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.store.Close()) }()
	stop, err := p.serve()
	if err != nil {
		return err
	}
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	enclose := []string{self, "enclose"}
	d := daemon.New(daemon.Config{
		Dir: filepath.Join(dir, "buildkit"), Program: enclose, Find: daemon.Finder{}.Find, CacheLimit: 4 << 30,
		Insecure: []string{p.host}, Idle: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	defer d.Close()
	logger := slog.New(slog.DiscardHandler)
	ways := []struct {
		name    string
		builder image.Builder
	}{
		{"layering, without a Dockerfile", nil},
		{"BuildKit of the server's own", dockerfile.NewBuilder(logger, &buildkit.Own{Daemon: d})},
		{"buildah", dockerfile.NewBuilder(logger, &buildah.Buildah{Dir: filepath.Join(dir, "buildah"), Program: enclose, CacheLimit: 4 << 30, Insecure: []string{p.host}})},
	}
	var figures []figure
	for _, w := range ways {
		f, err := p.measure(ctx, w.name, w.builder, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		figures = append(figures, f)
	}
	return report(out, figures, rounds)
}

// serve runs a registry with the base.
func (p *place) serve() (stop func(), err error) {
	reg, err := registry.New(registry.Config{Dir: filepath.Join(p.dir, "registry"), Authorize: func(*http.Request, string, bool) bool { return true }})
	if err != nil {
		return nil, err
	}
	server := httptest.NewServer(reg)
	stop = func() {
		server.Close()
		_ = reg.Close()
	}
	p.host = strings.TrimPrefix(server.URL, "http://")
	base, err := basetest.Busybox()
	if err != nil {
		return stop, err
	}
	ref, err := name.ParseReference(p.host+"/base:1", name.Insecure)
	if err != nil {
		return stop, err
	}
	return stop, remote.Write(ref, base)
}

// The application: libraries that stay, and a file that changes.
const (
	libraries   = 20
	librarySize = 1 << 20
)

const text = `FROM BASE
COPY lib /app/lib
COPY release /app/release
ENTRYPOINT ["/bin/cat", "/app/release"]
`

// source writes the application; the same seed makes the same libraries.
func (p *place) source(dir, release string, seed uint64) error {
	random := rand.NewChaCha8([32]byte{byte(seed)})
	if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
		return err
	}
	for i := range libraries {
		file := make([]byte, librarySize)
		if _, err := random.Read(file); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "lib", fmt.Sprintf("%02d.jar", i)), file, 0o644); err != nil { //nolint:gosec // It is read by others.
			return err
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "release"), []byte(release), 0o644),                                               //nolint:gosec // It is read by others.
		os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(strings.ReplaceAll(text, "BASE", p.host+"/base:1")), 0o644), //nolint:gosec // It is read by others.
	)
}

func (p *place) measure(ctx context.Context, what string, builder image.Builder, rounds int) (figure, error) {
	f := figure{name: what}
	action := &image.Action{Artifacts: p.store, Registry: image.Registry{Host: p.host, Insecure: true}, Keychain: authn.NewMultiKeychain(), Dockerfiles: builder}
	cfg := pipeline.Image{Repository: "web", Base: p.host + "/base:1", Entrypoint: []string{"/bin/cat", "/app/release"}}
	if builder != nil {
		cfg = pipeline.Image{Repository: "web", Dockerfile: "Dockerfile"}
	}
	cfg.Repository = "web-" + strings.ToLower(strings.Fields(what)[0][:5])
	seed := uint64(len(what))
	// What is only done once, such as the start of a daemon, is done here.
	if _, err := p.build(ctx, action, cfg, "warm", seed+100); err != nil {
		return f, err
	}
	var err error
	if f.anew, err = p.build(ctx, action, cfg, "first", seed); err != nil {
		return f, err
	}
	var changed, nothing []time.Duration
	for i := range rounds {
		one, err := p.build(ctx, action, cfg, fmt.Sprint("release ", i), seed)
		if err != nil {
			return f, err
		}
		two, err := p.build(ctx, action, cfg, fmt.Sprint("release ", i), seed)
		if err != nil {
			return f, err
		}
		changed, nothing = append(changed, one), append(nothing, two)
	}
	f.changed, f.nothing = median(changed), median(nothing)
	return f, nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// build makes and pushes one image, and says how long that took.
func (p *place) build(ctx context.Context, action *image.Action, cfg pipeline.Image, release string, seed uint64) (took time.Duration, err error) {
	dir, err := os.MkdirTemp(p.dir, "job-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source, work := filepath.Join(dir, "source"), filepath.Join(dir, "work")
	if err := errors.Join(p.source(source, release, seed), os.Mkdir(work, 0o755)); err != nil {
		return 0, err
	}
	digest, size, err := p.store.Pack(ctx, source, nil)
	if err != nil {
		return 0, err
	}
	configuration, err := json.Marshal(cfg)
	if err != nil {
		return 0, err
	}
	var log bytes.Buffer
	began := time.Now()
	result, err := action.Run(ctx, pipeline.Job{
		Pipeline: "bench", Number: 1, Configuration: configuration, Dir: work, Log: &log,
		Inputs: []pipeline.Artifact{{Name: "source", Digest: digest, Size: size}},
	})
	took = time.Since(began)
	if err == nil && result.Outcome != pipeline.Succeeded {
		err = errors.New(result.Message)
	}
	return took, err
}

func report(out string, figures []figure, rounds int) error {
	var page strings.Builder
	fmt.Fprintf(&page, "# Images by a Dockerfile\n%s, %d processors, %s/%s (`make bench-dockerfile`).\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&page, "%d files of %d MB and one that changes, put on a base of 2 MB: unpacked from the artifact, built and pushed to the embedded registry.\n", libraries, librarySize>>20)
	fmt.Fprintf(&page, "Seconds; the last two columns are medians of %d.\n\n| | built anew | the small file changed | nothing changed |\n|---|--:|--:|--:|\n", rounds)
	for _, f := range figures {
		fmt.Fprintf(&page, "| %s | %.2f | %.2f | %.2f |\n", f.name, f.anew.Seconds(), f.changed.Seconds(), f.nothing.Seconds())
	}
	fmt.Print(page.String())
	return program.Page(out, page.String())
}
