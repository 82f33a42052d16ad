package awsapi

import (
	_ "embed" // for model.json

	"github.com/towline/towline/internal/awsapi/wire"
)

//go:generate sh -c "python3 wire/model.py codepipeline > model.new && mv model.new model.json"

//go:embed model.json
var modelFile []byte

// loadModel reads the model of CodePipeline's API.
func loadModel() (*wire.Model, error) {
	return wire.ReadModel(modelFile, func(m *wire.Model) {
		// Executions have Towline's own names, web-2, here as everywhere: what
		// the aws command shows can be given to the towline command.
		m.Shapes["PipelineExecutionId"].Pattern = `[0-9A-Za-z.@_-]{1,128}`
		// What Towline does itself has an owner of its own.
		owners := m.Shapes["ActionOwner"]
		owners.Enum = append(owners.Enum, "Towline")
	},
		"ActionConfigurationValue", "RuleConfigurationValue", "EnvironmentVariableValue", "PipelineVariableValue",
		"WebhookAuthConfigurationSecretToken", "ClientToken", "ContinuationToken", "OutputVariablesValue",
	)
}
