package awsapi

import (
	_ "embed" // for model.json
	"encoding/json"
	"fmt"
	"regexp"
)

//go:generate sh -c "python3 model.py > model.new && mv model.new model.json"

//go:embed model.json
var modelFile []byte

// model says what each operation's request must look like. It is the API's own
// public model, without its prose and its answers.
type model struct {
	Operations map[string]struct {
		Input  string   `json:"input"`  // a shape
		Errors []string `json:"errors"` // that its clients have types for
	} `json:"operations"`
	Shapes map[string]*shape `json:"shapes"`
}

// shape is one type of the API: what its JSON is, and the limits of its values.
type shape struct {
	Type     string            `json:"type"`
	Members  map[string]string `json:"members"` // of a structure: name to shape
	Required []string          `json:"required"`
	Member   string            `json:"member"` // of a list
	Key      string            `json:"key"`    // of a map
	Value    string            `json:"value"`
	Min      *int64            `json:"min"` // of a number, or of a length
	Max      *int64            `json:"max"`
	Pattern  string            `json:"pattern"`
	Enum     []string          `json:"enum"`

	matches *regexp.Regexp // Pattern, of the whole value
	hidden  bool           // values are secrets: no answer repeats them
}

// hidden are the shapes whose values may be secrets.
func hidden() []string {
	return []string{
		"ActionConfigurationValue", "RuleConfigurationValue", "EnvironmentVariableValue", "PipelineVariableValue",
		"WebhookAuthConfigurationSecretToken", "ClientToken", "ContinuationToken", "OutputVariablesValue",
	}
}

func loadModel() (*model, error) {
	m := &model{}
	if err := json.Unmarshal(modelFile, m); err != nil {
		return nil, fmt.Errorf("read the model of the API: %w", err)
	}
	// Executions have Towline's own names, web-2, here as everywhere: what the
	// aws command shows can be given to the towline command.
	m.Shapes["PipelineExecutionId"].Pattern = `[0-9A-Za-z.@_-]{1,128}`
	// What Towline does itself has an owner of its own.
	owners := m.Shapes["ActionOwner"]
	owners.Enum = append(owners.Enum, "Towline")
	for _, name := range hidden() {
		s, ok := m.Shapes[name]
		if !ok {
			return nil, fmt.Errorf("read the model of the API: it has no shape %s", name)
		}
		s.hidden = true
	}
	for name, s := range m.Shapes {
		if s.Pattern == "" {
			continue
		}
		var err error
		if s.matches, err = regexp.Compile(`^(?:` + s.Pattern + `)$`); err != nil {
			return nil, fmt.Errorf("read the model of the API: pattern of %s: %w", name, err)
		}
	}
	return m, nil
}
