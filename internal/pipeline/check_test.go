package pipeline_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func kindOf(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "AWS", Provider: provider, Version: "1"}
}

// whole is a definition that uses all that there is and has nothing wrong. Each
// caller gets one of its own.
func whole() pipeline.Pipeline {
	rule := func(provider, config string) []pipeline.Rule {
		return []pipeline.Rule{{Name: "r", Type: kindOf(pipeline.CategoryRule, provider), Configuration: json.RawMessage(config)}}
	}
	value := "staging"
	return pipeline.Pipeline{
		Name: "web", Version: 1, Mode: pipeline.ModeQueued,
		On: pipeline.On{
			Push:        []pipeline.PushFilter{{Source: "Git", Branches: &pipeline.Globs{Includes: []string{"main"}}}},
			PullRequest: []pipeline.PullRequestFilter{{Events: []pipeline.PullRequestEvent{pipeline.PullRequestOpen}}},
			Schedule:    []pipeline.Schedule{{Cron: "30 6 * * 1-5"}},
		},
		Variables: []pipeline.Variable{{Name: "target", Default: &value}, {Name: "ticket"}},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{
				{Name: "Git", Type: kindOf(pipeline.CategorySource, "CodeStarSourceConnection"), RunOrder: 1, Outputs: []string{"src"}, Namespace: "SourceVariables"},
			}},
			{Name: "Build", Actions: []pipeline.Action{
				{Name: "app", Type: kindOf(pipeline.CategoryBuild, "CodeBuild"), RunOrder: 2, Inputs: []string{"src", "lib"}, Outputs: []string{"app"},
					Configuration: json.RawMessage(`{"ProjectName":"#{variables.target}","EnvironmentVariables":"[#{lib.Version} #{SourceVariables.CommitId}]"}`)},
				{Name: "lib", Type: kindOf(pipeline.CategoryBuild, "CodeBuild"), RunOrder: 1, Inputs: []string{"src"}, Outputs: []string{"lib"}},
			}},
			{Name: "Deploy", Actions: []pipeline.Action{
				{Name: "go-ahead", Type: kindOf(pipeline.CategoryApproval, "Manual"), RunOrder: 1, Configuration: json.RawMessage(`{"CustomData":"#{codepipeline.PipelineExecutionId}"}`)},
				{Name: "app", Type: kindOf(pipeline.CategoryDeploy, "EKS"), RunOrder: 2, Inputs: []string{"app"}},
			},
				BeforeEntry: &pipeline.Condition{Result: pipeline.ResultSkip, Rules: rule("VariableCheck", `{"Variable":"#{lib.Version}"}`)},
				OnSuccess:   &pipeline.Condition{Result: pipeline.ResultRollback, Rules: rule("Commands", `{"x":"#{go-ahead.by}"}`)},
				OnFailure:   &pipeline.Condition{Result: pipeline.ResultRetry, RetryMode: pipeline.RetryAllActions},
			},
		},
	}
}

func TestCheckFindsNothingWrongWithAWholeDefinition(t *testing.T) {
	t.Parallel()
	if problems := whole().Check(); problems != nil {
		t.Errorf("%v", problems)
	}
}

func TestCheckNamesWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	type p = pipeline.Pipeline
	const (
		structure = pipeline.InvalidStructure
		stage     = pipeline.InvalidStage
		action    = pipeline.InvalidAction
		value     = pipeline.InvalidValue
	)
	long := strings.Repeat("x", 1001)
	nine := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}
	for name, c := range map[string]struct {
		change    func(*p)
		exception pipeline.Exception
		want      string
	}{
		"no name":                     {func(p *p) { p.Name = "" }, structure, "name: the pipeline has no name; give it one"},
		"a name with a slash":         {func(p *p) { p.Name = "a/b" }, structure, `name: "a/b" is not the name of a pipeline; use up to 100 letters, digits and . @ - _`},
		"a name of dots":              {func(p *p) { p.Name = ".." }, structure, `name: ".." is not the name of a pipeline; use up to 100`},
		"an unknown mode":             {func(p *p) { p.Mode = "FAST" }, structure, `executionMode: unknown executionMode "FAST"; choose SUPERSEDED, QUEUED or PARALLEL`},
		"one stage":                   {func(p *p) { p.Stages, p.On = p.Stages[:1], pipeline.On{} }, structure, "stages: the pipeline has 1 stage; the fewest is 2"},
		"no stages":                   {func(p *p) { p.Stages, p.On = nil, pipeline.On{} }, structure, "stages: the pipeline has 0 stages; the fewest is 2"},
		"a stage without actions":     {func(p *p) { p.Stages = append(p.Stages, pipeline.Stage{Name: "Empty"}) }, stage, `stages[3].actions: stage "Empty" has no actions`},
		"a stage twice":               {func(p *p) { p.Stages[2].Name = "Build" }, stage, `stages[2].name: the name of stage "Build" is taken`},
		"a stage with a space":        {func(p *p) { p.Stages[2].Name = "To prod" }, stage, `stages[2].name: "To prod" is not the name of a stage`},
		"an action twice":             {func(p *p) { p.Stages[2].Actions[0].Name = "app" }, action, `stages[2].actions[1].name: the name of action "app" is taken in stage "Deploy"`},
		"an unknown category":         {func(p *p) { p.Stages[1].Actions[1].Type.Category = "Bake" }, action, `stages[1].actions[1].type.category: action "lib" of stage "Build" has the unknown category "Bake"; choose Source, Build,`},
		"a rule for an action":        {func(p *p) { p.Stages[1].Actions[1].Type.Category = pipeline.CategoryRule }, action, `has the unknown category "Rule"`},
		"no provider":                 {func(p *p) { p.Stages[1].Actions[1].Type.Provider = "" }, action, `stages[1].actions[1].type.provider: action "lib" of stage "Build" has the provider ""`},
		"a long version":              {func(p *p) { p.Stages[1].Actions[1].Type.Version = "1234567890" }, action, `has the version "1234567890"`},
		"a build among the sources":   {func(p *p) { p.Stages[0].Actions[0].Type.Category = pipeline.CategoryBuild }, structure, `stages[0].actions[0].type: action "Git" of stage "Source" is of category "Build"; the first stage holds source actions and nothing else; move it to a later stage`},
		"a source among the builds":   {func(p *p) { a := &p.Stages[1].Actions[1]; a.Type.Category, a.Inputs = pipeline.CategorySource, nil }, structure, `stages[1].actions[1].type: action "lib" of stage "Build" is a source; sources are in the first stage alone; move it to the first stage`},
		"run order 0":                 {func(p *p) { p.Stages[0].Actions[0].RunOrder = 0 }, action, `stages[0].actions[0].runOrder: the runOrder of action "Git" of stage "Source" is 0; count from 1 to 999`},
		"run order 1000":              {func(p *p) { p.Stages[2].Actions[1].RunOrder = 1000 }, action, "is 1000"},
		"a timeout of two months":     {func(p *p) { p.Stages[2].Actions[1].Timeout = 90000 }, action, `stages[2].actions[1].timeoutInMinutes: the timeout of action "app" of stage "Deploy" is 90000`},
		"a configuration of a list":   {func(p *p) { p.Stages[1].Actions[1].Configuration = json.RawMessage("[1]") }, action, `stages[1].actions[1].configuration: the configuration of action "lib" of stage "Build" is not a JSON object`},
		"an approval with an input":   {func(p *p) { p.Stages[2].Actions[0].Inputs = []string{"app"} }, action, `stages[2].actions[0].inputs: action "go-ahead" of stage "Deploy" takes no input artifacts; remove them`},
		"a source with an input":      {func(p *p) { p.Stages[0].Actions[0].Inputs = []string{"x"} }, action, `takes no input artifacts`},
		"an input that nothing makes": {func(p *p) { p.Stages[2].Actions[1].Inputs = []string{"ap"} }, action, `stages[2].actions[1].inputs[0]: action "app" of stage "Deploy" takes artifact "ap", which nothing makes; the artifacts there are: app, lib, src`},
		"an input made later":         {func(p *p) { p.Stages[1].Actions[1].Inputs = []string{"app"} }, action, `stages[1].actions[1].inputs[0]: action "lib" of stage "Build" takes artifact "app", which is made by action "app" of stage "Build", not before it; give action "app" of stage "Build" a lower runOrder or an earlier stage`},
		"an input of a neighbour":     {func(p *p) { p.Stages[1].Actions[0].RunOrder = 1 }, action, `takes artifact "lib", which is made by action "lib" of stage "Build", not before it`},
		"an input twice":              {func(p *p) { p.Stages[2].Actions[1].Inputs = []string{"app", "app"} }, action, `stages[2].actions[1].inputs[1]: action "app" of stage "Deploy" takes artifact "app" twice`},
		"an input of a rule": {func(p *p) {
			p.Stages[1].BeforeEntry = p.Stages[2].BeforeEntry
			p.Stages[1].BeforeEntry.Rules[0].Inputs = []string{"app"}
		}, stage, `stages[1].beforeEntry.rules[0].inputs[0]: rule "r" of stage "Build" takes artifact "app"`},
		"an artifact made twice": {func(p *p) { p.Stages[2].Actions[1].Outputs = []string{"lib"} }, action, `stages[2].actions[1].outputs[0]: action "app" of stage "Deploy" makes artifact "lib", which action "lib" of stage "Build" makes too; choose another name`},
		"51 outputs": {func(p *p) {
			for i := range 51 {
				p.Stages[2].Actions[1].Outputs = append(p.Stages[2].Actions[1].Outputs, fmt.Sprint("o", i))
			}
		}, action, `stages[2].actions[1].outputs[50]: action "app" of stage "Deploy" has 51 outputs; an action has at most 50`},
		"an artifact with a dot":     {func(p *p) { p.Stages[2].Actions[1].Outputs = []string{"a.b"} }, action, `"a.b" is not the name of an artifact`},
		"a namespace twice":          {func(p *p) { p.Stages[2].Actions[1].Namespace = "SourceVariables" }, action, `stages[2].actions[1].namespace: action "app" of stage "Deploy" has the namespace "SourceVariables", which action "Git" of stage "Source" has too; choose another one`},
		"a bad namespace":            {func(p *p) { p.Stages[2].Actions[1].Namespace = "a.b" }, action, `stages[2].actions[1].namespace: "a.b" is not a namespace`},
		"the pipeline's namespace":   {func(p *p) { p.Stages[2].Actions[1].Namespace = "variables" }, action, `has the namespace "variables", which is not for actions`},
		"an undeclared variable":     {func(p *p) { p.Variables = p.Variables[1:] }, action, `stages[1].actions[0].configuration: action "app" of stage "Build" has #{variables.target}, which the pipeline does not declare; declare it; the variables are ticket`},
		"an unknown own variable":    {set(`{"a":"#{codepipeline.Name}"}`), action, `has #{codepipeline.Name}, which there is not; use #{codepipeline.PipelineExecutionId}`},
		"an unknown namespace":       {set(`{"a":["x #{Sauce.CommitId}"]}`), action, `stages[1].actions[1].configuration: action "lib" of stage "Build" has #{Sauce.CommitId}, which refers to no action; the namespaces there are: SourceVariables, codepipeline`},
		"a variable from later":      {set(`{"a":"#{go-ahead.by}"}`), action, `has #{go-ahead.by} of action "go-ahead" of stage "Deploy", which does not run before it; give action "go-ahead"`},
		"a variable of its own":      {set(`{"a":"#{lib.Version}"}`), action, `has #{lib.Version}, which is its own`},
		"a circle":                   {func(p *p) { p.Stages[2].Actions[1].Name = "eks"; set(`{"a":"#{app.Version}"}`)(p) }, action, `action "lib" of stage "Build" has #{app.Version}, and action "app" of stage "Build" in turn waits for a variable of it: they refer to each other in a circle`},
		"a name that two have":       {func(p *p) { p.Stages[2].OnSuccess.Rules[0].Configuration = json.RawMessage(`{"a":"#{app.V}"}`) }, stage, `has #{app.V}, which could be of action "app" of stage "Build" or of action "app" of stage "Deploy"; give each its own namespace`},
		"not quite a variable":       {set(`{"a":"#{lib}"}`), action, `has "#{lib}", which is not a variable; write #{namespace.name}`},
		"a rule that asks too early": {func(p *p) { p.Stages[2].BeforeEntry.Rules[0].Configuration = json.RawMessage(`{"a":"#{go-ahead.by}"}`) }, stage, `stages[2].beforeEntry.rules[0].configuration: rule "r" of condition beforeEntry of stage "Deploy" has #{go-ahead.by} of action "go-ahead" of stage "Deploy", which does not run before it`},
		"a condition without rules":  {func(p *p) { p.Stages[2].BeforeEntry.Rules = nil }, stage, `stages[2].beforeEntry.rules: condition beforeEntry of stage "Deploy" has no rules`},
		"six rules":                  {rules(6), stage, `stages[2].onSuccess.rules[5]: rule "r5" is the 6th of condition onSuccess of stage "Deploy"; a condition has at most 5`},
		"a rule twice":               {func(p *p) { r := &p.Stages[2].OnSuccess.Rules; *r = append(*r, (*r)[0]) }, stage, `stages[2].onSuccess.rules[1].name: the name of rule "r" is taken`},
		"a build as a rule":          {func(p *p) { p.Stages[2].OnSuccess.Rules[0].Type.Category = "Build" }, stage, `stages[2].onSuccess.rules[0].type.category: rule "r" of condition onSuccess of stage "Deploy" has the unknown category "Build"; choose Rule`},
		"a window that skips":        {func(p *p) { p.Stages[2].BeforeEntry.Rules[0].Type.Provider = "DeploymentWindow" }, stage, `stages[2].beforeEntry.rules[0].type.provider: rule "r" of condition beforeEntry of stage "Deploy" is a DeploymentWindow, which cannot let a stage be skipped; use LambdaInvoke or VariableCheck, or choose another result`},
		"a success that is skipped":  {func(p *p) { p.Stages[2].OnSuccess.Result = pipeline.ResultSkip }, stage, `stages[2].onSuccess.result: condition onSuccess of stage "Deploy" cannot lead to "SKIP"; choose FAIL or ROLLBACK`},
		"an entry that retries":      {func(p *p) { p.Stages[2].BeforeEntry.Result = pipeline.ResultRetry }, stage, `cannot lead to "RETRY"; choose FAIL or SKIP`},
		"an unknown retry mode":      {func(p *p) { p.Stages[2].OnFailure.RetryMode = "SOME" }, stage, `stages[2].onFailure.retryMode: unknown retryMode "SOME"`},
		"sources rolled back":        {func(p *p) { p.Stages[0].OnFailure = &pipeline.Condition{Result: pipeline.ResultRollback} }, stage, `stages[0].onFailure.result: condition onFailure of stage "Source" cannot roll back the stage of the sources`},
		"rolled back in parallel":    {func(p *p) { p.Mode = pipeline.ModeParallel }, stage, `stages[2].onSuccess.result: condition onSuccess of stage "Deploy" cannot roll back where executions run in parallel`},
		"a variable twice":           {func(p *p) { p.Variables[1].Name = "target" }, structure, `variables[1].name: variable "target" is declared twice`},
		"a variable with a dot":      {func(p *p) { p.Variables[1].Name = "a.b" }, value, `variables[1].name: "a.b" is not the name of a variable`},
		"a long default":             {func(p *p) { p.Variables[1].Default = &long }, value, `variables[1].defaultValue: the default of variable "ticket" has more than 1000 characters`},
		"a long description":         {func(p *p) { p.Variables[1].Description = long }, value, `variables[1].description: the description of variable "ticket" has more than 200`},
		"51 variables": {func(p *p) {
			for i := len(p.Variables); i < 51; i++ {
				p.Variables = append(p.Variables, pipeline.Variable{Name: fmt.Sprint("v", i)})
			}
		}, value, `variables[50]: variable "v50" is the 51st; a pipeline has at most 50`},
		"51 triggers":              {func(p *p) { p.On.Push = make([]pipeline.PushFilter, 51) }, value, `on.push[50]: this is the 51st; a pipeline has at most 50`},
		"a trigger of nothing":     {func(p *p) { p.On.Push[0].Source = "app" }, structure, `on.push[0].source: there is no source action "app"; the source actions are Git`},
		"nine patterns":            {func(p *p) { p.On.Push[0].Branches.Excludes = nine }, value, `on.push[0].branches.excludes[8]: pattern "9" is the 9th; a filter has at most 8`},
		"an empty pattern":         {func(p *p) { p.On.PullRequest[0].Paths = &pipeline.Globs{Includes: []string{""}} }, value, `on.pullRequest[0].filePaths.includes[0]: the pattern has 0 characters`},
		"an unknown event":         {func(p *p) { p.On.PullRequest[0].Events[0] = "MERGED" }, value, `on.pullRequest[0].events[0]: unknown event "MERGED" of a pull request; choose OPEN, UPDATED or CLOSED`},
		"a schedule of six fields": {func(p *p) { p.On.Schedule[0].Cron = "0 30 6 * * 1" }, "", `on.schedule[0].cron: "0 30 6 * * 1" has 6 fields, not 5`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := whole()
			c.change(&p)
			got := p.Check()
			if len(got) == 0 || !strings.Contains(got.String(), c.want) || got.Exception() != c.exception {
				t.Errorf("got  %v (%s)\nwant %s (%s)", got, got.Exception(), c.want, c.exception)
			}
			if lines := strings.Count(got.String(), "\n") + 1; lines > 2 {
				t.Errorf("one mistake gave %d problems:\n%v", lines, got)
			}
		})
	}
}

