package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// mostReports bounds how many JUnit files of one build are read.
const mostReports = 5000

// collect makes the result of a build that has ended: it reads the reports and,
// when all went well, packs the artifact. Everything is read through os.Root:
// the build's links must not lead the server to files of its own.
func (a Action) collect(ctx context.Context, job pipeline.Job, p plan, ended Ended) (pipeline.Result, error) {
	root, err := os.OpenRoot(p.Build.Source)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("collect the build's files: %w", err)
	}
	defer root.Close()
	p.expand(ended.Expanded)
	tests := readReports(root, p.Reports, job.Log)
	result := pipeline.Result{Outcome: pipeline.Succeeded, Tests: tests, Variables: ended.Exported}
	if message := failure(p.Build, ended, tests); message != "" {
		result.Outcome, result.Message = pipeline.Failed, message
	} else if len(p.Artifacts.Files) > 0 {
		artifact, err := a.pack(ctx, job, p, root)
		var no refusal
		if err != nil && !errors.As(err, &no) {
			return pipeline.Result{}, err
		}
		if err != nil {
			result.Outcome, result.Message = pipeline.Failed, no.Error()
		} else {
			result.Artifacts = []pipeline.Artifact{artifact}
		}
	}
	result.Summary = summary(result, ended)
	return result, nil
}

// readReports reads all JUnit files that the reports name. What cannot be read
// is said in the log: the commands have told whether the tests passed.
func readReports(root *os.Root, reports []buildspec.Report, log io.Writer) *pipeline.TestReport {
	var tests pipeline.TestReport
	read := 0
	for _, r := range reports {
		files, err := find(root, r.BaseDirectory, r.Files)
		if err != nil {
			fmt.Fprintf(log, "warning: report %s: %v\n", r.Name, err)
			continue
		}
		if len(files) == 0 {
			fmt.Fprintf(log, "warning: report %s: no file matches %s\n", r.Name, strings.Join(r.Files, ", "))
		}
		for _, name := range files[:min(len(files), mostReports-read)] {
			read++
			if err := readReport(root, path.Join(r.BaseDirectory, name), &tests); err != nil {
				fmt.Fprintf(log, "warning: report %s: %s: %v\n", r.Name, name, err)
			}
		}
	}
	if tests.Passed+tests.Failed+tests.Skipped == 0 {
		return nil
	}
	return &tests
}

func readReport(root *os.Root, name string, into *pipeline.TestReport) error {
	f, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	return report.ReadJUnit(f, into)
}

// openRegular opens a file that a build has left, which may be a link to
// anything. Without O_NONBLOCK, opening a named pipe waits for a writer.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// pack stores the artifact. An error that is a refusal is the build's fault.
func (a Action) pack(ctx context.Context, job pipeline.Job, p plan, root *os.Root) (pipeline.Artifact, error) {
	spec := p.Artifacts
	files, err := find(root, spec.BaseDirectory, spec.Files)
	if err != nil {
		return pipeline.Artifact{}, refuse("artifacts: %v", err)
	}
	base := path.Clean(filepath.ToSlash(cmp.Or(spec.BaseDirectory, ".")))
	if files, err = inside(root, base, files, job.Log); err != nil {
		return pipeline.Artifact{}, fmt.Errorf("pack the artifact: %w", err)
	}
	if len(files) == 0 {
		return pipeline.Artifact{}, refuse("artifacts: no file matches %s in %s; what the commands made is not where artifacts.files and base-directory look", strings.Join(spec.Files, ", "), where(base))
	}
	// Opened as a path below a root that was checked: no process of the build
	// lives any more that could change it.
	dir := filepath.Join(root.Name(), filepath.FromSlash(base))
	if spec.DiscardPaths {
		if dir, files, err = flatten(root, base, files, filepath.Join(job.Dir, flatDir)); err != nil {
			return pipeline.Artifact{}, err
		}
	}
	digest, size, err := a.Artifacts.Pack(ctx, dir, files)
	if err != nil {
		return pipeline.Artifact{}, fmt.Errorf("pack the artifact: %w", err)
	}
	name := cmp.Or(spec.Name, job.Action.Name)
	if len(job.Action.Outputs) > 0 {
		name = job.Action.Outputs[0]
	}
	fmt.Fprintf(job.Log, "artifact %s: %d files, %s, %s\n", name, len(files), megabytes(size), digest)
	return pipeline.Artifact{Name: name, Digest: digest, Size: size}, nil
}

func where(base string) string {
	if base == "." {
		return "the source"
	}
	return base + "/"
}

// find returns the files below base that match a pattern, sorted, relative to
// base. A pattern without wildcards that names a directory means all below it.
// Links to directories are not followed; the directory .git is left out.
func find(root *os.Root, base string, patterns []string) ([]string, error) {
	base = path.Clean(filepath.ToSlash(cmp.Or(base, ".")))
	if !filepath.IsLocal(base) {
		return nil, fmt.Errorf("base-directory %s is not inside the source", base)
	}
	var globs []string
	for _, p := range patterns {
		glob := path.Clean(strings.TrimPrefix(p, "./"))
		if !filepath.IsLocal(glob) || !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("%q is not a pattern for files inside the source", p)
		}
		globs = append(globs, glob)
	}
	source := root.FS()
	if base != "." {
		// A link would not be followed by the walk and hardly be meant.
		if info, err := root.Lstat(base); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("there is no directory %s, which base-directory names", base)
		}
		var err error
		if source, err = fs.Sub(source, base); err != nil {
			return nil, err
		}
	}
	var found []string
	err := fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if t := d.Type(); t.IsRegular() || t == fs.ModeSymlink {
			if slices.ContainsFunc(globs, func(glob string) bool { return matches(glob, name) }) {
				found = append(found, name)
			}
		}
		return nil
	})
	return found, err
}

func matches(glob, name string) bool {
	if glob == "." || strings.HasPrefix(name, glob+"/") {
		return true
	}
	return doublestar.MatchUnvalidated(glob, name)
}

// inside leaves out links that lead out of base: nobody could unpack them.
func inside(root *os.Root, base string, files []string, log io.Writer) ([]string, error) {
	var kept []string
	for _, name := range files {
		info, err := root.Lstat(path.Join(base, name))
		if err != nil {
			return nil, err
		}
		if info.Mode().Type() == fs.ModeSymlink {
			to, err := root.Readlink(path.Join(base, name))
			if err != nil {
				return nil, err
			}
			if path.IsAbs(to) || !filepath.IsLocal(path.Join(path.Dir(name), to)) {
				fmt.Fprintf(log, "warning: artifacts: %s is left out: the link leads out of the artifact, to %s\n", name, to)
				continue
			}
		}
		kept = append(kept, name)
	}
	return kept, nil
}

// flatten gathers files in one directory without their paths.
func flatten(root *os.Root, base string, files []string, to string) (dir string, names []string, err error) {
	if err := os.RemoveAll(to); err != nil {
		return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
	}
	from := map[string]string{}
	for _, name := range files {
		flat := path.Base(name)
		if other, ok := from[flat]; ok {
			return "", nil, refuse("artifacts: discard-paths gives %s and %s the same name", other, name)
		}
		from[flat] = name
		if err := copyOut(root, path.Join(base, name), filepath.Join(to, flat)); err != nil {
			return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
		}
		names = append(names, flat)
	}
	return to, names, nil
}

func copyOut(root *os.Root, name, to string) error {
	in, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
