package manifest

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// kustomizing serialises builds, since the schemas that Kustomize works with
// are variables of its package openapi that a kustomization may replace.
var kustomizing sync.Mutex

// kustomize builds the kustomization of a directory of the tree, and puts
// variables into what comes out.
//
// Everything that it names is read and checked first (see survey): for the
// sake of errors with a line, and because Kustomize fetches what looks like a
// URL and has no option to leave that off.
func kustomize(t *tree, dir string, variables map[string]string) ([]Object, error) {
	s := &survey{tree: t, variables: variables, parsed: map[string][]Object{}, seen: map[string]bool{}}
	if err := s.kustomization(dir, 0); err != nil {
		return nil, err
	}
	fsys := confined{tree: t, replaced: map[string][]byte{}}
	kept, err := askForOrigins(t, s.rootFile, fsys.replaced)
	if err != nil {
		return nil, err
	}
	built, err := build(fsys, dir)
	if err != nil {
		return nil, &Error{Source: Source{File: s.rootFile}, Message: "kustomize: " + plainly(err)}
	}
	if built.Size() > maxObjects {
		return nil, &Error{Source: Source{File: s.rootFile}, Message: fmt.Sprintf("makes more than %d objects", maxObjects)}
	}
	var objs []Object
	var errs []error
	for _, r := range built.Resources() {
		o, err := s.object(dir, r, kept)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		objs = append(objs, o)
	}
	return objs, joinErrors(errs)
}

// build runs Kustomize. It panics on some malformed input instead of
// returning an error; that must not end the server.
func build(fsys confined, dir string) (built resmap.ResMap, err error) {
	kustomizing.Lock()
	defer kustomizing.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot work with this input: %v", r)
		}
	}()
	return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "/"+inTree(dir))
}

// plainly takes the paths of the file system that Kustomize saw for those of
// the source, and the news of one failure twice for once.
func plainly(err error) string {
	text := strings.ReplaceAll(err.Error(), "'/", "'")
	return strings.TrimSpace(strings.ReplaceAll(text, "\n", " "))
}

const originAnnotation = "config.kubernetes.io/origin"

// askForOrigins shows Kustomize the first kustomization with the option that
// annotates each object with its origin. kept says that the user wants these
// annotations too.
func askForOrigins(t *tree, file string, replaced map[string][]byte) (kept bool, err error) {
	text, err := t.read(file)
	if err != nil {
		return false, err
	}
	node, err := kyaml.Parse(string(text))
	if err != nil {
		return false, &Error{Source: Source{File: file}, Message: err.Error()}
	}
	var values []*kyaml.RNode
	options := node.Field("buildMetadata")
	if options != nil && !options.Value.IsNilOrEmpty() {
		if values, err = options.Value.Elements(); err != nil {
			return false, &Error{Source: Source{File: file}, Message: "buildMetadata must be a list"}
		}
	}
	for _, v := range values {
		kept = kept || kyaml.GetValue(v) == types.OriginAnnotations
	}
	switch {
	case len(values) == 0:
		err = node.PipeE(kyaml.SetField("buildMetadata", kyaml.NewListRNode(types.OriginAnnotations)))
	case !kept:
		err = options.Value.PipeE(kyaml.Append(kyaml.NewScalarRNode(types.OriginAnnotations).YNode()))
	}
	if err != nil {
		return false, fmt.Errorf("ask %s for origins: %w", file, err)
	}
	shown, err := node.String()
	if err != nil {
		return false, fmt.Errorf("ask %s for origins: %w", file, err)
	}
	replaced[file] = []byte(shown)
	return kept, nil
}

// object takes what Kustomize made over into an Object.
func (s *survey) object(dir string, r *resource.Resource, keepOrigin bool) (Object, error) {
	text, err := r.MarshalJSON()
	if err != nil {
		return Object{}, &Error{Source: Source{File: s.rootFile}, Message: fmt.Sprintf("kustomize made an object that cannot be written: %v", err)}
	}
	u := &unstructured.Unstructured{}
	if err := kjson.Unmarshal(text, &u.Object); err != nil {
		return Object{}, fmt.Errorf("read what kustomize made: %w", err)
	}
	annotations, _ := mapAt(u.Object, "metadata", "annotations")
	source := s.sourceOf(dir, u, stringAt(annotations, originAnnotation))
	if !keepOrigin {
		delete(annotations, originAnnotation)
		if metadata, ok := mapAt(u.Object, "metadata"); ok && len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	if err := s.substitute(u, r.YNode(), source); err != nil {
		return Object{}, err
	}
	d := &document{file: source.File, first: source.Line}
	if err := d.check(u.Object, nil); err != nil {
		if located, ok := errors.AsType[*Error](err); ok {
			located.Column = 0
		}
		return Object{}, err
	}
	return Object{Unstructured: u, Source: source}, nil
}

// substitute puts variables into an object that Kustomize made of the node n.
// What has the variable may be a patch, so all files are searched for it.
func (s *survey) substitute(u *unstructured.Unstructured, n *kyaml.Node, source Source) error {
	if len(s.variables) == 0 {
		return nil
	}
	sub := &substitution{variables: s.variables}
	sub.errorFor = func(_ *kyaml.Node, name, message, hint string) error {
		e := &Error{Source: source, Message: message, Hint: hint}
		files := append([]string{source.File}, slices.Sorted(maps.Keys(s.tree.kept))...)
		for _, f := range files {
			text := string(s.tree.kept[f])
			from := 0
			if f == source.File && source.Line > 0 {
				from = offsetOf(text, source.Line, 1)
			}
			if at, ok := findVariable(text[from:], name); ok {
				e.Source.File = f
				e.Source.Line, e.Column = position(text, from+at)
				break
			}
		}
		return e
	}
	sub.value(u.Object, n, place{})
	return joinErrors(sub.errs)
}

// sourceOf finds where an object was written by its origin annotation. The
// name may have got a prefix and a suffix since; a generated object has the
// kustomization as its source.
func (s *survey) sourceOf(dir string, u *unstructured.Unstructured, annotation string) Source {
	var origin resource.Origin
	if err := kyaml.Unmarshal([]byte(annotation), &origin); err != nil {
		return Source{File: s.rootFile}
	}
	if origin.Path == "" {
		if origin.ConfiguredIn == "" {
			return Source{File: s.rootFile}
		}
		return Source{File: path.Join(dir, origin.ConfiguredIn)}
	}
	file := path.Join(dir, origin.Path)
	best, length := Source{File: file}, -1
	for _, o := range s.parsed[file] {
		same := o.GroupVersionKind().GroupKind() == u.GroupVersionKind().GroupKind()
		if same && strings.Contains(u.GetName(), o.GetName()) && len(o.GetName()) > length {
			best, length = o.Source, len(o.GetName())
		}
	}
	return best
}
