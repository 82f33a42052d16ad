package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// reference is CodePipeline's variable syntax, #{namespace.name}.
var reference = regexp.MustCompile(`#\{([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_.-]+)\}`)

// Resolve replaces each #{namespace.name} in the string values of the JSON
// document config. A reference that names nothing is an error that lists what
// there is, since a deployment of the literal text would be worse.
func Resolve(config json.RawMessage, vars map[string]map[string]string) (json.RawMessage, error) {
	if len(config) == 0 {
		return json.RawMessage("{}"), nil
	}
	var doc any
	if err := json.Unmarshal(config, &doc); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	resolved, err := resolveValue(doc, vars)
	if err != nil {
		return nil, err
	}
	return json.Marshal(resolved)
}

func resolveValue(value any, vars map[string]map[string]string) (any, error) {
	var err error
	switch v := value.(type) {
	case string:
		return resolveString(v, vars)
	case []any:
		for i := range v {
			if v[i], err = resolveValue(v[i], vars); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = resolveValue(v[key], vars); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func resolveString(text string, vars map[string]map[string]string) (string, error) {
	var missing error
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		parts := reference.FindStringSubmatch(ref)
		value, ok := vars[parts[1]][parts[2]]
		if !ok && missing == nil {
			missing = fmt.Errorf("variable %s is not set: %s", ref, known(parts[1], vars))
		}
		return value
	})
	return out, missing
}

// variableValue bounds the value of a pipeline's variable, in characters, as
// CodePipeline does.
const variableValue = 1000

// Give is the value of each of a pipeline's variables in one execution: the
// given one, or its default. What does not fit is an error of type Problems.
func Give(declared []Variable, given map[string]string) (map[string]string, error) {
	var f finder
	values := map[string]string{}
	for _, v := range declared {
		value, ok := given[v.Name]
		switch {
		case ok:
			values[v.Name] = value
		case v.Default != nil:
			values[v.Name] = *v.Default
		default:
			f.add("variables."+v.Name, "give it a value, such as "+v.Name+"=VALUE, or a default in the definition", "variable %s has no value", v.Name)
		}
		if len(values[v.Name]) > variableValue {
			f.add("variables."+v.Name, "keep long texts in the source", "the value of variable %s has more than %d characters", v.Name, variableValue)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(declared, func(v Variable) bool { return v.Name == name }) {
			f.add("variables."+name, "declare it in the definition, or mend the name", "the pipeline has no variable %s", name)
		}
	}
	if len(f.found) > 0 {
		return nil, f.found
	}
	if len(values) == 0 {
		return nil, nil
	}
	return values, nil
}

func known(namespace string, vars map[string]map[string]string) string {
	if names, ok := vars[namespace]; ok {
		return fmt.Sprintf("action %s has set %s", namespace, list(names))
	}
	return fmt.Sprintf("no action named %q has run; those that have: %s", namespace, list(vars))
}

func list[V any](m map[string]V) string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return "none"
	}
	return strings.Join(keys, ", ")
}
