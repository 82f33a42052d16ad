package codepipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/towline/towline/internal/codepipeline/template"
	"github.com/towline/towline/internal/pipeline"
)

// pipelineResource is the type of pipelines in templates.
const pipelineResource = "AWS::CodePipeline::Pipeline"

// ImportOptions say which pipeline of a template is meant, and with what.
type ImportOptions struct {
	Resource   string            // logical name; "" is the only pipeline
	Parameters map[string]string // values of parameters, also of AWS's such as AWS::Region
}

// Imported is a pipeline of a template.
type Imported struct {
	Pipeline pipeline.Pipeline
	Resource string // its logical name
	// Unresolved is what only AWS could know. Placeholders stand in its place.
	Unresolved []template.Unresolved
}

// Import reads the definition of a pipeline from a CloudFormation template in
// YAML or JSON. Errors are of type *template.Problem, with a line, or
// pipeline.Problems, with the paths of AWS's JSON.
func Import(text []byte, options ImportOptions) (Imported, error) {
	t, err := template.Parse(text)
	if err != nil {
		return Imported{}, err
	}
	resource, err := choose(t.Resources(pipelineResource), options.Resource)
	if err != nil {
		return Imported{}, err
	}
	value, unresolved, err := t.Evaluate(resource, options.Parameters)
	if err != nil {
		return Imported{}, err
	}
	properties, ok := value.(*template.Object)
	if !ok {
		return Imported{}, &template.Problem{Message: fmt.Sprintf("the Properties of resource %s are no object", resource), Hint: "mend the template"}
	}
	declaration, err := encode(declared(properties))
	if err != nil {
		return Imported{}, fmt.Errorf("read resource %s: %w", resource, err)
	}
	p, err := Read(declaration)
	if err != nil {
		return Imported{}, err
	}
	if p.Name == "" {
		p.Name = resource
		unresolved = append(unresolved, template.Unresolved{
			Path: "Resources." + resource + ".Properties.Name", Expression: "no Name", Placeholder: resource, Why: "CloudFormation would make up a name",
		})
	}
	return Imported{Pipeline: p, Resource: resource, Unresolved: unresolved}, nil
}

func choose(found []string, wanted string) (string, error) {
	switch {
	case len(found) == 0:
		return "", &template.Problem{Message: "the template has no resource of type " + pipelineResource, Hint: "give the template that has the pipeline"}
	case wanted == "" && len(found) == 1:
		return found[0], nil
	case wanted == "":
		return "", &template.Problem{Message: fmt.Sprintf("the template has %d pipelines", len(found)), Hint: "choose one with --resource: " + strings.Join(found, ", ")}
	case !slices.Contains(found, wanted):
		return "", &template.Problem{Message: fmt.Sprintf("the template has no pipeline %q", wanted), Hint: "it has " + strings.Join(found, ", ")}
	}
	return wanted, nil
}

// declared is a declaration of AWS's API made of the properties of a resource:
// the same, but for names that begin with a capital letter and for the stores
// by region, which are a list there.
func declared(properties *template.Object) map[string]any {
	out, ok := lowered(properties, "").(map[string]any)
	if !ok {
		return nil
	}
	stores, ok := out["artifactStores"].([]any)
	if !ok {
		return out
	}
	byRegion := map[string]any{}
	for _, one := range stores {
		store, ok := one.(map[string]any)
		region, named := store["region"].(string)
		if !ok || !named {
			return out
		}
		byRegion[region] = store["artifactStore"]
	}
	out["artifactStores"] = byRegion
	return out
}

// numbers are the members that are numbers in AWS's JSON; all other scalars of
// a declaration are text there, and templates write either as they like.
var numbers = []string{"runOrder", "timeoutInMinutes"}

// free are members that only templates have: they are kept as they are.
var free = []string{"restartExecutionOnUpdate"}

func lowered(v template.Value, name string) any {
	switch v := v.(type) {
	case template.List:
		out := []any{}
		for _, item := range v {
			out = append(out, lowered(item, name))
		}
		return out
	case *template.Object:
		out := map[string]any{}
		for _, key := range v.Keys {
			lower := lowerFirst(key)
			if lower == "configuration" {
				out[lower] = texts(v.Values[key])
				continue
			}
			out[lower] = lowered(v.Values[key], lower)
		}
		return out
	}
	text, ok := template.TextOf(v)
	switch _, err := strconv.Atoi(text); {
	case !ok || v == template.Literal("null"):
		return nil
	case slices.Contains(numbers, name) && err == nil:
		return json.RawMessage(text)
	case slices.Contains(free, name):
		return template.JSON(v)
	}
	return text
}

func lowerFirst(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 {
		return name
	}
	return string(unicode.ToLower(first)) + name[size:]
}

// texts is a configuration, whose names stay as they are and whose values are
// text: what is not becomes JSON, as CloudFormation has it.
func texts(v template.Value) any {
	o, ok := v.(*template.Object)
	if !ok {
		return template.JSON(v)
	}
	out := map[string]any{}
	for _, key := range o.Keys {
		text, ok := template.TextOf(o.Values[key])
		if !ok {
			raw, err := encode(template.JSON(o.Values[key]))
			if err != nil {
				continue
			}
			text = string(raw)
		}
		out[key] = text
	}
	return out
}
