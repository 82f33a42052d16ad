package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Function is a function without the values of its environment, which the
// server never gives back.
type Function struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Runtime     string    `json:"runtime"`
	Handler     string    `json:"handler,omitempty"`
	Timeout     int       `json:"timeout" doc:"seconds that one invocation may take"`
	Memory      int       `json:"memory" doc:"MB that its processes may use together"`
	Variables   []string  `json:"variables,omitempty" doc:"names of its environment"`
	Digest      string    `json:"digest" doc:"of its code"`
	Size        int64     `json:"size" doc:"of its code, packed, in bytes"`
	Revision    int       `json:"revision" doc:"counts the changes, from 1"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Problem     string    `json:"problem,omitempty" doc:"why this machine cannot run it"`
}

// FunctionRequest makes a function, or changes what is given of one.
type FunctionRequest struct {
	Description string `json:"description,omitempty"`
	Runtime     string `json:"runtime,omitempty"`
	Handler     string `json:"handler,omitempty"`
	Timeout     int    `json:"timeout,omitempty"`
	Memory      int    `json:"memory,omitempty"`
	// Environment replaces the one that there is, unless it is nil.
	Environment map[string]string `json:"environment,omitempty"`
}

// Invoked is how an invocation ended.
type Invoked struct {
	RequestID string          `json:"requestId"`
	Payload   json.RawMessage `json:"payload" doc:"what the handler answered, or its error"`
	Error     string          `json:"error,omitempty" doc:"type of the error when the function failed"`
	Seconds   float64         `json:"seconds" doc:"how long the handler took"`
	Init      float64         `json:"init" doc:"seconds until the function was ready for its event"`
	Memory    int64           `json:"memory" doc:"most that its processes used together, in bytes"`
	Log       []string        `json:"log,omitempty" doc:"last lines that it printed"`
}

// Functions lists the functions by name.
func (c *Client) Functions(ctx context.Context) (found []Function, err error) {
	return found, c.call(ctx, http.MethodGet, "/functions", nil, &found)
}

// Function gets one function.
func (c *Client) Function(ctx context.Context, name string) (f Function, err error) {
	return f, c.call(ctx, http.MethodGet, "/functions/"+url.PathEscape(name), nil, &f)
}

// PutFunction makes a function or changes one. Code is a zip; nil keeps the
// code that there is.
func (c *Client) PutFunction(ctx context.Context, name string, req FunctionRequest, code io.Reader) (f Function, err error) {
	text, err := json.Marshal(req)
	if err != nil {
		return f, err
	}
	body, pipe := io.Pipe()
	form := multipart.NewWriter(pipe)
	go func() { _ = pipe.CloseWithError(writeFunction(form, text, code)) }()
	defer func() { _ = body.Close() }() // ends the writer when the server has had enough
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+"/api/v1/functions/"+url.PathEscape(name), body)
	if err != nil {
		return f, err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	response, err := c.do(request)
	if err != nil {
		return f, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&f); err != nil {
		return f, fmt.Errorf("read answer of put function: %w", err)
	}
	return f, nil
}

func writeFunction(form *multipart.Writer, settings []byte, code io.Reader) error {
	if err := form.WriteField("function", string(settings)); err != nil {
		return err
	}
	if code != nil {
		part, err := form.CreateFormFile("code", "function.zip")
		if err == nil {
			_, err = io.Copy(part, code)
		}
		if err != nil {
			return err
		}
	}
	return form.Close()
}

// DeleteFunction forgets a function.
func (c *Client) DeleteFunction(ctx context.Context, name string) error {
	response, err := c.send(ctx, http.MethodDelete, "/functions/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// InvokeFunction gives an event to a function and waits for its answer.
func (c *Client) InvokeFunction(ctx context.Context, name string, event json.RawMessage) (done Invoked, err error) {
	return done, c.call(ctx, http.MethodPost, "/functions/"+url.PathEscape(name)+"/invocations", event, &done)
}

// FunctionLog opens what a function has printed, from a byte on. With follow it
// goes on until ctx ends.
func (c *Client) FunctionLog(ctx context.Context, name string, offset int64, follow bool) (io.ReadCloser, error) {
	query := url.Values{"offset": {strconv.FormatInt(offset, 10)}, "follow": {strconv.FormatBool(follow)}}
	response, err := c.send(ctx, http.MethodGet, "/functions/"+url.PathEscape(name)+"/log?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
