package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Project is a project of builds as the API shows it.
type Project struct {
	Name       string          `json:"name"`
	Definition json.RawMessage `json:"definition" doc:"in the form of CodeBuild's CreateProject"`
	Builds     int             `json:"builds" doc:"number of the last build"`
	Created    time.Time       `json:"created"`
	Updated    time.Time       `json:"updated"`
	// Last is the newest build, nil when there is none.
	Last *Build `json:"last,omitempty"`
}

// Build is a build of a project as the API shows it.
type Build struct {
	ID        string       `json:"id" doc:"project:UUID"`
	Project   string       `json:"project"`
	Number    int          `json:"number" doc:"within its project, from 1"`
	Status    string       `json:"status" enum:"IN_PROGRESS,SUCCEEDED,FAILED,FAULT,TIMED_OUT,STOPPED"`
	Phase     string       `json:"phase"`
	Phases    []BuildPhase `json:"phases"`
	Version   string       `json:"version,omitempty" doc:"of the source, as it was asked for"`
	Resolved  string       `json:"resolved,omitempty" doc:"what the version was: a commit, or the version of an object"`
	Initiator string       `json:"initiator"`
	Started   time.Time    `json:"started"`
	Ended     time.Time    `json:"ended,omitzero"`
	Message   string       `json:"message,omitempty" doc:"why it did not succeed"`

	Artifacts []pipeline.Artifact  `json:"artifacts,omitempty"`
	Exported  map[string]string    `json:"exported,omitempty"`
	Tests     *pipeline.TestReport `json:"tests,omitempty"`
	RetryOf   string               `json:"retryOf,omitempty"`
	Execution string               `json:"execution,omitempty" doc:"that it is part of"`
	Batch     bool                 `json:"batch,omitempty" doc:"it is a batch, which is numbered by itself"`
	PartOf    string               `json:"partOf,omitempty" doc:"id of the batch that it belongs to"`
	Part      string               `json:"part,omitempty" doc:"its identifier in the batch"`
}

// The statuses of a Build that are told apart here.
const (
	BuildInProgress = "IN_PROGRESS"
	BuildSucceeded  = "SUCCEEDED"
)

// Done tells whether nothing of the build runs or waits any more.
func (b Build) Done() bool { return b.Status != BuildInProgress }

// BuildPhase is one phase of a build.
type BuildPhase struct {
	Name    string    `json:"name"`
	Status  string    `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Message string    `json:"message,omitempty"`
}

// BuildRequest asks for a build of a project.
type BuildRequest struct {
	Version string            `json:"version,omitempty" doc:"branch, tag or commit of the source, default what the project names"`
	Env     map[string]string `json:"env,omitempty" doc:"environment variables of this build"`
	Batch   bool              `json:"batch,omitempty" doc:"true runs the builds of the buildspec's batch"`
}

// Projects lists the projects by name.
func (c *Client) Projects(ctx context.Context) (found []Project, err error) {
	return found, c.call(ctx, http.MethodGet, "/projects", nil, &found)
}

// Project gets one project.
func (c *Client) Project(ctx context.Context, name string) (p Project, err error) {
	return p, c.call(ctx, http.MethodGet, "/projects/"+url.PathEscape(name), nil, &p)
}

// PutProject makes a project, or gives one another definition.
func (c *Client) PutProject(ctx context.Context, name string, definition json.RawMessage) (p Project, err error) {
	return p, c.call(ctx, http.MethodPut, "/projects/"+url.PathEscape(name), definition, &p)
}

// DeleteProject forgets a project. Its builds stay.
func (c *Client) DeleteProject(ctx context.Context, name string) error {
	response, err := c.send(ctx, http.MethodDelete, "/projects/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// StartBuild starts a build of a project.
func (c *Client) StartBuild(ctx context.Context, project string, req BuildRequest) (b Build, err error) {
	return b, c.call(ctx, http.MethodPost, "/projects/"+url.PathEscape(project)+"/builds", req, &b)
}

// Builds lists builds of a project, or of all when it is "", the newest first.
func (c *Client) Builds(ctx context.Context, project string, limit int) (found []Build, err error) {
	query := url.Values{"project": {project}, "limit": {strconv.Itoa(limit)}}
	return found, c.call(ctx, http.MethodGet, "/builds?"+query.Encode(), nil, &found)
}

// Build gets one build.
func (c *Client) Build(ctx context.Context, id string) (b Build, err error) {
	return b, c.call(ctx, http.MethodGet, "/builds/"+url.PathEscape(id), nil, &b)
}

// StopBuild ends a build.
func (c *Client) StopBuild(ctx context.Context, id string) (b Build, err error) {
	return b, c.call(ctx, http.MethodPost, "/builds/"+url.PathEscape(id)+"/stop", nil, &b)
}

// RetryBuild does a build again.
func (c *Client) RetryBuild(ctx context.Context, id string) (b Build, err error) {
	return b, c.call(ctx, http.MethodPost, "/builds/"+url.PathEscape(id)+"/retry", nil, &b)
}

// BuildLog opens the log of a build. With follow it goes on until the build has
// ended.
func (c *Client) BuildLog(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	response, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/builds/%s/log?follow=%t", url.PathEscape(id), follow), nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
