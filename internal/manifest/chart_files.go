package manifest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	charts "helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/ignore"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// chartFiles are the files of a chart by their names relative to it. Archives
// below charts/ are there as directories of the archive's name.
type chartFiles struct {
	root string // the chart's path in the source
	text map[string][]byte
	left int64 // bytes that archives may still hold
}

const (
	maxChartFiles = 5000
	maxChartDepth = 10 // of directories, and of archives in archives
)

// readChart reads a chart from a directory or an archive of the tree.
func readChart(t *tree, name string) (chartFiles, error) {
	f := chartFiles{root: name, text: map[string][]byte{}, left: maxTotal}
	info, err := t.stat(name)
	if err != nil {
		return f, explainMissing(t, name, err)
	}
	if !info.IsDir() {
		text, err := t.read(name)
		if err != nil {
			return f, err
		}
		if err := f.unpack("", text, 0); err != nil {
			return f, err
		}
	} else if err := f.readDirectory(t, name); err != nil {
		return f, err
	}
	if _, ok := f.text["Chart.yaml"]; !ok {
		return f, &Error{Source: Source{File: name}, Message: "is no Helm chart: it has no Chart.yaml", Hint: "name the directory or .tgz that has one"}
	}
	return f, nil
}

func (f *chartFiles) readDirectory(t *tree, dir string) error {
	rules := ignore.Empty()
	if info, err := t.stat(path.Join(dir, ignore.HelmIgnore)); err == nil && !info.IsDir() {
		text, err := t.read(path.Join(dir, ignore.HelmIgnore))
		if err != nil {
			return err
		}
		if rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return &Error{Source: Source{File: path.Join(dir, ignore.HelmIgnore)}, Message: plainly(err)}
		}
	}
	rules.AddDefaults()
	return f.walk(t, rules, "", 0)
}

// walk reads what is below the directory dir of the chart.
func (f *chartFiles) walk(t *tree, rules *ignore.Rules, dir string, depth int) error {
	if depth > maxChartDepth {
		return f.errorAt(dir, fmt.Sprintf("has directories more than %d deep", maxChartDepth))
	}
	names, err := t.list(path.Join(f.root, dir))
	if err != nil {
		return err
	}
	for _, n := range names {
		name := path.Join(dir, n)
		info, err := t.stat(path.Join(f.root, name))
		switch {
		case err != nil:
			return explainMissing(t, path.Join(f.root, name), err)
		case rules.Ignore(name, info):
		case info.IsDir():
			if err := f.walk(t, rules, name, depth+1); err != nil {
				return err
			}
		default:
			text, err := t.read(path.Join(f.root, name))
			if err != nil {
				return err
			}
			if err := f.add(name, text, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes a file up, or what is in it when it is the archive of a sub-chart.
func (f *chartFiles) add(name string, text []byte, depth int) error {
	dir := path.Dir(name)
	if path.Ext(name) == ".tgz" && path.Base(dir) == "charts" {
		return f.unpack(name, text, depth+1)
	}
	if _, ok := f.text[name]; ok {
		return f.errorAt(name, "is there twice")
	}
	if len(f.text) >= maxChartFiles {
		return f.errorAt("", fmt.Sprintf("has more than %d files", maxChartFiles))
	}
	f.text[name] = bytes.TrimPrefix(text, []byte("\ufeff"))
	return nil
}

// unpack reads a chart's archive, whose files are all below one directory, to
// the name that it has in the chart.
func (f *chartFiles) unpack(name string, text []byte, depth int) error {
	if depth > maxChartDepth {
		return f.errorAt(name, fmt.Sprintf("has archives more than %d deep", maxChartDepth))
	}
	zipped, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return f.errorAt(name, "is no chart's archive: "+plainly(err))
	}
	entries := tar.NewReader(zipped)
	for n := 0; ; n++ {
		header, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return f.errorAt(name, "is no chart's archive: "+plainly(err))
		case n > maxChartFiles:
			return f.errorAt(name, fmt.Sprintf("has more than %d files", maxChartFiles))
		}
		inner, err := f.entry(name, header)
		if err != nil {
			return err
		}
		if inner == "" {
			continue
		}
		content, err := f.readEntry(name, entries)
		if err != nil {
			return err
		}
		if err := f.add(path.Join(name, inner), content, depth); err != nil {
			return err
		}
	}
}

// entry is the name of an archive's entry below its chart's directory, or
// empty when the entry has no content.
func (f *chartFiles) entry(name string, header *tar.Header) (string, error) {
	switch header.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir, tar.TypeXGlobalHeader, tar.TypeXHeader:
		return "", nil
	default:
		return "", f.errorAt(name, fmt.Sprintf("has %q, which is no regular file", header.Name))
	}
	written := strings.TrimPrefix(header.Name, "./")
	p, ok := clean(written)
	_, inner, below := strings.Cut(p, "/")
	if !ok || !below || strings.ContainsAny(header.Name, "\\\x00") || slices.Contains(strings.Split(written, "/"), "..") {
		return "", f.errorAt(name, fmt.Sprintf("has %q, which is not below the chart's directory", header.Name))
	}
	return inner, nil
}

func (f *chartFiles) readEntry(name string, r io.Reader) ([]byte, error) {
	limit := min(maxFile, f.left)
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, f.errorAt(name, "is no chart's archive: "+plainly(err))
	}
	if int64(len(text)) > limit {
		return nil, tooLarge(path.Join(f.root, name))
	}
	f.left -= int64(len(text))
	return text, nil
}

