package definition_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/towline/towline/internal/pipeline"
)

// maker draws the parts of one pipeline, and knows what they may refer to.
type maker struct {
	*rapid.T
	variables, namespaces, artifacts []string
	made                             int
}

func pipelines(t *rapid.T) pipeline.Pipeline {
	m := &maker{T: t}
	p := pipeline.Pipeline{
		Name: m.name(), Version: 1, Foreign: m.foreign(),
		Mode: rapid.SampledFrom([]pipeline.ExecutionMode{"", pipeline.ModeSuperseded, pipeline.ModeQueued}).Draw(t, "mode"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "variables") {
		v := pipeline.Variable{Name: fmt.Sprintf("%s%d", rapid.StringMatching(`[A-Za-z@_-]{1,5}`).Draw(t, "variable"), i)}
		if rapid.Bool().Draw(t, "default") {
			value := m.text()
			v.Default = &value
		}
		if rapid.Bool().Draw(t, "described") {
			v.Description = m.text()
		}
		p.Variables, m.variables = append(p.Variables, v), append(m.variables, v.Name)
	}
	sources := []string{"push"}
	if rapid.Bool().Draw(t, "own source") {
		s := m.stage("Fetch", m.source)
		s.BeforeEntry = nil // it has nothing to ask about that would be right
		p.Stages, sources = append(p.Stages, s), nil
		for _, a := range s.Actions {
			sources = append(sources, a.Name)
		}
	} else {
		p.Stages = []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{{
			Name: "push", Type: towline("Source", "Git"), RunOrder: 1, Outputs: []string{"source"}, Configuration: json.RawMessage(`{"repository":"web"}`),
		}}}}
		m.namespaces, m.artifacts = []string{"push"}, []string{"source"}
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
		p.Stages = append(p.Stages, m.stage(fmt.Sprintf("S%d_%s", i, m.name()), m.action))
	}
	p.On = m.on(sources)
	return p
}

func towline(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "Towline", Provider: provider, Version: "1"}
}

func aws(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "AWS", Provider: provider, Version: "1"}
}

func (m *maker) name() string {
	return rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9.@_-]{0,12}`).Draw(m.T, "name")
}

// text is what people write, and what they do not.
func (m *maker) text() string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "yes", "on", "null", "~", "1", "1.0", "0x1f", "-", "- a", "a: b", "a #b", "#", "!a", "&a", "*a", "{", "[", "'", `"`, `\`, "a\nb", "a\nb\n", "\na", "a\n\nb", " a", "a ", "a\n  b\n",
			"set -e\nmake test\n", "\t", "a\tb", "2001-01-01", "1e3", ".inf", "<<", "=", "%", "@a", "`", "?", "|", ">", ",", "ü", "日本", "😀", "\u2028", "\u0085", "\x7f", "\ufeff", "\r\n", "if a && b; then <c> fi", "12:30:00", "20m", "0o7", "+1", "_1", "1_000",
		}),
		rapid.String(),
		rapid.StringMatching(`[ -~\n]{0,30}`),
	).Filter(func(s string) bool { return !strings.Contains(s, "#{") && len(s) < 900 }).Draw(m.T, "text")
}

// reference is a text that mentions something that is known.
func (m *maker) reference() string {
	known := []string{"#{codepipeline.PipelineExecutionId}"}
	for _, v := range m.variables {
		known = append(known, "#{variables."+v+"}")
	}
	for _, n := range m.namespaces {
		known = append(known, "#{"+n+".Value}")
	}
	return m.text() + rapid.SampledFrom(known).Draw(m.T, "reference")
}

func (m *maker) value(depth int) any {
	switch kind := rapid.IntRange(0, 6).Draw(m.T, "kind"); {
	case kind == 0:
		return rapid.Bool().Draw(m.T, "bool")
	case kind == 1:
		return rapid.IntRange(-1000, 1000).Draw(m.T, "int")
	case kind == 2:
		return nil
	case kind == 3 && depth > 0:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(m.T, "length") {
			list = append(list, m.value(depth-1))
		}
		return list
	case kind == 4 && depth > 0:
		return m.mapping(depth - 1)
	}
	return m.text()
}

