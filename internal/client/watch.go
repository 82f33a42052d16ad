package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// reconnectFor is how long Watch and Follow try to reach a server that went
// away, for example because it is restarted.
const reconnectFor = time.Minute

// Watch calls show with the execution as it is, and again after each change,
// until it has ended, show returns an error, or ctx ends. A connection that
// breaks is opened again.
func (c *Client) Watch(ctx context.Context, id string, show func(Execution) error) error {
	done := false
	return persist(ctx, func() (progress bool, finished bool, err error) {
		err = c.watchOnce(ctx, id, func(e Execution) error {
			progress, done = true, e.Done()
			return show(e)
		})
		return progress, done, err
	})
}

func (c *Client) watchOnce(ctx context.Context, id string, show func(Execution) error) error {
	response, err := c.send(ctx, http.MethodGet, "/executions/"+url.PathEscape(id)+"/watch", nil)
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
		var e Execution
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read execution %s: %w", id, err)
		}
		if err := show(e); err != nil {
			return err
		}
		if e.Done() {
			return nil
		}
	}
}

// Follow copies an action's log to w from its beginning until the action has
// ended. A connection that breaks is opened again where it broke.
func (c *Client) Follow(ctx context.Context, ref ActionRef, w io.Writer) error {
	var offset int64
	return persist(ctx, func() (progress, finished bool, err error) {
		log, err := c.Log(ctx, ref, offset, true)
		if err != nil {
			return false, false, err
		}
		defer log.Close()
		n, err := io.Copy(w, log)
		offset += n
		if err != nil {
			err = broken{err}
		}
		return n > 0, err == nil, err
	})
}

// broken marks an error of the connection, after which trying again helps.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// persist calls try until it is finished or fails for a reason other than the
// connection, and gives up when nothing has come for reconnectFor.
func persist(ctx context.Context, try func() (progress, finished bool, err error)) error {
	last := time.Now()
	for {
		progress, finished, err := try()
		if progress {
			last = time.Now()
		}
		if finished || (err != nil && !reconnects(err)) {
			return err
		}
		if time.Since(last) > reconnectFor {
			return fmt.Errorf("the server went away: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func reconnects(err error) bool {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer.Status == 0 || answer.Status == http.StatusServiceUnavailable
	}
	_, ok := errors.AsType[broken](err)
	return ok
}
