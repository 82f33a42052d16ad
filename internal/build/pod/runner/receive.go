//go:build linux

package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/towline/towline/internal/build/pod/tree"
)

// serveBuild takes the build and begins it. What a connection that broke has
// brought is removed first; a build that has begun is not begun again.
func (r *runner) serveBuild(w http.ResponseWriter, q *http.Request) error {
	r.receiving.Lock()
	defer r.receiving.Unlock()
	select {
	case <-r.started:
		return answer(w, r.state())
	default:
	}
	order, err := r.receive(&patientReader{from: q.Body, patience: http.NewResponseController(w)})
	if err != nil {
		return fmt.Errorf("take the build: %w", err)
	}
	r.mu.Lock()
	r.stage = Running
	r.mu.Unlock()
	close(r.started)
	r.run(order)
	return answer(w, r.state())
}

// receive reads the order and writes the trees.
func (r *runner) receive(from io.Reader) (Order, error) {
	into := map[string]string{SourceTree: r.path(SourceTree), InputsTree: r.path(InputsTree)}
	for _, dir := range into {
		if err := os.RemoveAll(dir); err != nil {
			return Order{}, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Order{}, err
		}
	}
	u, err := tree.NewUnpacker(from, tree.Limits{})
	if err != nil {
		return Order{}, err
	}
	defer u.Close()
	text, err := u.Text(OrderName)
	if err != nil {
		return Order{}, err
	}
	var order Order
	if err := json.Unmarshal(text, &order); err != nil {
		return Order{}, fmt.Errorf("read the order: %w", err)
	}
	if err := u.Trees(into); err != nil {
		return Order{}, err
	}
	taken, err := tree.Take(r.path(SourceTree))
	if err != nil {
		return Order{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot = taken
	return order, nil
}

// serveFiles gives out what the build has changed of its source.
func (r *runner) serveFiles(w http.ResponseWriter, _ *http.Request) error {
	if !r.isEnded() {
		return errors.New("the build has not ended yet")
	}
	r.mu.Lock()
	before := r.snapshot
	r.mu.Unlock()
	gone, err := before.Gone()
	if err != nil {
		return err
	}
	text, err := json.Marshal(gone)
	if err != nil {
		return err
	}
	patience := http.NewResponseController(w)
	defer func() { _ = patience.SetWriteDeadline(time.Time{}) }() // the connection is used on
	p, err := tree.NewPacker(&patientWriter{to: w, patience: patience})
	if err != nil {
		return err
	}
	err = p.Text(GoneName, text)
	if err == nil {
		err = p.Tree(SourceTree, r.path(SourceTree), before.Unchanged)
	}
	if err == nil {
		err = p.Close()
	}
	if err != nil {
		// The answer has begun: only a cut tells that it is not whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (r *runner) path(name ...string) string {
	return filepath.Join(append([]string{r.config.Dir}, name...)...)
}

// patientReader gives up when nothing comes for too long, however long the
// whole takes.
type patientReader struct {
	from     io.Reader
	patience *http.ResponseController
}

func (p *patientReader) Read(b []byte) (int, error) {
	_ = p.patience.SetReadDeadline(time.Now().Add(stalled))
	return p.from.Read(b)
}

// patientWriter is the same for what goes out.
type patientWriter struct {
	to       io.Writer
	patience *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.patience.SetWriteDeadline(time.Now().Add(stalled))
	return p.to.Write(b)
}
