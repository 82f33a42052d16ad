package renderer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/manifest"
)

// request is what the process is told.
type request struct {
	Root    string
	Chart   manifest.HelmChart
	Memory  uint64 // bytes of address space
	Seconds uint64 // of processor time
}

// answer is what it says: objects as manifest.Encode writes them, or failures.
type answer struct {
	Objects  string
	Changes  []manifest.Change
	Failures []failure
}

// failure is one error. Fault says that it is none of the user's.
type failure struct {
	Fault string
	Error manifest.Error
}

const (
	maxRequest = 4 << 20
	maxStack   = 64 << 20
)

// Serve reads one request from in, renders, and writes the answer to out. It
// limits the whole process for good, so it is all that a process may do. An
// error means that there is no answer; what is wrong with a chart is one.
func Serve(in io.Reader, out io.Writer) error {
	var r request
	if err := json.NewDecoder(io.LimitReader(in, maxRequest)).Decode(&r); err != nil {
		return fmt.Errorf("read the chart to render: %w", err)
	}
	if err := limit(r); err != nil {
		return err
	}
	var a answer
	objs, changes, err := manifest.LoadChart(r.Root, r.Chart)
	if err != nil {
		a.Failures = failuresOf(err)
	} else {
		text, err := manifest.Encode(objs)
		if err != nil {
			return err
		}
		a.Objects, a.Changes = string(text), changes
	}
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return fmt.Errorf("write what a chart makes: %w", err)
	}
	return nil
}

// limit makes the process end when it takes too much, and leave no core.
func limit(r request) error {
	debug.SetMaxStack(maxStack)
	for resource, most := range map[int]uint64{unix.RLIMIT_AS: r.Memory, unix.RLIMIT_CPU: r.Seconds, unix.RLIMIT_CORE: 0} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit the rendering of charts: %w", err)
		}
	}
	return nil
}

func failuresOf(err error) []failure {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []failure
		for _, one := range many.Unwrap() {
			all = append(all, failuresOf(one)...)
		}
		return all
	}
	if e, ok := errors.AsType[*manifest.Error](err); ok {
		return []failure{{Error: *e}}
	}
	return []failure{{Fault: err.Error()}}
}

// errorOf is the error that failuresOf took apart.
func errorOf(failures []failure) error {
	var errs []error
	for _, f := range failures {
		if f.Fault != "" {
			errs = append(errs, errors.New(f.Fault))
			continue
		}
		errs = append(errs, &f.Error)
	}
	return errors.Join(errs...)
}
