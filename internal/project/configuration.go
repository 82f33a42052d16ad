package project

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// defaultTimeout is how long a build may take when its project does not say, in
// minutes.
const defaultTimeout = 60

// configuration is what a build asks of the Runner.
func (r *Builder) configuration(b Build) (json.RawMessage, error) {
	d := b.Definition
	minutes := d.Timeout
	if minutes == 0 {
		minutes = defaultTimeout
	}
	c := pipeline.Build{
		Buildspec: d.Source.Buildspec, Timeout: strconv.Itoa(minutes) + "m", Compute: r.Compute,
		Env: map[string]string{}, Batch: b.Batch,
	}
	if r.Compute == pipeline.ComputePod {
		c.Pod = d.Environment.pod()
	}
	for _, v := range d.Environment.Variables {
		switch v.Type {
		case ParameterStore:
			set(&c.Parameters, v)
		case SecretsManager:
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

func set(into *map[string]string, v Variable) {
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[v.Name] = v.Value
}

// variables are those that CodeBuild sets and that are about the project. The
// Runner knows the others.
func (r *Builder) variables(b Build) map[string]string {
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

// noRegion stands in names where no client has told its region.
const noRegion = "us-east-1"

// ARN is the build's name in AWS's form.
func (b Build) ARN(account string) string {
	region := b.Region
	if region == "" {
		region = noRegion
	}
	return fmt.Sprintf("arn:aws:codebuild:%s:%s:build/%s", region, account, b.ID)
}

// pod is the Pod of a build that asks for an environment. The images that AWS
// curates cannot be pulled by others: the server's own stands in for them.
func (e *Environment) pod() *pipeline.Pod {
	p := &pipeline.Pod{Image: e.Image, Privileged: e.Privileged}
	if strings.HasPrefix(e.Image, "aws/codebuild/") {
		p.Image = ""
	}
	switch _, size, _ := strings.Cut(e.ComputeType, "BUILD_GENERAL1_"); size {
	case "SMALL":
		p.CPU, p.Memory = "2", "4Gi"
	case "MEDIUM":
		p.CPU, p.Memory = "4", "8Gi"
	case "LARGE":
		p.CPU, p.Memory = "8", "16Gi"
	case "XLARGE":
		p.CPU, p.Memory = "36", "72Gi"
	case "2XLARGE":
		p.CPU, p.Memory = "72", "144Gi"
	}
	return p
}
