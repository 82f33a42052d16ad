package pipeline

import (
	"encoding/json"
	"fmt"
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
