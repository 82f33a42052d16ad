// Package stack writes a pipeline as a CloudFormation template that stands by
// itself: the pipeline with its CodeBuild projects, a role for each that may do
// what it does and no more, and a bucket for artifacts. Towline's own actions
// become what AWS has for them. It asks nobody at AWS.
package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/pipeline"
)

// owner is that of Towline's own action types.
const owner = "Towline"

// Export writes the template. Leftovers are what AWS has nothing for, and what
// somebody has to look at before the stack is made.
func Export(p pipeline.Pipeline) (text []byte, leftovers []codepipeline.Leftover, err error) {
	x := &exporter{
		original: p, tagged: map[string]tag{}, taken: map[string]bool{"Pipeline": true},
		parameters: map[string]object{}, permissions: map[string]permission{},
	}
	x.storage()
	translated := x.translate()
	x.schedules()
	properties, err := x.properties(translated)
	if err != nil {
		return nil, nil, fmt.Errorf("write pipeline %s as a template: %w", p.Name, err)
	}
	x.resources = append(x.resources, pair{"Pipeline", object{{"Type", "AWS::CodePipeline::Pipeline"}, {"Properties", properties}}})
	x.role()
	whole := object{
		{"AWSTemplateFormatVersion", "2010-09-09"},
		{"Description", "Pipeline " + p.Name + ", written by towline pipeline convert"},
	}
	if len(x.parameters) > 0 {
		var all object
		for _, name := range slices.Sorted(maps.Keys(x.parameters)) {
			all = append(all, pair{name, x.parameters[name]})
		}
		whole = append(whole, pair{"Parameters", all})
	}
	whole = append(whole, pair{"Resources", x.resources}, pair{"Outputs", object{{"Pipeline", object{{"Value", ref("Pipeline")}}}}})
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(x.node(whole)); err != nil {
		return nil, nil, fmt.Errorf("write pipeline %s as a template: %w", p.Name, err)
	}
	return b.Bytes(), x.leftovers, nil
}

// exporter gathers the parts of one template.
type exporter struct {
	original    pipeline.Pipeline
	parameters  map[string]object
	resources   object
	permissions map[string]permission // of the pipeline's role, by their text
	tagged      map[string]tag        // values of AWS's JSON that stand for functions
	taken       map[string]bool       // logical names
	projects    bool                  // the stack has some of its own
	leftovers   []codepipeline.Leftover

	bucket, bucketARN any // of the artifacts
}

func (x *exporter) leftover(path, format string, args ...any) {
	x.leftovers = append(x.leftovers, codepipeline.Leftover{Path: path, Why: fmt.Sprintf(format, args...)})
}

// resource adds a resource under its logical name.
func (x *exporter) resource(name, kind string, properties object, attributes ...pair) {
	body := object{{"Type", kind}}
	body = append(body, attributes...)
	x.resources = append(x.resources, pair{name, append(body, pair{"Properties", properties})})
}

func (x *exporter) parameter(name, description, def string) tag {
	p := object{{"Type", "String"}, {"Description", description}}
	if def != "" {
		p = append(p, pair{"Default", def})
	}
	x.parameters[name] = p
	return ref(name)
}

// stand is a text for AWS's JSON in whose place the template has a function.
func (x *exporter) stand(t tag) string {
	text := "\ue000" + t.name + " " + t.text // from the private use area of Unicode
	x.tagged[text] = t
	return text
}

// logical is a logical name made of words, which no other resource has.
func (x *exporter) logical(words ...string) string {
	var b strings.Builder
	for _, word := range words {
		up := true
		for _, r := range word {
			if r >= 'a' && r <= 'z' && up {
				r += 'A' - 'a'
			}
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				b.WriteRune(r)
				up = false
				continue
			}
			up = true
		}
	}
	if b.Len() == 0 {
		b.WriteString("Part")
	}
	name := b.String()
	for n := 2; x.taken[name]; n++ {
		name = fmt.Sprintf("%s%d", b.String(), n)
	}
	x.taken[name] = true
	return name
}

// properties are those of the pipeline's resource: AWS's JSON with names that
// begin with capital letters.
func (x *exporter) properties(p pipeline.Pipeline) (*yaml.Node, error) {
	declaration, err := codepipeline.Declaration(p)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(declaration))
	d.UseNumber()
	properties, err := x.raised(d, "")
	if err != nil {
		return nil, err
	}
	drop(properties, "Version")
	// What the API has no member for, templates have.
	for _, name := range []string{"disableInboundStageTransitions", "restartExecutionOnUpdate", "tags"} {
		raw, ok := p.Foreign[name]
		if !ok {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		value, err := x.raised(d, "")
		if err != nil {
			return nil, err
		}
		properties.Content = append(properties.Content, text(raise(name)), value)
	}
	return properties, nil
}
