package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/towline/towline/internal/pipeline"
)

// project is a CodeBuild project that does the work of one action.
type project struct {
	stage, action string
	buildspec     any // the path of a file, or *yaml.Node for one that is written here
	privileged    bool
	timeout       int // minutes
	reports       bool
	permissions   []permission
	environment   map[string]any // variables of the project: texts and tags
}

// The least and the greatest minutes that CodeBuild gives a build.
const (
	leastBuild = 5
	mostBuild  = 2160
)

// make makes the project with its role and its log, and returns the project's
// name, as a template says it.
func (x *exporter) make(p project) tag {
	base := x.logical(p.stage, p.action)
	name := "${AWS::StackName}-" + base // which has letters and digits alone, as CodeBuild wants it
	logs, role := x.logical(base+"Logs"), x.logical(base+"Role")
	x.resource(logs, "AWS::Logs::LogGroup", object{{"LogGroupName", sub("/aws/codebuild/" + name)}, {"RetentionInDays", 30}},
		pair{"DeletionPolicy", "Delete"}, pair{"UpdateReplacePolicy", "Delete"})
	permissions := append(slices.Clone(p.permissions),
		permission{[]string{"logs:CreateLogStream", "logs:PutLogEvents"}, list{attr(logs + ".Arn")}},
		permission{[]string{"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"}, list{x.objects()}},
	)
	if p.reports {
		permissions = append(permissions, permission{
			[]string{"codebuild:CreateReportGroup", "codebuild:CreateReport", "codebuild:UpdateReport", "codebuild:BatchPutTestCases"},
			list{arn("codebuild", "report-group/"+name+"-*")},
		})
	}
	x.roleResource(role, "codebuild.amazonaws.com", permissions)
	environment := object{
		{"Type", "LINUX_CONTAINER"}, {"ComputeType", "BUILD_GENERAL1_SMALL"},
		{"Image", x.parameter("BuildImage", "Image that the builds run in", "aws/codebuild/standard:7.0")},
	}
	if p.privileged {
		environment = append(environment, pair{"PrivilegedMode", true})
	}
	if len(p.environment) > 0 {
		variables := list{}
		for _, name := range slices.Sorted(maps.Keys(p.environment)) {
			variables = append(variables, object{{"Name", name}, {"Type", "PLAINTEXT"}, {"Value", p.environment[name]}})
		}
		environment = append(environment, pair{"EnvironmentVariables", variables})
	}
	x.projects = true
	id := x.logical(base + "Project")
	properties := object{
		{"Name", sub(name)}, {"ServiceRole", attr(role + ".Arn")},
		{"Source", object{{"Type", "CODEPIPELINE"}, {"BuildSpec", inline(p.buildspec)}}},
		{"Artifacts", object{{"Type", "CODEPIPELINE"}}},
		{"Environment", environment},
		{"LogsConfig", object{{"CloudWatchLogs", object{{"Status", "ENABLED"}, {"GroupName", ref(logs)}}}}},
	}
	if p.timeout > 0 {
		properties = append(properties, pair{"TimeoutInMinutes", min(max(p.timeout, leastBuild), mostBuild)})
	}
	x.resource(id, "AWS::CodeBuild::Project", properties)
	x.allow(list{attr(id + ".Arn")}, "codebuild:StartBuild", "codebuild:BatchGetBuilds")
	return ref(id)
}

// inline is a buildspec as the text that a project has.
func inline(buildspec any) any {
	n, ok := buildspec.(*yaml.Node)
	if !ok {
		return buildspec
	}
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		panic(err) // a tree of texts can be written
	}
	return b.String()
}

// started is an action that starts a build of a project. Variables are values
// that the pipeline fills in when it runs.
func (x *exporter) started(a pipeline.Action, name tag, variables map[string]string) pipeline.Action {
	a.Type = aws(pipeline.CategoryBuild, "CodeBuild")
	config := map[string]string{"ProjectName": x.stand(name)}
	if len(a.Inputs) > 1 {
		config["PrimarySource"] = a.Inputs[0]
	}
	if len(variables) > 0 {
		type variable struct {
			Name  string `json:"name"`
			Value string `json:"value"`
			Type  string `json:"type"`
		}
		var all []variable
		for _, name := range slices.Sorted(maps.Keys(variables)) {
			all = append(all, variable{name, variables[name], "PLAINTEXT"})
		}
		config["EnvironmentVariables"] = string(encode(all))
	}
	a.Configuration = encode(config)
	return a
}

