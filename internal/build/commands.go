package build

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// Commands carries out actions and rules of the types Compute/Commands and
// Rule/Commands, configured by a pipeline.Commands: a build whose buildspec is
// made of the commands.
type Commands struct{ Action }

// Run runs the commands as the build phase of a build, see Action.
func (c Commands) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var config pipeline.Commands
	if err := json.Unmarshal(job.Configuration, &config); err != nil {
		return pipeline.Result{}, fmt.Errorf("read the configuration of the commands: %w", err)
	}
	made, err := buildOf(config, job.Action.Outputs)
	if err != nil {
		return pipeline.Fail("%v", err), nil
	}
	if job.Configuration, err = json.Marshal(made); err != nil {
		return pipeline.Result{}, fmt.Errorf("write the configuration of the commands: %w", err)
	}
	return c.Action.Run(ctx, job)
}

// buildOf is the build that the commands are. Its buildspec is within the
// configuration: JSON is YAML as well.
func buildOf(config pipeline.Commands, outputs []string) (pipeline.Build, error) {
	if len(config.Commands) == 0 {
		return pipeline.Build{}, fmt.Errorf("the action has no commands: list them under commands")
	}
	b := pipeline.Build{Env: map[string]string{}, Managed: map[string]string{}}
	for _, v := range config.Environment {
		switch v.Type {
		case "", "PLAINTEXT":
			b.Env[v.Name] = v.Value
		case "SECRETS_MANAGER":
			b.Managed[v.Name] = v.Value
		default:
			return pipeline.Build{}, fmt.Errorf("the environment variable %s has the type %q: write PLAINTEXT or SECRETS_MANAGER", v.Name, v.Type)
		}
	}
	type object map[string]any
	spec := object{"version": "0.2", "phases": object{"build": object{"commands": config.Commands}}}
	if len(config.Exported) > 0 {
		spec["env"] = object{"exported-variables": config.Exported}
	}
	artifacts, secondary := object{}, object{}
	for i, name := range outputs {
		files := config.Files[name]
		if len(files) == 0 {
			return pipeline.Build{}, fmt.Errorf("the output artifact %s has no files: list patterns under files", name)
		}
		if i == 0 {
			artifacts["files"] = files
		} else {
			secondary[name] = object{"files": files}
		}
	}
	if len(secondary) > 0 {
		artifacts["secondary-artifacts"] = secondary
	}
	if len(artifacts) > 0 {
		spec["artifacts"] = artifacts
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return pipeline.Build{}, fmt.Errorf("write the buildspec of the commands: %w", err)
	}
	b.Buildspec = string(text)
	return b, nil
}
