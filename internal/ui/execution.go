package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/a-h/templ"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/ui/view"
)

// mostForm is the size of a form that people fill in.
const mostForm = 64 << 10

// execution is the page of one execution, opened at the action that matters.
func execution(v *visit) (templ.Component, error) {
	e, err := v.api.Execution(v.Context(), v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v.of(e)
	return view.Execution(v.page, e, view.Focus(e)), nil
}

// action is the page of one attempt of one action.
func action(v *visit) (templ.Component, error) {
	e, err := v.api.Execution(v.Context(), v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	attempt, err := strconv.Atoi(v.PathValue("attempt"))
	if err != nil {
		return nil, &client.Error{Status: http.StatusNotFound, Message: "an attempt is a number from 1 on"}
	}
	found, ok := view.Find(e, v.PathValue("stage"), attempt, v.PathValue("action"))
	if !ok {
		return nil, &client.Error{Status: http.StatusNotFound, Message: fmt.Sprintf("%s has no attempt %d of action %s in stage %s", e.ID, attempt, v.PathValue("action"), v.PathValue("stage"))}
	}
	v.of(e)
	v.page.Title = found.Action.Name + " of " + e.ID
	return view.Action(v.page, e, found), nil
}

// of makes the page one about an execution, which hears of its changes.
func (v *visit) of(e client.Execution) {
	v.page.Title, v.page.Area = e.ID, view.Pipelines
	v.page.Events = "/api/v1/executions/" + url.PathEscape(e.ID) + "/changes"
	if v.Method != http.MethodGet {
		v.page.Path = view.ExecutionPath(e.ID) // where the page is that a refused form stood on
	}
}

// back is where the forms of an execution lead.
func back(e client.Execution, err error) (string, error) { return view.ExecutionPath(e.ID), err }

func decide(v *visit) (string, error) {
	return back(v.api.Decide(v.Context(), v.PathValue("id"), client.Decision{
		Stage: v.FormValue("stage"), Action: v.FormValue("action"), Token: v.FormValue("token"), Approve: v.FormValue("approve") == "true", Comment: v.FormValue("comment"),
	}))
}

func stop(v *visit) (string, error) {
	return back(v.api.Stop(v.Context(), v.PathValue("id"), client.StopRequest{Abandon: v.FormValue("abandon") == "true", Reason: v.FormValue("reason")}))
}

func retry(v *visit) (string, error) {
	return back(v.api.Retry(v.Context(), v.PathValue("id"), client.RetryRequest{Stage: v.FormValue("stage"), Mode: pipeline.RetryMode(v.FormValue("mode"))}))
}

func override(v *visit) (string, error) {
	return back(v.api.Override(v.Context(), v.PathValue("id"), client.OverrideRequest{Stage: v.FormValue("stage"), Kind: pipeline.ConditionKind(v.FormValue("kind"))}))
}

func rollBack(v *visit) (string, error) {
	return back(v.api.RollBack(v.Context(), v.FormValue("pipeline"), v.FormValue("stage"), client.RollbackRequest{Target: v.PathValue("id")}))
}