// set gives action lib of stage Build another configuration.
func set(configuration string) func(*pipeline.Pipeline) {
	return func(p *pipeline.Pipeline) { p.Stages[1].Actions[1].Configuration = json.RawMessage(configuration) }
}

// rules gives the success of stage Deploy so many rules.
func rules(n int) func(*pipeline.Pipeline) {
	return func(p *pipeline.Pipeline) {
		p.Stages[2].OnSuccess.Rules = nil
		for i := range n {
			p.Stages[2].OnSuccess.Rules = append(p.Stages[2].OnSuccess.Rules, pipeline.Rule{Name: fmt.Sprint("r", i), Type: kindOf(pipeline.CategoryRule, "Commands")})
		}
	}
}

// TestCheckEndsOnWhatIsMadeToBeExpensive has so much wrong that all of it could
// be neither found nor kept in a reasonable time.
func TestCheckEndsOnWhatIsMadeToBeExpensive(t *testing.T) {
	t.Parallel()
	const many = 200_000
	p := whole()
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprint("n", i)
	}
	p.On.Push = []pipeline.PushFilter{{Paths: &pipeline.Globs{Includes: make([]string, many)}}}
	for i := range p.Stages[1].Actions {
		p.Stages[1].Actions[i].Inputs, p.Stages[1].Actions[i].Outputs = names, names
	}
	p.Stages = append(p.Stages, make([]pipeline.Stage, many)...)
	if got := len(p.Check()); got != 100 {
		t.Errorf("it found %d problems, want 100", got)
	}
}

