package definition

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	"github.com/towline/towline/internal/pipeline"
)

const (
	// sourceArtifact is the name of the tree that the Source stage makes.
	sourceArtifact = "source"
	sourceStage    = "Source"
	sourceAction   = "push"
)

var (
	// pipelineName is narrow because it is part of execution IDs, label values
	// and file names.
	pipelineName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	partName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?$`)
	reference    = regexp.MustCompile(`#\{([^}.]*)\.?([^}]*)\}`)
)

// compiler makes a Pipeline of a file whose shape is right, and finds what is
// wrong with its meaning.
type compiler struct {
	positions  map[string]*token.Position
	repository string
	problems   Problems

	actions []string // names of the actions so far
	outputs []string // names of the artifacts so far
}

// problem reports what is wrong at path, or at the nearest place that encloses
// it when the file does not mention path itself.
func (c *compiler) problem(at, hint, format string, args ...any) {
	position := c.positions[at]
	for position == nil {
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
		position = c.positions[at]
	}
	c.problems = append(c.problems, Problem{Line: position.Line, Column: position.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *compiler) compile(f file) pipeline.Pipeline {
	p := pipeline.Pipeline{Name: f.Pipeline, Version: 1, On: c.on(f.On)}
	switch {
	case f.Pipeline == "":
		c.problem("pipeline", `add "pipeline: NAME"`, "the pipeline has no name")
	case !pipelineName.MatchString(f.Pipeline):
		c.problem("pipeline", "use up to 40 lower-case letters, digits and dashes", "%q is not a pipeline name", f.Pipeline)
	}
	if len(f.Stages) == 0 {
		c.problem("stages", "add a stage with an action, such as a build", "the pipeline has no stages")
	}
	p.Stages = append(p.Stages, c.source())
	for i, s := range f.Stages {
		at := fmt.Sprintf("stages[%d]", i)
		c.name(at, "stage", s.Name, stageNames(p.Stages))
		if len(s.Actions) == 0 {
			c.problem(at+".actions", "add an action or remove the stage", "stage %q has no actions", s.Name)
		}
		p.Stages = append(p.Stages, c.stage(s, at))
	}
	return p
}

func (c *compiler) on(o *on) pipeline.On {
	branches := []string{"main"}
	if o != nil && o.Push != nil && len(o.Push.Branches) > 0 {
		branches = o.Push.Branches
		for i, b := range branches {
			if _, err := path.Match(b, ""); err != nil || b == "" {
				c.problem(fmt.Sprintf("on.push.branches[%d]", i), "", "%q is not a branch or a glob", b)
			}
		}
	}
	return pipeline.On{Push: []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: branches}}}}
}

// source is the stage that every pipeline begins with and no file writes down.
func (c *compiler) source() pipeline.Stage {
	c.actions, c.outputs = []string{sourceAction}, []string{sourceArtifact}
	return pipeline.Stage{Name: sourceStage, Actions: []pipeline.Action{{
		Name:          sourceAction,
		Type:          pipeline.ActionType{Category: pipeline.CategorySource, Owner: "Towline", Provider: "Git", Version: "1"},
		RunOrder:      1,
		Outputs:       []string{sourceArtifact},
		Configuration: encode(pipeline.Source{Repository: c.repository}),
	}}}
}

func (c *compiler) stage(s stage, at string) pipeline.Stage {
	out := pipeline.Stage{Name: s.Name}
	for i, a := range s.Actions {
		here := fmt.Sprintf("%s.actions[%d]", at, i)
		c.name(here, "action", a.Name, c.actions)
		out.Actions = append(out.Actions, c.action(a, here, runOrder(s, i)))
		c.actions = append(c.actions, a.Name)
	}
	for i, a := range s.Actions {
		if s.Parallel && a.RunOrder != 0 {
			c.problem(fmt.Sprintf("%s.actions[%d].runOrder", at, i), "drop one of the two", "stage %q is parallel and action %q has a runOrder", s.Name, a.Name)
		}
		if a.RunOrder < 0 {
			c.problem(fmt.Sprintf("%s.actions[%d].runOrder", at, i), "count from 1", "runOrder is %d", a.RunOrder)
		}
	}
	return out
}

// runOrder is the one written, 1 in a parallel stage, else the position.
func runOrder(s stage, i int) int {
	switch {
	case s.Actions[i].RunOrder > 0:
		return s.Actions[i].RunOrder
	case s.Parallel:
		return 1
	}
	return i + 1
}

func (c *compiler) name(at, what, name string, taken []string) {
	switch {
	case name == "":
		c.problem(at, fmt.Sprintf(`add "name: NAME" to the %s`, what), "a %s has no name", what)
	case !partName.MatchString(name):
		c.problem(at+".name", "use up to 40 letters, digits and dashes", "%q is not a name for a %s", name, what)
	case slices.Contains(taken, name):
		hint := "choose another name"
		if name == sourceStage || name == sourceAction {
			hint = "the Source stage with its action push comes by itself; " + hint
		}
		c.problem(at+".name", hint, "the name of %s %q is taken", what, name)
	}
}