func (m *maker) mapping(depth int) map[string]any {
	all := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(m.T, "length") {
		all[m.text()] = m.value(depth)
	}
	return all
}

func (m *maker) json(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		m.Fatal(err)
	}
	return text
}

func (m *maker) foreign() pipeline.Foreign {
	if rapid.IntRange(0, 3).Draw(m.T, "no foreign") > 0 {
		return nil
	}
	all := pipeline.Foreign{}
	for name, value := range m.mapping(3) {
		all[name] = m.json(value)
	}
	return all
}

func (m *maker) globs() *pipeline.Globs {
	glob := rapid.SampledFrom([]string{"main", "release/**", "!odd", `\!odder`, "*", "a b", "on", "v[0-9]*", "{a,b}", "#1"})
	g := &pipeline.Globs{Includes: rapid.SliceOfN(glob, 0, 3).Draw(m.T, "includes"), Excludes: rapid.SliceOfN(glob, 0, 3).Draw(m.T, "excludes")}
	if g.Empty() {
		return nil
	}
	return g
}

func (m *maker) on(sources []string) pipeline.On {
	var on pipeline.On
	source := rapid.SampledFrom(append(sources, ""))
	for range rapid.IntRange(0, 2).Draw(m.T, "pushes") {
		on.Push = append(on.Push, pipeline.PushFilter{Source: source.Draw(m.T, "source"), Branches: m.globs(), Tags: m.globs(), Paths: m.globs()})
	}
	for range rapid.IntRange(0, 2).Draw(m.T, "pull requests") {
		event := rapid.SampledFrom([]pipeline.PullRequestEvent{pipeline.PullRequestOpen, pipeline.PullRequestUpdated, pipeline.PullRequestClosed})
		on.PullRequest = append(on.PullRequest, pipeline.PullRequestFilter{
			Source: source.Draw(m.T, "source"), Events: rapid.SliceOfN(event, 0, 3).Draw(m.T, "events"), Branches: m.globs(), Paths: m.globs(),
		})
	}
	for range rapid.IntRange(0, 2).Draw(m.T, "schedules") {
		on.Schedule = append(on.Schedule, pipeline.Schedule{
			Cron:     rapid.SampledFrom([]string{"0 6 * * 1-5", "*/5 * * * *", "0 0 1 JAN *"}).Draw(m.T, "cron"),
			TimeZone: rapid.SampledFrom([]string{"", "Europe/Berlin", "UTC+05:30"}).Draw(m.T, "zone"),
		})
	}
	return on
}

func (m *maker) stage(name string, action func() pipeline.Action) pipeline.Stage {
	s := pipeline.Stage{Name: name, Foreign: m.foreign()}
	s.BeforeEntry = m.condition(true, pipeline.ResultFail, pipeline.ResultSkip)
	order := rapid.SampledFrom([]func(int) int{
		func(i int) int { return i + 1 }, func(int) int { return 1 }, func(i int) int { return 7 - i/2 },
	}).Draw(m.T, "order")
	n := rapid.IntRange(1, 3).Draw(m.T, "actions")
	s.Actions = make([]pipeline.Action, n)
	var indexes []int
	for i := range n {
		indexes = append(indexes, i)
	}
	slices.SortStableFunc(indexes, func(a, b int) int { return order(a) - order(b) })
	// What runs together is made with the same knowledge.
	var namespaces, artifacts []string
	for at, i := range indexes {
		if at > 0 && order(indexes[at-1]) != order(i) {
			m.namespaces, m.artifacts = append(m.namespaces, namespaces...), append(m.artifacts, artifacts...)
			namespaces, artifacts = nil, nil
		}
		a := action()
		a.Name, a.RunOrder = fmt.Sprintf("%s%d", a.Name, i), order(i)
		if a.Namespace != "" {
			namespaces = append(namespaces, a.Namespace)
		}
		s.Actions[i], artifacts = a, append(artifacts, a.Outputs...)
	}
	m.namespaces, m.artifacts = append(m.namespaces, namespaces...), append(m.artifacts, artifacts...)
	results := []pipeline.ConditionResult{pipeline.ResultFail, pipeline.ResultRollback, pipeline.ResultRetry, pipeline.ResultSkip}
	if name == "Fetch" {
		// A source cannot be rolled back.
		results = slices.Delete(results, 1, 2)
	}
	s.OnSuccess = m.condition(true, results[:len(results)-2]...)
	s.OnFailure = m.condition(false, results...)
	if c := s.OnFailure; c != nil && c.Result == pipeline.ResultRetry {
		c.RetryMode = rapid.SampledFrom([]pipeline.RetryMode{"", pipeline.RetryAllActions, pipeline.RetryFailedActions}).Draw(m.T, "retry")
	}
	return s
}