// build is a buildspec, in the source or written here.
func (x *exporter) build(path string, s pipeline.Stage, a pipeline.Action) pipeline.Action {
	var b pipeline.Build
	if err := json.Unmarshal(a.Configuration, &b); len(a.Configuration) > 0 && err != nil {
		x.leftover(path+".configuration", "it cannot be read: %v", err)
	}
	p := project{stage: s.Name, action: a.Name, buildspec: "buildspec.yml", reports: true, timeout: minutes(b.Timeout), environment: map[string]any{}}
	if b.Buildspec != "" {
		p.buildspec = b.Buildspec
	}
	a.Outputs = x.wanted(a.Outputs)
	variables := map[string]string{}
	if len(b.Commands) > 0 {
		b.Commands = x.filledIn(path, b.Commands, variables)
		p.buildspec, p.reports = x.commands(b, len(a.Outputs) > 0), len(b.Reports) > 0
	}
	for name, value := range b.Env {
		if strings.Contains(value, "#{") {
			variables[name] = value
			continue
		}
		p.environment[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(b.Services)) {
		x.leftover(path+".services."+name, "CodeBuild starts no %s for a build: start one in the buildspec, or give it one by DATABASE_URL", b.Services[name].Engine)
	}
	return x.started(a, x.make(p), variables)
}

// reference is a variable of the pipeline.
var reference = regexp.MustCompile(`#\{[A-Za-z0-9@_-]+\.[A-Za-z0-9@_.-]+\}`)

// filledIn are the commands with variables of the environment in the place of
// the pipeline's, which CodePipeline does not fill into a buildspec. In single
// quotes the shell would not do so either.
func (x *exporter) filledIn(path string, commands []string, variables map[string]string) []string {
	names := map[string]string{}
	var out []string
	for i, command := range commands {
		if strings.Contains(command, "'") && reference.MatchString(command) {
			x.leftover(fmt.Sprintf("%s.commands[%d]", path, i), "CodePipeline fills in no variables in a buildspec: give it to the command by env")
			out = append(out, command)
			continue
		}
		out = append(out, reference.ReplaceAllStringFunc(command, func(ref string) string {
			if names[ref] == "" {
				names[ref] = fmt.Sprintf("VARIABLE_%d", len(names)+1)
				variables[names[ref]] = ref
			}
			return "${" + names[ref] + "}"
		}))
	}
	return out
}

// wanted are the outputs that a later action takes: CodeBuild fails when a
// build has outputs and makes no artifact.
func (x *exporter) wanted(outputs []string) []string {
	taken := map[string]bool{}
	for _, s := range x.original.Stages {
		for _, a := range s.Actions {
			for _, name := range a.Inputs {
				taken[name] = true
			}
		}
		for _, kind := range []pipeline.ConditionKind{pipeline.BeforeEntry, pipeline.OnSuccess, pipeline.OnFailure} {
			if c := s.Condition(kind); c != nil {
				for _, rule := range c.Rules {
					for _, name := range rule.Inputs {
						taken[name] = true
					}
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(outputs), func(name string) bool { return !taken[name] })
}

// commands is a buildspec of commands.
func (x *exporter) commands(b pipeline.Build, output bool) *yaml.Node {
	spec := object{{"version", "0.2"}, {"phases", object{{"build", object{{"commands", b.Commands}}}}}}
	if len(b.Reports) > 0 {
		spec = append(spec, pair{"reports", object{{"tests", object{{"file-format", "JUNITXML"}, {"files", b.Reports}}}}})
	}
	if output {
		files := b.Artifacts
		if len(files) == 0 {
			files = []string{"**/*"}
		}
		spec = append(spec, pair{"artifacts", object{{"files", files}}})
	}
	return x.node(spec)
}

func minutes(duration string) int {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return 0
	}
	return int((d + time.Minute - 1) / time.Minute)
}
