package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxDepth is how deep kustomizations may name each other.
const maxDepth = 50

// survey walks everything that a kustomization names before Kustomize does:
// every name must lead to a file or directory of the tree.
type survey struct {
	tree      *tree
	variables map[string]string   // for what is made
	rootFile  string              // the kustomization that was asked for
	parsed    map[string][]Object // resources, by file
	seen      map[string]bool     // directories and files that were walked
	open      []string            // directories that are being walked
}

// kustomization surveys the kustomization of a directory.
func (s *survey) kustomization(dir string, depth int) error {
	if s.seen[dir] {
		return nil
	}
	s.seen[dir] = true
	s.open = append(s.open, dir)
	defer func() { s.open = s.open[:len(s.open)-1] }()
	file, err := s.kustomizationFile(dir)
	if err != nil {
		return err
	}
	if s.rootFile == "" {
		s.rootFile = file
	}
	if depth > maxDepth {
		return &Error{Source: Source{File: file}, Message: fmt.Sprintf("kustomizations name each other more than %d deep", maxDepth)}
	}
	text, err := s.tree.read(file)
	if err != nil {
		return err
	}
	d, k, err := decodeKustomization(file, text)
	if err != nil {
		return err
	}
	if len(k.HelmCharts)+len(k.HelmChartInflationGenerator) > 0 || k.HelmGlobals != nil {
		return d.errorFor(firstOf(d.root(), "helmCharts", "helmChartInflationGenerator", "helmGlobals"),
			"Helm charts of a kustomization are not rendered", "render the chart to a file with helm template and name that under resources")
	}
	var errs []error
	for _, r := range references(k) {
		if err := s.reference(d, dir, r, depth); err != nil {
			errs = append(errs, err)
		}
	}
	return joinErrors(errs)
}

