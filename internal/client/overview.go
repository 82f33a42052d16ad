package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Overview is a page of how all pipelines stand. The counts are of all pages. A
// pipeline whose last execution has failed is in Failed, and also in Running or
// Waiting when an older one has not ended.
type Overview struct {
	Pipelines int        `json:"pipelines"`
	Running   int        `json:"running" doc:"of which something runs and nothing waits"`
	Waiting   int        `json:"waiting" doc:"of which an execution waits"`
	Failed    int        `json:"failed" doc:"whose last execution has failed"`
	Rows      []Standing `json:"rows"`
	// Next is the place after the last row, "" when there are no more.
	Next string `json:"next,omitempty"`
}

// Standing is how one pipeline stands.
type Standing struct {
	Name       string `json:"name"`
	Repository string `json:"repository,omitempty"` // "" when it was defined through the API
	// Last is the newest execution, nil before the first.
	Last       *LastExecution `json:"last,omitempty"`
	Unfinished int            `json:"unfinished"` // how many executions have not ended
	// Holds are why executions wait, oldest execution first.
	Holds []Held `json:"holds,omitempty"`
}

// LastExecution is the newest execution of a pipeline in short.
type LastExecution struct {
	ID      string                   `json:"id"`
	Number  int                      `json:"number"`
	Type    pipeline.ExecutionType   `json:"type,omitempty"`
	Status  pipeline.ExecutionStatus `json:"status"`
	Trigger string                   `json:"trigger"`
	Branch  string                   `json:"branch,omitempty"`
	Commit  string                   `json:"commit,omitempty"`
	Message string                   `json:"message,omitempty"` // first line
	Author  string                   `json:"author,omitempty"`
	Started time.Time                `json:"started"`
	Ended   time.Time                `json:"ended,omitzero"`
	Stages  []StageSpan              `json:"stages"`
}

// StageSpan is a stage of an execution and its time. Started is zero before
// anything of it has run, Ended until it has ended.
type StageSpan struct {
	Name    string          `json:"name"`
	Status  pipeline.Status `json:"status"`
	Started time.Time       `json:"started,omitzero"`
	Ended   time.Time       `json:"ended,omitzero"`
}

// OverviewRequest picks a page of the overview.
type OverviewRequest struct {
	Query string // part of a pipeline's or repository's name
	After string // Overview.Next of the page before
	Limit int    // 0 is 100, the most is 500
}

// Overview tells how all pipelines stand: first those whose last execution has
// failed, then those that wait, then those that run, then the others; among
// these the one that was started last first.
func (c *Client) Overview(ctx context.Context, req OverviewRequest) (o Overview, err error) {
	query := url.Values{"query": {req.Query}, "after": {req.After}}
	if req.Limit > 0 {
		query.Set("limit", strconv.Itoa(req.Limit))
	}
	return o, c.call(ctx, http.MethodGet, "/overview?"+query.Encode(), nil, &o)
}

// OverviewChange tells which pipelines look different now.
type OverviewChange struct {
	// Pipelines are their names. None means that all of them are to be looked at,
	// as when the watch begins.
	Pipelines []string `json:"pipelines"`
}

// WatchOverview calls show at once and then each time that pipelines have
// changed, at most five times a second, until show returns an error or ctx ends.
// A connection that breaks is opened again.
func (c *Client) WatchOverview(ctx context.Context, show func(OverviewChange) error) error {
	return persist(ctx, time.Now, func() (progress, finished bool, err error) {
		err = c.watchOverviewOnce(ctx, func(change OverviewChange) error {
			progress = true
			return show(change)
		})
		return progress, err == nil, err
	})
}

func (c *Client) watchOverviewOnce(ctx context.Context, show func(OverviewChange) error) error {
	response, err := c.send(ctx, http.MethodGet, "/overview/watch", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return broken{err}
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var change OverviewChange
		if err := json.Unmarshal([]byte(data), &change); err != nil {
			return fmt.Errorf("read what has changed: %w", err)
		}
		if err := show(change); err != nil {
			return err
		}
	}
}
