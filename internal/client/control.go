package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/towline/towline/internal/pipeline"
)

// Decision is what a person decided about a manual approval.
type Decision struct {
	Stage   string `json:"stage"`
	Action  string `json:"action"`
	Token   string `json:"token" doc:"of the attempt that is decided about"`
	Approve bool   `json:"approve" doc:"false rejects"`
	Comment string `json:"comment,omitempty" maxLength:"512"`
	By      string `json:"by,omitempty" doc:"who decided, as they call themselves" maxLength:"100"`
}

// Decide gives or refuses a manual approval.
func (c *Client) Decide(ctx context.Context, id string, d Decision) (e Execution, err error) {
	return e, c.call(ctx, http.MethodPost, "/executions/"+url.PathEscape(id)+"/approval", d, &e)
}

// StopRequest asks an execution to stop.
type StopRequest struct {
	Abandon bool   `json:"abandon,omitempty" doc:"interrupt what is in progress instead of waiting for it"`
	Reason  string `json:"reason,omitempty" maxLength:"200"`
}

// Stop stops an execution.
func (c *Client) Stop(ctx context.Context, id string, req StopRequest) (e Execution, err error) {
	return e, c.call(ctx, http.MethodPost, "/executions/"+url.PathEscape(id)+"/stop", req, &e)
}

// RetryRequest asks for another attempt of a stage.
type RetryRequest struct {
	Stage string             `json:"stage"`
	Mode  pipeline.RetryMode `json:"mode,omitempty" enum:"FAILED_ACTIONS,ALL_ACTIONS" doc:"default the failed actions"`
}

// Retry runs a stage again, in the same execution.
func (c *Client) Retry(ctx context.Context, id string, req RetryRequest) (e Execution, err error) {
	return e, c.call(ctx, http.MethodPost, "/executions/"+url.PathEscape(id)+"/retry", req, &e)
}

// OverrideRequest sets a condition aside.
type OverrideRequest struct {
	Stage string                 `json:"stage"`
	Kind  pipeline.ConditionKind `json:"kind" enum:"BEFORE_ENTRY,ON_SUCCESS"`
	By    string                 `json:"by,omitempty" maxLength:"100"`
}

// Override sets a condition aside that holds an execution up.
func (c *Client) Override(ctx context.Context, id string, req OverrideRequest) (e Execution, err error) {
	return e, c.call(ctx, http.MethodPost, "/executions/"+url.PathEscape(id)+"/override", req, &e)
}

// RollbackRequest asks for a stage to be brought back.
type RollbackRequest struct {
	Target string `json:"target,omitempty" doc:"execution that succeeded in the stage, default the last one before the present one"`
}

// RollBack starts an execution that brings one stage back.
func (c *Client) RollBack(ctx context.Context, name, stage string, req RollbackRequest) (e Execution, err error) {
	return e, c.call(ctx, http.MethodPost, stagePath(name, stage)+"/rollback", req, &e)
}

// TransitionRequest opens or closes a transition.
type TransitionRequest struct {
	Disabled bool   `json:"disabled"`
	Reason   string `json:"reason,omitempty" maxLength:"300"`
	By       string `json:"by,omitempty" maxLength:"100"`
}

// SetTransition opens or closes the way into a stage, or out of it.
func (c *Client) SetTransition(ctx context.Context, name, stage string, end pipeline.TransitionType, req TransitionRequest) (s PipelineState, err error) {
	return s, c.call(ctx, http.MethodPut, stagePath(name, stage)+"/transitions/"+string(end), req, &s)
}

func stagePath(name, stage string) string {
	return "/pipelines/" + url.PathEscape(name) + "/stages/" + url.PathEscape(stage)
}

// PipelineState is where a pipeline stands: what was in each stage last, who
// waits before it, and which ways are closed.
type PipelineState struct {
	Name    string       `json:"name"`
	Version int          `json:"version"`
	Stages  []StageState `json:"stages"`
	// Holds are why executions wait, oldest execution first.
	Holds []Held `json:"holds,omitempty"`
}

// Held is an execution that waits.
type Held struct {
	Execution string        `json:"execution"`
	Hold      pipeline.Hold `json:"hold"`
}

// StageState is where one stage of a pipeline stands.
type StageState struct {
	Name string `json:"name"`
	// Latest is the execution that entered the stage last, "" before the first.
	Latest string               `json:"latest,omitempty"`
	State  *pipeline.StageState `json:"state,omitempty"`
	// Waiting are the executions that are to enter the stage next, oldest first.
	Waiting []string              `json:"waiting,omitempty"`
	Closed  []pipeline.Transition `json:"closed,omitempty"`
}

// State gets the state of a pipeline.
func (c *Client) State(ctx context.Context, name string) (s PipelineState, err error) {
	return s, c.call(ctx, http.MethodGet, "/pipelines/"+url.PathEscape(name)+"/state", nil, &s)
}
