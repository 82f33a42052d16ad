package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/token"

	"github.com/towline/towline/internal/pipeline"
)

// Format writes a pipeline as a towline.yaml: the inverse of Parse. What is
// written in the file's own keys reads like a file that a person wrote; what it
// has no keys for is written as "action" or "rule", and what Towline has no use
// for under "aws". The version of a pipeline does not belong to its file.
//
// Read again, for the same repository, the file gives the same pipeline. One
// that cannot be written so is an error, which says why.
func Format(p pipeline.Pipeline) ([]byte, error) {
	p = normal(p)
	repository := repositoryOf(p)
	f, err := decompile(p, repository)
	if err != nil {
		return nil, fmt.Errorf("write pipeline %s as %s: %w", p.Name, FileName, err)
	}
	document, err := treeOf(encode(f))
	if err != nil {
		return nil, fmt.Errorf("write pipeline %s as %s: %w", p.Name, FileName, err)
	}
	written := emit(document)
	read, err := Parse(written, repository)
	if err != nil {
		return nil, fmt.Errorf("write pipeline %s as %s, which knows no such pipeline: %w", p.Name, FileName, err)
	}
	if !same(p, read) {
		return nil, fmt.Errorf("write pipeline %s as %s: read again it would be another one", p.Name, FileName)
	}
	return written, nil
}

// normal is the same pipeline without what makes no difference.
func normal(p pipeline.Pipeline) pipeline.Pipeline {
	p.Version = 1
	drop := func(g **pipeline.Globs) {
		if (*g).Empty() {
			*g = nil
		}
	}
	p.On.Push, p.On.PullRequest = slices.Clone(p.On.Push), slices.Clone(p.On.PullRequest)
	for i := range p.On.Push {
		f := &p.On.Push[i]
		drop(&f.Branches)
		drop(&f.Tags)
		drop(&f.Paths)
	}
	for i := range p.On.PullRequest {
		f := &p.On.PullRequest[i]
		drop(&f.Branches)
		drop(&f.Paths)
	}
	return p
}

// repositoryOf is the repository that a definition is about that leaves its
// Source stage out.
func repositoryOf(p pipeline.Pipeline) string {
	var source pipeline.Source
	if len(p.Stages) > 0 && len(p.Stages[0].Actions) == 1 && strict(p.Stages[0].Actions[0].Configuration, &source) {
		return source.Repository
	}
	return ""
}

