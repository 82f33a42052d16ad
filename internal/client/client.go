// Package client speaks the native HTTP API. Its types are the API's, and the
// server uses them too, so that the two cannot part.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Execution is an execution as the API shows it.
type Execution struct {
	pipeline.Execution
	// Progress is the present line of progress of each running action, by
	// "stage/action".
	Progress map[string]string `json:"progress,omitempty"`
	// Hold is why it waits, nil when it does not.
	Hold *pipeline.Hold `json:"hold,omitempty"`
}

// Pipeline is a pipeline as the API shows it.
type Pipeline struct {
	Pipeline   pipeline.Pipeline `json:"pipeline"`
	Repository string            `json:"repository"`
	Updated    time.Time         `json:"updated"`
	// Last is the newest execution, nil when there is none.
	Last *Execution `json:"last,omitempty"`
}

// Repository is a repository of the built-in git server.
type Repository struct {
	Name string `json:"name" doc:"lower-case letters, digits and dashes"`
	URL  string `json:"url" readOnly:"true" doc:"where to clone from and push to"`
}

// Version is what the server says of itself.
type Version struct {
	Version string `json:"version"`
}

// Error is an error that the server answered with.
type Error struct {
	Status  int // HTTP status
	Message string
	Hint    string // may be empty
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + "; " + e.Hint
	}
	return e.Message
}

// Client talks to one server.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a client of the server at base, such as http://127.0.0.1:8480.
func New(base, token string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{}}
}

// URL is the server's address.
func (c *Client) URL() string { return c.base }

// Version asks the server for its version: a call that any running server
// answers.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.call(ctx, http.MethodGet, "/version", nil, &v)
}

// Pipelines lists all pipelines by name.
func (c *Client) Pipelines(ctx context.Context) (found []Pipeline, err error) {
	return found, c.call(ctx, http.MethodGet, "/pipelines", nil, &found)
}

// Pipeline gets one pipeline.
func (c *Client) Pipeline(ctx context.Context, name string) (p Pipeline, err error) {
	return p, c.call(ctx, http.MethodGet, "/pipelines/"+url.PathEscape(name), nil, &p)
}

// RunRequest asks for an execution of a branch's newest commit.
type RunRequest struct {
	Branch    string            `json:"branch,omitempty" doc:"branch whose newest commit runs, default the one that the pipeline watches"`
	Variables map[string]string `json:"variables,omitempty" doc:"values for the pipeline's variables"`
}

// Run starts an execution.
func (c *Client) Run(ctx context.Context, name string, req RunRequest) (e Execution, err error) {
	return e, c.call(ctx, http.MethodPost, "/pipelines/"+url.PathEscape(name)+"/executions", req, &e)
}

// Executions lists a pipeline's executions, newest first. Those with a number
// from before on are left out, unless before is 0.
func (c *Client) Executions(ctx context.Context, name string, before, limit int) (found []Execution, err error) {
	query := url.Values{"before": {strconv.Itoa(before)}, "limit": {strconv.Itoa(limit)}}
	return found, c.call(ctx, http.MethodGet, "/pipelines/"+url.PathEscape(name)+"/executions?"+query.Encode(), nil, &found)
}

// Execution gets one execution.
func (c *Client) Execution(ctx context.Context, id string) (e Execution, err error) {
	return e, c.call(ctx, http.MethodGet, "/executions/"+url.PathEscape(id), nil, &e)
}

// Repositories lists the repositories.
func (c *Client) Repositories(ctx context.Context) (found []Repository, err error) {
	return found, c.call(ctx, http.MethodGet, "/repositories", nil, &found)
}

// CreateRepository makes an empty repository.
func (c *Client) CreateRepository(ctx context.Context, name string) (r Repository, err error) {
	return r, c.call(ctx, http.MethodPost, "/repositories", Repository{Name: name}, &r)
}

// ActionRef names one attempt of one action.
type ActionRef struct {
	Execution string
	Stage     string
	Attempt   int
	Action    string
}

// Log opens an action's log from a byte offset on. With follow it goes on
// until the action has ended.
func (c *Client) Log(ctx context.Context, ref ActionRef, offset int64, follow bool) (io.ReadCloser, error) {
	return c.log(ctx, ref, fmt.Sprintf("offset=%d&follow=%t", offset, follow))
}

// Grep opens those lines of an action's log that have the text in them, in
// capitals or not.
func (c *Client) Grep(ctx context.Context, ref ActionRef, text string) (io.ReadCloser, error) {
	return c.log(ctx, ref, url.Values{"grep": {text}}.Encode())
}

func (c *Client) log(ctx context.Context, ref ActionRef, query string) (io.ReadCloser, error) {
	path := fmt.Sprintf("/executions/%s/stages/%s/%d/actions/%s/log?%s",
		url.PathEscape(ref.Execution), url.PathEscape(ref.Stage), ref.Attempt, url.PathEscape(ref.Action), query)
	response, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	response, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.do(request)
}

// do sends a request with the client's token. What is no success is an *Error.
func (c *Client) do(request *http.Request) (*http.Response, error) {
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, &Error{Message: "no server answers at " + c.base, Hint: `start one with "towline server"`}
	case err != nil:
		return nil, err
	case response.StatusCode >= 300:
		defer response.Body.Close()
		return nil, problem(response)
	}
	return response, nil
}

// problem reads an answer in the form of RFC 9457.
func problem(response *http.Response) error {
	var doc struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Hint   string `json:"hint"`
		// What is wrong with a request that does not fit the API.
		Errors []struct{ Message, Location string } `json:"errors"`
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if json.Unmarshal(text, &doc) != nil || doc.Title+doc.Detail == "" {
		doc.Detail = fmt.Sprintf("the server answered %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	if doc.Detail == "" {
		doc.Detail = doc.Title
	}
	for i, wrong := range doc.Errors {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		doc.Detail += separator + strings.TrimPrefix(strings.TrimPrefix(wrong.Location, "body"), ".") + ": " + wrong.Message
	}
	return &Error{Status: response.StatusCode, Message: doc.Detail, Hint: doc.Hint}
}
