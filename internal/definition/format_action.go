package definition

import (
	"encoding/json"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// writeAction is the shortest way to write an action that means the same.
func (d *decompiler) writeAction(a pipeline.Action, after *scope) action {
	common := action{Name: a.Name, Namespace: a.Namespace, Timeout: written(a.Timeout), AWS: a.Foreign}
	for _, way := range waysOf(common, a) {
		// What the action takes and makes is written when it has to be.
		for _, explicit := range []struct{ inputs, outputs bool }{{}, {inputs: true}, {outputs: true}, {true, true}} {
			if explicit.inputs {
				way.Inputs = a.Inputs
			}
			if explicit.outputs {
				way.Outputs = a.Outputs
			}
			if d.means(way, a, *after) {
				d.action(way, "", after)
				return way
			}
			way.Inputs, way.Outputs = nil, nil
		}
	}
	way := generically(common, a)
	d.action(way, "", after)
	return way
}

// means tells whether an action that is written so is that of the pipeline.
func (d *decompiler) means(written action, a pipeline.Action, after scope) bool {
	before := len(d.problems)
	defer func() { d.problems = d.problems[:before] }()
	got := d.action(written, "", &after)
	got.RunOrder = a.RunOrder
	return len(d.problems) == before && same(got, a)
}

// generically writes an action by its type and configuration.
func generically(common action, a pipeline.Action) action {
	g := typeOf(a.Type, a.Configuration)
	common.Action = &genericAction{string(a.Type.Category), g.Owner, g.Provider, g.Version, g.Configuration}
	common.Inputs, common.Outputs = a.Inputs, a.Outputs
	return common
}

func typeOf(t pipeline.ActionType, configuration json.RawMessage) genericRule {
	g := genericRule{Provider: t.Provider, Configuration: configuration}
	if t.Owner != ownerAWS {
		g.Owner = &t.Owner
	}
	if t.Version != "1" {
		g.Version = &t.Version
	}
	return g
}

// waysOf are the ways to write an action by a key of its own, the shortest
// first. They may mean something else.
func waysOf(common action, a pipeline.Action) []action {
	switch a.Type {
	case towline(pipeline.CategoryBuild, "Buildspec"):
		return ways(common, a.Configuration, func(way *action, b pipeline.Build) { way.Build = &b })
	case towline(pipeline.CategoryBuild, "Image"):
		return slices.Concat(
			ways(common, a.Configuration, func(way *action, i pipeline.Image) { i.Artifact, way.Image = "", &i }),
			ways(common, a.Configuration, func(way *action, i pipeline.Image) { way.Image = &i }),
		)
	case towline(pipeline.CategoryDeploy, "Kubernetes"):
		return slices.Concat(
			ways(common, a.Configuration, func(way *action, d pipeline.Deploy) {
				if way.Deploy = &d; d.Strategy == pipeline.Rolling {
					d.Strategy = ""
				}
			}),
			ways(common, a.Configuration, func(way *action, d pipeline.Deploy) { way.Deploy = &d }),
		)
	case aws(pipeline.CategoryInvoke, "Lambda"):
		return ways(common, a.Configuration, func(way *action, l pipeline.Lambda) { way.Invoke = &invoke{l.Function, l.Parameters} })
	case aws(pipeline.CategoryApproval, "Manual"):
		if a.Configuration == nil {
			common.Approve = &approve{}
			return []action{common}
		}
		return ways(common, a.Configuration, func(way *action, q pipeline.Approval) {
			way.Approve = &approve{Message: q.Message, Link: q.Link, Topic: q.Topic}
		})
	case towline(pipeline.CategorySource, "Git"):
		return ways(common, a.Configuration, func(way *action, s pipeline.Source) {
			way.Source = &sourceFrom{Repository: s.Repository, Git: s.URL, Branch: s.Branch}
		})
	case aws(pipeline.CategorySource, "S3"):
		return ways(common, a.Configuration, func(way *action, s pipeline.S3Source) {
			way.Source = &sourceFrom{S3: &s3Object{s.Bucket, s.Key}}
		})
	case towline(pipeline.CategorySource, "Image"):
		return ways(common, a.Configuration, func(way *action, s pipeline.ImageSource) { way.Source = &sourceFrom{Image: s.Image} })
	}
	return nil
}

// ways is the one way to write a configuration, none when it has members that
// are not known.
func ways[T any](common action, configuration json.RawMessage, write func(way *action, configuration T)) []action {
	var c T
	if !strict(configuration, &c) {
		return nil
	}
	write(&common, c)
	return []action{common}
}

func (d *decompiler) writeRules(rules []pipeline.Rule) []rule {
	var all []rule
	for i, r := range rules {
		all = append(all, d.writeRule(r))
		if defaultName(all, i) == r.Name {
			all[i].Name = ""
		}
	}
	return all
}

// writeRule is the shortest way to write a rule that means the same.
func (d *decompiler) writeRule(r pipeline.Rule) rule {
	common := rule{Name: r.Name, Inputs: r.Inputs, Timeout: written(r.Timeout), AWS: r.Foreign}
	way := common
	var variable pipeline.VariableCheck
	var window pipeline.DeploymentWindow
	var commands pipeline.Build
	var call pipeline.Lambda
	switch {
	case r.Type.Provider == "VariableCheck" && strict(r.Configuration, &variable):
		word, _ := wordFor(variable.Operator, operators)
		if variable.Operator == pipeline.OperatorEquals {
			word = ""
		}
		way.Variable = &variableRule{Name: variable.Variable, Operator: word, Value: variable.Value}
	case r.Type.Provider == "DeploymentWindow" && strict(r.Configuration, &window):
		way.Window = &windowRule{Cron: window.Cron, TimeZone: window.TimeZone}
	case r.Type.Provider == "Commands" && strict(r.Configuration, &commands):
		way.Commands = commands.Commands
	case r.Type.Provider == "LambdaInvoke" && strict(r.Configuration, &call):
		way.Invoke = &invoke{Function: call.Function, Parameters: call.Parameters}
	}
	before := len(d.problems)
	got := d.rule(way, "")
	fits := len(d.problems) == before && same(got, r)
	if d.problems = d.problems[:before]; fits {
		return way
	}
	g := typeOf(r.Type, r.Configuration)
	common.Rule = &g
	return common
}