func (m *maker) output() []string {
	m.made++
	return []string{fmt.Sprintf("made_%d", m.made)}
}

func (m *maker) inputs() []string {
	if len(m.artifacts) == 0 {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(m.artifacts), 0, min(2, len(m.artifacts)), rapid.ID[string]).Draw(m.T, "inputs")
}

func (m *maker) common() pipeline.Action {
	a := pipeline.Action{Name: m.name(), Foreign: m.foreign(), Timeout: rapid.SampledFrom([]int{0, 1, 59, 60, 86400}).Draw(m.T, "timeout")}
	if rapid.Bool().Draw(m.T, "named") {
		// No action has such a name, which would be its namespace too.
		m.made++
		a.Namespace = fmt.Sprintf("%s%d", rapid.StringMatching(`_[A-Za-z@_-]{0,5}`).Draw(m.T, "namespace"), m.made)
	}
	return a
}

func (m *maker) source() pipeline.Action {
	a := m.common()
	a.Outputs = m.output()
	switch rapid.IntRange(0, 3).Draw(m.T, "source") {
	case 0:
		a.Type, a.Configuration = towline("Source", "Git"), json.RawMessage(`{"url":"https://github.com/acme/web.git","branch":"main"}`)
	case 1:
		a.Type, a.Configuration = aws("Source", "S3"), json.RawMessage(`{"S3Bucket":"b","S3ObjectKey":"k"}`)
	case 2:
		a.Type, a.Configuration = aws("Source", "S3"), json.RawMessage(`{"PollForSourceChanges":"false","S3Bucket":"b","S3ObjectKey":"k"}`)
	default:
		a.Type, a.Configuration = aws("Source", "CodeStarSourceConnection"), m.json(map[string]string{"ConnectionArn": m.text(), "BranchName": m.reference()})
		a.Outputs = append(a.Outputs, m.output()...)
	}
	return a
}

func (m *maker) action() pipeline.Action {
	a := m.common()
	switch rapid.IntRange(0, 4).Draw(m.T, "action") {
	case 0:
		a.Type, a.Configuration = aws("Approval", "Manual"), m.json(pipeline.Approval{Message: m.reference(), Link: m.text(), Topic: m.text()})
	case 1:
		a.Type = towline("Build", "Buildspec")
		a.Configuration = m.json(pipeline.Build{Commands: []string{m.text(), m.reference()}, Env: map[string]string{m.text(): m.text()}})
		a.Inputs, a.Outputs = m.inputs(), m.output()
	case 2:
		a.Type, a.Inputs = towline("Build", "Image"), m.inputs()
		i := pipeline.Image{Repository: "web", Ports: []int{80}}
		if len(a.Inputs) > 0 {
			i.Artifact = a.Inputs[0]
		}
		a.Configuration = m.json(i)
	case 3:
		a.Type, a.Inputs = towline("Deploy", "Kubernetes"), m.inputs()
		a.Configuration = m.json(pipeline.Deploy{App: "shop", Strategy: rapid.SampledFrom([]string{"", "rolling", "immutable"}).Draw(m.T, "strategy"), Images: map[string]string{"web": m.reference()}})
	default:
		a.Type = pipeline.ActionType{
			Category: rapid.SampledFrom([]pipeline.Category{"Build", "Test", "Deploy", "Invoke", "Approval", "Compute"}).Draw(m.T, "category"),
			Owner:    rapid.SampledFrom([]string{"AWS", "ThirdParty", "Custom", "Towline"}).Draw(m.T, "owner"), Provider: "P", Version: rapid.SampledFrom([]string{"1", "2"}).Draw(m.T, "version"),
		}
		if a.Type.Category != pipeline.CategoryApproval {
			a.Inputs, a.Outputs = m.inputs(), m.output()
		}
		if rapid.Bool().Draw(m.T, "configured") {
			a.Configuration = m.json(m.mapping(2))
		}
	}
	return a
}

