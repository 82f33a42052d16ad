package project

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// Environment is where a build runs.
type Environment struct {
	Type        string     `json:"type"`
	Image       string     `json:"image"`
	ComputeType string     `json:"computeType"`
	Variables   []Variable `json:"environmentVariables,omitempty"`
	Privileged  bool       `json:"privilegedMode,omitempty"`

	Certificate string          `json:"certificate,omitempty"`
	Registry    json.RawMessage `json:"registryCredential,omitempty"`
	PullBy      string          `json:"imagePullCredentialsType,omitempty"`
	Compute     json.RawMessage `json:"computeConfiguration,omitempty"`
	Fleet       json.RawMessage `json:"fleet,omitempty"`
	Docker      json.RawMessage `json:"dockerServer,omitempty"`
}

// Variable is an environment variable of a build.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`          // or the name of what has it
	Type  string `json:"type,omitempty"` // "" for PLAINTEXT
}

// The types of a Variable.
const (
	Plaintext      = "PLAINTEXT"
	ParameterStore = "PARAMETER_STORE"
	SecretsManager = "SECRETS_MANAGER"
)

// Override gives variables other values, and adds those that are not there.
func (e *Environment) Override(variables []Variable) {
	for _, v := range variables {
		e.Variables = slices.DeleteFunc(e.Variables, func(other Variable) bool { return other.Name == v.Name })
		e.Variables = append(e.Variables, v)
	}
}

// Pod is the Pod of a build that asks for an environment. The images that AWS
// curates cannot be pulled by others: the server's own stands in for them.
func (e *Environment) Pod() *pipeline.Pod {
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