func (c *compiler) action(a action, at string, order int) pipeline.Action {
	out := pipeline.Action{Name: a.Name, RunOrder: order, Inputs: a.Inputs, Outputs: a.Outputs}
	kinds := []string{}
	if a.Build != nil {
		kinds = append(kinds, "build")
		out.Type = actionType(pipeline.CategoryBuild, "Buildspec")
		c.build(a, at+".build", &out)
	}
	if a.Image != nil {
		kinds = append(kinds, "image")
		out.Type = actionType(pipeline.CategoryBuild, "Image")
		c.image(a, at+".image", &out)
	}
	if a.Deploy != nil {
		kinds = append(kinds, "deploy")
		out.Type = actionType(pipeline.CategoryDeploy, "Kubernetes")
		c.deploy(a, at+".deploy", &out)
	}
	switch len(kinds) {
	case 0:
		c.problem(at, "add one of build, image, deploy", "action %q does not say what it does", a.Name)
	case 1:
		c.inputs(at, out.Inputs)
		c.references(at+"."+kinds[0], string(out.Configuration))
		c.made(at, out.Outputs)
	default:
		c.problem(at, "make an action of each", "action %q does %s at once", a.Name, strings.Join(kinds, " and "))
	}
	return out
}

func (c *compiler) build(a action, at string, out *pipeline.Action) {
	b := *a.Build
	if b.Buildspec != "" && len(b.Commands) > 0 {
		c.problem(at, "keep one of them", "both buildspec and commands are given")
	}
	if len(b.Commands) == 0 && len(b.Artifacts)+len(b.Reports) > 0 {
		c.problem(at, "list them in the buildspec file, or add commands", "artifacts and reports go with commands")
	}
	for name, service := range b.Services {
		if service.Engine != "postgres" {
			c.problem(fmt.Sprintf("%s.services.%s.engine", at, name), "the engine there is: postgres", "service %q asks for engine %q", name, service.Engine)
		}
	}
	c.duration(at+".timeout", b.Timeout)
	if len(out.Inputs) == 0 {
		out.Inputs = []string{sourceArtifact}
	}
	if len(out.Outputs) == 0 {
		out.Outputs = []string{a.Name}
	}
	out.Configuration = encode(b)
}

func (c *compiler) image(a action, at string, out *pipeline.Action) {
	i := *a.Image
	if i.Repository == "" {
		c.problem(at, "add a repository, such as the pipeline's name", "the image has no repository")
	}
	if i.Artifact == "" {
		i.Artifact = c.outputs[len(c.outputs)-1]
	}
	if len(out.Inputs) == 0 {
		out.Inputs = []string{i.Artifact}
	}
	out.Configuration = encode(i)
}

func (c *compiler) deploy(a action, at string, out *pipeline.Action) {
	d := *a.Deploy
	if d.Strategy == "" {
		d.Strategy = pipeline.Rolling
	}
	for _, problem := range d.Problems() {
		c.problem(at+"."+problem.Path, problem.Hint, "%s", problem.Message)
	}
	if len(out.Inputs) == 0 {
		out.Inputs = []string{sourceArtifact}
	}
	out.Configuration = encode(d)
}

// inputs checks that each input was made by an earlier action.
func (c *compiler) inputs(at string, inputs []string) {
	for _, name := range inputs {
		if !slices.Contains(c.outputs, name) {
			c.problem(at, "there are "+strings.Join(c.outputs, ", "), "no earlier action makes an artifact %q", name)
		}
	}
}

// made checks that no artifact is made twice: the later one would take the
// place of the earlier one in silence.
func (c *compiler) made(at string, outputs []string) {
	for _, name := range outputs {
		if slices.Contains(c.outputs, name) {
			c.problem(at+".outputs", "choose another name", "an earlier action makes artifact %q", name)
		}
		c.outputs = append(c.outputs, name)
	}
}

// references checks that variables come from earlier actions, so that a typing
// error is found at the push and not at the deployment.
func (c *compiler) references(at, config string) {
	for _, ref := range reference.FindAllStringSubmatch(config, -1) {
		if ref[1] != "codepipeline" && !slices.Contains(c.actions, ref[1]) {
			hint := "earlier actions are " + strings.Join(c.actions, ", ")
			c.problem(at, hint, "%s refers to no earlier action", ref[0])
		}
	}
}

func (c *compiler) duration(at, text string) {
	if text == "" {
		return
	}
	if d, err := time.ParseDuration(text); err != nil || d <= 0 {
		c.problem(at, "write it like 90s, 20m or 1h30m", "%q is not a duration", text)
	}
}

func actionType(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "Towline", Provider: provider, Version: "1"}
}

func stageNames(stages []pipeline.Stage) []string {
	var names []string
	for _, s := range stages {
		names = append(names, s.Name)
	}
	return names
}

// encode cannot fail: the configurations are structs of strings and numbers.
func encode(configuration any) json.RawMessage {
	text, err := json.Marshal(configuration)
	if err != nil {
		panic(err)
	}
	return text
}