func (f *chartFiles) errorAt(name, message string) *Error {
	return &Error{Source: Source{File: path.Join(f.root, name)}, Message: message}
}

// buffered are the files as Helm's loader takes them, in the order of their
// names. It knows an archive by its extension, so the directory that stands
// for one gets another name.
func (f *chartFiles) buffered() []*charts.BufferedFile {
	var files []*charts.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(f.text)) {
		files = append(files, &charts.BufferedFile{Name: unpacked(name), Data: f.text[name]})
	}
	return files
}

func unpacked(name string) string {
	elements := strings.Split(name, "/")
	for i := 1; i < len(elements)-1; i++ {
		if archived, ok := strings.CutSuffix(elements[i], ".tgz"); ok && elements[i-1] == "charts" {
			elements[i] = archived + ".unpacked"
		}
	}
	return strings.Join(elements, "/")
}

// subchart is the path in the source of the chart that is called name in the
// chart at dir, which is a path in the source as well. A name that stands for
// no directory is taken for the directory's.
func (f *chartFiles) subchart(dir, name string) string {
	prefix := strings.TrimPrefix(strings.TrimPrefix(dir, f.root), "/")
	name = f.unaliased(prefix, name)
	for file := range f.text {
		sub, ok := strings.CutSuffix(file, "/Chart.yaml")
		if ok && path.Dir(sub) == path.Join(prefix, "charts") && f.metadata(file).Name == name {
			return path.Join(f.root, sub)
		}
	}
	return path.Join(dir, "charts", name)
}

// unaliased is what the sub-chart is called by itself.
func (f *chartFiles) unaliased(dir, alias string) string {
	for _, d := range f.metadata(path.Join(dir, "Chart.yaml")).Dependencies {
		if d.Alias == alias {
			return d.Name
		}
	}
	return alias
}

// chartMetadata is what finding sub-charts takes of a Chart.yaml.
type chartMetadata struct {
	Name         string
	Dependencies []struct{ Name, Alias string }
}

// metadata is empty for a file that cannot be read: Helm's loader says so.
func (f *chartFiles) metadata(file string) chartMetadata {
	var m chartMetadata
	if err := kyaml.Unmarshal(f.text[file], &m); err != nil {
		return chartMetadata{}
	}
	return m
}

// sourceOf is the file in the source behind the name that a template has for
// Helm, such as web/charts/db/templates/db.yaml.
func (f *chartFiles) sourceOf(name string) string {
	_, rest, _ := strings.Cut(name, "/")
	dir := f.root
	for {
		sub, ok := strings.CutPrefix(rest, "charts/")
		if !ok {
			return path.Join(dir, rest)
		}
		var called string
		called, rest, _ = strings.Cut(sub, "/")
		dir = f.subchart(dir, called)
	}
}
