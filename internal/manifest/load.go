package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
)

// The limits of what is read. The API server refuses a request of more than
// 3 MiB; the rest keeps a hostile source from taking the server's memory.
const (
	maxDocument = 3 << 20
	maxFile     = 8 << 20
	maxTotal    = 32 << 20
	maxObjects  = 5000
	maxErrors   = 20
)

// Load reads the manifests at name, a slash-separated path below root:
//
//   - a YAML or JSON file with any number of documents;
//   - a directory: its *.yaml, *.yml and *.json files by name, not those of
//     directories below it nor hidden ones;
//   - a directory with a kustomization.yaml, or that file: what Kustomize
//     makes of it, with everything it names in the source. Nothing is fetched
//     and no plugin is run.
//
// Documents without content are passed over and lists expanded. Every object
// has apiVersion, kind and metadata.name, and none comes twice. Symbolic links
// are followed within root only.
//
// What the user can mend are *Errors, several of them joined; what they say
// of a file is relative to root.
func Load(root, name string) ([]Object, error) { return load(root, name, nil) }

func load(root, name string, variables map[string]string) ([]Object, error) {
	p, ok := clean(name)
	if !ok {
		return nil, &Error{Message: fmt.Sprintf("manifests %q are not in the source", name), Hint: "write a path relative to the root of the repository"}
	}
	t, err := openTree(root)
	if err != nil {
		return nil, err
	}
	defer t.close()
	info, err := t.stat(p)
	if err != nil {
		return nil, explainMissing(t, p, err)
	}
	var objs []Object
	switch {
	case info.IsDir():
		objs, err = loadDirectory(t, p, variables)
	case slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(p)):
		objs, err = kustomize(t, path.Dir(p), variables)
	default:
		objs, err = loadFiles(t, []string{p}, variables)
	}
	if err != nil {
		return nil, err
	}
	if len(objs) == 0 {
		return nil, &Error{Source: Source{File: p}, Message: "holds no Kubernetes objects", Hint: "write at least one, with apiVersion, kind and metadata.name"}
	}
	return objs, refuseDuplicates(objs)
}

func loadDirectory(t *tree, dir string, variables map[string]string) ([]Object, error) {
	names, err := t.list(dir)
	if err != nil {
		return nil, err
	}
	var files, below []string
	for _, n := range names {
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), n) {
			return kustomize(t, dir, variables)
		}
		info, err := t.stat(path.Join(dir, n))
		switch {
		case strings.HasPrefix(n, "."):
		case err != nil:
			return nil, explainMissing(t, path.Join(dir, n), err)
		case info.IsDir():
			below = append(below, n+"/")
		case isManifestFile(n):
			files = append(files, path.Join(dir, n))
		}
	}
	if len(files) > 0 {
		return loadFiles(t, files, variables)
	}
	e := &Error{Source: Source{File: dir}, Message: "has no *.yaml, *.yml or *.json files", Hint: "put the manifests there, or name the directory that has them"}
	if len(below) > 0 {
		e.Hint = "directories below it are not read: name one of " + strings.Join(atMost(below, 10), ", ") + ", or add a kustomization.yaml"
	}
	return nil, e
}

func loadFiles(t *tree, files []string, variables map[string]string) ([]Object, error) {
	var objs []Object
	var errs []error
	for _, f := range files {
		text, err := t.read(f)
		if err != nil {
			return nil, err
		}
		found, err := parse(f, text, variables)
		if err != nil {
			errs = append(errs, err)
		}
		objs = append(objs, found...)
	}
	if len(objs) > maxObjects {
		return nil, &Error{Message: fmt.Sprintf("more than %d objects", maxObjects), Hint: "deploy them by several actions"}
	}
	return objs, joinErrors(errs)
}

func isManifestFile(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

// refuseDuplicates finds objects that come twice: the second would silently
// overwrite the first in the cluster.
func refuseDuplicates(objs []Object) error {
	first := map[ID]Object{}
	var errs []error
	for _, o := range objs {
		id := IDOf(o.Unstructured)
		if f, ok := first[id]; ok {
			errs = append(errs, twice(o, f, id))
			continue
		}
		first[id] = o
	}
	return joinErrors(errs)
}

func twice(o, first Object, id ID) error {
	e := &Error{Source: o.Source, Message: id.String() + " is there twice", Hint: "remove one of them"}
	if first.Source.File != "" {
		e.Hint = fmt.Sprintf("remove it here or at %s", first.Source)
	}
	return e
}

// joinErrors joins at most maxErrors, for nobody reads more.
func joinErrors(errs []error) error {
	if len(errs) > maxErrors {
		errs = append(errs[:maxErrors:maxErrors], fmt.Errorf("and %d errors more", len(errs)-maxErrors))
	}
	return errors.Join(errs...)
}

// explainMissing turns the error of a path of the user into what to mend: the
// first part of it that is not there.
func explainMissing(t *tree, p string, err error) error {
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	e := &Error{Source: Source{File: p}, Message: "does not exist in the source"}
	dir, rest := path.Split(p)
	for dir != "" && !t.isDir(path.Clean(dir)) {
		var last string
		dir, last = path.Split(path.Clean(dir))
		rest = path.Join(last, rest)
	}
	names, err := t.list(path.Clean(dir))
	if err != nil {
		return err
	}
	missing, rest, _ := strings.Cut(rest, "/")
	if n := nearest(missing, names); n != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", path.Join(dir, n, rest))
	} else if len(names) > 0 {
		e.Hint = fmt.Sprintf("%s has %s", cmp.Or(path.Clean("/" + dir)[1:], "the source"), strings.Join(atMost(names, 10), ", "))
	}
	return e
}
