package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/towline/towline/internal/pipeline"
)

const (
	// sourceArtifact is the name of the tree that the Source stage makes.
	sourceArtifact = "source"
	sourceStage    = "Source"
	sourceAction   = "push"
)

// appName is what Kubernetes can call an application.
var appName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// compiler makes a Pipeline of a file whose shape is right, and finds what is
// wrong with what the file's own words mean. What is wrong with the pipeline
// that they make, it lets the pipeline say.
type compiler struct {
	positions  map[string]*token.Position
	repository string
	problems   Problems

	pipeline string // its name
	known    scope
	// source is the artifact that the first of the sources makes.
	source string
}

// scope is what the actions and rules at hand may refer to: all that comes
// before them, and not what runs beside them.
type scope struct {
	variables  []string // of the pipeline
	namespaces []string // of the actions so far
	artifacts  []string // so far
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
	p := pipeline.Pipeline{Name: f.Pipeline, Version: 1, Foreign: foreign(f.AWS)}
	p.Mode = pick(c, "mode", f.Mode, modes)
	c.pipeline = f.Pipeline
	p.Variables = c.variables(f.Variables)
	p.Stages = c.stages(f.Stages)
	p.On = c.on(f.On, p.Stages)
	if len(c.problems) == 0 {
		c.check(p, f)
	}
	return p
}

// check finds what is wrong with the pipeline in itself.
func (c *compiler) check(p pipeline.Pipeline, f file) {
	for _, problem := range p.Check() {
		hint := problem.Hint
		if strings.HasSuffix(problem.Path, "].name") && strings.Contains(problem.Message, `of stage "Source" is taken`) && len(p.Stages) > len(f.Stages) {
			hint = "the Source stage comes by itself, unless its actions are sources; " + hint
		}
		c.problem(inFile(problem.Path, p, f), hint, "%s", problem.Message)
	}
}

// memberNames are members of a pipeline and what the file calls them.
var memberNames = strings.NewReplacer(".timeoutInMinutes", ".timeout", ".filePaths", ".paths", ".result", ".else", ".retryMode", ".retry", "executionMode", "mode")

// inFile is where the file says what the pipeline has at a path.
func inFile(path string, p pipeline.Pipeline, f file) string {
	var index int
	switch {
	case path == "name":
		return "pipeline"
	case scan(path, "variables[%d]", &index) && index < len(f.Variables):
		return "variables." + f.Variables[index].Name
	case scan(path, "stages[%d]", &index):
		_, rest, _ := strings.Cut(path, "]")
		path = fmt.Sprintf("stages[%d]%s", index-len(p.Stages)+len(f.Stages), rest)
	}
	return memberNames.Replace(path)
}

func scan(path, format string, index *int) bool {
	n, err := fmt.Sscanf(path, format, index)
	return n == 1 && err == nil
}

func (c *compiler) variables(declared variables) []pipeline.Variable {
	var all []pipeline.Variable
	for _, v := range declared {
		all = append(all, pipeline.Variable{Name: v.Name, Default: v.Default, Description: v.Description})
		c.known.variables = append(c.known.variables, v.Name)
	}
	return all
}

func (c *compiler) stages(written []stage) []pipeline.Stage {
	var all []pipeline.Stage
	if len(written) == 0 {
		c.problem("stages", "add a stage with an action, such as a build", "the pipeline has no stages")
	}
	own := len(written) > 0 && slices.ContainsFunc(written[0].Actions, action.isSource)
	if !own {
		all = append(all, c.sourceStage())
	}
	for i, s := range written {
		all = append(all, c.stage(s, fmt.Sprintf("stages[%d]", i), i == 0 && own))
	}
	return all
}

// sourceStage is the stage that every pipeline begins with whose file has no
// sources of its own.
func (c *compiler) sourceStage() pipeline.Stage {
	c.known.namespaces, c.known.artifacts = []string{sourceAction}, []string{sourceArtifact}
	return pipeline.Stage{Name: sourceStage, Actions: []pipeline.Action{{
		Name: sourceAction, Type: towline(pipeline.CategorySource, "Git"), RunOrder: 1, Outputs: []string{sourceArtifact},
		Configuration: encode(pipeline.Source{Repository: c.repository}),
	}}}
}

