package ui

import (
	"net/http"
	"strconv"

	"github.com/a-h/templ"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/ui/view"
)

// executionsShown is how many executions a page of a pipeline shows.
const executionsShown = 30

// onePipeline is the page of one pipeline: where it stands, and its executions.
func onePipeline(v *visit) (templ.Component, error) {
	name := v.PathValue("name")
	state, err := v.api.State(v.Context(), name)
	if err != nil {
		return nil, err
	}
	definition, err := v.api.Pipeline(v.Context(), name)
	if err != nil {
		return nil, err
	}
	before, _ := strconv.Atoi(v.URL.Query().Get("before")) // 0, the newest, for what is no number
	executions, err := v.api.Executions(v.Context(), name, max(before, 0), executionsShown)
	if err != nil {
		return nil, err
	}
	v.page.Title, v.page.Area, v.page.Events = name, view.Pipelines, "/api/v1/overview/watch"
	if v.Method != http.MethodGet {
		v.page.Path = view.PipelinePath(name)
	}
	older := 0
	if len(executions) == executionsShown {
		older = executions[len(executions)-1].Number
	}
	return view.OnePipeline(v.page, view.PipelineView{State: state, Definition: definition.Pipeline, Repository: definition.Repository, Executions: executions, Older: older}), nil
}

func runPipeline(v *visit) (string, error) {
	req := client.RunRequest{Branch: v.FormValue("branch"), Variables: map[string]string{}}
	for name, values := range v.Form {
		if variable, ok := view.VariableOf(name); ok && values[0] != "" {
			req.Variables[variable] = values[0]
		}
	}
	e, err := v.api.Run(v.Context(), v.PathValue("name"), req)
	return view.ExecutionPath(e.ID), err
}

func setTransition(v *visit) (string, error) {
	name := v.PathValue("name")
	_, err := v.api.SetTransition(v.Context(), name, v.FormValue("stage"), pipeline.TransitionType(v.FormValue("type")), client.TransitionRequest{
		Disabled: v.FormValue("disabled") == "true", Reason: v.FormValue("reason"),
	})
	return view.PipelinePath(name), err
}
