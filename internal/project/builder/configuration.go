package builder

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// configuration is what a build asks of the Runner.
func (r *Builder) configuration(b project.Build) (json.RawMessage, error) {
	d := b.Definition
	c := pipeline.Build{
		Buildspec: d.Source.Buildspec, Timeout: fmt.Sprintf("%.0fm", d.Lasts().Minutes()), Compute: r.Compute,
		Env: map[string]string{}, Batch: b.Batch,
	}
	if r.Compute == pipeline.ComputePod {
		c.Pod = d.Environment.Pod()
	}
	for _, v := range d.Environment.Variables {
		switch v.Type {
		case project.ParameterStore:
			set(&c.Parameters, v)
		case project.SecretsManager:
			set(&c.Managed, v)
		default:
			c.Env[v.Name] = v.Value
		}
	}
	maps.Copy(c.Env, r.variables(b))
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration of build %s: %w", b.ID, err)
	}
	return text, nil
}

func set(into *map[string]string, v project.Variable) {
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[v.Name] = v.Value
}

// variables are those that CodeBuild sets and that are about the project. The
// Runner knows the others.
func (r *Builder) variables(b project.Build) map[string]string {
	all := map[string]string{
		"CODEBUILD_BUILD_ID":        b.ID,
		"CODEBUILD_BUILD_ARN":       b.ARN(r.Account),
		"CODEBUILD_BUILD_NUMBER":    strconv.Itoa(b.Number),
		"CODEBUILD_BUILD_IMAGE":     b.Definition.Environment.Image,
		"CODEBUILD_INITIATOR":       b.Initiator,
		"CODEBUILD_LOG_PATH":        b.UUID(),
		"CODEBUILD_START_TIME":      strconv.FormatInt(b.Started.UnixMilli(), 10),
		"CODEBUILD_SOURCE_REPO_URL": b.Definition.Source.Location,
	}
	if b.Region != "" {
		all["AWS_REGION"], all["AWS_DEFAULT_REGION"] = b.Region, b.Region
	}
	if b.Action == nil {
		all["CODEBUILD_SOURCE_VERSION"], all["CODEBUILD_RESOLVED_SOURCE_VERSION"] = b.Version, b.Resolved
	}
	return all
}