func (m *maker) condition(rules bool, results ...pipeline.ConditionResult) *pipeline.Condition {
	if rapid.Bool().Draw(m.T, "no condition") {
		return nil
	}
	c := &pipeline.Condition{Result: rapid.SampledFrom(append(results, "")).Draw(m.T, "result")}
	least := 0
	if rules {
		least = 1
	}
	if c.Result == pipeline.ResultSkip && rules {
		r := m.rule()
		r.Name, r.Type, r.Configuration = "first", aws("Rule", "LambdaInvoke"), m.json(pipeline.Lambda{Function: "f"})
		c.Rules = append(c.Rules, r)
	}
	for i := range rapid.IntRange(least, 4).Draw(m.T, "rules") {
		r := m.rule()
		if c.Result == pipeline.ResultSkip && r.Type.Provider != "VariableCheck" && r.Type.Provider != "LambdaInvoke" {
			continue
		}
		if rapid.Bool().Draw(m.T, "rule named") || r.Name == "" || slices.ContainsFunc(c.Rules, func(o pipeline.Rule) bool { return o.Name == r.Name }) {
			r.Name = fmt.Sprintf("r%d", i)
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}

func (m *maker) rule() pipeline.Rule {
	r := pipeline.Rule{Inputs: m.inputs(), Foreign: m.foreign(), Timeout: rapid.SampledFrom([]int{0, 5, 120}).Draw(m.T, "timeout")}
	switch rapid.IntRange(0, 4).Draw(m.T, "rule") {
	case 0:
		r.Name, r.Type = "variable", aws("Rule", "VariableCheck")
		r.Configuration = m.json(pipeline.VariableCheck{Variable: m.reference(), Operator: rapid.SampledFrom([]string{"EQ", "NE", "CONTAINS", "MATCHES", "GT"}).Draw(m.T, "operator"), Value: m.text()})
	case 1:
		r.Name, r.Type = "window", aws("Rule", "DeploymentWindow")
		r.Configuration = m.json(pipeline.DeploymentWindow{Cron: rapid.SampledFrom([]string{"0 0 9-17 ? * MON-FRI *", "* * * L * ?", "nonsense"}).Draw(m.T, "cron"), TimeZone: "PST"})
	case 2:
		r.Name, r.Type, r.Configuration = "commands", aws("Rule", "Commands"), m.json(pipeline.Build{Commands: []string{m.reference()}})
	case 3:
		r.Name, r.Type, r.Configuration = "invoke", aws("Rule", "LambdaInvoke"), m.json(pipeline.Lambda{Function: "f", Parameters: m.reference()})
	default:
		r.Name, r.Type, r.Configuration = "rule", aws("Rule", "CloudWatchAlarm"), m.json(m.mapping(1))
	}
	if rapid.IntRange(0, 5).Draw(m.T, "bare") == 0 {
		// CodePipeline wants neither from rules.
		r.Type.Owner, r.Type.Version = "", ""
	}
	return r
}
