package definition_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

func parse(t testing.TB, text string) pipeline.Pipeline {
	t.Helper()
	p, err := definition.Parse([]byte(text), "web")
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return p
}

// inJSON compares as the API would show it.
func inJSON(t testing.TB, got any, want string) {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var shown any
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, shown); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

const build = "stages: [{name: Test, actions: [{name: unit, build: {}}]}]\n"

func TestOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ on, want string }{
		"is a push to main by default":      {"", `{"push": [{"branches": {"includes": ["main"]}}]}`},
		"may be nothing":                    {"on: {}", `{}`},
		"is what it names and nothing else": {"on: {schedule: {cron: 0 6 * * *}}", `{"schedule": [{"cron": "0 6 * * *"}]}`},
		"lets any push through":             {"on: {push: {}}", `{"push": [{}]}`},
		"has patterns that keep out": {
			`on: {push: {branches: [main, "!wip/*", rel/**], tags: ["!*-rc"], paths: [src/**]}}`,
			`{"push": [{"branches": {"includes": ["main", "rel/**"], "excludes": ["wip/*"]}, "tags": {"excludes": ["*-rc"]}, "filePaths": {"includes": ["src/**"]}}]}`,
		},
		"has names that begin with a mark": {`on: {push: {branches: ['\!a', '!\!b']}}`, `{"push": [{"branches": {"includes": ["!a"], "excludes": ["!b"]}}]}`},
		"has several filters":              {"on: {push: [{branches: [main]}, {tags: [v*]}]}", `{"push": [{"branches": {"includes": ["main"]}}, {"tags": {"includes": ["v*"]}}]}`},
		"knows pull requests": {
			"on: {pullRequest: {source: push, events: [open, closed], branches: [main], paths: [a]}}",
			`{"pullRequest": [{"source": "push", "events": ["OPEN", "CLOSED"], "branches": {"includes": ["main"]}, "filePaths": {"includes": ["a"]}}]}`,
		},
		"has time zones": {"on: {schedule: [{cron: 0 6 * * 1-5, timeZone: Europe/Berlin}]}", `{"schedule": [{"cron": "0 6 * * 1-5", "timeZone": "Europe/Berlin"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inJSON(t, parse(t, "pipeline: web\n"+c.on+"\n"+build).On, c.want)
		})
	}
}

func TestVariablesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	p := parse(t, "pipeline: web\nmode: parallel\nvariables: {zone: eu, author: {}, branch: {default: '', description: d}}\n"+build)
	inJSON(t, p.Variables, `[{"name": "zone", "defaultValue": "eu"}, {"name": "author"}, {"name": "branch", "defaultValue": "", "description": "d"}]`)
	if p.Mode != pipeline.ModeParallel {
		t.Errorf("mode is %s", p.Mode)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ action, want string }{
		"an approval": {
			"approve: {message: ok?, link: 'http://x'}, timeout: 30",
			`{"type": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}, "configuration": {"CustomData": "ok?", "ExternalEntityLink": "http://x"}, "timeoutInMinutes": 30}`,
		},
		"an approval of nothing in particular": {"approve: {}", `{"type": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}}`},
		"limits of a build": {
			"build: {limits: {memory: 1.5Gi, disk: 10Gi, processes: 200}}",
			`{"type": {"category": "Build", "owner": "Towline", "provider": "Buildspec", "version": "1"}, "inputs": ["source"], "outputs": ["a"], "configuration": {"limits": {"memory": "1.5Gi", "disk": "10Gi", "processes": 200}}}`,
		},
		"a namespace and a timeout": {
			"build: {}, namespace: Unit, timeout: 2h, aws: {region: eu}",
			`{"type": {"category": "Build", "owner": "Towline", "provider": "Buildspec", "version": "1"}, "inputs": ["source"], "outputs": ["a"], "configuration": {}, "namespace": "Unit", "timeoutInMinutes": 120, "foreign": {"region": "eu"}}`,
		},
		"an action of CodePipeline": {
			"action: {category: Build, provider: CodeBuild, configuration: {ProjectName: p}}, inputs: [source], outputs: [x]",
			`{"type": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"}, "inputs": ["source"], "outputs": ["x"], "configuration": {"ProjectName": "p"}}`,
		},
		"an action for a worker": {
			`action: {category: Test, owner: Custom, provider: Mine, version: "3"}`,
			`{"type": {"category": "Test", "owner": "Custom", "provider": "Mine", "version": "3"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, "pipeline: web\nstages: [{name: S, actions: [{name: a, "+c.action+"}]}]\n")
			want := strings.Replace(c.want, "{", `{"name": "a", "runOrder": 1, `, 1)
			inJSON(t, p.Stages[1].Actions[0], want)
		})
	}
}

func TestSourcesOfTheFileTakeThePlaceOfTheRepository(t *testing.T) {
	t.Parallel()
	p := parse(t, `pipeline: web
stages:
  - name: Fetch
    parallel: true
    actions:
      - {name: code, source: {git: "git@github.com:acme/web.git"}}
      - {name: data, source: {s3: {bucket: b, key: k.zip}}}
      - {name: base, source: {image: "ghcr.io/acme/base:17"}, outputs: [jre]}
      - {name: tools, source: {repository: tools}}
  - {name: Test, actions: [{name: unit, build: {}}]}
`)
	if len(p.Stages) != 2 || p.Stages[1].Actions[0].Inputs[0] != "code" {
		t.Fatalf("got %+v", p.Stages)
	}
	inJSON(t, p.Stages[0].Actions, `[
		{"name": "code", "runOrder": 1, "type": {"category": "Source", "owner": "Towline", "provider": "Git", "version": "1"}, "outputs": ["code"], "configuration": {"url": "git@github.com:acme/web.git"}},
		{"name": "data", "runOrder": 1, "type": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}, "outputs": ["data"], "configuration": {"S3Bucket": "b", "S3ObjectKey": "k.zip"}},
		{"name": "base", "runOrder": 1, "type": {"category": "Source", "owner": "Towline", "provider": "Image", "version": "1"}, "outputs": ["jre"], "configuration": {"image": "ghcr.io/acme/base:17"}},
		{"name": "tools", "runOrder": 1, "type": {"category": "Source", "owner": "Towline", "provider": "Git", "version": "1"}, "outputs": ["tools"], "configuration": {"repository": "tools"}}]`)
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stage, kind, want string }{
		"a word":               {"onFailure: rollback", "onFailure", `{"result": "ROLLBACK"}`},
		"a retry":              {"onFailure: retry", "onFailure", `{"result": "RETRY"}`},
		"a retry of all":       {"onFailure: {retry: all}", "onFailure", `{"result": "RETRY", "retryMode": "ALL_ACTIONS"}`},
		"a retry of what fell": {"onFailure: {else: retry, retry: failed}", "onFailure", `{"result": "RETRY", "retryMode": "FAILED_ACTIONS"}`},
		"a failure with rules": {
			"onFailure: {else: rollback, rules: [{commands: [a]}]}", "onFailure",
			`{"result": "ROLLBACK", "rules": [{"name": "commands", "type": {"category": "Rule", "owner": "AWS", "provider": "Commands", "version": "1"}, "configuration": {"commands": ["a"]}}]}`,
		},
		"rules without names": {
			"beforeEntry: {rules: [{variable: {name: '#{push.BranchName}', value: main}}, {window: {cron: '* 9-17 * * 1-5', timeZone: PST}}, {variable: {name: x, operator: contains, value: y}, timeout: 30}]}",
			"beforeEntry", `{"rules": [
			{"name": "variable", "type": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"}, "configuration": {"Operator": "EQ", "Value": "main", "Variable": "#{push.BranchName}"}},
			{"name": "window", "type": {"category": "Rule", "owner": "AWS", "provider": "DeploymentWindow", "version": "1"}, "configuration": {"Cron": "* * 9-17 ? * 2-6", "TimeZone": "PST"}},
			{"name": "variable-2", "type": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"}, "configuration": {"Operator": "CONTAINS", "Value": "y", "Variable": "x"}, "timeoutInMinutes": 30}]}`,
		},
		"functions and other rules": {
			"onSuccess: {else: rollback, rules: [{name: gate, invoke: {function: f, parameters: p}, inputs: [a]}, {rule: {provider: CloudWatchAlarm, configuration: {AlarmName: e}}, aws: {region: eu}}]}",
			"onSuccess", `{"result": "ROLLBACK", "rules": [
			{"name": "gate", "type": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"}, "inputs": ["a"], "configuration": {"FunctionName": "f", "UserParameters": "p"}},
			{"name": "rule", "type": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"}, "configuration": {"AlarmName": "e"}, "foreign": {"region": "eu"}}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := parse(t, "pipeline: web\nstages: [{name: S, actions: [{name: a, build: {}}], "+c.stage+"}]\n").Stages[1]
			inJSON(t, map[string]*pipeline.Condition{"beforeEntry": s.BeforeEntry, "onSuccess": s.OnSuccess, "onFailure": s.OnFailure}[c.kind], c.want)
		})
	}
}

func TestActionsThatRunTogetherDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	const serial = `pipeline: web
stages:
  - name: S
    actions:
      - {name: b, runOrder: 2, action: {category: Test, provider: P, configuration: {x: "#{a.Out}"}}}
      - {name: a, runOrder: 1, build: {}}
`
	parse(t, serial)
	_, err := definition.Parse([]byte(strings.ReplaceAll(serial, "runOrder: 2", "runOrder: 1")), "web")
	want := `towline.yaml:5:89: #{a.Out} refers to no earlier action; earlier actions are push`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestProblemsOfWhatThePipelineModelHas(t *testing.T) {
	t.Parallel()
	const head, stage = "pipeline: web\n", "stages: [{name: S, actions: [{name: a, build: {}}], %}]\n"
	const act = "stages: [{name: S, actions: [{name: a, %}]}]\n"
	many := func(n int, text string) string { return strings.TrimSuffix(strings.Repeat(text+", ", n), ", ") }
	for name, c := range map[string]struct{ shape, text, want string }{
		"a mode":                         {head + "mode: %\n" + build, "serial", `towline.yaml:2:7: unknown mode "serial"; choose one of superseded, queued, parallel`},
		"a variable that is a number":    {head + "variables: {a: %}\n" + build, "1", `towline.yaml:2:16: variables.a must be a string or a mapping, not a number; write it in quotes: "1"`},
		"a variable's name":              {head + "variables: {a b: %}\n" + build, "x", `towline.yaml:2:18: "a b" is not the name of a variable`},
		"a key of a variable":            {head + "variables: {a: {%}}\n" + build, "defaul: x", `towline.yaml:2:17: unknown key "defaul" in variables.a; did you mean "default"?`},
		"too many variables":             {head + "variables: {%}\n" + build, numbered(51, "v%d: x"), "is the 51st; a pipeline has at most 50"},
		"on that is a word":              {head + "on: %\n" + build, "push", "on must be a mapping of push, pullRequest, schedule, not text"},
		"a push that is a word":          {head + "on: {push: %}\n" + build, "main", "on.push must be a mapping or a list, not text"},
		"branches that are empty":        {head + "on: {push: {branches: []}}\n%" + build, "", "towline.yaml:2:23: the list is empty; leave it out, or name something"},
		"a glob":                         {head + "on: {push: {branches: [%]}}\n" + build, "'[a'", `towline.yaml:2:24: pattern "[a": `},
		"a glob in a list of filters":    {head + "on: {push: [{tags: [a]}, {paths: [a, %]}]}\n" + build, "''", "towline.yaml:2:38: a pattern has between 1 and 255 characters"},
		"too many globs":                 {head + "on: {push: {branches: [%]}}\n" + build, many(9, "a"), `pattern "a" is the 9th; a filter has at most 8`},
		"an unknown source":              {head + "on: {push: {source: %}}\n" + build, "code", `towline.yaml:2:21: there is no source action "code"; the source actions are push`},
		"an unknown event":               {head + "on: {pullRequest: {events: [open, %]}}\n" + build, "merged", `towline.yaml:2:35: unknown events[1] "merged"; choose one of open, updated, closed`},
		"a schedule":                     {head + "on: {schedule: {cron: %}}\n" + build, "61 * * * *", "towline.yaml:2:23: the times cannot be read: end of range (61) above maximum (59)"},
		"a schedule with seconds":        {head + "on: {schedule: {cron: %}}\n" + build, "'* * * * * ?'", "it has 6 fields, and a schedule has five"},
		"a time zone":                    {head + "on: {schedule: {cron: 0 0 * * *, timeZone: %}}\n" + build, "Mars", `towline.yaml:2:44: there is no time zone "Mars"`},
		"a timeout in seconds":           {head + act, "build: {}, timeout: 90s", `towline.yaml:2:60: "90s" is not a time that an action may take; write whole minutes`},
		"limits of a Pod":                {head + act, "build: {compute: pod, limits: {memory: 2Gi}}", "limits are those of builds on the host, and this one runs in a pod; take it away"},
		"a limit that is no size":        {head + act, "build: {limits: {disk: 2GB}}", `"2GB" is no size: write a number and Ki, Mi, Gi or Ti, such as 2Gi`},
		"processes below none":           {head + act, "build: {limits: {processes: -1}}", "a build cannot have -1 processes"},
		"no timeout":                     {head + act, "build: {}, timeout: 0", `"0" is not a time that an action may take`},
		"a timeout that is a list":       {head + act, "build: {}, timeout: []", "timeout must be a string or a whole number, not a list"},
		"a namespace":                    {head + act, "build: {}, namespace: a.b", `towline.yaml:2:62: "a.b" is not a namespace`},
		"a namespace of the pipeline":    {head + act, "build: {}, namespace: variables", `action "a" of stage "S" has the namespace "variables", which is not for actions`},
		"an approval with inputs":        {head + act, "approve: {}, inputs: [source]", `towline.yaml:2:61: action "a" of stage "S" takes no input artifacts`},
		"an action without a category":   {head + act, "action: {provider: x}", "the action has no category; add a category"},
		"a category":                     {head + act, "action: {provider: x, category: Rule}", `unknown category "Rule"`},
		"an action without a provider":   {head + act, "action: {category: Test}", "it has no provider"},
		"an owner":                       {head + act, "action: {category: Test, provider: x, owner: Me}", `unknown owner "Me"; choose one of AWS, ThirdParty, Custom, Towline`},
		"a configuration that is a list": {head + act, "action: {category: Test, provider: x, configuration: [a]}", "the configuration is no mapping"},
		"an artifact's name":             {head + act, "build: {}, outputs: [a.b]", `towline.yaml:2:61: "a.b" is not the name of an artifact`},
		"a runOrder":                     {head + act, "build: {}, runOrder: 1000", `towline.yaml:2:61: the runOrder of action "a" of stage "S" is 1000; count from 1 to 999`},
		"a cluster's name for it":        {"pipeline: Shop_1\n" + act, "deploy: {}", `the cluster cannot call the application "Shop_1", as the pipeline is called; add app: NAME`},
		"a source elsewhere":             {head + "stages: [{name: A, actions: [{name: a, build: {}}]}, {name: B, actions: [{name: b, source: {%}}]}]\n", "git: https://h/x", `action "b" of stage "B" is a source; sources are in the first stage alone; move it to the first stage`},
		"a build beside a source":        {head + "stages: [{name: A, actions: [{name: a, source: {image: x}}, {name: b, %}]}, {name: B, actions: [{name: c, build: {}}]}]\n", "build: {}", `towline.yaml:2:61: action "b" of stage "A" is of category "Build"; the first stage holds source actions and nothing else`},
		"nothing but a source":           {head + act, "source: {image: x}", "the pipeline has 1 stage; the fewest is 2"},
		"a source that is nowhere":       {head + act, "source: {}", "the source does not say where it is; add one of repository, git, s3, image"},
		"a source at two places":         {head + act, "source: {image: x, git: 'https://h/x'}", "the source is in git and image at once"},
		"a branch of an image":           {head + act, "source: {image: x, branch: y}", "branch goes with git"},
		"an object without a key":        {head + act, "source: {s3: {bucket: b}}", "the object has no bucket or no key"},
		"a URL":                          {head + act, "source: {git: 'file:///etc'}", `"file:///etc" is not the URL of a repository`},
		"a URL with a password":          {head + act, "source: {git: 'https://me:secret@h/x'}", "give credentials to the server, not to the file"},
		"a condition without rules":      {head + stage, "beforeEntry: {else: skip}", `towline.yaml:2:66: condition beforeEntry of stage "S" has no rules; add a rule`},
		"a result of another kind":       {head + stage, "beforeEntry: {else: rollback, rules: [{commands: [a]}]}", `unknown else "rollback"; choose one of fail, skip`},
		"a result after success":         {head + stage, "onSuccess: {else: skip, rules: [{commands: [a]}]}", `unknown else "skip"; choose one of fail, rollback`},
		"a word of onFailure":            {head + stage, "onFailure: undo", `unknown else "undo"; choose one of rollback, retry, fail, skip`},
		"onFailure that is a list":       {head + stage, "onFailure: [retry]", "onFailure must be a string or a mapping, not a list"},
		"retry and rollback":             {head + stage, "onFailure: {else: rollback, retry: all}", "retry goes with else: retry; drop one of the two"},
		"a rollback side by side":        {head + "mode: parallel\n" + stage, "onFailure: rollback", `towline.yaml:3:64: condition onFailure of stage "S" cannot roll back where executions run in parallel`},
		"too many rules":                 {head + stage, "beforeEntry: {rules: [" + many(6, "{commands: [a]}") + "]}", `towline.yaml:2:160: rule "commands-6" is the 6th of condition beforeEntry of stage "S"; a condition has at most 5`},
		"a rule that asks nothing":       {head + stage, "beforeEntry: {rules: [{}]}", "the rule does not say what it asks; add one of variable, window, commands, invoke, rule"},
		"a rule that asks two things":    {head + stage, "beforeEntry: {rules: [{commands: [a], invoke: {function: f}}]}", "the rule asks commands and invoke at once"},
		"rules of one name":              {head + stage, "beforeEntry: {rules: [{name: x, commands: [a]}, {name: x, commands: [a]}]}", `the name of rule "x" is taken`},
		"an operator":                    {head + stage, "beforeEntry: {rules: [{variable: {name: x, operator: gt, value: y}}]}", `unknown operator "gt"; choose one of equals, notEquals, contains, matches`},
		"a variable without a value":     {head + stage, "beforeEntry: {rules: [{variable: {name: x}}]}", "the rule has no name or no value"},
		"a window":                       {head + stage, "beforeEntry: {rules: [{window: {cron: '* 25 * * *'}}]}", "above maximum (23)"},
		"a window on two days":           {head + stage, "beforeEntry: {rules: [{window: {cron: '* 9 1 * MON'}}]}", "both the day of the month (1) and the day of the week (MON) are restricted"},
		"no commands":                    {head + stage, "beforeEntry: {rules: [{commands: []}]}", "there are no commands"},
		"no function":                    {head + stage, "beforeEntry: {rules: [{invoke: {}}]}", "the rule names no function"},
		"a variable that is not there":   {head + act, "build: {commands: [a, 'b #{variables.x}']}", `towline.yaml:2:62: #{variables.x} is not declared; declare it at the top: "variables: {x: DEFAULT}"`},
		"a variable that is misspelt":    {head + "variables: {y: z}\n" + act, "build: {commands: ['#{variables.x}']}", "#{variables.x} is not declared; declared are y"},
		"what no execution has":          {head + act, "build: {commands: ['#{codepipeline.Id}']}", "#{codepipeline.Id} is not known of the execution; there is #{codepipeline.PipelineExecutionId}"},
		"an action by its name":          {head + "stages: [{name: S, actions: [{name: a, namespace: N, build: {}}, {name: b, %}]}]\n", "build: {commands: ['#{a.x}']}", "#{a.x} refers to no earlier action; earlier actions are push, N"},
		"an entry that looks ahead":      {head + stage, "beforeEntry: {rules: [{variable: {name: '#{a.x}', value: y}}]}", "#{a.x} refers to no earlier action"},
		"an alias in a foreign anchor":   {head + build + "aws: {%}\n", "a: &a [x], b: &b [*a, *a]", "an alias stands inside an anchor"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(c.shape, "%", c.text, 1)
			_, err := definition.Parse([]byte(text), "web")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s\ngot  %v\nwant %s", text, err, c.want)
			}
		})
	}
}

func TestThe51stStageIsAProblem(t *testing.T) {
	t.Parallel()
	_, err := definition.Parse([]byte("pipeline: web\nstages:\n"+numbered(50, "  - {name: S%d, actions: [{name: a, approve: {}}]}")), "web")
	if err == nil || !strings.Contains(err.Error(), "towline.yaml:52:5: stage \"Sbx\" is the 51st; a pipeline has at most 50") {
		t.Errorf("got %v", err)
	}
	_, err = definition.Parse([]byte("pipeline: web\nstages: [{name: S, actions: ["+numbered(51, "{name: a%d, approve: {}}")+"]}]"), "web")
	if err == nil || !strings.Contains(err.Error(), `action "aby" of stage "S" is the 51st; a stage has at most 50`) {
		t.Errorf("got %v", err)
	}
}

func numbered(n int, format string) string {
	var parts []string
	for i := range n {
		parts = append(parts, strings.Replace(format, "%d", string(rune('a'+i/26))+string(rune('a'+i%26)), 1))
	}
	separator := ", "
	if strings.HasPrefix(format, " ") {
		separator = "\n"
	}
	return strings.Join(parts, separator)
}

func TestTheWholeFileIsUnderstood(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(parse(t, string(text)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/whole.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestTheDocumentedFilesAreRight reads the files in docs/pipelines/definition.md,
// of which some begin in the middle.
func TestTheDocumentedFilesAreRight(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/pipelines/definition.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 3 {
		t.Errorf("there are %d files", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if strings.HasPrefix(text, "stages:") {
			text = "pipeline: web\n" + text + "  - {name: Test, actions: [{name: unit, build: {}}]}\n"
		}
		p := parse(t, text)
		if _, err := definition.Format(p); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