// same tells whether two values mean the same in JSON.
func same(a, b any) bool {
	var docs [2]any
	for i, v := range []any{a, b} {
		text, err := json.Marshal(v)
		if err != nil || json.Unmarshal(text, &docs[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(docs[0], docs[1])
}

// strict reads a configuration that has no members but those of into.
func strict(configuration json.RawMessage, into any) bool {
	decoder := json.NewDecoder(bytes.NewReader(configuration))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into) == nil
}

// decompiler makes the file of a pipeline. It compiles what it writes as it
// goes, to see what may be left out because it is what the compiler assumes.
type decompiler struct{ compiler }

func decompile(p pipeline.Pipeline, repository string) (file, error) {
	d := decompiler{compiler{
		positions: map[string]*token.Position{"": {}}, repository: repository, source: sourceArtifact, pipeline: p.Name,
	}}
	f := file{Pipeline: p.Name, AWS: p.Foreign}
	var ok bool
	if f.Mode, ok = wordFor(p.Mode, modes); !ok {
		return f, fmt.Errorf("there is no execution mode %s", p.Mode)
	}
	for _, v := range p.Variables {
		f.Variables = append(f.Variables, namedVariable{v.Name, variable{declaration{v.Default, v.Description}}})
	}
	d.variables(f.Variables)
	var err error
	if f.On, err = writeOn(p.On, p.Stages); err != nil {
		return f, err
	}
	stages, own := p.Stages, true
	if automatic := d.sourceStage(); len(stages) > 0 && same(stages[0], automatic) {
		stages, own = stages[1:], false
	} else {
		d.known = scope{variables: d.known.variables}
	}
	f.Stages = []stage{}
	for i, s := range stages {
		written, err := d.writeStage(s, own && i == 0)
		if err != nil {
			return f, fmt.Errorf("stage %s: %w", s.Name, err)
		}
		f.Stages = append(f.Stages, written)
	}
	return f, nil
}

func writeOn(o pipeline.On, stages []pipeline.Stage) (*on, error) {
	if same(o, defaultOn(stages)) {
		return nil, nil
	}
	var out on
	for _, f := range o.Push {
		out.Push = append(out.Push, push{Source: f.Source, Branches: patterns(f.Branches), Tags: patterns(f.Tags), Paths: patterns(f.Paths)})
	}
	for _, f := range o.PullRequest {
		filter := pullRequest{Source: f.Source, Branches: patterns(f.Branches), Paths: patterns(f.Paths)}
		for _, event := range f.Events {
			word, ok := wordFor(event, events)
			if !ok {
				return nil, fmt.Errorf("there is no event %s of pull requests", event)
			}
			filter.Events = append(filter.Events, word)
		}
		out.PullRequest = append(out.PullRequest, filter)
	}
	for _, s := range o.Schedule {
		out.Schedule = append(out.Schedule, schedule{Cron: s.Cron, TimeZone: s.TimeZone})
	}
	return &out, nil
}

func patterns(g *pipeline.Globs) []string {
	if g == nil {
		return nil
	}
	var all []string
	for _, glob := range g.Includes {
		all = append(all, escape(glob))
	}
	for _, glob := range g.Excludes {
		all = append(all, "!"+escape(glob))
	}
	return all
}

func (d *decompiler) writeStage(s pipeline.Stage, first bool) (stage, error) {
	out := stage{Name: s.Name, AWS: s.Foreign, Actions: make([]action, len(s.Actions))}
	var err error
	if out.BeforeEntry, err = d.writeCondition(s.BeforeEntry, entryResults); err != nil {
		return out, err
	}
	var orders []int
	for _, a := range s.Actions {
		orders = append(orders, a.RunOrder)
	}
	for _, group := range together(orders) {
		after := d.known
		for _, i := range group {
			out.Actions[i] = d.writeAction(s.Actions[i], &after)
		}
		d.known = after
	}
	writeOrders(&out, orders)
	if first {
		d.sourceOf(s)
	}
	if out.OnSuccess, err = d.writeCondition(s.OnSuccess, successResults); err != nil {
		return out, err
	}
	out.OnFailure, err = d.writeFailure(s.OnFailure)
	return out, err
}

// writeOrders says in which order the actions run, in the shortest way.
func writeOrders(s *stage, orders []int) {
	line, beside := true, true
	for i, order := range orders {
		line, beside = line && order == i+1, beside && order == 1
	}
	if line {
		return
	}
	s.Parallel = beside
	for i := range s.Actions {
		if !beside {
			s.Actions[i].RunOrder = orders[i]
		}
	}
}

func (d *decompiler) writeCondition(c *pipeline.Condition, results []meaning[pipeline.ConditionResult]) (*condition, error) {
	if c == nil {
		return nil, nil
	}
	word, ok := wordFor(c.Result, results)
	if !ok || c.RetryMode != "" {
		return nil, fmt.Errorf("a condition of this kind has no result %s %s", c.Result, c.RetryMode)
	}
	return &condition{Else: word, Rules: d.writeRules(c.Rules)}, nil
}

func (d *decompiler) writeFailure(c *pipeline.Condition) (*onFailure, error) {
	if c == nil {
		return nil, nil
	}
	out := onFailure{failure{Rules: d.writeRules(c.Rules)}}
	var known, retry bool
	out.Else, known = wordFor(c.Result, failureResults)
	out.Retry, retry = wordFor(c.RetryMode, retryModes)
	if !known || !retry {
		return nil, fmt.Errorf("the condition of a failure has no result %s %s", c.Result, c.RetryMode)
	}
	if out.Retry != "" && c.Result == pipeline.ResultRetry {
		out.Else = ""
	}
	return &out, nil
}
