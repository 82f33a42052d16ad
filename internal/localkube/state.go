package localkube

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is what is wanted of a cluster. Up writes it under the cluster's lock;
// the supervisor only reads it.
type state struct {
	Name     string `json:"name"`
	Slot     int    `json:"slot"`
	Nodes    int    `json:"nodes"`
	Binaries string `json:"binaries"` // directory of the compiled binaries
	// Generation counts the calls of Up, so that each knows which of the
	// supervisor's reports answers it.
	Generation int `json:"generation"`
}

func (c *Cluster) readState() (state, error) {
	var s state
	err := readJSON(c.paths.state(), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("cluster %s: %w; run towline cluster up", c.config.Name, ErrNotUp)
	}
	if err != nil {
		return s, err
	}
	if s.Slot < 0 || s.Slot >= slots || s.Nodes < 0 || s.Nodes > maxNodes {
		return s, &Error{Message: c.paths.state() + " holds values that are out of range", Hint: "run towline cluster down, then up"}
	}
	return s, nil
}

// report is what the supervisor says of itself, for Up and Status to read.
type report struct {
	PID        int         `json:"pid"`
	Started    time.Time   `json:"started"`
	Binaries   string      `json:"binaries"`
	Generation int         `json:"generation"`      // of the state that was last worked through
	Nodes      int         `json:"nodes"`           // nodes whose components have been started
	Fault      string      `json:"fault,omitempty"` // why that ended early
	Components []Component `json:"components"`
}

// Component is one supervised process as it stands.
type Component struct {
	Name     string    `json:"name"`          // e.g. "etcd", "node1/kubelet"
	PID      int       `json:"pid,omitempty"` // 0 while it waits to be started again
	Started  time.Time `json:"started"`
	Restarts int       `json:"restarts"`
	Exit     string    `json:"exit,omitempty"` // how it last ended, e.g. "signal: killed"
	Log      string    `json:"log"`            // path of its log file
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces the file in one step, so that a reader never sees half
// of it.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return writeFile(path, append(text, '\n'))
}

// writeFile replaces the file in one step. Only root may read it.
func writeFile(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // it is gone when all went well
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temp.Name(), path)
}