func (c *compiler) stage(s stage, at string, first bool) pipeline.Stage {
	out := pipeline.Stage{Name: s.Name, Foreign: foreign(s.AWS), Actions: make([]pipeline.Action, len(s.Actions))}
	for i, a := range s.Actions {
		if s.Parallel && a.RunOrder != 0 {
			c.problem(fmt.Sprintf("%s.actions[%d].runOrder", at, i), "drop one of the two", "stage %q is parallel and action %q has a runOrder", s.Name, a.Name)
		}
	}
	out.BeforeEntry = c.condition(s.BeforeEntry, at+".beforeEntry", entryResults)
	orders := make([]int, len(s.Actions))
	for i := range orders {
		orders[i] = runOrder(s, i)
	}
	// Actions that run together do not see what the others make.
	for _, group := range together(orders) {
		after := c.known
		for _, i := range group {
			here := fmt.Sprintf("%s.actions[%d]", at, i)
			a := c.action(s.Actions[i], here, &after)
			a.RunOrder = orders[i]
			out.Actions[i] = a
		}
		c.known = after
	}
	if first {
		c.sourceOf(out)
	}
	out.OnSuccess = c.condition(s.OnSuccess, at+".onSuccess", successResults)
	out.OnFailure = c.onFailure(s.OnFailure, at+".onFailure")
	return out
}

func (c *compiler) sourceOf(s pipeline.Stage) {
	for _, a := range s.Actions {
		if len(a.Outputs) > 0 {
			c.source = a.Outputs[0]
			return
		}
	}
}

// runOrder is the one written, 1 in a parallel stage, else the position.
func runOrder(s stage, i int) int {
	switch {
	case s.Actions[i].RunOrder != 0:
		return s.Actions[i].RunOrder
	case s.Parallel:
		return 1
	}
	return i + 1
}

// together are the indexes of equal orders, lowest first.
func together(orders []int) [][]int {
	distinct := slices.Clone(orders)
	slices.Sort(distinct)
	var groups [][]int
	for _, order := range slices.Compact(distinct) {
		var group []int
		for i, o := range orders {
			if o == order {
				group = append(group, i)
			}
		}
		groups = append(groups, group)
	}
	return groups
}

// pick is what a word of the file means, the zero value when there is none.
func pick[T any](c *compiler, at, word string, meanings []meaning[T]) T {
	var none T
	if word == "" {
		return none
	}
	var choice []string
	for _, m := range meanings {
		if m.word == word {
			return m.value
		}
		choice = append(choice, m.word)
	}
	c.problem(at, "choose one of "+strings.Join(choice, ", "), "unknown %s %q", at[strings.LastIndexByte(at, '.')+1:], word)
	return none
}

// meaning is a word of the file and what it stands for.
type meaning[T any] struct {
	word  string
	value T
}

// wordFor is the inverse of pick, ok false when no word means the value.
func wordFor[T comparable](value T, meanings []meaning[T]) (word string, ok bool) {
	var none T
	if value == none {
		return "", true
	}
	for _, m := range meanings {
		if m.value == value {
			return m.word, true
		}
	}
	return "", false
}

var modes = []meaning[pipeline.ExecutionMode]{
	{"superseded", pipeline.ModeSuperseded}, {"queued", pipeline.ModeQueued}, {"parallel", pipeline.ModeParallel},
}

// foreign are the same members in the one form that encode gives.
func foreign(members pipeline.Foreign) pipeline.Foreign {
	if len(members) == 0 {
		return nil
	}
	out := pipeline.Foreign{}
	for name, value := range members {
		out[name] = encode(value)
	}
	return out
}

// encode cannot fail: the configurations are structs of strings and numbers, or
// JSON already. It leaves <, > and & as they are, as people wrote them.
func encode(configuration any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(configuration); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