func TestCheckCountsStagesAndActions(t *testing.T) {
	t.Parallel()
	stages := func(n, actions int) pipeline.Pipeline {
		p := pipeline.Pipeline{Name: "big"}
		for i := range n {
			s := pipeline.Stage{Name: fmt.Sprint("s", i)}
			for j := range actions {
				kind := kindOf(pipeline.CategoryBuild, "CodeBuild")
				if i == 0 {
					kind = kindOf(pipeline.CategorySource, "S3")
				}
				s.Actions = append(s.Actions, pipeline.Action{Name: fmt.Sprint("a", j), Type: kind, RunOrder: 1})
			}
			p.Stages = append(p.Stages, s)
		}
		return p
	}
	for name, c := range map[string]struct {
		stages, actions int
		want            []string
	}{
		"50 stages":              {50, 1, nil},
		"52 stages":              {52, 1, []string{`stages[50]: stage "s50" is the 51st; a pipeline has at most 50`}},
		"50 actions in a stage":  {2, 50, nil},
		"51 actions in a stage":  {2, 51, []string{`stages[0].actions[50]: action "a50" of stage "s0" is the 51st; a stage has at most 50`, `stages[1].actions[50]: action "a50" of stage "s1" is the 51st`}},
		"500 actions in all":     {10, 50, nil},
		"more than 500 actions":  {12, 50, []string{`stages[10].actions[0]: action "a0" of stage "s10" is the 501st; a pipeline has at most 500`}},
		"501 actions in a stage": {13, 41, []string{`stages[12].actions[8]: action "a8" of stage "s12" is the 501st`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := stages(c.stages, c.actions).Check()
			var cut []string
			for i, problem := range got {
				text := problem.String()
				if i < len(c.want) {
					text = text[:min(len(text), len(c.want[i]))]
				}
				cut = append(cut, text)
			}
			if diff := cmp.Diff(c.want, cut); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
