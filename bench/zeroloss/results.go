package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// result is what one cut-over has come to. Times are in milliseconds unless
// their name says otherwise.
type result struct {
	cutover

	Rate     int              `json:"rate"`     // requests per second that were to be sent
	Counts   pipeline.Verdict `json:"counts"`   // of this program's own requests
	Outcome  string           `json:"outcome"`  // of the deployment
	Reverted bool             `json:"reverted"` // though it was not to be
	Message  string           `json:"message,omitempty"`
	Verdict  string           `json:"verdict,omitempty"`   // of the deployment itself
	Rehearse string           `json:"rehearsal,omitempty"` // its sentence
	Predicts bool             `json:"predicts,omitempty"`  // the rehearsal foretells losses

	// When, in seconds since the beginning of the load, requests were lost, and
	// when the write was sent that moved them.
	LostAt     []float64 `json:"lostAt,omitempty"`
	SwitchedAt float64   `json:"switchedAt,omitempty"`

	Seconds  float64 `json:"seconds"`            // of the whole cut-over
	Overhead float64 `json:"overhead"`           // seconds of it that nobody was waited for
	Verified int64   `json:"verified,omitempty"` // from the switch to the endpoints of the data plane being the new ones
	Moved    int64   `json:"moved,omitempty"`    // from the switch to the last answer of an old pod on a new connection
	Rollback int64   `json:"rollback,omitempty"` // from the abort to the last answer of a new pod on a new connection
}

// starved tells that this program itself had no time to send some requests: the
// machine did not hold the rate, and nothing follows from such a cut-over. It
// is set aside and made again at a lower rate.
func (r result) starved() bool { return r.Counts.NotSent > 0 }

// measured are the results that count.
func measured(all []result) []result {
	return slices.DeleteFunc(slices.Clone(all), result.starved)
}

// rateRecord is a line of the file that holds the rate of the run.
type rateRecord struct {
	SteadyRate int `json:"steadyRate"`
}

// results are those so far, each of which is in the file before the next
// cut-over begins.
type results struct {
	all  []result
	rate int // that was found by an earlier slice; 0 when there was none
	file *os.File
}

// openResults reads the results so far. A last line that was cut off by a
// crash is dropped.
func openResults(path string) (*results, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of %s: %w", path, err)
	}
	r := &results{}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the results so far: %w", err)
	}
	whole := 0
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var rate rateRecord
		var one result
		if json.Unmarshal(line, &rate) == nil && rate.SteadyRate > 0 {
			r.rate = rate.SteadyRate
		} else if err := json.Unmarshal(line, &one); err != nil {
			return nil, fmt.Errorf("read the results so far: %s has a line that is none: %w", path, err)
		} else {
			r.all = append(r.all, one)
		}
		whole += len(line)
	}
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, fmt.Errorf("open the results: %w", err)
	}
	if err := r.file.Truncate(int64(whole)); err != nil {
		return nil, fmt.Errorf("drop half a line of the results: %w", err)
	}
	if _, err := r.file.Seek(int64(whole), 0); err != nil {
		return nil, fmt.Errorf("open the results: %w", err)
	}
	return r, nil
}

// add writes a result down.
func (r *results) add(one result) error {
	r.all = append(r.all, one)
	return r.write(one)
}

func (r *results) write(line any) error {
	w := bufio.NewWriter(r.file)
	if err := json.NewEncoder(w).Encode(line); err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	if err := errors.Join(w.Flush(), r.file.Sync()); err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	return nil
}

func (r *results) close() error { return r.file.Close() }
