package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// conditions are the names of the conditions in AWS's JSON.
var conditions = map[pipeline.ConditionKind]string{pipeline.BeforeEntry: "beforeEntry", pipeline.OnSuccess: "onSuccess", pipeline.OnFailure: "onFailure"}

// translate is the definition with AWS's action types in the place of
// Towline's. What the actions need is made on the way.
func (x *exporter) translate() pipeline.Pipeline {
	p := x.original
	p.Foreign = pipeline.Foreign{}
	maps.Copy(p.Foreign, x.original.Foreign)
	p.Foreign["pipelineType"] = quoted("V2")
	if raw, ok := x.original.Foreign["pipelineType"]; ok {
		p.Foreign["pipelineType"] = raw
	}
	if x.roleGiven() == "" {
		x.taken["PipelineRole"] = true
		p.Foreign["roleArn"] = quoted(x.stand(attr("PipelineRole.Arn")))
	}
	if t, ok := x.bucket.(tag); ok {
		delete(p.Foreign, "artifactStores")
		p.Foreign["artifactStore"] = encode(map[string]string{"type": "S3", "location": x.stand(t)})
	}
	p.On.Schedule = nil
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		s := &p.Stages[i]
		s.Actions = slices.Clone(s.Actions)
		for j := range s.Actions {
			path := fmt.Sprintf("stages[%d].actions[%d]", i, j)
			if s.Actions[j].Type.Owner == owner {
				s.Actions[j] = x.action(path, *s, s.Actions[j])
				continue
			}
			x.carried(path, s.Actions[j])
		}
		s.BeforeEntry = x.condition(i, pipeline.BeforeEntry, s.BeforeEntry)
		s.OnSuccess = x.condition(i, pipeline.OnSuccess, s.OnSuccess)
		s.OnFailure = x.condition(i, pipeline.OnFailure, s.OnFailure)
	}
	return p
}

// condition lets the role ask the rules of a condition.
func (x *exporter) condition(stage int, kind pipeline.ConditionKind, c *pipeline.Condition) *pipeline.Condition {
	if c == nil {
		return nil
	}
	out := *c
	out.Rules = slices.Clone(c.Rules)
	for i := range out.Rules {
		rule := &out.Rules[i]
		path := fmt.Sprintf("stages[%d].%s.rules[%d]", stage, conditions[kind], i)
		x.needs(path, rule.Type, settings(rule.Configuration))
		if rule.Timeout > 0 {
			x.leftover(path+".timeoutInMinutes", "rules of templates have no timeout")
			rule.Timeout = 0
		}
	}
	return &out
}

// action is what AWS has in the place of an action of Towline's own.
func (x *exporter) action(path string, s pipeline.Stage, a pipeline.Action) pipeline.Action {
	switch a.Type.String() {
	case "Source/Git":
		return x.git(a)
	case "Source/Image":
		if ecr, ok := x.registry(a); ok {
			return ecr
		}
	case "Build/Buildspec":
		return x.build(path, s, a)
	case "Build/Image":
		return x.image(path, s, a)
	case "Deploy/Kubernetes":
		return x.deploy(path, s, a)
	}
	x.leftover(path+".actionTypeId", "AWS has nothing for %s: the action stands in the template as it is, and AWS will refuse it", a.Type)
	return a
}

func aws(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "AWS", Provider: provider, Version: "1"}
}

// git is a repository of a forge that AWS has a connection to. Which one is
// for who makes the stack to say.
func (x *exporter) git(a pipeline.Action) pipeline.Action {
	var source pipeline.Source
	_ = json.Unmarshal(a.Configuration, &source) // an unreadable one names no repository
	prefix := ""
	if a.Name != x.original.Stages[0].Actions[0].Name {
		prefix = x.logical(a.Name)
	}
	connection := x.parameter("Connection", "ARN of the connection to the forge that has the repository (Developer Tools, Settings, Connections)", "")
	repository := x.parameter(prefix+"Repository", "Repository of action "+a.Name+", such as acme/web", fullName(source.URL))
	branch := x.parameter(prefix+"Branch", "Branch of action "+a.Name, x.branch(a.Name, source))
	a.Type = aws(pipeline.CategorySource, "CodeStarSourceConnection")
	a.Configuration = encode(map[string]string{
		"ConnectionArn": x.stand(connection), "FullRepositoryId": x.stand(repository), "BranchName": x.stand(branch), "OutputArtifactFormat": "CODE_ZIP",
	})
	x.allow(list{connection}, "codeconnections:UseConnection", "codestar-connections:UseConnection")
	return a
}

// ecr is a reference to an image in a registry of ECR.
var ecr = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/([^:@]+)(?::([^@]+))?$`)

// registry is an image in ECR, ok false when it is elsewhere: AWS watches no
// other registry.
func (x *exporter) registry(a pipeline.Action) (out pipeline.Action, ok bool) {
	var source pipeline.ImageSource
	_ = json.Unmarshal(a.Configuration, &source) // an unreadable one names no image
	parts := ecr.FindStringSubmatch(source.Image)
	if parts == nil {
		return a, false
	}
	config := map[string]string{"RepositoryName": parts[1]}
	if parts[2] != "" {
		config["ImageTag"] = parts[2]
	}
	a.Type, a.Configuration = aws(pipeline.CategorySource, "ECR"), encode(config)
	x.needs("", a.Type, config)
	return a, true
}

// fullName is the owner and the name of a repository by its URL.
func fullName(url string) string {
	_, path, ok := strings.Cut(url, "://")
	if ok {
		_, path, _ = strings.Cut(path, "/")
	} else {
		_, path, _ = strings.Cut(url, ":")
	}
	return strings.TrimSuffix(strings.Trim(path, "/"), ".git")
}

// branch is the first that a filter of the source names.
func (x *exporter) branch(action string, source pipeline.Source) string {
	if source.Branch != "" {
		return source.Branch
	}
	first := x.original.Stages[0].Actions[0].Name
	for _, f := range x.original.On.Push {
		if f.Branches == nil || f.Source != action && (f.Source != "" || action != first) {
			continue
		}
		for _, b := range f.Branches.Includes {
			if !strings.ContainsAny(b, "*?[{") {
				return b
			}
		}
	}
	return "main"
}

func encode(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts and maps of texts can be written
	}
	return raw
}

func quoted(text string) json.RawMessage { return encode(text) }
