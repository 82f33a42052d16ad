package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/towline/towline/internal/pipeline"
)

// TestedAction is an action of a pipeline whose reports tell of tests or of
// coverage, and how these went over time.
type TestedAction struct {
	Stage  string `json:"stage"`
	Action string `json:"action"`
	// Runs are the newest ones, newest first, with their totals alone.
	Runs []pipeline.TestRun `json:"runs"`
	// Tests are those that failed in the newest run, and those that are flaky.
	Tests []pipeline.TestHistory `json:"tests"`
}

// Tests gets how the tests of a pipeline went in the last runs of each of its
// actions, the action that ran last first.
func (c *Client) Tests(ctx context.Context, name string, runs int) (found []TestedAction, err error) {
	query := url.Values{"runs": {strconv.Itoa(runs)}}
	return found, c.call(ctx, http.MethodGet, "/pipelines/"+url.PathEscape(name)+"/tests?"+query.Encode(), nil, &found)
}

// TestsOf gets what the reports of an execution said, test by test and file by
// file.
func (c *Client) TestsOf(ctx context.Context, execution string) (found []pipeline.TestRun, err error) {
	return found, c.call(ctx, http.MethodGet, "/executions/"+url.PathEscape(execution)+"/tests", nil, &found)
}
