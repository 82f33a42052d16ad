package view

import (
	"strings"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/ui/look"
)

// PipelineView is what the page of one pipeline shows.
type PipelineView struct {
	State      client.PipelineState
	Definition pipeline.Pipeline
	Repository string
	Executions []client.Execution
	Older      int // number before which there are older ones, 0 for none
}

// variableField begins the names of the fields for variables.
const variableField = "variable-"

// VariableOf is the variable that a field of the form is for; ok is false for
// any other field.
func VariableOf(field string) (name string, ok bool) { return strings.CutPrefix(field, variableField) }

// stagesOf are the stages of an execution, side by side.
func stagesOf(e client.Execution) (stages []look.Stage) {
	for _, s := range e.Stages {
		one := look.Stage{Name: s.Name, Status: string(s.Status), Href: ExecutionPath(e.ID) + "#stage-" + s.Name}
		if e.Hold != nil && e.Hold.Stage == s.Name {
			one.Status, one.Note = "Waiting", e.Hold.Sentence
		}
		stages = append(stages, one)
	}
	return stages
}

func defaultOf(v pipeline.Variable) string {
	if v.Default == nil {
		return ""
	}
	return *v.Default
}
