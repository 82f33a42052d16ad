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
	return persist(ctx, time.Now, func() (progress, finished bool, err error) {
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
// ended. A connection that breaks is opened again at the line where it broke:
// w gets whole lines, each once.
func (c *Client) Follow(ctx context.Context, ref ActionRef, w io.Writer) error {
	var offset int64
	return persist(ctx, time.Now, func() (progress, finished bool, err error) {
		log, err := c.Log(ctx, ref, offset, true)
		if err != nil {
			return false, false, err
		}
		defer log.Close()
		n, err := copyLines(w, log)
		offset += n
		return n > 0, err == nil, err
	})
}

// copyLines copies up to the end of the last line that has come whole, or of
// everything when the log is at its end, and returns how many bytes that were.
func copyLines(w io.Writer, log io.Reader) (n int64, err error) {
	lines := bufio.NewReader(log)
	for {
		line, end := lines.ReadString('\n')
		if end != nil && !errors.Is(end, io.EOF) {
			return n, broken{end}
		}
		if _, err := io.WriteString(w, line); err != nil {
			return n, err
		}
		n += int64(len(line))
		if end != nil {
			return n, nil //nolint:nilerr // the log has ended
		}
	}
}

// broken marks an error of the connection, after which trying again helps.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// persist calls try until it is finished or fails for a reason other than the
// connection, and gives up when the server has been away for reconnectFor. A
// try that lasted was connected, however little has come.
func persist(ctx context.Context, now func() time.Time, try func() (progress, finished bool, err error)) error {
	const connected = 5 * time.Second
	last := now()
	for {
		began := now()
		progress, finished, err := try()
		if progress || now().Sub(began) > connected {
			last = now()
		}
		if finished || (err != nil && !reconnects(err)) {
			return err
		}
		if now().Sub(last) > reconnectFor {
			return fmt.Errorf("the server went away: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// reconnects says whether the connection failed, before an answer came or in
// the middle of it.
func reconnects(err error) bool {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer.Status == 0 || answer.Status == http.StatusServiceUnavailable
	}
	if _, unanswered := errors.AsType[*url.Error](err); unanswered {
		return true
	}
	_, ok := errors.AsType[broken](err)
	return ok
}
