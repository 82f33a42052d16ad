package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	kjson "k8s.io/apimachinery/pkg/util/json"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// SubstituteAnnotation with the value "off" keeps an object as it is written,
// such as a ConfigMap that holds shell scripts.
const SubstituteAnnotation = "towline.dev/substitute"

// LoadWith is Load with variables: ${NAME} in the values of the manifests, and
// of what Kustomize makes, stands for the variable of that name, and $${NAME}
// for the text ${NAME}. Without variables nothing is substituted. A name that
// no variable has is an *Error at its place.
//
// Values are put into parsed scalars and never into text, so that whatever a
// variable holds, lines and quotes and colons, the structure stays the same. A
// scalar stays a string, with one exception: one that is not quoted and holds
// nothing but the variable becomes the number or boolean that the value would
// be if it were written there, as in `replicas: ${REPLICAS}`. Even that stays
// a string where Kubernetes takes nothing else: names, labels, annotations,
// selectors, what ConfigMaps and Secrets hold, env values, command and args.
// Keys are not substituted.
func LoadWith(root, name string, variables map[string]string) ([]Object, error) {
	for _, v := range slices.Sorted(maps.Keys(variables)) {
		if !variableName.MatchString(v) {
			return nil, &Error{Message: fmt.Sprintf("%q is no name of a variable", v), Hint: "use letters, digits and underscores"}
		}
	}
	return load(root, name, variables)
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	variable     = regexp.MustCompile(`\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}`)
)

// substitution puts variables into the values of one document.
type substitution struct {
	variables map[string]string
	// errorFor is the error of the variable name in the scalar n, which is nil
	// when it is not known.
	errorFor func(n *kyaml.Node, name, message, hint string) error
	errs     []error
}

// substitute puts variables into the value of a document.
func (d *document) substitute(value any, variables map[string]string) (any, error) {
	if len(variables) == 0 {
		return value, nil
	}
	s := &substitution{variables: variables, errorFor: d.errorForVariable}
	value = s.value(value, d.root(), place{})
	return value, joinErrors(s.errs)
}

// errorForVariable points at the variable itself, not at its scalar.
func (d *document) errorForVariable(n *kyaml.Node, name, message, hint string) error {
	from := 0
	if n != nil {
		from = offsetOf(d.text, n.Line, n.Column)
	}
	at, ok := findVariable(d.text[from:], name)
	if !ok {
		return d.errorFor(n, message, hint)
	}
	line, column := position(d.text, from+at)
	return d.errorAt(line, column, message, hint)
}

// findVariable is the offset of ${name} in text.
func findVariable(text, name string) (offset int, ok bool) {
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		if m[2] == m[3] && text[m[4]:m[5]] == name {
			return m[0], true
		}
	}
	return 0, false
}

// offsetOf is where a line and column, from 1, are in text.
func offsetOf(text string, line, column int) int {
	offset := 0
	for range line - 1 {
		next := strings.IndexByte(text[offset:], '\n')
		if next < 0 {
			return 0
		}
		offset += next + 1
	}
	return min(offset+column-1, len(text))
}

// place is where in an object a value stands.
type place struct {
	kind string   // of the object
	path []string // from the object, an empty element for each list
}

func (p place) below(key string) place {
	return place{kind: p.kind, path: append(slices.Clone(p.path), key)}
}

// value returns v with its variables replaced; maps and lists in place. n is
// its node, or nil when it is not known.
func (s *substitution) value(v any, n *kyaml.Node, at place) any {
	switch v := v.(type) {
	case string:
		return s.scalar(v, n, at)
	case []any:
		for i := range v {
			v[i] = s.value(v[i], element(n, i), at.below(""))
		}
	case map[string]any:
		if kind := stringAt(v, "kind"); kind != "" && stringAt(v, "apiVersion") != "" {
			if stringAt(v, "metadata", "annotations", SubstituteAnnotation) == "off" {
				return v
			}
			at = place{kind: kind}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if found := variable.FindStringSubmatch(key); found != nil {
				s.errs = append(s.errs, s.errorFor(n, found[2], fmt.Sprintf("the key %q has a variable", key), "variables are put into values only"))
			}
			v[key] = s.value(v[key], mergedChild(n, key, 0), at.below(key))
		}
	}
	return v
}

// mergedChild is the value of a key of a mapping, also when it comes from what
// is merged into it by <<.
func mergedChild(n *kyaml.Node, key string, depth int) *kyaml.Node {
	if found := child(n, key); found != nil || depth > maxDepth {
		return found
	}
	merged := deref(child(n, "<<"))
	if merged == nil {
		return nil
	}
	if merged.Kind == kyaml.MappingNode {
		return mergedChild(merged, key, depth+1)
	}
	for _, one := range merged.Content {
		if found := mergedChild(one, key, depth+1); found != nil {
			return found
		}
	}
	return nil
}

func (s *substitution) scalar(text string, n *kyaml.Node, at place) any {
	alone := variable.FindStringSubmatch(text)
	if alone != nil && alone[0] == text && alone[1] == "" && isPlain(deref(n)) && !stringOnly(at) {
		if value, ok := s.variables[alone[2]]; ok {
			return plainScalar(value)
		}
	}
	return variable.ReplaceAllStringFunc(text, func(match string) string {
		found := variable.FindStringSubmatch(match)
		if found[1] != "" {
			return match[1:]
		}
		value, ok := s.variables[found[2]]
		if !ok {
			s.errs = append(s.errs, s.unknown(n, found[2]))
		}
		return value
	})
}

func (s *substitution) unknown(n *kyaml.Node, name string) error {
	names := slices.Sorted(maps.Keys(s.variables))
	hint := didYouMean(name, names) + fmt.Sprintf("give %s a value under variables, or write $${%s} to keep the text", name, name)
	return s.errorFor(deref(n), name, fmt.Sprintf("there is no variable %s", name), hint)
}

func isPlain(n *kyaml.Node) bool {
	written := kyaml.DoubleQuotedStyle | kyaml.SingleQuotedStyle | kyaml.LiteralStyle | kyaml.FoldedStyle | kyaml.TaggedStyle
	return n != nil && n.Kind == kyaml.ScalarNode && n.Style&written == 0
}

// plainScalar is the number or boolean that the text is in YAML, or the text.
func plainScalar(text string) any {
	if strings.ContainsAny(text, "\r\n") || len(text) > 64 {
		return text
	}
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return text
	}
	var value any
	if err := kjson.Unmarshal(asJSON, &value); err != nil {
		return text
	}
	switch value.(type) {
	case bool, int64, float64:
		return value
	}
	return text
}

// stringOnly reports whether Kubernetes takes nothing but a string there.
func stringOnly(at place) bool {
	path := at.path
	up := func(n int) string {
		if len(path) < n {
			return ""
		}
		return path[len(path)-n]
	}
	switch {
	case len(path) == 1:
		return up(1) == "apiVersion" || up(1) == "kind"
	case up(2) == "metadata":
		return up(1) == "name" || up(1) == "namespace"
	case up(3) == "metadata" && (up(2) == "labels" || up(2) == "annotations"):
		return true
	case len(path) == 2 && (at.kind == "ConfigMap" || at.kind == "Secret"):
		return slices.Contains([]string{"data", "stringData", "binaryData"}, up(2))
	case up(2) == "selector" && at.kind == "Service", up(2) == "matchLabels", up(2) == "nodeSelector":
		return true
	case up(1) == "value" && up(2) == "" && up(3) == "env":
		return true
	}
	return up(1) == "" && (up(2) == "args" || up(2) == "command")
}
