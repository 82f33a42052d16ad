//go:build !linux

package enclosure

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

var errLinux = errors.New("it needs Linux")

// Enclosure is of Linux alone.
type Enclosure struct{}

// Start is of Linux alone.
func Start(*exec.Cmd) (*Enclosure, error) { return nil, errLinux }

// Done is of Linux alone.
func (e *Enclosure) Done() <-chan struct{} { return nil }

// State is of Linux alone.
func (e *Enclosure) State() *os.ProcessState { return nil }

// Stop is of Linux alone.
func (e *Enclosure) Stop(time.Duration) {}

// Main is of Linux alone.
func Main([]string) error { return errLinux }
