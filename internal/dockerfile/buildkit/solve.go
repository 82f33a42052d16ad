package buildkit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"github.com/towline/towline/internal/dockerfile"
)

// layerTime is the time of all files in the layers that a build makes, in Unix
// seconds: the same files make the same layer, of whichever commit they are, so
// that registry and nodes have it once.
const layerTime = "0"

// asLayout has BuildKit write the OCI layout itself.
func asLayout(b dockerfile.Build) client.ExportEntry {
	return client.ExportEntry{
		Type: client.ExporterOCI, OutputDir: b.Output,
		Attrs: map[string]string{"tar": "false", "rewrite-timestamp": "true", "source-date-epoch": layerTime},
	}
}

// solve carries out a build and writes its log. What comes out of it goes where
// export says.
func solve(ctx context.Context, c *client.Client, b dockerfile.Build, export client.ExportEntry) (dockerfile.Result, error) {
	syntax, err := syntaxOf(b.File)
	if err != nil {
		return dockerfile.Result{}, err
	}
	if syntax != "" {
		b.Say("warning: the Dockerfile's line \"# syntax=%s\" has BuildKit fetch that image first", syntax)
	}
	bases, err := solveOnce(ctx, c, b, export)
	if err != nil && ctx.Err() == nil && isBuiltIn(syntax) && isUnreached(err, syntax) {
		b.Say("warning: %s cannot be fetched; going on with what BuildKit has built in", syntax)
		err = os.RemoveAll(b.Output)
		if err == nil {
			bases, err = solveOnce(ctx, c, b, export, builtInOnly)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return dockerfile.Result{}, context.Cause(ctx)
		}
		return dockerfile.Result{}, explain(err, b)
	}
	return dockerfile.Result{Bases: bases}, nil
}

// builtInOnly keeps BuildKit's frontend from looking for another: it has been
// given a command line already.
func builtInOnly(o *client.SolveOpt) { o.FrontendAttrs["cmdline"] = "" }

func solveOnce(ctx context.Context, c *client.Client, b dockerfile.Build, export client.ExportEntry, changes ...func(*client.SolveOpt)) (bases []string, err error) {
	o, done, err := options(b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	o.Exports = []client.ExportEntry{export}
	for _, change := range changes {
		change(&o)
	}
	updates := make(chan *client.SolveStatus)
	shown := newTranscript(b)
	var work errgroup.Group
	work.Go(func() error {
		for u := range updates {
			shown.add(u)
		}
		shown.end()
		return nil
	})
	_, err = c.Solve(ctx, nil, o, updates)
	return shown.bases, errors.Join(err, work.Wait())
}

// options say what is to be built. Done closes what was opened for it.
func options(b dockerfile.Build) (o client.SolveOpt, done func() error, err error) {
	opened := &closers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.close())
		}
	}()
	files := filepath.Dir(b.File)
	o = client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: attributes(b),
		// What was sent for a build before is not compared with what is sent
		// now: files of the same size and time would pass for the same.
		SharedKey: rand.Text(),
		Session:   []session.Attachable{secretsprovider.FromMap(b.Secrets), &credentials{ask: b.Credential}},
		// Nothing of the log stays with BuildKit.
		Internal:    true,
		LocalMounts: map[string]fsutil.FS{},
		OCIStores:   map[string]content.Store{},
	}
	for name, dir := range map[string]string{"context": b.Context, "dockerfile": files} {
		within, err := os.OpenRoot(dir)
		if err != nil {
			return o, nil, fmt.Errorf("open the source: %w", err)
		}
		root := fsutil.NewRoot(within)
		opened.add(root.Close)
		o.LocalMounts[name] = fsutil.NewRootFS(root)
	}
	n := 0
	for name, l := range b.Layouts {
		id := "layout" + strconv.Itoa(n)
		n++
		if o.OCIStores[id], err = openLayout(l.Dir, b.Output, opened); err != nil {
			return o, nil, fmt.Errorf("open the OCI layout for %s: %w", name, err)
		}
		o.FrontendAttrs["context:"+strings.TrimSuffix(name, ":latest")] = "oci-layout://" + id + "@" + l.Digest
	}
	return o, opened.close, nil
}

// attributes are what the Dockerfile's frontend is told.
func attributes(b dockerfile.Build) map[string]string {
	all := map[string]string{"filename": filepath.Base(b.File)}
	if !b.Time.IsZero() {
		all["build-arg:SOURCE_DATE_EPOCH"] = strconv.FormatInt(b.Time.Unix(), 10)
	}
	for k, v := range b.Args {
		all["build-arg:"+k] = v
	}
	if b.Target != "" {
		all["target"] = b.Target
	}
	if b.NoCache {
		all["no-cache"] = ""
	}
	if len(b.Platforms) > 0 {
		all["platform"] = strings.Join(b.Platforms, ",")
	}
	return all
}

// openLayout opens an OCI layout to read it. The library makes a directory of
// its own in each that it opens, so it is given one that only leads to the blobs:
// beside the output, whose owner sweeps after a kill.
func openLayout(dir, output string, opened *closers) (content.Store, error) {
	view, err := os.MkdirTemp(filepath.Dir(output), "towline-layout-")
	if err != nil {
		return nil, err
	}
	opened.add(func() error { return os.RemoveAll(view) })
	if err := os.Symlink(filepath.Join(dir, "blobs"), filepath.Join(view, "blobs")); err != nil {
		return nil, err
	}
	return local.NewStore(view)
}

// closers are undone in the reverse order.
type closers struct{ all []func() error }

func (c *closers) add(undo func() error) { c.all = append(c.all, undo) }

func (c *closers) close() error {
	var errs []error
	for len(c.all) > 0 {
		last := len(c.all) - 1
		errs = append(errs, c.all[last]())
		c.all = c.all[:last]
	}
	return errors.Join(errs...)
}