func (s *survey) kustomizationFile(dir string) (string, error) {
	var found []string
	for _, n := range konfig.RecognizedKustomizationFileNames() {
		if _, err := s.tree.stat(path.Join(dir, n)); err == nil {
			found = append(found, path.Join(dir, n))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &Error{Source: Source{File: dir}, Message: "has no kustomization.yaml"}
	}
	return "", &Error{Source: Source{File: dir}, Message: "has several kustomizations, " + strings.Join(found, ", "), Hint: "keep one"}
}

// decodeKustomization reads a kustomization as Kustomize does, but with the
// positions of what is wrong.
func decodeKustomization(file string, text []byte) (*document, types.Kustomization, error) {
	var k types.Kustomization
	documents := splitDocuments(file, text)
	if len(documents) == 0 {
		return nil, k, &Error{Source: Source{File: file}, Message: "is empty", Hint: "name the manifests under resources"}
	}
	if len(documents) > 1 {
		return nil, k, documents[1].errorAt(1, 1, "a second document", "a kustomization is one")
	}
	d := documents[0]
	value, err := d.decode()
	if err != nil {
		return nil, k, err
	}
	if _, ok := value.(map[string]any); !ok {
		return nil, k, d.errorFor(nil, fmt.Sprintf("a kustomization must be a mapping, this is a %s", kindOfValue(value)), "")
	}
	if err := d.checkFields(&k); err != nil {
		return nil, k, err
	}
	if err := k.Unmarshal([]byte(d.text)); err != nil {
		return nil, k, d.errorFor(nil, strings.TrimPrefix(err.Error(), "invalid Kustomization: "), "")
	}
	k.FixKustomization()
	if wrong := k.EnforceFields(); len(wrong) > 0 {
		return nil, k, d.errorFor(firstOf(d.root(), "apiVersion", "kind"), strings.Join(wrong, "; "), "")
	}
	return d, k, nil
}

func firstOf(n *kyaml.Node, keys ...string) *kyaml.Node {
	for _, k := range keys {
		if found := keyNode(n, k); found != nil {
			return found
		}
	}
	return n
}

// reference is one name in a kustomization.
type reference struct {
	field string
	name  string
	kind  referenceKind
}

type referenceKind int

const (
	supplement    referenceKind = iota // a file of any content
	yamlFile                           // a file of YAML or JSON
	resourceEntry                      // a file of objects or a directory with a kustomization
	directory                          // a directory with a kustomization
	plugin                             // a file that configures a generator or transformer
)

// references are all the names of a kustomization that lead to files.
// Multi-line ones are contents and not names.
func references(k types.Kustomization) []reference {
	var refs []reference
	add := func(field string, kind referenceKind, names ...string) {
		for _, n := range names {
			refs = append(refs, reference{field: field, name: n, kind: kind})
		}
	}
	add("resources", resourceEntry, k.Resources...)
	add("components", directory, k.Components...)
	add("crds", yamlFile, k.Crds...)
	add("configurations", yamlFile, k.Configurations...)
	add("generators", plugin, k.Generators...)
	add("transformers", plugin, k.Transformers...)
	add("validators", plugin, k.Validators...)
	add("openapi", yamlFile, k.OpenAPI["path"])
	for _, p := range k.PatchesStrategicMerge { //nolint:staticcheck // what is old is still read
		add("patchesStrategicMerge", yamlFile, string(p))
	}
	for _, p := range k.PatchesJson6902 { //nolint:staticcheck // what is old is still read
		add("patchesJson6902", yamlFile, p.Path)
	}
	for _, p := range k.Patches {
		add("patches", yamlFile, p.Path)
	}
	for _, r := range k.Replacements {
		add("replacements", yamlFile, r.Path)
	}
	for _, g := range k.ConfigMapGenerator {
		add("configMapGenerator", supplement, dataFiles(g.KvPairSources)...)
	}
	for _, g := range k.SecretGenerator {
		add("secretGenerator", supplement, dataFiles(g.KvPairSources)...)
	}
	return slices.DeleteFunc(refs, func(r reference) bool { return r.name == "" })
}

// dataFiles are the files of a generator; key=file names the key first.
func dataFiles(sources types.KvPairSources) []string {
	files := slices.Clone(sources.EnvSources)
	files = append(files, sources.EnvSource)
	for _, f := range sources.FileSources {
		if _, after, ok := strings.Cut(f, "="); ok {
			f = after
		}
		files = append(files, f)
	}
	return files
}

// looksRemote is what Kustomize takes for a URL or a git repository, whether
// or not a file of that name exists.
var looksRemote = regexp.MustCompile(`(?i)^\s*(git::|https?:|ssh:|file:|[a-z][a-z0-9-]*@|github\.com[/:])`)

func (s *survey) reference(d *document, dir string, r reference, depth int) error {
	at := findValue(child(d.root(), r.field), r.name)
	if looksRemote.MatchString(r.name) {
		return d.errorFor(at, fmt.Sprintf("%s names %q, which is not in the source, and nothing is fetched", r.field, r.name), "keep a copy in the repository")
	}
	if strings.Contains(r.name, "\n") {
		if r.kind == plugin {
			return checkPlugin(d, at, []byte(r.name))
		}
		return nil
	}
	p, ok := clean(path.Join(dir, r.name))
	if !ok || strings.HasPrefix(r.name, "/") {
		return d.errorFor(at, fmt.Sprintf("%s names %q, which is not in the source", r.field, r.name), "write a path relative to "+d.file)
	}
	info, err := s.tree.stat(p)
	if err != nil {
		var e *Error
		if missing := explainMissing(s.tree, p, err); errors.As(missing, &e) {
			return d.errorFor(at, fmt.Sprintf("%s names %q, but %s %s", r.field, r.name, p, e.Message), e.Hint)
		}
		return err
	}
	switch {
	case info.IsDir() && slices.Contains(s.open, p):
		return d.errorFor(at, fmt.Sprintf("%s names %q, which names this kustomization in turn", r.field, r.name), "")
	case info.IsDir() && (r.kind == resourceEntry || r.kind == directory):
		return s.kustomization(p, depth+1)
	case info.IsDir():
		return d.errorFor(at, fmt.Sprintf("%s names the directory %q, but must name files", r.field, r.name), "")
	case r.kind == directory:
		return d.errorFor(at, fmt.Sprintf("%s names the file %q, but must name directories with a kustomization.yaml", r.field, r.name), "")
	}
	if !below(p, dir) {
		hint := "move it there"
		if r.kind == resourceEntry {
			hint += ", or add a kustomization.yaml to its directory and name that instead"
		}
		return d.errorFor(at, fmt.Sprintf("%s names %q, but Kustomize reads files only below the directory of the kustomization", r.field, r.name), hint)
	}
	return s.file(p, r.kind)
}

func below(p, dir string) bool { return dir == "." || strings.HasPrefix(p, dir+"/") }

// file surveys a file once. Its size and its YAML are checked here.
func (s *survey) file(name string, kind referenceKind) error {
	if kind == supplement || s.seen[name] {
		return nil
	}
	s.seen[name] = true
	text, err := s.tree.read(name)
	if err != nil {
		return err
	}
	switch kind {
	case plugin:
		return checkPlugin(&document{file: name, first: 1}, nil, text)
	case yamlFile:
		return checkSyntax(name, text)
	}
	s.parsed[name], err = parse(name, text, nil)
	return err
}

// checkSyntax checks that a file is YAML or JSON, whatever it is about.
func checkSyntax(name string, text []byte) error {
	if path.Ext(name) == ".json" && json.Valid(text) {
		return nil
	}
	for _, d := range splitDocuments(name, text) {
		if _, err := d.decode(); err != nil {
			return err
		}
	}
	return nil
}

// pluginFiles are the fields of Kustomize's own generators and transformers
// that name files.
var pluginFiles = []string{"path", "paths", "file", "files", "env", "envs", "targetFilePath", "valuesFile", "argsFromFile", "replacements"}

// checkPlugin looks through the configuration of a generator or transformer
// for names that would be fetched.
func checkPlugin(d *document, at *kyaml.Node, text []byte) error {
	for _, inner := range splitDocuments(d.file, text) {
		value, err := inner.decode()
		if err != nil {
			return err
		}
		if name, ok := findRemote(value, false); ok {
			return d.errorFor(at, fmt.Sprintf("names %q, which is not in the source, and nothing is fetched", name), "keep a copy in the repository")
		}
	}
	return nil
}

func findRemote(value any, names bool) (string, bool) {
	switch v := value.(type) {
	case string:
		_, after, _ := strings.Cut(v, "=")
		return v, names && (looksRemote.MatchString(v) || looksRemote.MatchString(after))
	case []any:
		for _, item := range v {
			if found, ok := findRemote(item, names); ok {
				return found, true
			}
		}
	case map[string]any:
		for key, item := range v {
			if found, ok := findRemote(item, names || slices.Contains(pluginFiles, key)); ok {
				return found, true
			}
		}
	}
	return "", false
}

// findValue is the first scalar below n with that value, or n.
func findValue(n *kyaml.Node, value string) *kyaml.Node {
	if found := findScalar(n, value, 0); found != nil {
		return found
	}
	return n
}

func findScalar(n *kyaml.Node, value string, depth int) *kyaml.Node {
	n = deref(n)
	if n == nil || depth > maxDepth {
		return nil
	}
	if n.Kind == kyaml.ScalarNode && (n.Value == value || strings.HasSuffix(n.Value, "="+value)) {
		return n
	}
	for _, c := range n.Content {
		if found := findScalar(c, value, depth+1); found != nil {
			return found
		}
	}
	return nil
}
