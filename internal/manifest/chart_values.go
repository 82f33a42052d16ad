package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	xmessage "golang.org/x/text/message"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
)

// readValues merges the files of values, later ones over earlier ones, and
// what is set over all of them.
func readValues(t *tree, c HelmChart) (map[string]any, error) {
	merged := map[string]any{}
	for _, file := range c.Values {
		name, ok := clean(file)
		if !ok {
			return nil, &Error{Message: fmt.Sprintf("values %q are not in the source", file), Hint: "write a path relative to the root of the repository"}
		}
		if _, err := t.stat(name); err != nil {
			return nil, explainMissing(t, name, err)
		}
		text, err := t.read(name)
		if err != nil {
			return nil, err
		}
		found, err := parseValues(name, text)
		if err != nil {
			return nil, err
		}
		merged = loader.MergeMaps(merged, found)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		if err := setValue(merged, key, c.Set[key]); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// parseValues reads a file of values: mappings, which are merged.
func parseValues(file string, text []byte) (map[string]any, error) {
	for _, d := range splitDocuments(file, text) {
		value, err := d.decode()
		if err != nil {
			return nil, err
		}
		if _, ok := value.(map[string]any); value != nil && !ok {
			return nil, d.errorFor(nil, fmt.Sprintf("values must be a mapping, these are a %s", kindOfValue(value)), "")
		}
	}
	values, err := loader.LoadValues(bytes.NewReader(text))
	if err != nil {
		return nil, &Error{Source: Source{File: file}, Message: plainly(err)}
	}
	return values, nil
}

// setValue sets one value by its path.
func setValue(values map[string]any, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write the value of %s: %w", key, err)
	}
	wrong := &Error{Message: fmt.Sprintf("helm.set has %q, which is no path of a value", key), Hint: `write paths such as image.tag or env[0].value; a dot in a name is \.`}
	if strings.ContainsAny(key, "=,\n") || strings.TrimSpace(key) != key || key == "" {
		return wrong
	}
	if err := strvals.ParseJSON(key+"="+string(text), values); err != nil {
		wrong.Message += ": " + plainly(err)
		return wrong
	}
	return nil
}

// checkSchemas checks the values of a chart and of those below it against
// their values.schema.json.
func (r *rendering) checkSchemas(c *chart.Chart, dir string, values map[string]any) error {
	var errs []error
	if c.Schema != nil {
		errs = append(errs, checkSchema(path.Join(dir, "values.schema.json"), c.Schema, values))
	}
	for _, sub := range c.Dependencies() {
		if below, ok := values[sub.Name()].(map[string]any); ok {
			errs = append(errs, r.checkSchemas(sub, r.files.subchart(dir, sub.Name()), below))
		}
	}
	return errors.Join(errs...)
}

// inSchema refuses schemas that a schema names: they would have to be fetched.
type inSchema struct{}

var _ jsonschema.URLLoader = inSchema{}

// Load refuses.
func (inSchema) Load(url string) (any, error) {
	return nil, fmt.Errorf("it names the schema %s, and nothing is fetched: put it under $defs", url)
}

func checkSchema(file string, text []byte, values map[string]any) error {
	wrong := func(err error) error { return &Error{Source: Source{File: file}, Message: plainly(err)} }
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return wrong(err)
	}
	const name = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(inSchema{})
	if err := compiler.AddResource(name, schema); err != nil {
		return wrong(err)
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return wrong(err)
	}
	// A round trip, for the types of what is set are the caller's.
	written, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("write values: %w", err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(written))
	if err != nil {
		return fmt.Errorf("read values: %w", err)
	}
	err = compiled.Validate(instance)
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return &Error{Source: Source{File: file}, Message: "the values do not fit: " + strings.Join(atMost(mistakes(invalid), maxErrors), "; ")}
	}
	return err
}

// mistakes are the innermost errors: "replicas: got string, want integer".
func mistakes(e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 {
		at := strings.Join(e.InstanceLocation, ".")
		text := e.ErrorKind.LocalizedString(xmessage.NewPrinter(language.English))
		// What a pattern or a list of choices refuses may be a secret.
		switch k := e.ErrorKind.(type) {
		case *kind.Pattern:
			text = fmt.Sprintf("does not match pattern %q", k.Want)
		case *kind.Format:
			text = "is no " + k.Want
		}
		if at == "" {
			return []string{text}
		}
		return []string{at + ": " + text}
	}
	var all []string
	for _, c := range e.Causes {
		all = append(all, mistakes(c)...)
	}
	return all
}
